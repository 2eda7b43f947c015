"""`keysentry watch`: read the configured sources round the clock, or once."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from keysentry.cli.exit_codes import FOUND, INCOMPLETE
from keysentry.cli.parser import Parser

if TYPE_CHECKING:
    from keysentry.model.incident import SourceStatus
    from keysentry.store.base import Store


def configure(parser: Parser) -> None:
    """The options of `keysentry watch`."""
    from keysentry.cli.store_options import add_config_option

    parser.epilog = (
        "SIGTERM and Ctrl-C end it: what is in hand is stored or given back. SIGHUP reads the configuration and the "
        "rules again. Exit codes with --once: 1 something new was found, 3 a source could not be read, 0 neither."
    )
    add_config_option(parser)
    parser.add_argument("--once", action="store_true", help="read every source once, print what was found, and end")
    parser.add_argument("--log", choices=("text", "json"), help="how events are written (default: as configured)")
    parser.add_argument("--quiet", action="store_true", help="write warnings and errors only, and no status line")


def run(arguments: argparse.Namespace) -> int:
    """Read until told to end."""
    from keysentry.cli.store_options import config_path
    from keysentry.config import load_outline
    from keysentry.service.daemon import Daemon
    from keysentry.service.journal import Journal
    from keysentry.wiring import plan_of, store_of
    from keysentry.wiring.acting import sealer_of

    path = config_path(arguments)
    form = arguments.log or load_outline(path, environment=os.environ).watch.log
    line = StatusLine(form == "text" and not arguments.quiet and sys.stderr.isatty())
    journal = Journal(line.write, form, quiet=arguments.quiet)
    config, plan = plan_of(path, os.environ, lambda text: journal.tell("info", text))
    for warning in config.warnings:
        journal.tell("warning", str(warning))
    journal.tell("info", "configuration", governed_by=config.origin.how)
    store = store_of(config.store, sealer_of(config) if config.acting.present else None)
    try:
        began = time.time()
        daemon = Daemon(plan, store, journal, replan=lambda: plan_of(path, os.environ)[1], once=arguments.once)
        ended = daemon.run(line.show)
        line.clear()
        if arguments.once:
            _report(store, began)
        if not ended.in_time:
            _leave(0)
    finally:
        store.close()
    if arguments.once and ended.new_incidents:
        return FOUND
    return INCOMPLETE if arguments.once and ended.failed else 0


def _report(store: Store, began: float) -> None:
    """What was found in this pass, new or known."""
    from keysentry.report.incidents import write_table
    from keysentry.store.base import IncidentQuery

    found = list(store.incidents(IncidentQuery(since=began)))
    write_table(found, sys.stdout, place=lambda incident: next(store.occurrences(incident.id), None))


def _leave(code: int) -> None:
    """End at once: a thread that missed the deadline holds nothing that is not read again."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class StatusLine:
    """One line at the bottom of a terminal, rewritten in place; lines of the journal go above it."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._text = ""

    def write(self, line: str) -> None:
        """Write a line above it."""
        sys.stderr.write(f"\r\x1b[K{line}{self._text}" if self._text else line)
        sys.stderr.flush()

    def show(self, statuses: list[SourceStatus]) -> None:
        """Show how the sources are doing."""
        if not self._shown:
            return
        width = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        self._text = describe(statuses)[:width]
        sys.stderr.write(f"\r\x1b[K{self._text}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take it away."""
        if self._text:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._text = ""


def describe(statuses: list[SourceStatus]) -> str:
    """The state of all sources, in a line."""
    from keysentry.report.closing import plural, size
    from keysentry.report.place import clean

    records = sum(one.records for one in statuses)
    found = sum(one.findings for one in statuses)
    amount = size(sum(one.bytes for one in statuses))
    parts = [f"{plural(records, 'record')}, {amount}, {plural(found, 'finding')}"]
    for one in statuses:
        rate = f" {one.records_per_second:,.0f}/s" if one.state == "reading" and one.records_per_second else ""
        unit = f" {clean(one.unit)}" if one.state == "reading" and one.unit else ""
        parts.append(f"{clean(one.source)}: {one.state}{unit}{rate}")
    return "  ·  ".join(parts)
