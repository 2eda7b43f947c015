"""`keysentry incidents export`: everything that was found, with all its places."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from keysentry.cli.parser import Parser
from keysentry.cli.store_options import add_config_option, add_query_options, opened, query
from keysentry.errors import ConfigError

if TYPE_CHECKING:
    from keysentry.store.base import Store


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--format", choices=("jsonl", "json", "csv"), default="jsonl", help="default: jsonl")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there, not to standard output")
    add_query_options(parser)
    add_config_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the incidents as they are read from the store."""
    with opened(arguments) as (_, store), _output(arguments.output) as out:
        _export(arguments, store, out)
    return 0


def _export(arguments: argparse.Namespace, store: Store, out: TextIO) -> None:
    from keysentry.report.incident_formats import export_csv, export_json, export_jsonl

    incidents = store.incidents(query(arguments))
    if arguments.format == "json":
        export_json(incidents, lambda one: store.occurrences(one.id), store.unread(arguments.source), out)
        return
    write = export_csv if arguments.format == "csv" else export_jsonl
    write(incidents, lambda one: store.occurrences(one.id), out)


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Where it goes. A file is there whole or not at all, and only its owner can read it."""
    if not path:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        yield sys.stdout
        return
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            yield file
        draft.replace(target)
    except OSError as error:
        raise ConfigError(error.strerror or str(error), place=path, advice="name a writable file") from None
    finally:
        draft.unlink(missing_ok=True)
