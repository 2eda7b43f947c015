"""The figures of the programme, on histories whose figures are known."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from keysentry.model.action import Action
from keysentry.model.audit import Event
from keysentry.model.finding import Lifetime
from keysentry.model.incident import Incident, Occurrence
from keysentry.report.programme.figures import Programme, figures, week
from keysentry.report.programme.page import write_page
from keysentry.report.programme.text import write_text
from tests.response.test_policy import appearance

MONDAY = 1_772_409_600.0  # 2026-03-02
HOUR, DAY = 3600.0, 86400.0


def incident(id: str, **fields: object) -> tuple[Incident, Occurrence]:
    one = appearance(id)
    return replace(one.incident, first_seen=MONDAY, **fields), one.occurrence


class History:
    """Events as they come, in order of time."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, name: str, id: str, at: float, **fields: str) -> None:
        self.events.append(
            Event(number=len(self.events) + 1, time=MONDAY + at, actor="a", name=name, incident=id, fields=fields)
        )

    def moved(self, id: str, at: float, to: str) -> None:
        self.note("incident.moved", id, at, to=to)


def programme() -> Programme:
    known = [
        incident("inc_1", state="closed", lifetime=Lifetime.EPHEMERAL),
        incident("inc_2", state="contained"),
        incident("inc_3", state="open"),
    ]
    history = History()
    for id, contained in (("inc_1", HOUR), ("inc_2", 3 * HOUR), ("inc_3", None)):
        history.note("incident.opened", id, 0.0)
        if contained is not None:
            history.moved(id, contained, "contained")
    history.note("secret.revoked", "inc_1", 5 * HOUR)
    history.moved("inc_1", 6 * HOUR, "closed")
    history.note("incident.reopened", "inc_1", 8 * DAY)
    history.moved("inc_1", 8 * DAY + HOUR, "closed")
    due = Action(id="a", kind="hold", subject="r", incidents=("inc_1",), due_by=MONDAY + HOUR)
    actions = [
        replace(due, state="done", updated=MONDAY + 10),
        replace(due, state="done", updated=MONDAY + DAY),
        replace(due, state="waiting"),
        replace(due, state="waiting", due_by=MONDAY + 100 * DAY),
        replace(due, state="proposed"),
    ]
    places = {one.id: [place] for one, place in known}
    return figures([one for one, _ in known], places, actions, history.events, now=MONDAY + 9 * DAY)


def test_times_and_counts() -> None:
    told = programme()
    assert (told.incidents, told.open, told.regressions) == (3, 2, 1)
    first, second = told.rows
    assert (first.week, first.team, first.opened, first.regressions) == ("2026-03-02", "acme-slack", 3, 0)
    assert (first.contained.count, first.contained.median, first.contained.p95) == (2, 2 * HOUR, 3 * HOUR)
    assert (first.revoked.median, first.closed.median) == (5 * HOUR, 6 * HOUR)
    assert (second.week, second.opened, second.regressions, second.closed.median) == ("2026-03-09", 1, 1, HOUR)


def test_lifetimes_ages_and_deadlines() -> None:
    told = programme()
    assert told.ephemeral == pytest.approx(1 / 3)
    assert told.ages["a week to a month"] == 2 and sum(told.ages.values()) == 2
    assert told.deadlines == (1, 2, 1)


def test_people_who_stand_out() -> None:
    known = [incident(f"inc_{number}") for number in range(30)]
    places = {
        one.id: [replace(place, author="Rex" if number < 12 else f"p{number}")]
        for number, (one, place) in enumerate(known)
    }
    told = figures([one for one, _ in known], places, [], [], now=MONDAY)
    assert told.people[0].name == "Rex" and told.people[0].keys == 12 and told.people[0].unusual
    assert not any(one.unusual for one in told.people[1:])


def test_a_store_with_nothing_in_it() -> None:
    told = figures([], {}, [], [], now=MONDAY)
    text, page = io.StringIO(), io.StringIO()
    write_text(told, text)
    write_page(told, page)
    assert "0, 0 not ended" in text.getvalue() and "never" in text.getvalue()


def test_the_week_begins_on_monday() -> None:
    assert week(MONDAY) == week(MONDAY + 7 * DAY - 1) == "2026-03-02"
    assert week(MONDAY - 1) == "2026-02-23"


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    out = io.StringIO()
    write_page(programme(), out)
    page = out.getvalue()
    body = page[page.index("<body>") : page.index("</html>")]
    ElementTree.fromstring(body)
    assert "http" not in page and "<script" not in page


def test_names_from_outside_are_written_as_text() -> None:
    one, place = incident("inc_1", provider="<b>acme</b>")
    told = figures([one], {one.id: [replace(place, author="<script>\x1b")]}, [], [], now=MONDAY)
    out = io.StringIO()
    write_page(told, out)
    assert "<script" not in out.getvalue() and "<b>" not in out.getvalue() and "\x1b" not in out.getvalue()
