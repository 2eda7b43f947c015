"""What happened to an incident, as people read it: one line an event, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from keysentry.model.action import Action, Assessment
from keysentry.model.audit import Event
from keysentry.report.place import clean
from keysentry.report.table import Line, print_lines
from keysentry.report.times import utc

_STYLES = {
    "action.needs-a-person": "bold red",
    "action.done": "green",
    "incident.reopened": "bold red",
    "record.released": "yellow",
    "action.escalated": "bold red",
}
_QUIET = frozenset({"action.started"})


def write_timeline(events: Iterable[Event], out: TextIO) -> None:
    """One line an event: when, what, who, and why."""
    print_lines(lines(events), out)


def lines(events: Iterable[Event], indent: str = "") -> Iterator[Line]:
    """The lines of a timeline; that an action was begun goes without saying."""
    for event in events:
        if event.name in _QUIET:
            continue
        yield [
            (f"{indent}{utc(event.time)}  ", "dim"),
            (f"{words(event):<34}", _STYLES.get(event.name, "")),
            (f"  {clean(event.actor)}", "dim"),
            (f"  {clean(event.reason)}" if event.reason else "", ""),
        ]


def words(event: Event) -> str:
    """What happened, in a few words."""
    fields = event.fields
    if event.name == "incident.moved":
        return f"{fields.get('from', '')} -> {fields.get('to', '')}"
    if event.name.startswith("action."):
        what = fields.get("kind", event.action)
        target = f" by {clean(fields['target'])}" if fields.get("target") else ""
        return f"{what}{target}: {event.name.removeprefix('action.')}"
    return event.name.replace(".", " ")


def assessment_facts(assessment: Assessment) -> Iterator[tuple[str, str]]:
    """What is known of how bad it is, as (name, words)."""
    reach = f", {assessment.reach:,} people" if assessment.reach is not None else ""
    yield "exposure", f"{assessment.audience}{reach}"
    if assessment.readable_from is not None:
        until = utc(assessment.readable_until) if assessment.readable_until is not None else "now"
        yield "readable", f"{utc(assessment.readable_from)} to {until}"
    alive: str = assessment.liveness
    if assessment.liveness_at is not None:
        alive += f" (asked {utc(assessment.liveness_at)})"
    yield "liveness", alive
    if assessment.owner:
        yield "owner", clean(assessment.owner)
    if assessment.scopes:
        yield "scopes", clean(", ".join(assessment.scopes))
    if assessment.notes:
        yield "notes", clean("; ".join(assessment.notes))


def action_lines(actions: Sequence[Action]) -> Iterator[Line]:
    """One line an action: its state, what it is, and what came of it."""
    for action in actions:
        target = f" by {clean(action.target)}" if action.target else ""
        style = "bold red" if action.state == "needs-a-person" else "yellow" if action.state == "waiting" else ""
        yield [
            (f"  {action.state:<14}  ", style),
            (f"{action.kind}{target}", ""),
            (f"  {action.id[:16]}", "dim"),
            (f"  {clean(action.note)}" if action.note else "", "dim"),
        ]
