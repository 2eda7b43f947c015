"""One source through the line: everything before a stored cursor is stored, whatever goes wrong in between."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from keysentry import Scanner
from keysentry.errors import InputError, SourceError, StoreError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.incident import Batch, Committed, Planner
from keysentry.model.record import Part, Record, Unit
from keysentry.pipeline import BatchLimits, Pipeline
from keysentry.rules.forge import forge
from keysentry.store import open_store
from keysentry.store.base import Store
from tests.service.scripted import Scripted, message


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(key=b"k" * 32)


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store("memory:", key=b"test")
    yield store
    store.close()


def token(seed: int) -> str:
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def pipeline(platform: Scripted, scanner: Scanner, store: Store, **limits: float) -> Pipeline:
    return Pipeline(
        "chat", platform.open(), scanner, store, limits=BatchLimits(**limits), clock=lambda: 1_700_000_100.0
    )


GENERAL = Unit("general", "#general")


def places(store: Store) -> list[tuple[str, str, bool]]:
    """(record, mask, is it gone) of every occurrence."""
    return sorted(
        (place.record, incident.secret, place.gone is not None)
        for incident in store.incidents()
        for place in store.occurrences(incident.id)
    )


def test_findings_and_cursor_are_stored_together(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", message("1", "hi"), message("2", f"use {token(1)}"), message("3", "bye"))
    told = list(pipeline(platform, scanner, store).run(GENERAL))
    assert [(one.records, one.findings, len(one.committed.new)) for one in told] == [(3, 1, 1)]
    assert told[0].lag == 100.0
    assert store.cursor("chat", "general") == Cursor("3")
    [incident] = store.incidents()
    [place] = store.occurrences(incident.id)
    assert (place.record, place.author, place.author_id, place.container) == ("2", "ann", "U1", "#general")
    assert (place.uri, place.exposure.audience, place.exposure.reach) == ("https://chat.test/2", "internal", 12)
    assert list(pipeline(platform, scanner, store).run(GENERAL)) == []


def test_an_edit_and_a_deletion_take_the_secret_away(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", message("1", token(1)), message("2", token(2)), message("3", token(3)))
    list(pipeline(platform, scanner, store).run(GENERAL))
    platform.add("general", message("1", "never mind"), Record(id="2", deleted=True), message("3", f"still {token(3)}"))
    list(pipeline(platform, scanner, store).run(GENERAL))
    assert [(record, gone) for record, _, gone in places(store)] == [("1", True), ("2", True), ("3", False)]
    platform.add("general", message("1", f"again {token(1)}"))
    list(pipeline(platform, scanner, store).run(GENERAL))
    assert [(record, gone) for record, _, gone in places(store)] == [("1", False), ("2", True), ("3", False)]


def test_a_record_that_comes_twice_in_one_batch_counts_as_it_was_last(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", message("1", token(1)), message("1", "redacted"), message("1", token(2)))
    told = list(pipeline(platform, scanner, store).run(GENERAL))
    assert [one.records for one in told] == [1, 1, 1]
    assert sorted(gone for _, _, gone in places(store)) == [False, True]


def test_what_was_read_before_a_fault_is_stored(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", *[message(str(number), token(number)) for number in range(9)])

    def fault(_unit: str, number: int) -> None:
        if number == 5:
            raise SourceError("connection reset")

    platform.fault = fault
    with pytest.raises(SourceError):
        list(pipeline(platform, scanner, store).run(GENERAL))
    assert len(places(store)) == 5 and store.cursor("chat", "general") == Cursor("5")
    platform.fault = None
    list(pipeline(platform, scanner, store).run(GENERAL))
    assert len(places(store)) == 9


def test_a_content_that_cannot_be_had_now_stops_before_its_record(scanner: Scanner, store: Store) -> None:
    reachable = False

    def content() -> Iterator[bytes]:
        if not reachable:
            raise SourceError("503")
        yield token(7).encode()

    attached = Record(id="2", parts=(Part(open=content, name="a.txt"),))
    platform = Scripted()
    platform.add("general", message("1", token(1)), attached, message("3", token(3)))
    with pytest.raises(SourceError):
        list(pipeline(platform, scanner, store).run(GENERAL))
    assert [record for record, _, _ in places(store)] == ["1"] and store.cursor("chat", "general") == Cursor("1")
    reachable = True
    list(pipeline(platform, scanner, store).run(GENERAL))
    assert [record for record, _, _ in places(store)] == ["1", "2", "3"]


def test_what_cannot_be_read_is_stored_with_its_reason(scanner: Scanner, store: Store) -> None:
    def gone() -> Iterator[bytes]:
        raise InputError("it was deleted")

    platform = Scripted()
    platform.add(
        "general", Skipped("message 1", "no text"), Record(id="2", uri="u2", parts=(Part(open=gone, name="a"),))
    )
    list(pipeline(platform, scanner, store).run(GENERAL))
    assert sorted((one.unit, one.place, one.reason) for one in store.unread()) == [
        ("general", "message 1", "no text"),
        ("general", "u2 » a", "it was deleted"),
    ]


def test_what_cannot_be_read_this_time_is_not_taken_for_gone(scanner: Scanner, store: Store) -> None:
    readable = True

    def content() -> Iterator[bytes]:
        if not readable:
            raise InputError("no permission")
        yield token(4).encode()

    platform = Scripted()
    one = Record(id="1", uri="https://files.test/1", parts=(Part(open=content, name="a.txt"),))
    platform.add("general", one, message("2", token(2)))
    list(pipeline(platform, scanner, store).run(GENERAL))
    readable = False
    platform.add("general", one, message("2", "edited"))
    list(pipeline(platform, scanner, store).run(GENERAL))
    assert [(record, gone) for record, _, gone in places(store)] == [("1", False), ("2", True)]


class Failing:
    """A store that fails a number of times before it commits."""

    def __init__(self, store: Store, times: int) -> None:
        self._store = store
        self._times = times

    def commit(self, batch: Batch, planner: Planner | None = None) -> Committed:
        if self._times:
            self._times -= 1
            raise StoreError("the disk is full")
        return self._store.commit(batch, planner)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_a_store_that_fails_loses_nothing_and_tells_the_platform_nothing(scanner: Scanner, store: Store) -> None:
    platform = Scripted(live=frozenset({"general"}))
    platform.add("general", message("1", token(1)))
    live = Unit("general", "#general", live=True)
    failing = Failing(store, 1)
    with pytest.raises(StoreError):
        list(pipeline(platform, scanner, failing).run(live))  # type: ignore[arg-type]
    assert platform.done == [] and store.cursor("chat", "general") is None
    next(pipeline(platform, scanner, failing).run(live))  # type: ignore[arg-type]
    assert len(places(store)) == 1


def test_the_platform_is_told_after_the_commit(scanner: Scanner, store: Store) -> None:
    platform = Scripted(live=frozenset({"general"}))
    platform.add("general", message("1", token(1)))
    running = pipeline(platform, scanner, store).run(Unit("general", "#general", live=True))
    next(running)
    assert platform.done == ["1"] and len(places(store)) == 1
    running.close()


def test_a_record_with_very_many_findings_is_stored_in_stretches(scanner: Scanner, store: Store) -> None:
    secrets = [token(number) for number in range(2300)]
    platform = Scripted()
    platform.add("general", Record(id="1", parts=(Part(content="\n".join(secrets).encode(), name="a.txt"),)))
    told = list(pipeline(platform, scanner, store).run(GENERAL))
    assert [one.findings for one in told] == [1000, 1000, 300]
    assert len(places(store)) == 2300
    platform.add("general", Record(id="1", parts=(Part(content="\n".join(secrets[1:]).encode(), name="a.txt"),)))
    list(pipeline(platform, scanner, store).run(GENERAL))
    assert sum(gone for _, _, gone in places(store)) == 1


@pytest.mark.parametrize("limits", [{"records": 1}, {"records": 3}, {"bytes": 60}, {"seconds": 0.0}, {}])
def test_the_batch_changes_nothing(scanner: Scanner, store: Store, limits: dict[str, float]) -> None:
    platform = Scripted()
    platform.add("general", *[message(str(number), f"use {token(number % 4)} now") for number in range(10)])
    list(pipeline(platform, scanner, store, **limits).run(GENERAL))
    assert [incident.places for incident in store.incidents()] and len(places(store)) == 10
    assert len(list(store.incidents())) == 4


def test_told_to_stop_it_stores_what_it_has(scanner: Scanner, store: Store) -> None:
    platform = Scripted()
    platform.add("general", *[message(str(number), token(number)) for number in range(9)])
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 4

    list(pipeline(platform, scanner, store).run(GENERAL, stop))
    count = len(places(store))
    assert 1 <= count < 9 and store.cursor("chat", "general") == Cursor(str(count))
