"""`keysentry status`: how each source is doing, and what was not read."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, opened
from keysentry.model.incident import SourceStatus

if TYPE_CHECKING:
    from keysentry.config import Outline
    from keysentry.report.status import SourceLine

ATTENTION = 1
"""The exit code if a person must look at a source."""
_GRACE = 60.0
"""Seconds that a daemon may be late with its word before it counts as silent."""


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell of every source that is configured or was ever read; 1 if one needs attention."""
    from keysentry.report import status

    now = time.time()
    with opened(arguments) as (outline, store):
        lines = list(source_lines(outline, store.statuses(), now))
        unread = list(store.unread())
    if arguments.format == "json":
        status.write_json(lines, unread, sys.stdout)
    else:
        status.write_table(lines, unread, sys.stdout, now=now)
    return ATTENTION if any(line.attention for line in lines) else 0


def source_lines(outline: Outline, statuses: Sequence[SourceStatus], now: float) -> Iterator[SourceLine]:
    """The sources of the configuration, then those that only the store knows, each with what is wrong with it.

    Where a configuration has sources, nobody need look at others: they may have been taken out of it long ago.
    """
    from keysentry.report.status import SourceLine

    told = {status.source: status for status in statuses}
    for declared in outline.sources:
        status = told.pop(declared.name, None)
        longest = 2 * max(declared.poll, outline.watch.longest_backoff, outline.watch.status_every) + _GRACE
        yield SourceLine(declared.name, declared.platform, status, _attention(status, now, longest))
    for status in told.values():
        attention = "" if outline.sources else _attention(status, now, None)
        yield SourceLine(status.source, status.platform, status, attention, configured=not outline.sources)


def _attention(status: SourceStatus | None, now: float, longest: float | None) -> str:
    """Why a person must look at a source; empty if nobody must.

    `longest` is how many seconds a daemon may say nothing of it; None where that cannot be known.
    """
    from keysentry.report.times import duration

    if status is None:
        return "no daemon has read it yet: start or reload keysentry watch"
    if status.state == "needs-attention":
        return status.last_error or "its daemon says so"
    if status.state == "stopped":
        return f"stopped after an error: {status.last_error}" if status.last_error else ""
    if longest is not None and now - status.at > longest:
        return f"nothing was heard of it for {duration(now - status.at)}: is keysentry watch running?"
    return ""
