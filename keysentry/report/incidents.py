"""Incidents for people: the table of many, and the page of one.

Whatever stands in the store is a mask already; nothing here could show a secret if it wanted to. Lines are never cut
and never wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from keysentry.model.action import Action
from keysentry.model.audit import Event
from keysentry.model.finding import Severity
from keysentry.model.incident import Incident, Occurrence
from keysentry.report.closing import Tally, plural
from keysentry.report.columns import Cell, table_lines
from keysentry.report.place import clean
from keysentry.report.table import STYLES, Line, percent, print_lines
from keysentry.report.timeline import action_lines, assessment_facts
from keysentry.report.timeline import lines as timeline_lines
from keysentry.report.times import minute, utc

_HEADS = ("incident", "severity", "sure", "what", "secret", "state", "places", "who can read it", "last seen (UTC)")
_RIGHT = frozenset({2, 6})
_ENDED = ("closed", "accepted-risk", "false-positive")


def _nowhere(_incident: Incident) -> None:
    """No place at all."""


def write_table(
    incidents: Sequence[Incident],
    out: TextIO,
    *,
    place: Callable[[Incident], Occurrence | None] = _nowhere,
    more: bool = False,
) -> None:
    """One line an incident, below it the place that `place` gives, and the sum. `more` says that others fit too."""
    if incidents:
        rows = [(_row(incident), _below(incident, place(incident))) for incident in incidents]
        print_lines(table_lines(_HEADS, rows, _RIGHT, 4), out)
        out.write("\n")
    out.write(_sum(incidents) + "\n")
    if more:
        out.write("There are more: --limit N shows the last seen N, --limit 0 all.\n")


def _row(incident: Incident) -> list[Cell]:
    return [
        (incident.id, ""),
        (incident.severity.value, STYLES[incident.severity]),
        (percent(incident.confidence), ""),
        (clean(incident.title), ""),
        (clean(incident.secret), "magenta"),
        (incident.state, "dim" if incident.state in _ENDED else ""),
        (_places(incident), ""),
        (incident.audience, ""),
        (minute(incident.last_seen), ""),
    ]


def _below(incident: Incident, occurrence: Occurrence | None) -> Iterator[Cell]:
    """Where a person finds it: the place, who wrote it and when, and how many places more there are."""
    if occurrence is None:
        return
    others = incident.seen - 1
    parts = [
        f"{_where(occurrence)} in {occurrence.source}",
        occurrence.author,
        occurrence.time,
        "" if occurrence.gone is None else "gone",
        f"and {plural(others, 'place')} more" if others > 0 else "",
    ]
    yield clean(" · ".join(filter(None, parts))), "dim"


def _where(occurrence: Occurrence) -> str:
    where = occurrence.container or occurrence.path or occurrence.uri or occurrence.record
    if occurrence.container or occurrence.line is None:
        return " » ".join(filter(None, (where, occurrence.part)))
    return f"{where}:{occurrence.line}"


def _places(incident: Incident) -> str:
    """How many places there are now, and how many there were where that is another number."""
    gone = incident.seen - incident.places
    return f"{incident.places:,} of {incident.seen:,}" if gone > 0 else f"{incident.places:,}"


def _sum(incidents: Sequence[Incident]) -> str:
    if not incidents:
        return "no incidents"
    counts = Tally()
    states: dict[str, int] = {}
    for incident in incidents:
        counts.counts[incident.severity] = counts.counts.get(incident.severity, 0) + 1
        states[incident.state] = states.get(incident.state, 0) + 1
    levels = [f"{counts.counts[level]:,} {level.value}" for level in reversed(Severity) if level in counts.counts]
    return " · ".join(
        [
            f"{plural(len(incidents), 'incident')}: {', '.join(levels)}",
            ", ".join(f"{count:,} {state}" for state, count in states.items()),
            f"in {plural(sum(incident.places for incident in incidents), 'place')}",
        ]
    )


def write_page(
    incident: Incident,
    occurrences: Sequence[Occurrence],
    out: TextIO,
    *,
    actions: Sequence[Action] = (),
    events: Sequence[Event] = (),
) -> None:
    """Everything that is known of one incident: its places, what is done about it, and what happened."""
    print_lines(_page(incident, occurrences), out)
    if actions:
        print_lines([[], [(f"Actions: {len(actions):,}", "bold")], [], *action_lines(actions)], out)
    if events:
        print_lines([[], [("Timeline (UTC)", "bold")], [], *timeline_lines(events, "  ")], out)


def _page(incident: Incident, occurrences: Sequence[Occurrence]) -> Iterator[Line]:
    yield [
        (incident.id, "bold"),
        ("  ", ""),
        (incident.severity.value, STYLES[incident.severity]),
        (f"  {incident.state}  {clean(incident.title)}  ", ""),
        (clean(incident.secret), "magenta"),
    ]
    yield []
    facts = list(_facts(incident))
    size = max(len(name) for name, _ in facts)
    for name, text in facts:
        yield [(f"  {name:<{size}}  ", "dim"), (text, "")]
    there = [one for one in occurrences if one.gone is None]
    gone = [one for one in occurrences if one.gone is not None]
    yield from _section(f"There now: {plural(len(there), 'place')}", there)
    if gone:
        yield from _section(f"Gone: {plural(len(gone), 'place')}", gone)


def _facts(incident: Incident) -> Iterator[tuple[str, str]]:
    yield "rule", f"{incident.rule} ({incident.provider})"
    yield "kind", incident.category
    yield "sure", percent(incident.confidence)
    yield "lifetime", incident.lifetime.value
    yield "who can read it", incident.audience
    yield "first seen", utc(incident.first_seen)
    yield "last seen", utc(incident.last_seen)
    if incident.regressions:
        times = "once" if incident.regressions == 1 else f"{incident.regressions:,} times"
        yield "came back", f"{times} after its end"
    if incident.state_reason:
        yield f"why {incident.state}", clean(incident.state_reason)
    if incident.until is not None:
        yield "until", utc(incident.until)
    if incident.assessment is not None:
        yield from assessment_facts(incident.assessment)
    yield "fingerprint", incident.fingerprint


def _section(title: str, occurrences: Sequence[Occurrence]) -> Iterator[Line]:
    yield []
    yield [(title, "bold")]
    for occurrence in occurrences:
        yield []
        yield from _occurrence(occurrence)


def _occurrence(occurrence: Occurrence) -> Iterator[Line]:
    """A place in some lines: where, who and when, who can read it, the link, why it was reported."""
    where = clean(occurrence.container or occurrence.path or occurrence.uri or occurrence.record)
    yield [(f"  {where}", "bold"), (f"  in {clean(occurrence.source)}", "dim")]
    if occurrence.gone is not None:
        yield [(f"    gone since {utc(occurrence.gone)}", "green")]
    for text in _details(occurrence):
        if text:
            yield [(f"    {clean(text)}", "")]
    if occurrence.reasons:
        why = clean("; ".join(occurrence.reasons))
        yield [(f"    {percent(occurrence.confidence)} sure: {why}", "dim")]
    yield [(f"    seen {utc(occurrence.first_seen)} to {utc(occurrence.last_seen)}", "dim")]


def _details(occurrence: Occurrence) -> Iterator[str]:
    yield _joined(occurrence.author, f"({occurrence.author_id})" if occurrence.author_id else "", occurrence.time)
    path = occurrence.path if occurrence.container else ""
    line = f"line {occurrence.line}" if occurrence.line is not None else ""
    column = f"column {occurrence.column}" if line and occurrence.column is not None else ""
    yield " · ".join(filter(None, (path, occurrence.part, line, column)))
    yield _exposure(occurrence)
    yield occurrence.uri


def _joined(author: str, author_id: str, time: str) -> str:
    return " · ".join(filter(None, (" ".join(filter(None, (author, author_id))), time)))


def _exposure(occurrence: Occurrence) -> str:
    exposure = occurrence.exposure
    if exposure.audience == "unknown" and exposure.reach is None:
        return ""
    people = "" if exposure.reach is None else "1 person" if exposure.reach == 1 else f"{exposure.reach:,} people"
    since = f"since {utc(exposure.since)}" if exposure.since is not None else ""
    return ", ".join(filter(None, (f"{exposure.audience} audience", people, since)))
