"""What a store promises. `tests/contract/test_store.py` holds every one to it.

Invariants.

- A commit is stored whole or not at all, and lasts once it returns.
- Committing the same batch twice leaves the store as it was after the first time.
- No secret is stored: of a finding its fingerprint, its mask and its place remain.
- A store belongs to one fingerprint key; opened with another one it says so, because no fingerprint would match.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from keysentry.model.cursor import Cursor
from keysentry.model.finding import Severity
from keysentry.model.incident import Batch, Committed, Incident, Occurrence, SourceStatus, State, Unread


class IncidentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents to give, the newest first. An empty field asks for nothing in particular.

    `severity` is the least; `since` is the least time last seen (UTC seconds); `text` is looked for, in any case, in
    title, provider, rule, mask, and in the container, author and place of occurrences.
    """

    states: tuple[State, ...] = ()
    severity: Severity | None = None
    source: str = ""
    provider: str = ""
    rule: str = ""
    text: str = ""
    since: float | None = None
    limit: int | None = None


class Store(Protocol):
    """Incidents, occurrences, cursors and the state of sources. Safe to use from several threads."""

    def commit(self, batch: Batch) -> Committed:
        """Store a batch. Raises `StoreError` (a full disk, a lost connection): then nothing of it is stored."""
        ...

    def cursor(self, source: str, unit: str) -> Cursor | None:
        """How far a unit was read; None if never."""
        ...

    def cursors(self, source: str) -> dict[str, Cursor]:
        """How far each unit of a source was read."""
        ...

    def forget(self, source: str, unit: str = "") -> int:
        """Forget how far a unit (or all of a source) was read, so that it is read anew; how many cursors that was."""
        ...

    def set_state(self, incident: str, state: State, time: float) -> None:
        """Move an incident. Raises `StoreError` if there is none with this id."""
        ...

    def incidents(self, query: IncidentQuery | None = None) -> Iterator[Incident]:
        """Incidents that fit, the last seen first."""
        ...

    def incident(self, id: str) -> Incident | None:
        """One incident by its id, or by the beginning of it that no other has."""
        ...

    def occurrences(self, incident: str) -> Iterator[Occurrence]:
        """Where an incident's secret was seen, those still there first, then by time."""
        ...

    def unread(self, source: str = "") -> Iterator[Unread]:
        """What was not read, the latest first."""
        ...

    def report(self, status: SourceStatus) -> None:
        """Note how a source is doing."""
        ...

    def statuses(self) -> list[SourceStatus]:
        """How all sources are doing, by name."""
        ...

    def hold(self, source: str) -> AbstractContextManager[None]:
        """Be the only process that reads a source, as long as the context lasts (or the process lives).

        Raises `HeldError`, which says who holds it.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
