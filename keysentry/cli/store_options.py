"""What the commands that read the store share: which store it is, and which incidents are asked for."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from keysentry.errors import StoreError
from keysentry.model.finding import Severity
from keysentry.model.lifecycle import State

if TYPE_CHECKING:
    from keysentry.config import Outline
    from keysentry.store.base import IncidentQuery, Store

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: KEYSENTRY_CONFIG, or keysentry.toml in this folder)",
    )


def config_path(arguments: argparse.Namespace) -> Path | None:
    """The configuration that was asked for."""
    return Path(arguments.config) if arguments.config else None


def add_query_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose incidents."""
    group = parser.add_argument_group("which incidents")
    group.add_argument(
        "--state",
        action="append",
        choices=get_args(State),
        default=[],
        metavar="STATE",
        help="in this state (repeatable)",
    )
    levels = [level.value for level in Severity]
    group.add_argument("--severity", choices=levels, help="of this severity or a higher one")
    group.add_argument("--source", default="", metavar="NAME", help="seen in this source")
    group.add_argument("--provider", default="", metavar="ID", help="of this provider's credentials")
    group.add_argument("--rule", default="", metavar="ID", help="found by this rule")
    group.add_argument(
        "--text", default="", metavar="WORDS", help="with these words in title, mask, channel, author or place"
    )
    group.add_argument(
        "--since", type=moment, metavar="TIME", help="last seen since then: 30m, 12h, 7d, 2w, or 2026-05-01"
    )


def moment(text: str) -> float:
    """A time in UTC seconds, from an age (`7d`) or a date, with or without a time of day (UTC if nothing else)."""
    age = _AGE.fullmatch(text.strip())
    if age:
        return time.time() - float(age[1]) * _SECONDS[age[2]]
    try:
        when = datetime.fromisoformat(text.strip())
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        reason = f"not a time: {text!r} (write an age like 12h or 7d, or a date like 2026-05-01)"
        raise argparse.ArgumentTypeError(reason) from None


def query(arguments: argparse.Namespace, limit: int | None = None) -> IncidentQuery:
    """The incidents that were asked for."""
    from keysentry.store.base import IncidentQuery

    return IncidentQuery(
        states=tuple(arguments.state),
        severity=Severity(arguments.severity) if arguments.severity else None,
        source=arguments.source,
        provider=arguments.provider,
        rule=arguments.rule,
        text=arguments.text,
        since=arguments.since,
        limit=limit,
    )


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[tuple[Outline, Store]]:
    """The store that the configuration names. Raises `StoreError` if nothing was ever stored there."""
    from keysentry.config import load_outline
    from keysentry.installation import key

    outline = load_outline(config_path(arguments), environment=os.environ)
    _check_there(outline)
    from keysentry.store import open_store

    store = open_store(outline.store.url, key=key())
    try:
        yield outline, store
    finally:
        store.close()


def _check_there(outline: Outline) -> None:
    """A command that reads makes no store: one that is not there yet is told, with what fills it."""
    url = outline.store.url
    if url == "memory:":
        advice = "name a file or a database in the configuration's [store]"
        raise StoreError("a store in memory ends with its process", place=str(outline.origin), advice=advice)
    path = _file_of(url)
    if path is not None and not path.exists():
        reason = f"nothing was stored there yet (it is the store of {outline.origin})"
        advice = "keysentry watch fills it; --config names another configuration"
        raise StoreError(reason, place=str(path), advice=advice)


def _file_of(url: str) -> Path | None:
    """The file of a store that is one."""
    from keysentry.installation import data_folder

    if not url:
        return Path(data_folder(), "keysentry.db")
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix)).expanduser() if url.startswith(prefix) else None
