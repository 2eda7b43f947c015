"""Any history of commits: committing each batch twice is committing it once, and all stores end up alike.

In memory, in a SQLite file, and in a PostgreSQL that really runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from keysentry.model.cursor import Cursor
from keysentry.model.incident import Batch, Sighting
from keysentry.model.lifecycle import State, may_move
from keysentry.store import open_store
from keysentry.store.audit import Head, write_head
from keysentry.store.base import Store
from keysentry.store.schema import HEAD_OF_TRAIL
from keysentry.store.sealed import Seals
from keysentry.store.tables import meta, metadata
from tests.servers.postgres import postgres, postgres_url
from tests.store.making import KEY, batch, dump, found, sighting

__all__ = ["postgres", "postgres_url"]

SOURCES = ("chat", "mail")
RECORDS = ("M1", "M2", "M3")
STATES: tuple[State, ...] = ("open", "notified", "remediated", "closed", "accepted-risk", "false-positive")

findings = st.builds(
    lambda secret, start, part, audience: found(secret, start=start, part=part, audience=audience),
    secret=st.integers(0, 2),
    start=st.integers(0, 3).map(lambda number: number * 50),
    part=st.sampled_from(["", "a.txt"]),
    audience=st.sampled_from(["unknown", "private", "internal", "external", "public"]),
)
# Names of passes come again and cross each other here, which no caller would do: repetition must still be harmless.
sightings = st.builds(
    lambda record, scan, all_found, last: sighting(record, scan, *all_found, last=last),
    record=st.sampled_from(RECORDS),
    scan=st.sampled_from(["s1", "s2", "s3", "s4"]),
    all_found=st.lists(findings, max_size=3),
    last=st.booleans(),
)
unread = st.tuples(
    st.sampled_from(["C1", "C2"]), st.sampled_from(RECORDS), st.sampled_from(["broken", "too large"]), st.booleans()
)
batches = st.builds(
    lambda all_seen, source, cursors, all_unread: batch(
        *all_seen, source=source, cursors=tuple(cursors), unread=tuple(all_unread)
    ),
    all_seen=st.lists(sightings, max_size=4),
    source=st.sampled_from(SOURCES),
    cursors=st.lists(st.tuples(st.sampled_from(["C1", "C2"]), st.text(max_size=3).map(Cursor)), max_size=2),
    all_unread=st.lists(unread, max_size=2),
)
moves = st.tuples(st.integers(0, 2), st.sampled_from(STATES))
histories = st.lists(batches | moves, max_size=8)


class Stores(NamedTuple):
    """The stores that every example uses again, emptied."""

    sqlite: str
    postgres: str

    def open(self, url: str) -> Store:
        """The store, empty."""
        store = open_store(url, key=KEY)
        engine = create_engine(driver(url))
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name != "meta":
                    connection.execute(table.delete())
            empty = write_head(Seals(KEY).audit, Head())
            connection.execute(meta.update().where(meta.c.name == HEAD_OF_TRAIL).values(value=empty))
        engine.dispose()
        return store


def driver(url: str) -> str:
    """The url as SQLAlchemy takes it."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def rows(url: str) -> dict[str, list[Any]]:
    """All rows of all tables, but for what is sealed: that is never twice the same."""
    engine = create_engine(driver(url))
    with engine.connect() as connection:
        tables = {
            table.name: sorted(map(_told, connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return tables


def _told(row: Any) -> tuple[Any, ...]:
    return tuple(None if isinstance(value, bytes) else value for value in row)


@pytest.fixture
def stores(tmp_path: Path, postgres_url: str) -> Iterator[Stores]:
    """One file and one database for all examples."""
    yield Stores(f"sqlite:///{tmp_path}/store.db", postgres_url)


def play(store: Store, history: list[Batch | tuple[int, State]], *, times: int) -> list[Any]:
    """Commit a history, each batch some times over; what the first commit of each told."""
    told = []
    for at, step in enumerate(history):
        if isinstance(step, Batch):
            timed = batch(
                *step.sightings, time=100.0 + at, source=step.source, cursors=step.cursors, unread=step.unread
            )
            told.append(store.commit(timed))
            for _ in range(times - 1):
                again = store.commit(timed)
                assert (again.new, again.reopened, again.occurrences, again.gone) == ((), (), 0, 0)
        else:
            secret, state = step
            known = next((one for one in store.incidents() if one.fingerprint == found(secret).fingerprint), None)
            if known is not None and may_move(known.state, state):
                store.move(known.id, state, actor="ann", reason="done", time=100.0 + at)
    return told


@pytest.mark.xdist_group("postgres")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_all_stores_end_alike_however_often_a_batch_is_committed(
    stores: Stores, history: list[Batch | tuple[int, State]]
) -> None:
    once = open_store("memory:", key=KEY)
    told = play(once, history, times=1)
    expected = dump(once, *SOURCES)
    for url, times in ((stores.sqlite, 2), (stores.postgres, 2)):
        store = stores.open(url)
        try:
            assert play(store, history, times=times) == told
            assert dump(store, *SOURCES) == expected
        finally:
            store.close()
    assert rows(stores.sqlite) == rows(stores.postgres)


@settings(max_examples=300, deadline=None)
@given(history=histories)
def test_committing_twice_is_committing_once(history: list[Batch | tuple[int, State]]) -> None:
    once, twice = open_store("memory:", key=KEY), open_store("memory:", key=KEY)
    assert play(once, history, times=1) == play(twice, history, times=3)
    assert dump(once, *SOURCES) == dump(twice, *SOURCES)


@st.composite
def passes(draw: st.DrawFn) -> list[Sighting]:
    """Whole passes over records, one after the other, each cut into stretches anywhere; some broken off."""
    stretches = []
    for number in range(draw(st.integers(1, 6))):
        record = draw(st.sampled_from(RECORDS))
        places = draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "a.txt"])), max_size=6))
        in_order = [found(secret, start=at * 50, part=part) for at, (secret, part) in enumerate(places)]
        finished = draw(st.booleans()) or draw(st.booleans())
        cuts = sorted(draw(st.lists(st.integers(0, len(in_order)), max_size=3)))
        for start, end in zip([0, *cuts], [*cuts, len(in_order)], strict=True):
            stretches.append(sighting(record, f"pass-{number}", *in_order[start:end], last=False))
        if finished:
            stretches.append(sighting(record, f"pass-{number}"))
    return stretches


