"""How sources are doing: a table for a person, JSON for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

import msgspec

from keysentry.model.finding import Skipped
from keysentry.model.incident import SourceStatus, Unread
from keysentry.report.closing import not_read, plural
from keysentry.report.columns import Cell, table_lines
from keysentry.report.incident_object import status_object, unread_object
from keysentry.report.place import clean
from keysentry.report.table import print_lines
from keysentry.report.times import duration

_HEADS = ("source", "platform", "state", "reading", "lag", "rate", "records", "found", "not read", "told")
_RIGHT = frozenset({4, 5, 6, 7, 8, 9})


class SourceLine(msgspec.Struct, frozen=True):
    """A source in the account: what its daemon told last (None: nothing yet), why a person must look at it, if one
    must, and whether it is one of those that the configuration at hand asks for.
    """

    source: str
    platform: str
    status: SourceStatus | None
    attention: str = ""
    configured: bool = True


def write_table(lines: Sequence[SourceLine], unread: Sequence[Unread], out: TextIO, *, now: float) -> None:
    """A line a source, below it what is wrong with it; then what was not read."""
    if lines:
        print_lines(table_lines(_HEADS, [(_row(line, now), _below(line, now)) for line in lines], _RIGHT, 4), out)
        out.write("\n")
    attention = sum(bool(line.attention) for line in lines)
    needs = f"{attention} {'needs' if attention == 1 else 'need'} attention" if attention else "all well"
    out.write(f"{plural(len(lines), 'source')}: {needs}\n" if lines else "no sources\n")
    skipped = [Skipped(f"{one.source}: {one.place}", one.reason, one.partial) for one in unread]
    out.writelines(f"{text}\n" for text in not_read(skipped, everything="--format json"))


def _row(line: SourceLine, now: float) -> list[Cell]:
    status = line.status
    source: list[Cell] = [(clean(line.source), "bold"), (clean(line.platform), "")]
    if status is None:
        return [*source, ("never started", "red"), *[("-", "dim")] * 7]
    return [
        *source,
        (status.state, _style(line, status)),
        (clean(status.unit) or "-", ""),
        ("-" if status.lag is None else duration(status.lag), ""),
        (f"{status.records_per_second:,.0f}/s", ""),
        (f"{status.records:,}", ""),
        (f"{status.findings:,}", ""),
        (f"{status.unread:,}", "yellow" if status.unread else ""),
        (f"{duration(now - status.at)} ago", ""),
    ]


def _style(line: SourceLine, status: SourceStatus) -> str:
    if line.attention or status.state == "needs-attention":
        return "red"
    return "yellow" if status.state == "backing-off" else "green"


def _below(line: SourceLine, now: float) -> Iterator[Cell]:
    """Why a person must look at a source, and its last error."""
    if line.attention:
        yield clean(line.attention), "red"
    if not line.configured:
        yield "not in this configuration", "dim"
    status = line.status
    if status is not None and status.last_error and status.last_error not in line.attention:
        when = f"{duration(now - status.last_error_at)} ago: " if status.last_error_at is not None else ""
        yield clean(f"{when}{status.last_error}"), "yellow"


def write_json(lines: Sequence[SourceLine], unread: Sequence[Unread], out: TextIO) -> None:
    """One object: whether all is well, the sources, and everything that was not read."""
    document = {
        "healthy": not any(line.attention for line in lines),
        "sources": [_object(line) for line in lines],
        "unread": [unread_object(one) for one in unread],
    }
    out.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def _object(line: SourceLine) -> dict[str, object]:
    known = {} if line.status is None else status_object(line.status)
    blank = {"source": line.source, "platform": line.platform, "state": "never-started"}
    return {**blank, **known, "attention": line.attention, "configured": line.configured}
