"""What the commands share by which a person decides about incidents: who, why, and what is said of it."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keysentry.cli.store_options import add_config_option
from keysentry.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from keysentry.model.action import Action
    from keysentry.model.incident import Incident
    from keysentry.store.base import Store

CARRIED_OUT = "the daemon carries it out (without one: keysentry respond run)"


def configure_decision(parser: argparse.ArgumentParser, *, reason_required: bool = False) -> None:
    """The options of every decision."""
    parser.add_argument("id", metavar="ID", help="the incident's id, or a beginning of it that no other has")
    parser.add_argument("--reason", default="", required=reason_required, metavar="WORDS", help="why")
    parser.add_argument("--as", dest="actor", default="", metavar="NAME", help="who decides (default: this user)")
    add_config_option(parser)


def actor_of(arguments: argparse.Namespace) -> str:
    """Who decides. Raises `ConfigError` where the system knows no name."""
    if arguments.actor:
        return str(arguments.actor)
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise ConfigError("this user has no name", place="--as", advice="say who decides: --as NAME") from None


def incident_of(store: Store, id: str) -> Incident:
    """The incident that was named. Raises `StoreError`."""
    incident = store.incident(id)
    if incident is None:
        advice = "keysentry incidents list tells the ids; a beginning must belong to one incident only"
        raise StoreError(f"there is no incident {id!r}", advice=advice)
    return incident


def actions_of(store: Store, id: str) -> list[Action]:
    """The actions of the incident, or the one action, that was named. Raises `StoreError`."""
    from keysentry.store.base import ActionQuery

    if id.startswith("act_"):
        action = store.action(id)
        if action is None:
            raise StoreError(f"there is no action {id!r}", advice="keysentry incidents show tells the ids")
        return [action]
    return list(store.actions(ActionQuery(incident=incident_of(store, id).id)))


def move(arguments: argparse.Namespace, store: Store, state: str, *, until: float | None = None) -> int:
    """Move the incident, and say so."""
    from keysentry.model.lifecycle import State  # noqa: F401  the type of `state`

    incident = incident_of(store, arguments.id)
    moved = store.move(
        incident.id,
        state,  # type: ignore[arg-type]
        actor=actor_of(arguments),
        reason=arguments.reason,
        time=time.time(),
        until=until,
    )
    sys.stdout.write(f"{moved.id}: {incident.state} -> {moved.state}\n")
    return 0


def tell(actions: Sequence[Action], verb: str) -> None:
    """One line an action."""
    for action in actions:
        target = f" by {action.target}" if action.target else ""
        sys.stdout.write(f"{verb}: {action.kind}{target}  {action.id}\n")
