"""What every source promises (`keysentry/connectors/base.py`), held to one place of each platform.

Each platform's own tests go further (limits, faults, memory, what only it has); who plays which platform is said in
`tests/servers/`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from keysentry.connectors.base import Delivery, Source
from keysentry.model.cursor import Cursor
from keysentry.model.record import Record
from keysentry.pipeline import Pipeline
from keysentry.rules.forge import forge
from keysentry.scan import Scanner
from keysentry.store import open_store
from keysentry.store.base import Store
from tests.contract.places import Place, unit_of

COUNT = 7


def read(place: Place, cursor: Cursor | None = None) -> list[Delivery]:
    """Everything from a cursor on, in a source that knows nothing of others, as a new process would have it."""
    source = place.open()
    try:
        return list(source.records(unit_of(source, place), cursor and Cursor(cursor.value)))
    finally:
        source.close()


def told(deliveries: list[Delivery]) -> list[tuple[str, bool]]:
    """(id, is it deleted) of each record."""
    return [(one.record.id, one.record.deleted) for one in deliveries if one.record is not None]


def last(deliveries: list[Delivery], before: Cursor | None = None) -> Cursor | None:
    return deliveries[-1].cursor if deliveries else before


def records(deliveries: list[Delivery]) -> Iterator[Record]:
    return (one.record for one in deliveries if one.record is not None)


@pytest.fixture
def ids(place: Place) -> list[str]:
    """Some records."""
    return [place.add(f"words {number}") for number in range(COUNT)]


def check_every_cut(place: Place, deliveries: list[Delivery]) -> None:
    for cut, delivery in enumerate(deliveries):
        assert len(delivery.cursor.value.encode()) < 4096
        assert told(read(place, delivery.cursor)) == told(deliveries[cut + 1 :]), f"after delivery {cut}"


def test_everything_is_given_once(place: Place, ids: list[str]) -> None:
    first = read(place)
    assert sorted(told(first)) == sorted((id, False) for id in ids)
    assert told(read(place)) == told(first), "and the same again from the beginning"
    assert not [note for one in first for note in one.skipped]


def test_reading_goes_on_exactly_after_any_delivery(place: Place, ids: list[str]) -> None:
    check_every_cut(place, read(place))


def test_what_is_new_and_edited_comes_and_nothing_else(place: Place, ids: list[str]) -> None:
    first = read(place)
    cursor = last(first)
    assert told(read(place, cursor)) == []
    place.edit(ids[2], "other words")
    new = place.add("new words")
    second = read(place, cursor)
    assert {id for id, _ in told(second)} == {ids[2], new}
    assert told(read(place, last(second, cursor))) == []


def test_deletions_are_told_where_the_platform_tells_them(place: Place, ids: list[str]) -> None:
    cursor = last(read(place))
    place.delete(ids[3])
    second = read(place, cursor)
    assert told(second) == ([(ids[3], True)] if place.deletions else [])
    assert all(not record.parts for record in records(second))
    assert told(read(place, last(second, cursor))) == []


def test_changes_are_resumed_exactly_after_any_delivery(place: Place, ids: list[str]) -> None:
    cursor = last(read(place))
    place.edit(ids[1], "changed")
    for number in range(3):
        place.add(f"more {number}")
    if place.deletions:
        place.delete(ids[5])
    second = read(place, cursor)
    assert len(told(second)) == (5 if place.deletions else 4)
    check_every_cut(place, second)


def test_a_record_says_who_when_where_and_for_whom(place: Place, ids: list[str]) -> None:
    for record in records(read(place)):
        assert record.id in ids
        assert record.time is not None and record.time > 1_000_000_000
        assert record.container
        assert record.uri.partition(":")[0] in ("https", "http", "file")
        assert record.exposure.audience in ("private", "internal", "external", "public")
        if place.people:
            assert record.author


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(key=b"k" * 32)


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store("memory:", key=b"test")
    yield store
    store.close()


def run(place: Place, scanner: Scanner, store: Store) -> None:
    source: Source = place.open()
    try:
        for _progressed in Pipeline("it", source, scanner, store).run(unit_of(source, place)):
            pass
    finally:
        source.close()


def test_a_credential_is_found_forgotten_and_found_again(place: Place, scanner: Scanner, store: Store) -> None:
    """The whole line: pasted, found with its place; edited away, gone; pasted elsewhere, the same incident."""
    token = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(1))
    first = place.add(f"use {token} for now")
    place.add("nothing here")
    run(place, scanner, store)
    [incident] = store.incidents()
    [found] = store.occurrences(incident.id)
    assert (incident.places, found.record, found.source, found.unit) == (1, first, "it", place.unit)
    assert found.uri and found.time and token not in repr((incident, found))
    second = place.add(f"again: {token}")
    run(place, scanner, store)
    [incident] = store.incidents()
    assert {one.record for one in store.occurrences(incident.id)} == {first, second}
    if place.deletions:
        place.delete(first)
        run(place, scanner, store)
        assert {one.record: one.gone is None for one in store.occurrences(incident.id)} == {first: False, second: True}
    assert list(store.unread()) == []
