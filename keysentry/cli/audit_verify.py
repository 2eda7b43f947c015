"""`keysentry audit verify`: whether the audit trail is as it was written."""

from __future__ import annotations

import argparse
import sys

from keysentry.cli.exit_codes import FOUND
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, opened


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = (
        "An older copy of the whole store is sound in itself: --expect holds the trail to an event that was exported "
        "before. Exit codes: 0 sound, 1 not."
    )
    parser.add_argument(
        "--expect", metavar="NUMBER:HASH", default="", help="an event that must be in the trail, as an export tells it"
    )
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check every event. Raises `StoreError`."""
    number, _, expected = arguments.expect.partition(":")
    with opened(arguments) as (_, store):
        faults = [f"event {one.number}: {one.reason}" for one in store.check_audit()]
        last = None
        met = not arguments.expect
        for event in store.events():
            last = event
            met = met or (str(event.number) == number and event.hash == expected)
    if not met:
        faults.append(f"event {number}: it is not the one that was expected")
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    if faults:
        sys.stdout.write(f"the audit trail is NOT sound: {len(faults)} faults\n")
        return FOUND
    head = f"{last.number}:{last.hash}" if last else "empty"
    sys.stdout.write(f"the audit trail is sound; its last event is {head}\n")
    return 0
