"""`keysentry incidents close`: end an incident: what was to be done is done."""

from __future__ import annotations

import argparse

from keysentry.cli.deciding import configure_decision, move
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import opened


def configure(parser: Parser) -> None:
    """Declare the options."""
    configure_decision(parser)


def run(arguments: argparse.Namespace) -> int:
    """Move the incident. Raises `StoreError`, `MoveError` where it may not go there."""
    with opened(arguments) as (_, store):
        return move(arguments, store, "closed")
