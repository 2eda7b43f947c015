"""`keysentry audit export`: the audit trail, for other programs and for safe keeping."""

from __future__ import annotations

import argparse

from keysentry.cli.output import output
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, moment, opened


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default: jsonl")
    parser.add_argument("--incident", default="", metavar="ID", help="only this incident's events")
    parser.add_argument("--after", type=int, default=0, metavar="NUMBER", help="only events after this one")
    parser.add_argument("--since", type=moment, metavar="TIME", help="only events since then: 12h, 7d, 2026-05-01")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there, not to standard output")
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the events as they are read. Raises `StoreError`."""
    from keysentry.cli.deciding import incident_of
    from keysentry.report.audit_formats import write_csv, write_jsonl

    write = write_csv if arguments.format == "csv" else write_jsonl
    with opened(arguments) as (_, store), output(arguments.output) as out:
        incident = incident_of(store, arguments.incident).id if arguments.incident else ""
        write(store.events(incident, after=arguments.after, since=arguments.since), out)
    return 0
