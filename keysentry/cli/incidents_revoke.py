"""`keysentry incidents revoke`: kill the credential at its provider."""

from __future__ import annotations

import argparse
import sys
import time

from keysentry.cli.deciding import CARRIED_OUT, actor_of, configure_decision, incident_of, tell
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import opened


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = "This cannot be taken back: whatever uses the credential stops working."
    parser.add_argument("--by", default="auto", metavar="NAME", help="a [[revoker]] (default: the one that handles it)")
    configure_decision(parser)


def run(arguments: argparse.Namespace) -> int:
    """File the revocation, or approve the one that waits. Raises `StoreError`."""
    from keysentry.model.action import Action, action_id
    from keysentry.store.base import ActionQuery

    now, actor = time.time(), actor_of(arguments)
    with opened(arguments) as (_, store):
        incident = incident_of(store, arguments.id)
        known = [
            one
            for one in store.actions(ActionQuery(incident=incident.id, kinds=("revoke",)))
            if one.round == incident.regressions and one.state not in ("rejected", "cancelled")
        ]
        waiting = [one for one in known if one.state in ("proposed", "waiting")]
        if waiting:
            store.decide([one.id for one in waiting], "approve", actor=actor, reason=arguments.reason, time=now)
            tell(waiting, "approved")
        elif known:
            sys.stdout.write(f"it is on its way already: {known[0].state}  {known[0].id}\n")
            return 0
        else:
            action = Action(
                id=action_id("revoke", incident.id, arguments.by, incident.regressions),
                kind="revoke",
                subject=incident.id,
                incidents=(incident.id,),
                target=arguments.by,
                round=incident.regressions,
                actor=actor,
                reason=arguments.reason,
                created=now,
                updated=now,
                due_from=now,
                approved_by=actor,
            )
            store.file([action], actor=actor, reason=arguments.reason, time=now)
            tell([action], "to be revoked")
    sys.stdout.write(f"{CARRIED_OUT}\n")
    return 0
