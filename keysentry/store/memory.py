"""A store that lives as long as its process: for a single scan, for tests, and to see what the others must do."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from msgspec.structs import replace

from keysentry.errors import HeldError, StoreError
from keysentry.model.cursor import Cursor
from keysentry.model.incident import Batch, Committed, Incident, Occurrence, SourceStatus, State, Unread
from keysentry.store.base import IncidentQuery
from keysentry.store.rows import (
    CursorRow,
    IncidentRow,
    OccurrenceRow,
    RecordRow,
    Tally,
    UnreadRow,
    incident_of,
    occurrence_of,
    unread_of,
)
from keysentry.store.settle import Change, Known, Place, settle


@dataclass(slots=True)
class _Tables:
    """What is kept: each table by its key, and the ways into the occurrences."""

    incidents: dict[str, IncidentRow] = field(default_factory=dict)
    by_fingerprint: dict[str, str] = field(default_factory=dict)
    records: dict[str, RecordRow] = field(default_factory=dict)
    occurrences: dict[str, OccurrenceRow] = field(default_factory=dict)
    of_incident: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    of_record: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    cursors: dict[str, CursorRow] = field(default_factory=dict)
    unread: dict[str, UnreadRow] = field(default_factory=dict)
    statuses: dict[str, SourceStatus] = field(default_factory=dict)


class _Ledger:
    """What `settle` asks for."""

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables

    def records(self, ids: Collection[str]) -> dict[str, RecordRow]:
        return {id: row for id in ids if (row := self._tables.records.get(id))}

    def incidents(self, fingerprints: Collection[str], ids: Collection[str]) -> list[IncidentRow]:
        tables = self._tables
        found = {tables.by_fingerprint.get(one, "") for one in fingerprints} | set(ids)
        return [replace(tables.incidents[id]) for id in found if id in tables.incidents]

    def counts(self, scans: Mapping[str, str], incidents: Collection[str]) -> Mapping[Place, int]:
        ids = (id for record in scans for id in self._tables.of_record.get(record, ()))
        rows = (self._tables.occurrences[id] for id in ids)
        passes = set(scans.values())
        return Counter(
            (row.scan, row.incident, row.part) for row in rows if row.scan in passes and row.incident in incidents
        )

    def occurrences(self, ids: Collection[str]) -> dict[str, Known]:
        rows = self._tables.occurrences
        found = ((id, rows[id]) for id in ids if id in rows)
        return {id: Known(row.scan, row.gone, row.first_seen, row.last_seen) for id, row in found}


class MemoryStore:
    """The `Store` protocol, in memory. Its key needs no check: it starts empty."""

    def __init__(self) -> None:
        self._tables = _Tables()
        self._lock = threading.RLock()
        self._held: set[str] = set()
        self._closed = False

    @contextmanager
    def _open(self) -> Iterator[_Tables]:
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed", place="memory:")
            yield self._tables

    def commit(self, batch: Batch) -> Committed:
        """See `Store`."""
        with self._open() as tables:
            change = settle(batch, _Ledger(tables))
            return change.committed(_apply(tables, change))

    def cursor(self, source: str, unit: str) -> Cursor | None:
        """See `Store`."""
        return self.cursors(source).get(unit)

    def cursors(self, source: str) -> dict[str, Cursor]:
        """See `Store`."""
        with self._open() as tables:
            rows = sorted((row for row in tables.cursors.values() if row.source == source), key=lambda row: row.unit)
            return {row.unit: Cursor(row.value) for row in rows}

    def forget(self, source: str, unit: str = "") -> int:
        """See `Store`."""
        with self._open() as tables:
            gone = [id for id, row in tables.cursors.items() if row.source == source and unit in ("", row.unit)]
            for id in gone:
                del tables.cursors[id]
            return len(gone)

    def set_state(self, incident: str, state: State, time: float) -> None:
        """See `Store`."""
        with self._open() as tables:
            if incident not in tables.incidents:
                raise StoreError("there is no such incident", place=incident)
            row = tables.incidents[incident]
            if row.state != state:
                row.state, row.state_since = state, time

    def incidents(self, query: IncidentQuery | None = None) -> Iterator[Incident]:
        """See `Store`."""
        with self._open() as tables:
            query = query or IncidentQuery()
            rows = [row for row in tables.incidents.values() if self._fits(row, query)]
            rows.sort(key=lambda row: (-row.last_seen, row.id))
            return iter([incident_of(row, self._tally(row.id)) for row in rows[: query.limit]])

    def incident(self, id: str) -> Incident | None:
        """See `Store`."""
        with self._open() as tables:
            found = [id] if id in tables.incidents else [one for one in tables.incidents if id and one.startswith(id)]
            return incident_of(tables.incidents[found[0]], self._tally(found[0])) if len(found) == 1 else None

    def occurrences(self, incident: str) -> Iterator[Occurrence]:
        """See `Store`."""
        with self._open():
            rows = self._of(incident)
            rows.sort(key=lambda row: (row.gone is not None, row.time, row.first_seen, row.id))
            return iter([occurrence_of(row) for row in rows])

    def unread(self, source: str = "") -> Iterator[Unread]:
        """See `Store`."""
        with self._open() as tables:
            rows = [row for row in tables.unread.values() if source in ("", row.source)]
            rows.sort(key=lambda row: (-row.last_seen, row.source, row.unit, row.place, row.id))
            return iter([unread_of(row) for row in rows])

    def report(self, status: SourceStatus) -> None:
        """See `Store`."""
        with self._open() as tables:
            tables.statuses[status.source] = status

    def statuses(self) -> list[SourceStatus]:
        """See `Store`."""
        with self._open() as tables:
            return [tables.statuses[name] for name in sorted(tables.statuses)]

    @contextmanager
    def hold(self, source: str) -> Iterator[None]:
        """See `Store`."""
        with self._open():
            if source in self._held:
                raise HeldError("this process reads it already", place=source)
            self._held.add(source)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(source)

    def close(self) -> None:
        """See `Store`. What was kept is gone."""
        with self._lock:
            self._closed = True
            self._tables = _Tables()

    def _of(self, incident: str) -> list[OccurrenceRow]:
        return [self._tables.occurrences[id] for id in self._tables.of_incident.get(incident, ())]

    def _tally(self, incident: str) -> Tally:
        rows = self._of(incident)
        there = [row for row in rows if row.gone is None]
        return Tally(len(there), len(rows), max((row.audience for row in there), default=0))

    def _fits(self, row: IncidentRow, query: IncidentQuery) -> bool:
        wanted = query.text.casefold()
        return (
            (not query.states or row.state in query.states)
            and (query.severity is None or row.severity >= query.severity.rank)
            and query.provider in ("", row.provider)
            and query.rule in ("", row.rule)
            and (query.since is None or row.last_seen >= query.since)
            and (not query.source or any(one.source == query.source for one in self._of(row.id)))
            and (wanted in row.words or any(wanted in one.words for one in self._of(row.id)))
        )


def _apply(tables: _Tables, change: Change) -> int:
    """Write a change; how many occurrences the end of passes made gone."""
    for incident in change.incidents:
        tables.incidents[incident.id] = incident
        tables.by_fingerprint[incident.fingerprint] = incident.id
    tables.records.update((row.id, row) for row in change.records)
    for one in change.occurrences:
        tables.occurrences[one.id] = one
        tables.of_incident[one.incident].add(one.id)
        tables.of_record[one.record_id].add(one.id)
    gone = 0
    for record, scans in change.ended.items():
        for id in tables.of_record[record]:
            row = tables.occurrences[id]
            if row.gone is None and row.scan not in scans:
                row.gone = change.time
                gone += 1
    for unread in change.unread:
        known = tables.unread.get(unread.id)
        if known is not None:
            unread.first_seen = known.first_seen
            unread.times = known.times + (known.last_seen != unread.last_seen)
        tables.unread[unread.id] = unread
    tables.cursors.update((row.id, row) for row in change.cursors)
    return gone
