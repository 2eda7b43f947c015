"""`keysentry incidents evidence`: everything that is known of an incident, in one zip."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from keysentry.cli.deciding import actor_of, incident_of
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, opened
from keysentry.errors import ConfigError


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = "The zip holds no secret, but names of people, channels and files; only its owner can read it."
    parser.add_argument("id", metavar="ID", help="the incident's id, or a beginning of it that no other has")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: evidence-ID.zip in this folder")
    parser.add_argument("--as", dest="actor", default="", metavar="NAME", help="who asks (default: this user)")
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the zip, and note in the audit trail that it was made. Raises `StoreError`."""
    from keysentry.report.evidence import Evidence, write_evidence
    from keysentry.store.base import ActionQuery

    now, actor = time.time(), actor_of(arguments)
    with opened(arguments) as (_, store):
        incident = incident_of(store, arguments.id)
        head = store.note("evidence.made", actor=actor, time=now, incident=incident.id)
        occurrences = list(store.occurrences(incident.id))
        sources = {one.source for one in occurrences}
        evidence = Evidence(
            incident=incident,
            occurrences=occurrences,
            actions=list(store.actions(ActionQuery(incident=incident.id))),
            receipts=list(store.receipts(incident.id)),
            events=list(store.events(incident.id)),
            unread=[one for one in store.unread() if one.source in sources],
            head=head,
            made=now,
            by=actor,
        )
    path = Path(arguments.output or f"evidence-{incident.id}.zip")
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            write_evidence(evidence, file)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(error.strerror or str(error), place=str(path), advice="name a writable file") from None
    finally:
        draft.unlink(missing_ok=True)
    sys.stdout.write(f"{path}\n")
    return 0
