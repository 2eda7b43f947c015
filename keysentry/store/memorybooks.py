"""What a store in memory keeps, and its rows as the other parts of the store ask for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from keysentry.model.action import SETTLED, Held, Kind
from keysentry.model.audit import Event
from keysentry.model.incident import SourceStatus
from keysentry.store import audit
from keysentry.store.audit import EventRow, Head
from keysentry.store.base import ActionQuery
from keysentry.store.outbox import (
    NO_STAGE,
    Drawer,
    HoldRow,
    Placed,
    ReceiptRow,
    Revoked,
    Task,
    Writes,
    lapsed,
    order,
    rank,
)
from keysentry.store.rows import CursorRow, IncidentRow, OccurrenceRow, RecordRow, UnreadRow
from keysentry.store.settle import Known, Slot

R = TypeVar("R", IncidentRow, OccurrenceRow, Task, HoldRow)
_RISKS = ("accepted-risk", "false-positive")


@dataclass(slots=True)
class Tables:
    """What is kept: each table by its key, and the ways into it."""

    incidents: dict[str, IncidentRow] = field(default_factory=dict)
    by_fingerprint: dict[str, str] = field(default_factory=dict)
    records: dict[str, RecordRow] = field(default_factory=dict)
    occurrences: dict[str, OccurrenceRow] = field(default_factory=dict)
    of_incident: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    of_record: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    cursors: dict[str, CursorRow] = field(default_factory=dict)
    unread: dict[str, UnreadRow] = field(default_factory=dict)
    statuses: dict[str, SourceStatus] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    unsettled: dict[str, Task] = field(default_factory=dict)
    tasks_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    holds: dict[str, HoldRow] = field(default_factory=dict)
    receipts: dict[str, ReceiptRow] = field(default_factory=dict)
    revoked: dict[str, Revoked] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    events_of: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    head: Head = field(default_factory=Head)


class MemoryBooks:
    """The `Books` and the `Ledger` of a store in memory."""

    def __init__(self, tables: Tables, audit_key: bytes) -> None:
        self._tables = tables
        self._audit_key = audit_key

    # What `settle` asks for.

    def records(self, ids: Collection[str]) -> dict[str, RecordRow]:
        """See `Ledger`."""
        return {id: row for id in ids if (row := self._tables.records.get(id))}

    def incidents(self, fingerprints: Collection[str], ids: Collection[str]) -> list[IncidentRow]:
        """See `Ledger`."""
        found = {self._tables.by_fingerprint.get(one, "") for one in fingerprints} | set(ids)
        return list(_copies(self._tables.incidents, found).values())

    def counts(self, scans: Mapping[str, str], incidents: Collection[str]) -> Mapping[Slot, int]:
        """See `Ledger`."""
        ids = (id for record in scans for id in self._tables.of_record.get(record, ()))
        rows = (self._tables.occurrences[id] for id in ids)
        passes = set(scans.values())
        return Counter(
            (row.scan, row.incident, row.part) for row in rows if row.scan in passes and row.incident in incidents
        )

    def occurrences(self, ids: Collection[str]) -> dict[str, Known]:
        """See `Ledger`."""
        rows = self._tables.occurrences
        found = ((id, rows[id]) for id in ids if id in rows)
        return {id: Known(row.scan, row.gone, row.first_seen, row.last_seen) for id, row in found}

    def held(self, keys: Collection[str]) -> dict[str, Held]:
        """See `Books`."""
        return {key: row.held for key in keys if (row := self._tables.holds.get(key))}

    def revoked(self, fingerprints: Collection[str]) -> set[str]:
        """See `Books`."""
        return {one for one in fingerprints if one in self._tables.revoked}

    # Incidents and actions.

    def incident_rows(self, ids: Collection[str]) -> dict[str, IncidentRow]:
        """See `Books`."""
        return _copies(self._tables.incidents, ids)

    def expired(self, time: float) -> list[str]:
        """See `Books`."""
        rows = [row for row in self._tables.incidents.values() if row.state in _RISKS]
        over = [(row.until, row.id) for row in rows if row.until is not None and row.until <= time]
        return [id for _, id in sorted(over)]

    def tasks(self, ids: Collection[str]) -> dict[str, Task]:
        """See `Books`."""
        return _copies(self._tables.tasks, ids)

    def tasks_of(self, incidents: Collection[str]) -> list[Task]:
        """See `Books`."""
        ids = {id: None for one in incidents for id in self._tables.tasks_of.get(one, ())}
        return list(_copies(self._tables.tasks, ids).values())

    def running(self, worker: str) -> list[Task]:
        """See `Books`."""
        tasks = self._tables.unsettled.values()
        return [replace(one) for one in tasks if one.action.state == "running" and worker in ("", one.worker)]

    def due(self, time: float, kinds: Sequence[Kind], limit: int) -> list[Task]:
        """See `Books`."""
        tasks = self._tables.unsettled.values()
        earliest: dict[tuple[str, int], int] = {}
        records = set()
        for task in tasks:
            state, untried = task.action.state, task.action.attempts == 0
            if task.stage != NO_STAGE and (state == "running" or (state == "ready" and untried)):
                for one in zip(task.action.incidents, task.rounds, strict=True):
                    earliest[one] = min(task.stage, earliest.get(one, task.stage))
            if state == "running":
                records.add(task.record)
        due = [task for task in tasks if _may_begin(task, time, kinds, earliest, records)]
        due.sort(key=order)
        return [replace(one) for one in due[:limit]]

    def task_ids(self, query: ActionQuery) -> list[str]:
        """See `Books`."""
        ids = self._tables.tasks_of.get(query.incident, set()) if query.incident else self._tables.tasks.keys()
        fits = [task for id in ids if _fits(task := self._tables.tasks[id], query)]
        fits.sort(key=lambda one: (one.action.created, rank(one.action.kind), one.action.id))
        return [one.action.id for one in fits[: query.limit]]

    def task_ids_like(self, beginning: str) -> list[str]:
        """See `Books`."""
        return sorted(id for id in self._tables.tasks if id.startswith(beginning))[:2]

    # Holds, receipts, sealed values.

    def kept(self, key: str) -> HoldRow | None:
        """See `Books`."""
        return _copies(self._tables.holds, [key]).get(key)

    def held_keys(self, incident: str) -> list[str]:
        """See `Books`."""
        rows = [one.held for one in self._tables.holds.values() if not incident or incident in one.held.incidents]
        return [one.id for one in sorted(rows, key=lambda one: (-one.at, one.id))]

    def receipts(self, actions: Collection[str]) -> dict[str, ReceiptRow]:
        """See `Books`."""
        return {id: row for id in actions if (row := self._tables.receipts.get(id))}

    def receipts_of(self, incident: str) -> list[str]:
        """See `Books`."""
        own = self._tables.tasks_of.get(incident, set())
        return [id for id in self._tables.receipts if id in own]

    def sealed_ids(self, incident: str, key: str, limit: int | None = None) -> list[str]:
        """See `Books`."""
        tables = self._tables
        ids: Iterable[str] = tables.occurrences
        if incident:
            ids = tables.of_incident.get(incident, ())
        elif key:
            ids = tables.of_record.get(key, ())
        rows = [row for id in ids if (row := tables.occurrences[id]).sealed and key in ("", row.record_id)]
        rows.sort(key=lambda row: (row.gone is not None, row.time, row.first_seen, row.id))
        return [row.id for row in rows[:limit]]

    def sealed_rows(self, ids: Collection[str]) -> dict[str, OccurrenceRow]:
        """See `Books`."""
        return _copies(self._tables.occurrences, ids)

    def stale(self, drawer: Drawer, key_name: bytes, after: str, limit: int) -> list[tuple[str, bytes]]:
        """See `Books`."""
        rows: dict[str, object] = getattr(self._tables, drawer.table)
        values = ((id, getattr(rows[id], drawer.column)) for id in sorted(rows) if id > after)
        return [(id, value) for id, value in values if value and value[1:9] != key_name][:limit]

    def reseal(self, drawer: Drawer, values: Sequence[tuple[str, bytes]]) -> None:
        """See `Books`."""
        rows: dict[str, object] = getattr(self._tables, drawer.table)
        for id, sealed in values:
            setattr(rows[id], drawer.column, sealed)

    # The audit trail.

    def head(self) -> tuple[Head | None, int]:
        """See `Books`."""
        return self._tables.head, len(self._tables.events)

    def events(self, incident: str, after: int, since: float | None, limit: int) -> list[Event]:
        """See `Books`."""
        own = self._tables.events_of.get(incident, set()) if incident else set()
        found = []
        for event in self._tables.events[after:]:
            if incident and event.incident != incident and event.number not in own:
                continue
            if since is None or event.time >= since:
                found.append(event)
                if len(found) == limit:
                    break
        return found

    # Changing it.

    def write(self, writes: Writes) -> list[EventRow]:
        """See `Books`."""
        tables = self._tables
        for row in writes.incidents:
            self.put_incident(row)
        for task in (*writes.filed, *writes.tasks):
            self._put_task(task)
        tables.holds.update((one.held.id, one) for one in writes.kept)
        for placed in writes.placed:
            self._put_placed(placed)
        tables.receipts.update((one.action, one) for one in writes.receipts)
        for revoked in writes.revoked:
            tables.revoked.setdefault(revoked.fingerprint, revoked)
        for key, time in writes.gone:
            for id in tables.of_record.get(key, ()):
                if tables.occurrences[id].gone is None:
                    tables.occurrences[id].gone = time
        rows, tables.head = audit.append(self._audit_key, tables.head, writes.events)
        for told, draft in zip(rows, writes.events, strict=True):
            tables.events.append(told.event())
            for incident in draft.also:
                tables.events_of[incident].add(told.number)
        return rows

    def put_incident(self, row: IncidentRow) -> None:
        """A row in the place of the one with its id."""
        self._tables.incidents[row.id] = row
        self._tables.by_fingerprint[row.fingerprint] = row.id

    def _put_task(self, task: Task) -> None:
        task, id = replace(task), task.action.id
        self._tables.tasks[id] = task
        for incident in task.action.incidents:
            self._tables.tasks_of[incident].add(id)
        if task.action.state in SETTLED:
            self._tables.unsettled.pop(id, None)
        else:
            self._tables.unsettled[id] = task

    def _put_placed(self, placed: Placed) -> None:
        row = self._tables.holds[placed.key]
        row.held = replace(row.held, state=placed.state, incidents=placed.incidents, at=placed.at)
        row.action = placed.action or row.action


def _copies(rows: Mapping[str, R], ids: Iterable[str]) -> dict[str, R]:
    return {id: replace(rows[id]) for id in ids if id in rows}


def _may_begin(
    task: Task, time: float, kinds: Sequence[Kind], earliest: Mapping[tuple[str, int], int], records: Collection[str]
) -> bool:
    action = task.action
    if kinds and action.kind not in kinds:
        return False
    if action.state == "running":
        if not lapsed(task.leased_until, time):
            return False
    elif action.state != "ready" or action.due_from > time or (task.record and task.record in records):
        return False
    rounds = zip(action.incidents, task.rounds, strict=True)
    return task.stage == NO_STAGE or all(earliest.get(one, task.stage) >= task.stage for one in rounds)


def _fits(task: Task, query: ActionQuery) -> bool:
    action = task.action
    late = action.due_by is not None and query.late_at is not None and action.due_by <= query.late_at
    return (
        (not query.states or action.state in query.states)
        and (not query.kinds or action.kind in query.kinds)
        and query.subject in ("", action.subject)
        and (query.late_at is None or (late and not action.escalated and action.state not in SETTLED))
    )
