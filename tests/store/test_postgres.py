"""A store in a PostgreSQL that really runs, and that is stopped, restarted and cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keysentry.errors import HeldError, StoreError
from keysentry.model.cursor import Cursor
from keysentry.store import open_store
from keysentry.store.base import Store
from tests.servers.postgres import Postgres, postgres, postgres_url
from tests.store.making import KEY, batch, dump, found, sighting

__all__ = ["postgres", "postgres_url"]

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """A store in an empty database."""
    store = open_store(postgres_url, key=KEY)
    yield store
    store.close()


@pytest.fixture
def other(postgres_url: str, store: Store) -> Iterator[Store]:
    """Another daemon's view of the same store."""
    other = open_store(postgres_url, key=KEY)
    yield other
    other.close()


def cut(postgres: Postgres, url: str) -> None:
    """End all sessions of a database, as a network that breaks does, seen from the server."""
    name = url.rpartition("/")[2]
    postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_server_that_stops_is_told_and_forgotten_once_it_is_back(store: Store, postgres: Postgres) -> None:
    one = batch(sighting("M1", "s1", found(1)), cursor="1")
    store.commit(one)
    before = dump(store)
    with store.hold("chat"):
        postgres.stop()
        try:
            for _ in range(2):
                with pytest.raises(StoreError, match="safe to repeat"):
                    store.commit(batch(sighting("M2", "s2", found(2)), cursor="2"))
            with pytest.raises(StoreError, match=r"no connection: .*is it running"):
                list(store.incidents())
        finally:
            postgres.start()
        assert dump(store) == before
        store.commit(batch(sighting("M2", "s2", found(2)), cursor="2"))
    assert store.cursor("chat", "C1") == Cursor("2")


def test_an_error_does_not_tell_the_password(postgres: Postgres, postgres_url: str) -> None:
    store = open_store(postgres_url, key=KEY)
    password = postgres_url.split(":")[2].partition("@")[0]
    wrong = postgres_url.replace(password, "not-the-password")
    with pytest.raises(StoreError, match=r"no connection: .*password authentication failed.*user, password") as refused:
        open_store(f"{wrong}?application_name={password}", key=KEY)
    postgres.stop()
    try:
        with pytest.raises(StoreError, match=r"no connection: .*is it running") as lost:
            store.commit(batch(cursor="1"))
    finally:
        postgres.start()
    for caught in (refused, lost):
        assert "127.0.0.1" in str(caught.value)
        assert password not in str(caught.value)
        assert "not-the-password" not in str(caught.value)
    store.close()


def test_a_database_that_is_not_there_is_told(postgres_url: str) -> None:
    with pytest.raises(StoreError, match=r"no connection: .*_missing.*does not exist.*database in the store's url"):
        open_store(f"{postgres_url}_missing", key=KEY)


def test_a_user_who_may_not_make_tables_is_told(postgres: Postgres, postgres_url: str) -> None:
    postgres.execute("DROP ROLE IF EXISTS looker")
    word = "only-looks"
    postgres.execute(f"CREATE ROLE looker LOGIN PASSWORD '{word}'")
    address = postgres_url.partition("@")[2]
    with pytest.raises(StoreError, match=r"may not do this.*create and write tables"):
        open_store(f"postgresql://looker:{word}@{address}", key=KEY)


def test_a_server_that_takes_no_writes_is_told(store: Store, postgres: Postgres, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    cut(postgres, postgres_url)
    with pytest.raises(StoreError, match=r"takes no writes.*primary"):
        store.commit(batch(cursor="1"))
    assert store.cursor("chat", "C1") is None
    postgres.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    cut(postgres, postgres_url)
    store.commit(batch(cursor="1"))


def test_daemons_share_the_store_and_not_a_source(store: Store, other: Store) -> None:
    with store.hold("chat"), other.hold("mail"):
        with pytest.raises(HeldError, match=r"chat: process .* holds it since"), other.hold("chat"):
            pass
        store.commit(batch(sighting("M1", "s", found(1)), source="chat"))
        assert other.commit(batch(sighting("M1", "s", found(1)), source="mail")).new == ()
    with other.hold("chat"), store.hold("mail"):
        assert next(other.incidents()).places == 2


def test_a_daemon_that_was_cut_off_goes_on_if_nobody_took_over(
    store: Store, postgres: Postgres, postgres_url: str
) -> None:
    with store.hold("chat"):
        store.commit(batch(cursor="1"))
        cut(postgres, postgres_url)
        with pytest.raises(StoreError, match="connection is lost"):
            store.commit(batch(cursor="2"))
        store.commit(batch(cursor="2"))
        assert store.cursor("chat", "C1") == Cursor("2")


def test_a_daemon_that_was_cut_off_and_replaced_cannot_commit(
    store: Store, other: Store, postgres: Postgres, postgres_url: str
) -> None:
    """Otherwise it would set the cursor back behind the other one's."""
    with store.hold("chat"):
        store.commit(batch(cursor="1"))
        cut(postgres, postgres_url)
        with other.hold("chat"):
            other.commit(batch(cursor="5"))
            with pytest.raises(StoreError):
                store.commit(batch(cursor="2"))
            with pytest.raises(HeldError, match="took it over"):
                store.commit(batch(cursor="2"))
        with pytest.raises(HeldError, match="begin again from the stored cursor"):
            store.commit(batch(cursor="2"))
        assert store.cursor("chat", "C1") == Cursor("5")
    with store.hold("chat"):
        store.commit(batch(cursor="6"))
    assert other.cursor("chat", "C1") == Cursor("6")


def test_a_lock_that_the_server_keeps_for_a_lost_session_is_waited_for(
    store: Store, other: Store, postgres: Postgres, postgres_url: str
) -> None:
    """Another process holds the lock but has not signed yet: the same as a lost session, seen from here."""
    name = postgres_url.rpartition("/")[2]
    with store.hold("chat"):
        store.commit(batch(cursor="1"))
        key = postgres.execute(
            "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks JOIN pg_database d ON d.oid = database "
            f"WHERE locktype = 'advisory' AND datname = '{name}'"
        )[0][0]
        cut(postgres, postgres_url)
        import psycopg

        with psycopg.connect(postgres_url, autocommit=True) as ghost:
            ghost.execute("SELECT pg_advisory_lock(%s)", (key,))
            for reason in ("connection is lost", "not ended the lost session"):
                with pytest.raises(StoreError, match=reason) as caught:
                    store.commit(batch(cursor="2"))
                assert not isinstance(caught.value, HeldError)
        store.commit(batch(cursor="2"))
    assert store.cursor("chat", "C1") == Cursor("2")


def test_connections_are_given_back(store: Store, postgres: Postgres, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    for _ in range(10):
        with store.hold("chat"):
            store.commit(batch(sighting("M1", "s", found(1)), cursor="1"))
            list(store.incidents())
    asked = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    assert int(str(postgres.execute(asked)[0][0])) <= 2
    locks = f"SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE datname = '{name}'"
    assert postgres.execute(f"{locks} AND locktype = 'advisory'") == [(0,)]
