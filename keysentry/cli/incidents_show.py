"""`keysentry incidents show`: everything that is known of one incident."""

from __future__ import annotations

import argparse
import sys

from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, opened
from keysentry.errors import StoreError


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the incident's id, or a beginning of it that no other has")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the incident with all its places. Raises `StoreError` if there is none with this id."""
    from keysentry.report import incident_formats, incidents
    from keysentry.store.base import ActionQuery

    with opened(arguments) as (_, store):
        incident = store.incident(arguments.id)
        if incident is None:
            advice = "keysentry incidents list tells the ids; a beginning must belong to one incident only"
            raise StoreError(f"there is no incident {arguments.id!r}", advice=advice)
        places = list(store.occurrences(incident.id))
        actions = list(store.actions(ActionQuery(incident=incident.id)))
        events = list(store.events(incident.id))
    if arguments.format == "json":
        incident_formats.write_page_json(incident, places, sys.stdout)
    else:
        incidents.write_page(incident, places, sys.stdout, actions=actions, events=events)
    return 0
