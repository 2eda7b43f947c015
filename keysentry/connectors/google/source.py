"""One Google Workspace source: what its options switch on, read with one client."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.google import Options
from keysentry.connectors.google.accounts import Accounts
from keysentry.connectors.google.chat import Chat
from keysentry.connectors.google.client import Client, Wait
from keysentry.connectors.google.drive import Drive
from keysentry.connectors.google.fields import nanoseconds_of, stamp
from keysentry.connectors.google.gmail import Gmail
from keysentry.errors import ConfigError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit


class GoogleSource:
    """Drives, mailboxes and spaces as units."""

    def __init__(self, options: Options, *, wait: Wait | None = None) -> None:
        """`wait` takes the place of waiting, as in `Pace`. Raises `ConfigError`."""
        if options.since:
            since = nanoseconds_of(options.since, time.time())
            if since is None:
                advice = "write 2026-01-31, 2026-01-31T12:00:00Z, 90d or 12h"
                raise ConfigError(f"since is no time: {options.since}", place=options.name, advice=advice)
            options = msgspec.structs.replace(options, since=stamp(since))
        files = options.drive or options.shared_drives or options.folders
        if not (files or options.gmail or options.chat):
            raise ConfigError("there is nothing to read", place=options.name, advice="switch on drive, gmail or chat")
        self._client = Client(options, wait=wait)
        accounts = Accounts(self._client, options)
        self._drive = Drive(self._client, options, accounts)
        self._gmail = Gmail(self._client, options, accounts)
        self._chat = Chat(self._client, options, accounts)
        self._options = options

    def units(self) -> Iterator[Unit | Skipped]:
        """Drives, then mailboxes, then spaces. Raises `SourceError`."""
        if self._options.drive or self._options.shared_drives or self._options.folders:
            yield from self._drive.units()
        if self._options.gmail:
            yield from self._gmail.units()
        if self._options.chat:
            yield from self._chat.units()

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is in a unit from a cursor on. Raises `SourceError`."""
        kind = unit.id.partition(":")[0]
        if kind in ("my", "shared", "folder"):
            yield from self._drive.records(unit, cursor)
        elif kind == "mail":
            yield from self._gmail.records(unit, cursor)
        elif kind == "space":
            yield from self._chat.records(unit, cursor)
        else:
            raise SourceError("there is no such unit in Google Workspace", place=unit.id)

    def close(self) -> None:
        """End all calls and connections."""
        self._client.close()
