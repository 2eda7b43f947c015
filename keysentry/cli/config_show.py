"""`keysentry config show`: what is in effect, and where each value comes from."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from keysentry.cli.parser import Parser

if TYPE_CHECKING:
    from keysentry.config import Reading, Setting


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "path", nargs="?", metavar="FILE", help="default: KEYSENTRY_CONFIG, or keysentry.toml in this folder"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the configuration on standard output. Raises `ConfigFaults` for one that cannot be used."""
    from keysentry.config import ConfigFaults, read_config

    reading = read_config(Path(arguments.path) if arguments.path else None, environment=os.environ)
    if reading.config is None:
        raise ConfigFaults(reading.faults)
    sys.stdout.writelines(f"{line}\n" for line in _lines(reading))
    sys.stderr.writelines(f"keysentry: warning: {fault}\n" for fault in (*reading.missing, *reading.warnings))
    return 0


def _lines(reading: Reading) -> Iterator[str]:
    yield f"# {reading.origin}"
    for table, settings in groupby(reading.settings, key=lambda setting: setting.table):
        yield ""
        yield f"[[{table.partition('[')[0]}]]" if "[" in table else f"[{table}]"
        yield from _columns([(setting.field.name, _value(setting), setting.origin) for setting in settings])


def _columns(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    names = max(len(name) for name, _, _ in rows)
    values = min(max(len(value) for _, value, _ in rows), 48)
    for name, value, origin in rows:
        yield f"{name:<{names}} = {value:<{values}}  # {origin}"


def _value(setting: Setting) -> str:
    """A value as TOML writes it; of a credential only whether it is set, of an address no password."""
    from keysentry.config.template import toml
    from keysentry.report.place import clean

    if setting.field.credential:
        return f"set ({setting.origin})" if setting.value is not None else "not set"
    return "not set" if setting.value is None else clean(toml(_masked(setting.value)))


def _masked(value: object) -> object:
    """A value, or the items of one, without the passwords of addresses."""
    from keysentry.config.checks import without_password

    if isinstance(value, str):
        return without_password(value)
    return tuple(map(_masked, value)) if isinstance(value, tuple) else value
