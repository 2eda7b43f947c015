"""What only stores that last can promise, in a SQLite file and in a PostgreSQL that really runs.

They last, whole or not at all; they are made and brought up to date by whoever opens them first; they hold no secret.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import create_engine, func, inspect, select, text
from sqlalchemy.engine import Engine

from keysentry.errors import HeldError, StoreError
from keysentry.model.cursor import Cursor
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from keysentry.store import open_store
from keysentry.store.migrations import FOLDER, HEAD
from keysentry.store.tables import metadata
from tests.servers.postgres import postgres, postgres_url
from tests.store.making import KEY, batch, dump, found, sighting
from tests.store.processes import WRITER, line, output, python
from tests.store.test_histories import driver, rows

__all__ = ["postgres", "postgres_url"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address where nothing is stored yet."""
    return f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The same database, as a person looks into it."""
    engine = create_engine(driver(url))
    yield engine
    engine.dispose()


def test_what_was_stored_is_there_when_it_is_opened_again(url: str) -> None:
    store = open_store(url, key=KEY)
    store.commit(batch(sighting("M1", "s1", found(1)), cursor="1", unread=(("C1", "x", "broken", False),)))
    store.move(next(store.incidents()).id, "closed", actor="ann", reason="done", time=101.0)
    before = dump(store)
    store.close()
    store = open_store(url, key=KEY)
    assert dump(store) == before
    assert store.commit(batch(sighting("M1", "s1", found(1)), cursor="1")).occurrences == 0
    assert len(store.commit(batch(sighting("M2", "s1", found(1)))).reopened) == 1
    store.close()


# The tables.


@pytest.mark.parametrize("how", ["steps", "at once"])
def test_the_steps_make_the_tables_that_the_code_uses(url: str, engine: Engine, how: str) -> None:
    """What the steps make from nothing, and what is made in an empty database at once, are the same."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
    if how == "steps":
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    open_store(url, key=KEY).close()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
        tables = {name: inspect(connection).get_pk_constraint(name) for name in ("alembic_version", "incidents")}
        assert tables["alembic_version"]["constrained_columns"] == ["version_num"]


def test_a_store_that_is_new_or_up_to_date_is_opened_without_alembic(url: str) -> None:
    code = """
import sys
from keysentry.store import open_store

open_store(sys.argv[1], key=b"another key").close()
print("alembic" in sys.modules)
"""
    assert output(python(code, url)) == "False\n"
    assert output(python(code, url)) == "False\n"


def test_many_may_open_a_new_store_at_once(url: str) -> None:
    code = """
import sys
from tests.store.making import *
from keysentry.store import open_store

store = open_store(sys.argv[1], key=KEY)
store.commit(batch(sighting("M1", "s", found(1)), source=sys.argv[2], cursor="1"))
store.close()
"""
    for process in [python(code, url, f"source-{number}") for number in range(4)]:
        output(process)
    store = open_store(url, key=KEY)
    assert next(store.incidents()).places == 4
    store.close()


def test_a_store_of_a_newer_version_is_left_alone(url: str, engine: Engine) -> None:
    open_store(url, key=KEY).close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer version.*9999.*pip install --upgrade keysentry"):
        open_store(url, key=KEY)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_store_of_another_key_says_which_setting_to_look_at(url: str) -> None:
    open_store(url, key=KEY).close()
    with pytest.raises(StoreError, match=r"another fingerprint key.*KEYSENTRY_KEY"):
        open_store(url, key=b"another key")
    open_store(url, key=KEY).close()


def test_records_in_which_nothing_was_found_cost_no_row(url: str, engine: Engine) -> None:
    store = open_store(url, key=KEY)
    store.commit(batch(*(sighting(f"M{number}", "s1") for number in range(1000)), cursor="1"))
    store.commit(batch(sighting("M1", "s2", found(1)), *(sighting(f"M{number}", "s2") for number in range(2, 1000))))
    store.close()
    with engine.connect() as connection:
        counts = {
            table.name: connection.scalar(select(func.count()).select_from(table)) for table in metadata.tables.values()
        }
    expected = {"meta": 2, "incidents": 1, "records": 1, "occurrences": 1, "cursors": 1, "events": 1}
    assert {name: count for name, count in counts.items() if count} == expected


def test_a_record_remembers_no_more_passes_than_it_must(url: str) -> None:
    store = open_store(url, key=KEY)
    for number in range(40):
        store.commit(batch(sighting("M1", f"s{number}", found(1, start=number)), time=float(number)))
    for start in range(40):
        store.commit(batch(sighting("M1", "long", found(1, start=start * 50), last=False)))
    edits = batch(*(sighting("M2", f"s{number}", found(number)) for number in range(50)))
    store.commit(edits)
    store.close()
    before = rows(url)
    assert sorted((len(row[2]), len(row[3])) for row in before["records"]) == [(32, 32), (50, 1)]
    store = open_store(url, key=KEY)
    store.commit(edits)
    store.close()
    assert rows(url) == before


# No secret.


