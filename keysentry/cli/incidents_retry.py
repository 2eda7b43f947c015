"""`keysentry incidents retry`: try again what needed a person."""

from __future__ import annotations

import argparse
import sys
import time
from typing import get_args

from keysentry.cli.deciding import CARRIED_OUT, actions_of, actor_of, configure_decision, tell
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import opened
from keysentry.model.action import ActionState, Kind

_STATES: tuple[ActionState, ...] = ("needs-a-person",)


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = "ID may also be the id of one action (act_...)."
    parser.add_argument(
        "--only", action="append", choices=get_args(Kind), default=[], metavar="KIND", help="only such actions"
    )
    configure_decision(parser)


def run(arguments: argparse.Namespace) -> int:
    """Decide. Raises `StoreError` if there is no such incident or action."""
    with opened(arguments) as (_, store):
        chosen = [
            one
            for one in actions_of(store, arguments.id)
            if one.state in _STATES and (not arguments.only or one.kind in arguments.only)
        ]
        changed = store.decide(
            [one.id for one in chosen], "retry", actor=actor_of(arguments), reason=arguments.reason, time=time.time()
        )
    if not changed:
        sys.stdout.write("there is nothing to retry\n")
        return 0
    tell([one for one in chosen if one.id in changed], "tried again")
    sys.stdout.write(f"{CARRIED_OUT}\n")
    return 0
