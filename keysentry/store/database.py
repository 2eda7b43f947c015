"""Where SQLite and PostgreSQL differ: how they are opened, who may write, and how a source is held."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from sqlalchemy import Connection, Engine, Table

from keysentry.errors import HeldError

if TYPE_CHECKING:  # each dialect is only loaded where it is used
    from sqlalchemy.dialects import postgresql, sqlite

    Insert = sqlite.Insert | postgresql.Insert

__all__ = ["Database", "Holder", "this_process"]


class Database(Protocol):
    """A database that is open."""

    place: str
    """Names it in errors, without a password."""
    engine: Engine
    shared: bool
    """Whether several processes may write at a time."""

    def writing(self, source: str = "") -> AbstractContextManager[Connection]:
        """A transaction that may write. For a source that is held, it can only succeed while the hold lasts."""
        ...

    def alone(self, connection: Connection) -> None:
        """Be the only transaction that changes incidents, until this one ends. Call it before what must not change
        is read.
        """
        ...

    def insert(self, table: Table) -> Insert:
        """An insert of this dialect, which can be told what to do on a conflict."""
        ...

    def put(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], conflict: str) -> None:
        """Insert rows, whose values are in the order of the table's columns and as the driver takes them.

        `conflict` says what happens to those whose key is there (`ON CONFLICT ...`); empty: there are none.
        """
        ...

    def hold(self, source: str) -> AbstractContextManager[None]:
        """See `Store.hold`."""
        ...

    def failed(self) -> None:
        """Called after a fault, so that the next transaction begins with a new connection."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Holder(msgspec.Struct, frozen=True):
    """Who holds something, as it tells others."""

    process: int
    host: str
    since: float

    def refusal(self, place: str, advice: str) -> HeldError:
        """What the one who came later is told."""
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return HeldError(f"process {self.process} on {self.host} holds it since {since}", place=place, advice=advice)


def this_process() -> Holder:
    """This process as a holder, from now on."""
    return Holder(os.getpid(), platform.node(), time.time())
