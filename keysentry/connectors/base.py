"""What every platform's connector offers, and what it may use.

A connector reads: it lists `Unit`s and gives each one's records from a cursor on. It does not scan, store or decide.

Invariants that every source keeps, and the contract suite (`tests/contract/`) holds it to:

- After any delivery, reading again from its cursor gives exactly what came after it: nothing missing, nothing twice.
- The same state of the platform gives the same records with the same ids, however often it is read.
- A record that was edited comes again under the same id; one that was deleted comes as `deleted`, where the platform
  tells of it at all.
- What cannot be read is a `Skipped` with its reason. One bad record costs only itself.
- Limits are kept as the platform states them (`pace.Pace`); memory does not grow with the unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple, Protocol

import msgspec

from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record, Unit


class Delivery(NamedTuple):
    """What a source gives next.

    `cursor` is where to go on once this is dealt with. `record` is None where only the place has moved or something
    was skipped. `done`, if there is one, is called after the record's findings and the cursor were stored: it tells
    the platform (a queue, an event feed) that it need not send this again.
    """

    record: Record | None
    cursor: Cursor
    skipped: tuple[Skipped, ...] = ()
    done: Callable[[], None] | None = None


class Source(Protocol):
    """One configured place where people put things: a workspace, a tenant, a bucket, a folder."""

    def units(self) -> Iterator[Unit | Skipped]:
        """What there is to read now. Raises `SourceError` (`AccessError` where a person must act)."""
        ...

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is in a unit from a cursor on (None: from its beginning), and what changed since, in the source's order.

        Ends when everything that is there now was given; a live unit ends after a while without news. Raises
        `SourceError`; `GoneError` if the unit is not there any more.
        """
        ...

    def close(self) -> None:
        """Let go of connections, and make whatever waits in another thread raise `ClosedError`."""
        ...


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every source can be told; each platform's own options add to it.

    `name`: what the source is called in commands, in the journal and in the store; no two have the same. `poll`:
    seconds between two passes. `include`: globs on the titles of units; with any, only units that fit one are read.
    `exclude`: globs on the titles of units that are not read. `base_url`: another address of the platform's interface
    (a proxy, a sovereign cloud, an emulator).
    """

    name: str
    poll: float = 60.0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    environment: ClassVar[dict[str, tuple[str, ...]]] = {}
    """For each field that holds a credential: the variables that are looked at if the configuration does not name
    one, in this order."""
    paths: ClassVar[tuple[str, ...]] = ()
    """The fields that are paths; relative ones start from the configuration's folder."""


class PlatformModule(Protocol):
    """What a platform's package (`keysentry/connectors/<platform>/__init__.py`) offers. It imports its SDK only inside
    `open_source`.
    """

    Options: type[SourceOptions]

    def target_options(self, target: str) -> dict[str, object]:
        """The options that a target of `keysentry scan` stands for (`s3://bucket/prefix`), as in a configuration.

        Raises `ConfigError` if it cannot be understood.
        """
        ...

    def open_source(self, options: SourceOptions) -> Source:
        """Connect. Raises `ConfigError` for options that do not fit together and `MissingExtraError`."""
        ...