@settings(max_examples=300, deadline=None)
@given(stretches=passes(), data=st.data())
def test_what_is_there_is_what_the_last_whole_pass_saw(stretches: list[Sighting], data: st.DataObject) -> None:
    """Against a model that knows nothing of stretches: the last whole pass over each record, and what came after."""
    store = open_store("memory:", key=KEY)
    at, time = 0, 100.0
    while at < len(stretches):
        size = data.draw(st.integers(1, 4))
        one = batch(*stretches[at : at + size], time=time)
        for _ in range(data.draw(st.integers(1, 2))):
            store.commit(one)
        at, time = at + size, time + 1

    for record in RECORDS:
        ended: Counter[tuple[str, str]] = Counter()
        since: dict[str, Counter[tuple[str, str]]] = {}
        for one in stretches:
            if one.record == record:
                seen = since.setdefault(one.scan, Counter())
                seen.update((finding.fingerprint, finding.location.part) for finding in one.findings)
                if one.last:
                    ended, since = seen, {}
        expected = ended
        for unfinished in since.values():
            expected = expected | unfinished
        there = Counter(
            (incident.fingerprint, place.part)
            for incident in store.incidents()
            for place in store.occurrences(incident.id)
            if place.record == record and place.gone is None
        )
        assert there == expected
