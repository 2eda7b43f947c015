"""What every source promises, for a user's drive, a shared drive, a folder, spreadsheets, a mailbox and a chat space.

Google is played by a server of our own (`tests/servers/google.py`), held to Google's discovery documents; the client
is google-api-python-client over real connections.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from keysentry.connectors.base import Delivery
from keysentry.errors import AccessError, ClosedError, SourceError
from keysentry.model.cursor import Cursor
from tests.connectors.google.conftest import TOKEN, Open
from tests.connectors.google.worlds import WORLDS, ChatSpace, Mailbox, MyDrive, World, read, said, told, unit_of
from tests.servers.google import GoogleServer

pytestmark = pytest.mark.xdist_group("google")


@pytest.fixture(params=WORLDS, ids=lambda world: world.__name__)
def world(request: pytest.FixtureRequest, google: GoogleServer) -> World:
    """A unit with seven things in it: three pages."""
    made: World = request.param(google)
    for number in range(7):
        made.add(f"words {number}")
    return made


def cut_everywhere(open_google: Open, world: World, deliveries: list[Delivery]) -> None:
    """Read on after each delivery, as a process does that begins there: what follows must be what followed."""
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    for number, delivery in enumerate(deliveries):
        assert len(delivery.cursor.value) < 4096
        rest = read(source, unit, Cursor(delivery.cursor.value))
        expected = [told(one) for one in deliveries[number + 1 :]]
        assert [told(one) for one in rest] == expected, f"after delivery {number}"


def test_reading_goes_on_exactly_after_any_delivery(open_google: Open, world: World) -> None:
    source = open_google(**world.options)
    deliveries = read(source, unit_of(source, world.unit))
    assert len(said(deliveries)) == len(set(said(deliveries))) == 7
    cut_everywhere(open_google, world, deliveries)


def test_what_happened_is_given_exactly_after_any_delivery(open_google: Open, world: World) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    first = read(source, unit)
    ids = said(first)
    new = [world.add(f"more {number}") for number in range(4)]
    world.edit(ids[1], "other words")
    world.edit(ids[2], "still other words")
    world.delete(ids[3])
    world.delete(ids[4])
    second = read(source, unit, first[-1].cursor)
    assert sorted(said(second)) == sorted([*new, ids[1], ids[2], f"-{ids[3]}", f"-{ids[4]}"])
    assert all(not one.record.parts for one in second if one.record is not None and one.record.deleted)
    cut_everywhere(open_google, world, second)
    assert not said(read(source, unit, second[-1].cursor))


def test_the_same_state_gives_the_same_records(open_google: Open, world: World) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    first = [told(one) for one in read(source, unit)]
    assert first == [told(one) for one in read(source, unit)]
    other = open_google(**world.options)
    assert first == [told(one) for one in read(other, unit)]


def test_nothing_comes_again_and_news_comes_once(open_google: Open, world: World) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    cursor = read(source, unit)[-1].cursor
    assert read(source, unit, cursor) == []
    new = world.add("news")
    news = read(source, unit, cursor)
    assert said(news) == [new]
    assert b"news" in b"".join(content for *_, content in [*told(news[0])[2]]) or "news" in str(told(news[0]))
    assert read(source, unit, news[-1].cursor) == []


def test_what_changes_while_it_is_listed_is_not_missed(open_google: Open, world: World) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    given: list[Delivery] = []
    new = ""
    for delivery in source.records(unit, None):
        given.append(delivery)
        if len(given) == 4:
            new = world.add("in between")
            world.edit(given[0].record.id, "other words")  # type: ignore[union-attr]
            world.delete(given[1].record.id)  # type: ignore[union-attr]
    assert {new, f"-{given[1].record.id}"} <= set(said(given))  # type: ignore[union-attr]
    assert said(given).count(given[0].record.id) == 2  # type: ignore[union-attr]
    assert len({id.lstrip("-") for id in said(given)}) == 8


REFUSALS: dict[str, tuple[dict[str, Any], Callable[[list[float]], bool]]] = {
    "429 with Retry-After": (
        {"status": 429, "reason": "rateLimitExceeded", "headers": {"Retry-After": "7"}},
        lambda waits: waits == [7.0, 7.0],
    ),
    "429 with a date": (
        {"status": 429, "reason": "", "headers": {"Retry-After": "Sun, 01 Mar 2026 09:01:00 GMT"}},
        lambda waits: len(waits) == 2 and all(30 < one < 60 for one in waits),
    ),
    "429 alone": ({"status": 429, "reason": "rateLimitExceeded"}, lambda waits: 0 < waits[0] < 1 < waits[1] * 2 < 4),
    "403 of a user": ({"status": 403, "reason": "userRateLimitExceeded"}, lambda waits: len(waits) == 2),
    "403 of a project": ({"status": 403, "reason": "", "detail": "RATE_LIMIT_EXCEEDED"}, lambda waits: len(waits) == 2),
    "500": ({"status": 500, "reason": "backendError"}, lambda waits: len(waits) == 2),
    "503": ({"status": 503, "reason": ""}, lambda waits: len(waits) == 2),
    "reset": ({"reset": True}, lambda waits: len(waits) >= 1),
    "reset in the middle of a page": ({"part": "#body"}, lambda waits: len(waits) == 2),
}


@pytest.mark.parametrize("world", (MyDrive, Mailbox, ChatSpace), indirect=True)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_limits_are_kept_and_passing_faults_tried_again(
    refusal: str, google: GoogleServer, open_google: Open, world: World, waits: list[float]
) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    expected = [told(one) for one in read(source, unit)]
    fault, as_it_should = REFUSALS[refusal]
    fault = dict(fault)
    waits.clear()
    google.fail(world.listing + fault.pop("part", ""), 2, skip=1, **fault)
    assert [told(one) for one in read(source, unit)] == expected
    assert as_it_should(waits), waits


def test_a_long_wait_is_left_to_the_caller_and_the_cursor_holds(
    google: GoogleServer, open_google: Open, world: World
) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    whole = read(source, unit)
    google.fail(world.listing, 1, status=429, headers={"Retry-After": "3600"}, skip=1)
    given: list[Delivery] = []
    with pytest.raises(SourceError, match="3,600 s"):
        for delivery in source.records(unit, None):
            given.append(delivery)
    rest = read(source, unit, given[-1].cursor if given else None)
    assert said(given) + said(rest) == said(whole)


def test_a_refused_token_stops_it_and_a_new_one_lets_it_go_on(
    google: GoogleServer, open_google: Open, world: World
) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    whole = said(read(source, unit))
    given: list[Delivery] = []
    with pytest.raises(AccessError) as caught:
        for delivery in source.records(unit, None):
            given.append(delivery)
            if len(given) == 4:
                google.grants[TOKEN].alive = False
    assert "token" in caught.value.advice
    google.grants[TOKEN].alive = True
    assert said(given) + said(read(source, unit, given[-1].cursor)) == whole


def test_a_missing_scope_is_named(google: GoogleServer, open_google: Open, world: World) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    google.grant(TOKEN, google.grants[TOKEN].user, "userinfo.email")
    with pytest.raises(AccessError) as caught:
        read(source, unit)
    api = world.listing.partition(".")[0]
    assert f"https://www.googleapis.com/auth/{api}." in caught.value.advice
    assert TOKEN not in str(caught.value)


def test_closing_wakes_who_waits_for_an_answer(google: GoogleServer, open_google: Open, world: World) -> None:
    source = open_google(**world.options)
    unit = unit_of(source, world.unit)
    google.gate = threading.Event()
    caught: list[BaseException] = []

    def work() -> None:
        try:
            read(source, unit)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    asked = threading.Event()
    google.arrived = asked.set
    thread.start()
    assert asked.wait(10)
    source.close()
    thread.join(10)
    google.gate.set()
    assert [type(one) for one in caught] == [ClosedError]
    with pytest.raises(ClosedError):
        read(source, unit)


def test_closing_wakes_who_waits_for_a_limit(google: GoogleServer, open_google: Open, world: World) -> None:
    source = open_google(really_wait=True, **world.options)
    unit = unit_of(source, world.unit)
    google.fail(world.listing, 1, status=429, headers={"Retry-After": "200"})
    timer = threading.Timer(0.2, source.close)
    timer.start()
    with pytest.raises(ClosedError):
        read(source, unit)
    timer.join()
