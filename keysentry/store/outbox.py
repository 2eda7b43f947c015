"""Actions while they are worked on, and what of a store the response part reads and writes.

Every store gives `Books`, one transaction long; what is then done with them (`desk`, `respond`) is the same for all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from keysentry.model.action import STAGE_OF, Action, Held, Kind, Receipt
from keysentry.model.audit import Event
from keysentry.model.lifecycle import STAGES
from keysentry.store.audit import Draft, EventRow, Head
from keysentry.store.base import ActionQuery
from keysentry.store.rows import IncidentRow, OccurrenceRow

LONGEST_LEASE = 3600.0
"""Seconds. A lease that ends later than this from now was given by a clock that has gone back since."""
NO_STAGE = -1
"""The stage of an action that belongs to none."""
ABOUT_RECORDS: frozenset[Kind] = frozenset({"seal", "hold", "release"})
"""What is done to a record: of one record, one at a time."""

_RANKS: dict[Kind, int] = {kind: rank for rank, kind in enumerate(STAGE_OF)}
_STAGE_NUMBERS = {stage: number for number, stage in enumerate(STAGES)}


class Task(msgspec.Struct, kw_only=True):
    """An action as it is stored. `rounds`: for each of its incidents, how often that had come back when this was filed.

    While it runs it belongs to `worker` until `leased_until`. `interrupted`: an attempt began, and nobody knows how it
    ended.
    """

    action: Action
    rounds: tuple[int, ...] = ()
    worker: str = ""
    leased_until: float = 0.0
    interrupted: bool = False

    @property
    def stage(self) -> int:
        """Its stage's number, from 0 on, or `NO_STAGE`."""
        return stage_number(self.action.kind)

    @property
    def record(self) -> str:
        """The key of the record that it is done to; empty if it is done to an incident."""
        return self.action.subject if self.action.kind in ABOUT_RECORDS else ""

    def update(self, **fields: object) -> None:
        """Change fields of the action."""
        self.action = replace(self.action, **fields)

    def give_back(self) -> None:
        """It is nobody's any more."""
        self.worker, self.leased_until = "", 0.0


def stage_number(kind: Kind) -> int:
    """The number of the stage that a kind of action belongs to."""
    stage = STAGE_OF[kind]
    return NO_STAGE if stage is None else _STAGE_NUMBERS[stage]


def rank(kind: Kind) -> int:
    """The order in which actions that are due are done: by the stages of a playbook."""
    return _RANKS[kind]


def order(task: Task) -> tuple[int, float, float, str]:
    """By rank, then by the time when they were due."""
    action = task.action
    return rank(action.kind), action.due_from, action.created, action.id


def lapsed(until: float, time: float) -> bool:
    """Whether a lease is over, or was given by a clock that has gone back since."""
    return until <= time or until > time + LONGEST_LEASE


def compatible(candidates: Iterable[Task], limit: int) -> list[Task]:
    """Of actions that could each begin now, those that may together: one of a record, one stage of an incident."""
    chosen: list[Task] = []
    records: set[str] = set()
    stages: dict[tuple[str, int], int] = {}
    for task in candidates:
        if len(chosen) >= limit:
            break
        rounds = list(zip(task.action.incidents, task.rounds, strict=True))
        earlier = any(stages.get(one, task.stage) < task.stage for one in rounds)
        if task.record in records or (earlier and task.stage != NO_STAGE):
            continue
        chosen.append(task)
        if task.record:
            records.add(task.record)
        if task.stage != NO_STAGE:
            stages |= {one: min(task.stage, stages.get(one, task.stage)) for one in rounds}
    return chosen


class HoldRow(msgspec.Struct, kw_only=True):
    """What is known of a held record, with its place and original sealed. `action` is the hold, once it is done."""

    held: Held
    place: bytes
    original: bytes
    action: str = ""


class Placed(NamedTuple):
    """What a held record has become. `action`: the hold that did it; empty: the one that is noted stays."""

    key: str
    state: Literal["held", "released"]
    incidents: tuple[str, ...]
    at: float
    action: str


class ReceiptRow(msgspec.Struct, kw_only=True):
    """What came of an action. The receipt's `undo` is left out of `receipt` and kept sealed in `undo`."""

    action: str
    time: float
    receipt: Receipt
    undo: bytes | None


class Revoked(NamedTuple):
    """A secret that is known to be revoked."""

    fingerprint: str
    incident: str
    time: float


