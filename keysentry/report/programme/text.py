"""The figures as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TextIO

from keysentry.report.columns import Cell, table_lines
from keysentry.report.place import clean
from keysentry.report.programme.figures import TARGET_EPHEMERAL, Programme, Row, Span
from keysentry.report.table import Line, print_lines
from keysentry.report.times import duration, minute

_HEADS = ("week of", "team", "opened", "back", "contained", "revoked", "closed")
_RIGHT = frozenset({2, 3})
_MOST = 10


def write_text(programme: Programme, out: TextIO) -> None:
    """Write them."""
    print_lines(_lines(programme), out)


def _lines(programme: Programme) -> Iterator[Line]:
    began = minute(programme.since) if programme.since is not None else "the beginning"
    yield [(f"From {began} to {minute(programme.until)} (UTC)", "bold")]
    yield []
    if programme.rows:
        yield from table_lines(_HEADS, [(_row(one), ()) for one in programme.rows], _RIGHT, 4)
        yield [("    times are median / 95th percentile, over those cases in which it happened", "dim")]
        yield []
    for name, words, style in facts(programme):
        yield [(f"  {name:<34}", "dim"), (words, style)]
    yield from _counts("Open long-lived keys by age", {age: count for age, count in programme.ages.items() if count})
    yield from _counts("Distinct keys by application", programme.apps)
    people = {f"{one.name}{'  (unusual)' if one.unusual else ''}": one.keys for one in programme.people}
    yield from _counts("Distinct keys by person", people)


def facts(programme: Programme) -> Iterator[tuple[str, str, str]]:
    """The figures that are one number each: (name, words, style)."""
    yield "incidents", f"{programme.incidents:,}, {programme.open:,} not ended", ""
    yield "came back after their end", f"{programme.regressions:,}", "red" if programme.regressions else ""
    yield "time to contain", span(programme.contained), ""
    yield "time to revoke", span(programme.revoked), ""
    yield "time to close", span(programme.closed), ""
    if programme.ephemeral is not None:
        good = programme.ephemeral >= TARGET_EPHEMERAL
        words = f"{programme.ephemeral:.0%} (target: over {TARGET_EPHEMERAL:.0%})"
        yield "credentials that are ephemeral", words, "green" if good else "yellow"
    kept, missed, running = programme.deadlines
    if kept or missed or running:
        share = f" ({kept / (kept + missed):.0%})" if kept + missed else ""
        yield "deadlines", f"{kept:,} kept{share}, {missed:,} missed, {running:,} running", "red" if missed else ""


def span(one: Span) -> str:
    """A length of time in words."""
    if one.median is None or one.p95 is None:
        return "never"
    return f"{duration(one.median)} / {duration(one.p95)}"


def _row(row: Row) -> list[Cell]:
    return [
        (row.week, ""),
        (clean(row.team), ""),
        (f"{row.opened:,}", ""),
        (f"{row.regressions:,}", "red" if row.regressions else ""),
        (span(row.contained), ""),
        (span(row.revoked), ""),
        (span(row.closed), ""),
    ]


def _counts(title: str, counts: Mapping[str, int]) -> Iterator[Line]:
    if not counts:
        return
    yield []
    yield [(title, "bold")]
    for name, count in list(counts.items())[:_MOST]:
        yield [(f"  {count:>6,}  ", ""), (clean(name), "")]
    if len(counts) > _MOST:
        yield [(f"          and {len(counts) - _MOST:,} more", "dim")]
