"""`keysentry incidents list`: the incidents that fit, the last seen first."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from keysentry.cli.parser import Parser, whole
from keysentry.cli.store_options import add_config_option, add_query_options, opened, query

if TYPE_CHECKING:
    from keysentry.model.incident import Incident
    from keysentry.store.base import Store


SHOWN = 200
"""How many incidents the table shows without `--limit`; what a program reads is never cut unasked."""


def configure(parser: Parser) -> None:
    """Declare the options."""
    add_query_options(parser)
    parser.add_argument(
        "--limit",
        type=whole(0),
        metavar="N",
        help=f"the last seen N only; 0: all (default: {SHOWN} in the table, all otherwise)",
    )
    parser.add_argument("--format", choices=("table", "json", "jsonl", "csv"), default="table", help="default: table")
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """List the incidents on standard output."""
    from keysentry.report import incident_formats, incidents

    with opened(arguments) as (_, store):
        found, more = _found(arguments, store)
        if arguments.format == "table":
            incidents.write_table(found, sys.stdout, place=lambda one: next(store.occurrences(one.id), None), more=more)
        elif arguments.format == "json":
            incident_formats.write_json(found, sys.stdout, more=more)
        else:
            write = incident_formats.write_csv if arguments.format == "csv" else incident_formats.write_jsonl
            write(found, sys.stdout)
    return 0


def _found(arguments: argparse.Namespace, store: Store) -> tuple[list[Incident], bool]:
    """The incidents that are shown, and whether there are others that fit."""
    usual = SHOWN if arguments.format == "table" else None
    limit = usual if arguments.limit is None else arguments.limit or None
    found = list(store.incidents(query(arguments, None if limit is None else limit + 1)))
    return found[:limit], limit is not None and len(found) > limit
