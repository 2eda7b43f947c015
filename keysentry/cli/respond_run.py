"""`keysentry respond run`: carry out what is to be done now, without a daemon, and end."""

from __future__ import annotations

import argparse
import os
import sys

from keysentry.cli.exit_codes import INCOMPLETE
from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, config_path


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = (
        "While a daemon works on the same SQLite store this is refused, because the daemon does it. "
        "Exit codes: 3 something needs a person, 0 nothing does."
    )
    parser.add_argument("--log", choices=("text", "json"), default="text", help="how events are written")
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Work until nothing is due. Raises `HeldError` while a daemon does."""
    from keysentry.config import load_config
    from keysentry.service.journal import Journal
    from keysentry.store.base import ActionQuery
    from keysentry.wiring import store_of
    from keysentry.wiring.acting import sealer_of, worker_of

    config = load_config(config_path(arguments), environment=os.environ)
    journal = Journal(sys.stderr.write, arguments.log)
    store = store_of(config.store, sealer_of(config))
    try:
        with store.hold(f"actions of process {os.getpid()}"):
            worker = worker_of(config, store, journal)
            try:
                worker.begin()
                worker.sweep()
                done = worker.drain()
            finally:
                worker.close()
            left = list(store.actions(ActionQuery(states=("needs-a-person",))))
    finally:
        store.close()
    sys.stdout.write(f"{done} attempts; {len(left)} actions need a person\n")
    return INCOMPLETE if left else 0