def test_no_secret_is_in_any_row_or_byte(url: str, tmp_path: Path) -> None:
    """Forged secrets in every text that comes with a finding, in the forms in which links and files write them."""
    rng = random.Random(9)
    secrets = [forge("ghp_{base62:30}{crc32-base62:6}", rng), forge('{password:12}/"+ é{password:12}', rng)]
    forms = [
        form(secret)
        for secret in secrets
        for form in (str, quote, lambda one: quote(one, safe=""), quote_plus, lambda one: json.dumps(one)[1:-1],
                     lambda one: json.dumps(one, ensure_ascii=False)[1:-1])
    ]  # fmt: skip
    everywhere = " ".join(forms)
    finding = found(
        secrets[0],
        uri=f"https://x.example/?{everywhere}",
        path=everywhere,
        part=everywhere,
        container=everywhere,
        author=everywhere,
        author_id=everywhere,
        title=everywhere,
        reasons=(everywhere,),
        companions=(("other", Sensitive(secrets[1])),),
    )
    store = open_store(url, key=KEY)
    unread = ((everywhere, everywhere, everywhere, True),)
    store.commit(batch(sighting(everywhere, "s1", finding, unit=everywhere), unread=unread, cursor="1"))
    told = repr(dump(store))
    stored = repr(rows(url)).encode("utf-8", "surrogatepass")
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # while the write-ahead log is there
    store.close()
    files += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert str(Sensitive(secrets[0])) in told
    for form in {*secrets, *forms}:
        assert form not in told
        assert form.encode() not in stored + files
        assert json.dumps(form)[1:-1].encode() not in stored + files


# Whole or not at all.


def fail_at(engine: Engine, table: str, *, fail: bool) -> None:
    """Let the database itself refuse to write to a table, or no more."""
    if engine.dialect.name == "sqlite":
        make = [f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"]
        drop = ["DROP TRIGGER no"]
    else:
        body = "BEGIN RAISE EXCEPTION 'refused'; END"
        make = [
            f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE TRIGGER no BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no()",
        ]
        drop = [f"DROP TRIGGER no ON {table}", "DROP FUNCTION no()"]
    with engine.begin() as connection:
        for statement in make if fail else drop:
            connection.execute(text(statement))


@pytest.mark.parametrize("table", ["incidents", "records", "occurrences", "unread", "cursors"])
def test_a_commit_that_fails_leaves_nothing(url: str, engine: Engine, table: str) -> None:
    store = open_store(url, key=KEY)
    store.commit(batch(sighting("M1", "s1", found(1), found(2, start=60)), cursor="1"))
    before = dump(store), rows(url)
    wanted = batch(
        sighting("M1", "s2", found(2)), sighting("M2", "s3", found(3)), cursor="2", unread=(("C1", "x", "y", False),)
    )
    fail_at(engine, table, fail=True)
    with pytest.raises(StoreError, match="refused") as caught:
        store.commit(wanted)
    assert found(3).fingerprint not in str(caught.value)
    assert (dump(store), rows(url)) == before
    fail_at(engine, table, fail=False)
    assert (store.commit(wanted).occurrences, store.cursor("chat", "C1")) == (1, Cursor("2"))
    store.close()


def test_a_batch_that_cannot_be_stored_leaves_nothing(url: str) -> None:
    store = open_store(url, key=KEY)
    finding = found(1)
    odd = replace(finding, location=replace(finding.location, line=object()))
    with pytest.raises(StoreError):
        store.commit(batch(sighting("M1", "s1", odd), cursor="1"))
    assert store.cursor("chat", "C1") is None
    assert dump(store)["incidents"] == []
    store.commit(batch(sighting("M1", "s1", found(1)), cursor="1"))
    store.close()


def test_a_process_killed_while_it_commits_loses_nothing_it_was_told_is_stored(url: str) -> None:
    """And leaves nothing half stored: whatever the cursor says is there whole, and nothing after it."""
    rng = random.Random(11)
    open_store(url, key=KEY).close()
    told = -1
    for _ in range(5):
        process = python(WRITER, url)
        assert int(line(process)) == told + 1
        time.sleep(rng.uniform(0.0, 0.25))
        process.kill()
        told = max(told + 1, *map(int, process.communicate()[0].split()))

        store = open_store(url, key=KEY)
        cursor = store.cursor("chat", "C1")
        assert cursor is not None
        reached = int(cursor.value)
        # The commit during which it died may be there, if it died before it could tell.
        assert told <= reached <= told + 1
        told = reached
        places = [place for incident in store.incidents() for place in store.occurrences(incident.id)]
        assert len(places) == 10 * (reached + 1)
        assert {place.record for place in places} == {f"M{n}.{i}" for n in range(reached + 1) for i in range(5)}
        store.close()


# Two processes.


def test_another_process_that_holds_is_named(url: str) -> None:
    code = """
import sys
import time
from keysentry.store import open_store
from tests.store.making import KEY

store = open_store(sys.argv[1], key=KEY)
with store.hold("chat"):
    print("held", flush=True)
    time.sleep(60)
"""
    process = python(code, url)
    assert line(process) == "held"
    store = open_store(url, key=KEY)
    pattern = re.compile(rf"process {process.pid} on \S+ holds it since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
    with pytest.raises(HeldError, match=pattern), store.hold("chat"):
        pass
    if url.startswith("sqlite"):
        with pytest.raises(HeldError, match=pattern), store.hold("mail"):
            pass
    else:
        with store.hold("mail"):
            pass
    assert store.cursors("chat") == {}  # whoever only looks is not refused
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while True:
        try:
            with store.hold("chat"):
                store.commit(batch(cursor="1"))
            break
        except HeldError:  # PostgreSQL finds out a moment later
            assert time.monotonic() < deadline
            time.sleep(0.02)
    store.close()
