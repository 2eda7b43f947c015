"""`keysentry incidents release`: put back what was held."""

from __future__ import annotations

import argparse
import sys
import time

from keysentry.cli.deciding import CARRIED_OUT, actor_of, configure_decision, incident_of, tell
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import opened


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = "What is released is known from then on, and is not held again for the same secret."
    configure_decision(parser)


def run(arguments: argparse.Namespace) -> int:
    """File a release of everything of the incident that is held. Raises `StoreError`."""
    from keysentry.response.handlers import release_of

    now, actor = time.time(), actor_of(arguments)
    with opened(arguments) as (_, store):
        incident = incident_of(store, arguments.id)
        held = [one for one in store.holdings(incident.id) if one.state == "held"]
        actions = [release_of(one, actor=actor, reason=arguments.reason, time=now) for one in held]
        filed = store.file(actions, actor=actor, reason=arguments.reason, time=now)
    if not filed:
        sys.stdout.write("nothing of it is held" + (", or its release is on its way\n" if held else "\n"))
        return 0
    others = sorted({id for one in held for id in one.incidents} - {incident.id})
    tell([one for one in actions if one.id in filed], "to be released")
    if others:
        sys.stdout.write(f"what is released also holds the secrets of {', '.join(others)}\n")
    sys.stdout.write(f"{CARRIED_OUT}\n")
    return 0
