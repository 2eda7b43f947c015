"""`keysentry store rotate-key`: seal everything anew with the current seal key."""

from __future__ import annotations

import argparse
import os
import sys

from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, config_path
from keysentry.errors import ConfigError


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Set KEYSENTRY_SEAL_KEY to the new key and KEYSENTRY_OLD_SEAL_KEYS to the old one, restart the daemon with "
        "both, run this, and take the old one away. It can be interrupted and repeated."
    )
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Seal anew, telling how far it is. Raises `SealError` where a value opens with none of the keys."""
    from keysentry.config import load_config
    from keysentry.wiring import store_of
    from keysentry.wiring.acting import sealer_of

    config = load_config(config_path(arguments), environment=os.environ)
    sealer = sealer_of(config)
    if sealer is None:
        raise ConfigError("there is no seal key", place="response.seal_key", advice="set KEYSENTRY_SEAL_KEY")
    store = store_of(config.store, sealer)
    total = 0
    try:
        for done in store.reseal(sealer):
            total += done
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{total:,} values sealed anew")
    finally:
        store.close()
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    sys.stdout.write(f"{total:,} values sealed anew with the key {sealer.key_name}\n")
    return 0
