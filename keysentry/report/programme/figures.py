"""The figures, worked out from incidents, their places, actions and the audit trail. Pure.

Definitions. An incident counts in the week (Monday, UTC) in which it was opened or came back: each time is a *case*.
Times to contain, revoke and close are from the case's beginning to the first event of that kind in it; median and 95th
percentile by the nearest rank, over those cases in which it happened. The share of credentials that are ephemeral is
taken over incidents. A person is unusual whose number of distinct keys lies more than three times the scaled median
absolute deviation above the median (Iglewicz and Hoaglin, 1993: modified z-score above 3.5) and is at least three.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

import msgspec

from keysentry.model.action import Action
from keysentry.model.audit import Event
from keysentry.model.finding import Lifetime
from keysentry.model.incident import Incident, Occurrence
from keysentry.model.lifecycle import ENDS

TARGET_EPHEMERAL = 0.9
"""The share of credentials that should be short-lived."""
_UNUSUAL = 3.5
_LEAST_UNUSUAL = 3
_AGES: tuple[tuple[str, float], ...] = (
    ("under a day", 1), ("a day to a week", 7), ("a week to a month", 30), ("a month to 90 days", 90),
    ("90 days to a year", 365), ("over a year", math.inf),
)  # fmt: skip


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took: how often it happened, median and 95th percentile in seconds (None: never)."""

    count: int = 0
    median: float | None = None
    p95: float | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The cases of one week and one team."""

    week: str
    team: str
    opened: int
    regressions: int
    contained: Span
    revoked: Span
    closed: Span


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote how many different secrets; `unusual` where that stands out."""

    name: str
    keys: int
    unusual: bool = False


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """All figures. `deadlines` are (kept, missed, still running); `ages` long-lived keys that are not dealt with, by
    the age of their first sighting; `apps` the number of distinct keys by provider.
    """

    since: float | None
    until: float
    incidents: int
    open: int
    regressions: int
    rows: tuple[Row, ...]
    contained: Span
    revoked: Span
    closed: Span
    ephemeral: float | None
    lifetimes: dict[str, int]
    people: tuple[Person, ...]
    apps: dict[str, int]
    ages: dict[str, int]
    deadlines: tuple[int, int, int]
    states: dict[str, int]


class _Case(msgspec.Struct):
    """One time that an incident was open."""

    incident: str
    began: float
    regression: bool
    contained: float | None = None
    revoked: float | None = None
    closed: float | None = None


def figures(
    incidents: Sequence[Incident],
    places: Mapping[str, Sequence[Occurrence]],
    actions: Iterable[Action],
    events: Iterable[Event],
    *,
    now: float,
    since: float | None = None,
) -> Programme:
    """Work them out. `places` are the occurrences of each incident; a team is the source that it was first seen in."""
    cases = [case for case in _cases(events) if since is None or case.began >= since]
    teams = {id: (found[0].source if found else "") for id, found in places.items()}
    lifetimes = Counter(one.lifetime.value for one in incidents if one.category == "credential")
    known = lifetimes[Lifetime.EPHEMERAL.value] + lifetimes[Lifetime.LONG_LIVED.value]
    return Programme(
        since=since,
        until=now,
        incidents=len(incidents),
        open=sum(one.state not in ENDS for one in incidents),
        regressions=sum(case.regression for case in cases),
        rows=tuple(_rows(cases, teams)),
        contained=_span(cases, "contained"),
        revoked=_span(cases, "revoked"),
        closed=_span(cases, "closed"),
        ephemeral=lifetimes[Lifetime.EPHEMERAL.value] / known if known else None,
        lifetimes=dict(sorted(lifetimes.items())),
        people=tuple(_people(incidents, places)),
        apps=dict(Counter(one.provider for one in incidents).most_common()),
        ages=_ages(incidents, now),
        deadlines=_deadlines(actions, now),
        states=dict(Counter(one.state for one in incidents).most_common()),
    )


def _cases(events: Iterable[Event]) -> list[_Case]:
    cases: list[_Case] = []
    current: dict[str, _Case] = {}
    for event in events:
        if event.name in ("incident.opened", "incident.reopened"):
            current[event.incident] = _Case(event.incident, event.time, event.name == "incident.reopened")
            cases.append(current[event.incident])
            continue
        case = current.get(event.incident)
        if case is None:
            continue
        to = event.fields.get("to", "") if event.name == "incident.moved" else ""
        if to == "open":
            current[event.incident] = _Case(event.incident, event.time, False)
            cases.append(current[event.incident])
        elif to in ("contained", "assessed", "notified", "remediated") and case.contained is None:
            case.contained = event.time
        elif to in ENDS and case.closed is None:
            case.closed = event.time
        if event.name == "secret.revoked" and case.revoked is None:
            case.revoked = event.time
    return cases


def _rows(cases: Iterable[_Case], teams: Mapping[str, str]) -> Iterable[Row]:
    groups: dict[tuple[str, str], list[_Case]] = defaultdict(list)
    for case in cases:
        groups[week(case.began), teams.get(case.incident, "")].append(case)
    for (monday, team), found in sorted(groups.items()):
        yield Row(
            week=monday,
            team=team,
            opened=len(found),
            regressions=sum(case.regression for case in found),
            contained=_span(found, "contained"),
            revoked=_span(found, "revoked"),
            closed=_span(found, "closed"),
        )


def week(time: float) -> str:
    """The Monday of the week of a time, in UTC."""
    day = datetime.fromtimestamp(time, UTC).date()
    return (day - timedelta(days=day.weekday())).isoformat()


def _span(cases: Iterable[_Case], field: str) -> Span:
    took = sorted(max(0.0, at - case.began) for case in cases if (at := getattr(case, field)) is not None)
    if not took:
        return Span()
    return Span(count=len(took), median=median(took), p95=took[math.ceil(0.95 * len(took)) - 1])


def _people(incidents: Sequence[Incident], places: Mapping[str, Sequence[Occurrence]]) -> list[Person]:
    keys: dict[str, set[str]] = defaultdict(set)
    for incident in incidents:
        for place in places.get(incident.id, ()):
            who = place.author or place.author_id
            if who:
                keys[who].add(incident.id)
    counts = {who: len(found) for who, found in keys.items()}
    if not counts:
        return []
    middle = median(counts.values())
    spread = median(abs(count - middle) for count in counts.values()) or 1.0
    return [
        Person(name=who, keys=count, unusual=count >= _LEAST_UNUSUAL and 0.6745 * (count - middle) / spread > _UNUSUAL)
        for who, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]


def _ages(incidents: Iterable[Incident], now: float) -> dict[str, int]:
    ages = dict.fromkeys((name for name, _ in _AGES), 0)
    for incident in incidents:
        if incident.lifetime is Lifetime.LONG_LIVED and incident.state not in ENDS:
            days = (now - incident.first_seen) / 86400
            ages[next(name for name, limit in _AGES if days < limit or limit == math.inf)] += 1
    return ages


def _deadlines(actions: Iterable[Action], now: float) -> tuple[int, int, int]:
    kept = missed = running = 0
    for action in actions:
        if action.due_by is None or action.state in ("proposed", "cancelled", "rejected"):
            continue
        if action.state == "done":
            kept, missed = (kept + 1, missed) if action.updated <= action.due_by else (kept, missed + 1)
        elif now > action.due_by:
            missed += 1
        else:
            running += 1
    return kept, missed, running
