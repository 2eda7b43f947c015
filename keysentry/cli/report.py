"""`keysentry report`: how well incidents are dealt with."""

from __future__ import annotations

import argparse
import time

from keysentry.cli.output import output
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, moment, opened


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = "A team is a source. The page is one file with its plots inside; it loads nothing."
    parser.add_argument("--format", choices=("table", "json", "html"), default="table", help="default: table")
    parser.add_argument("--since", type=moment, metavar="TIME", help="cases that began since then: 30d, 2026-05-01")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there, not to standard output")
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Work the figures out, and write them. Raises `StoreError`."""
    from keysentry.report.programme.figures import figures
    from keysentry.store.base import IncidentQuery

    with opened(arguments) as (_, store):
        incidents = list(store.incidents(IncidentQuery(since=arguments.since)))
        programme = figures(
            incidents,
            {one.id: list(store.occurrences(one.id)) for one in incidents},
            store.actions(),
            store.events(),
            now=time.time(),
            since=arguments.since,
        )
    with output(arguments.output) as out:
        if arguments.format == "json":
            import msgspec

            out.write(msgspec.json.format(msgspec.json.encode(programme), indent=2).decode() + "\n")
        elif arguments.format == "html":
            from keysentry.report.programme.page import write_page

            write_page(programme, out)
        else:
            from keysentry.report.programme.text import write_text

            write_text(programme, out)
    return 0
