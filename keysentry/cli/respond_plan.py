"""`keysentry respond plan`: what the playbooks would do about the incidents that are there, touching nothing."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, add_query_options, config_path, opened, query

if TYPE_CHECKING:
    from keysentry.model.action import Action
    from keysentry.model.incident import Incident
    from keysentry.response.plan import Policy
    from keysentry.store.base import Store


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = "Without --state: the incidents that have not ended."
    parser.add_argument("--format", choices=("table", "jsonl"), default="table", help="default: table")
    add_query_options(parser)
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Plan, and print. Raises `ConfigFaults`, `StoreError`."""
    from keysentry.config import load_config
    from keysentry.model.lifecycle import ENDS, STATES
    from keysentry.wiring.acting import policy_of

    policy = policy_of(load_config(config_path(arguments), environment=os.environ))
    if not arguments.state:
        arguments.state = [state for state in STATES if state not in ENDS]
    incidents = actions = 0
    with opened(arguments) as (_, store):
        for incident, planned in plans(store, policy, arguments):
            incidents += 1
            actions += len(planned)
            _write(incident, planned, arguments.format)
    if arguments.format == "table":
        sys.stdout.write(f"{incidents} incidents, {actions} actions; nothing was touched\n")
    return 0


def plans(store: Store, policy: Policy, arguments: argparse.Namespace) -> Iterator[tuple[Incident, list[Action]]]:
    """Each incident with what would be done about it."""
    from keysentry.model.incident import Appearance

    now = time.time()
    for incident in store.incidents(query(arguments)):
        liveness = incident.assessment.liveness if incident.assessment else "unknown"
        appearances = [
            Appearance(incident=incident, occurrence=one, key=f"{one.source}/{one.record}")
            for one in store.occurrences(incident.id)
            if one.gone is None
        ]
        yield incident, policy.plan(appearances, now, liveness)


def _write(incident: Incident, planned: list[Action], form: str) -> None:
    import msgspec

    from keysentry.report.place import clean

    if form == "jsonl":
        for action in planned:
            sys.stdout.write(msgspec.json.encode(action).decode() + "\n")
        return
    sys.stdout.write(f"{incident.id}  {incident.severity.value:<8}  {incident.state:<10}  {clean(incident.title)}\n")
    if not planned:
        sys.stdout.write("    no playbook is for it\n")
    for action in planned:
        whereto = f" -> {clean(action.target)}" if action.target else ""
        subject = f" ({clean(action.subject)})" if action.kind in ("hold", "seal") else ""
        sys.stdout.write(f"    {action.state:<9} {action.kind}{whereto}{subject}  [{clean(action.playbook)}]\n")
