"""`keysentry config lint`: every fault and weakness of a configuration, at once."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from keysentry.cli.exit_codes import USAGE
from keysentry.cli.parser import Parser
from keysentry.errors import ConfigError


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "path", nargs="?", metavar="FILE", help="default: KEYSENTRY_CONFIG, or keysentry.toml in this folder"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write every issue as `level: file:line: table: key: text`; 2 if one of them is an error."""
    from keysentry.config import ConfigFaults, lint, read_config
    from keysentry.report.closing import plural
    from keysentry.report.place import clean

    path = Path(arguments.path) if arguments.path else None
    try:
        reading = read_config(path, environment=os.environ)
    except ConfigFaults as faults:
        issues = [("error", fault) for fault in faults.faults]
        told = issues[0][1].file
    else:
        if reading.origin.how == "nowhere":
            advice = "name a file, or write one with keysentry config init"
            raise ConfigError("there is no configuration in this folder", place="keysentry.toml", advice=advice)
        issues = list(lint(reading, os.environ))
        told = str(reading.origin)
    sys.stdout.writelines(f"{level}: {clean(str(fault))}\n" for level, fault in issues)
    errors = sum(level == "error" for level, _ in issues)
    sys.stderr.write(f"{told}: {plural(errors, 'error')}, {plural(len(issues) - errors, 'warning')}\n")
    return USAGE if errors else 0
