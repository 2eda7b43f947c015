"""`keysentry incidents accept`: live with a risk for a time, or say that it is none."""

from __future__ import annotations

import argparse
import time

from keysentry.cli.deciding import configure_decision, move
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import opened
from keysentry.errors import ConfigError


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = "When the time is over the incident is open again, and its playbook begins anew."
    parser.add_argument("--false-positive", action="store_true", help="it is no secret at all")
    parser.add_argument(
        "--for", dest="length", default="90d", metavar="TIME", help="how long: 12h, 30d, or `ever` (default: 90d)"
    )
    configure_decision(parser, reason_required=True)


def run(arguments: argparse.Namespace) -> int:
    """Move the incident. Raises `StoreError`, `MoveError`."""
    from keysentry.response.policy import duration

    until = None
    if arguments.length != "ever":
        try:
            until = time.time() + duration(arguments.length)
        except ConfigError as error:
            raise ConfigError(error.reason, place="--for", advice=error.advice) from None
    with opened(arguments) as (_, store):
        return move(arguments, store, "false-positive" if arguments.false_positive else "accepted-risk", until=until)
