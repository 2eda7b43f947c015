"""`keysentry incidents export`: everything that was found, with all its places."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TextIO

from keysentry.cli.output import output
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, add_query_options, opened, query

if TYPE_CHECKING:
    from keysentry.store.base import Store


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--format", choices=("jsonl", "json", "csv"), default="jsonl", help="default: jsonl")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there, not to standard output")
    add_query_options(parser)
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the incidents as they are read from the store."""
    with opened(arguments) as (_, store), output(arguments.output) as out:
        _export(arguments, store, out)
    return 0


def _export(arguments: argparse.Namespace, store: Store, out: TextIO) -> None:
    from keysentry.report.incident_formats import export_csv, export_json, export_jsonl

    incidents = store.incidents(query(arguments))
    if arguments.format == "json":
        export_json(incidents, lambda one: store.occurrences(one.id), store.unread(arguments.source), out)
        return
    write = export_csv if arguments.format == "csv" else export_jsonl
    write(incidents, lambda one: store.occurrences(one.id), out)