class Drawer(NamedTuple):
    """Where sealed values are: the table and its column, the first word that a value there belongs to (the other one is
    the key of its row), and how many are sealed anew at a time.
    """

    table: Literal["occurrences", "holds", "receipts"]
    column: str
    word: str
    page: int


DRAWERS = (
    Drawer("occurrences", "sealed", "occurrence", 300),
    Drawer("holds", "place", "place", 300),
    Drawer("holds", "original", "original", 4),
    Drawer("receipts", "undo", "receipt", 300),
)


class Writes(msgspec.Struct, kw_only=True):
    """What a transaction changes. `filed` are tasks that are new; the rows replace those that they are of.

    `gone`: records (by key, and when) whose occurrences are not there any more. `events` go to the end of the trail.
    """

    filed: list[Task] = []
    tasks: list[Task] = []
    incidents: list[IncidentRow] = []
    kept: list[HoldRow] = []
    placed: list[Placed] = []
    receipts: list[ReceiptRow] = []
    revoked: list[Revoked] = []
    gone: list[tuple[str, float]] = []
    events: list[Draft] = []


class Books(Protocol):
    """What is stored, for one transaction. Rows that are given may be changed: they are the reader's own."""

    def incident_rows(self, ids: Collection[str]) -> dict[str, IncidentRow]:
        """Incidents by their ids."""
        ...

    def expired(self, time: float) -> list[str]:
        """Ids of accepted risks and false alarms whose time is over, the earliest first."""
        ...

    def tasks(self, ids: Collection[str]) -> dict[str, Task]:
        """Actions by their ids."""
        ...

    def tasks_of(self, incidents: Collection[str]) -> list[Task]:
        """All actions of some incidents."""
        ...

    def running(self, worker: str) -> list[Task]:
        """What a worker (empty: any) has leased."""
        ...

    def due(self, time: float, kinds: Sequence[Kind], limit: int) -> list[Task]:
        """Actions that may begin, each for itself: ready and due, or running with a lease that lapsed; none of an
        earlier stage of the same round of an incident stands before it, and nothing else is done to its record.

        By rank, then by the time when they were due.
        """
        ...

    def task_ids(self, query: ActionQuery) -> list[str]:
        """Ids of the actions that fit, the oldest first."""
        ...

    def task_ids_like(self, beginning: str) -> list[str]:
        """Ids that begin like this, in their order; two at most."""
        ...

    def held(self, keys: Collection[str]) -> dict[str, Held]:
        """What is known of records that were held."""
        ...

    def kept(self, key: str) -> HoldRow | None:
        """A held record with its original."""
        ...

    def held_keys(self, incident: str) -> list[str]:
        """Keys of the records that were held, of an incident or of all, the latest first."""
        ...

    def receipts(self, actions: Collection[str]) -> dict[str, ReceiptRow]:
        """What came of actions."""
        ...

    def receipts_of(self, incident: str) -> list[str]:
        """Ids of the actions of an incident that have receipts, in the order in which they were done."""
        ...

    def revoked(self, fingerprints: Collection[str]) -> set[str]:
        """Those of the secrets that are known to be revoked."""
        ...

    def sealed_ids(self, incident: str, key: str, limit: int | None = None) -> list[str]:
        """Keys of occurrences whose place is sealed, of an incident or a record: those still there first, then by
        time.
        """
        ...

    def sealed_rows(self, ids: Collection[str]) -> dict[str, OccurrenceRow]:
        """Occurrences with their sealed places, by their keys."""
        ...

    def stale(self, drawer: Drawer, key_name: bytes, after: str, limit: int) -> list[tuple[str, bytes]]:
        """The next rows, after one with the key `after`, whose value is sealed with another key than the one named."""
        ...

    def reseal(self, drawer: Drawer, values: Sequence[tuple[str, bytes]]) -> None:
        """Put values in the place of what was sealed in the rows with these keys."""
        ...

    def head(self) -> tuple[Head | None, int]:
        """Where the audit trail ends, as was noted (None: that note is not there or was changed), and the number of
        the last event that is there.
        """
        ...

    def events(self, incident: str, after: int, since: float | None, limit: int) -> list[Event]:
        """The next events with a number above `after`."""
        ...

    def write(self, writes: Writes) -> list[EventRow]:
        """Change what is stored; the events as they stand in the trail."""
        ...
