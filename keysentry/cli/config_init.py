"""`keysentry config init`: a configuration to begin with, made from what there is to be told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keysentry.cli.parser import Parser
from keysentry.errors import ConfigError

if TYPE_CHECKING:
    from keysentry.connectors.base import SourceOptions

STDOUT = "-"


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "path",
        nargs="?",
        default="keysentry.toml",
        metavar="FILE",
        help="default: keysentry.toml; - is standard output",
    )
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="NAME",
        help="with a source of this platform (repeatable): files, slack, ...",
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(arguments: argparse.Namespace) -> int:
    """Write the configuration."""
    from keysentry.config.template import template

    text = template(_chosen(arguments.platform))
    if arguments.path == STDOUT:
        sys.stdout.write(text)
        return 0
    _write(Path(arguments.path), text, force=arguments.force)
    sys.stderr.write(f"{arguments.path} is written; next: keysentry config lint {arguments.path}\n")
    return 0


def _chosen(names: list[str]) -> Iterator[tuple[str, str, type[SourceOptions]]]:
    from keysentry.config import platform_options
    from keysentry.connectors import platform

    for name in names:
        try:
            options = platform_options(name)
        except ConfigError as error:
            raise ConfigError(error.reason, place="--platform", advice=error.advice) from None
        yield name, platform(name).title, options


def _write(path: Path, text: str, *, force: bool) -> None:
    """Make the file; one that is there is only written over, in one step, with `force`."""
    if path.is_dir():
        raise ConfigError("is a folder", place=str(path), advice="name a file")
    target = path if not force else path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        if force:
            target.replace(path)
    except FileExistsError:
        raise ConfigError("is there already", place=str(path), advice="--force writes over it") from None
    except OSError as error:
        if force:
            target.unlink(missing_ok=True)
        raise ConfigError(error.strerror or str(error), place=str(path), advice="name a writable file") from None
