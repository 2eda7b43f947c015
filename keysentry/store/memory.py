"""A store that lives as long as its process: for a single scan, for tests, and to see what the others must do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from keysentry.errors import HeldError, StoreError
from keysentry.model.cursor import Cursor
from keysentry.model.incident import Batch, Committed, Incident, Occurrence, Planner, SourceStatus, Unread
from keysentry.store.base import IncidentQuery
from keysentry.store.desk import Desk
from keysentry.store.memorybooks import MemoryBooks, Tables
from keysentry.store.outbox import Books
from keysentry.store.respond import Responding
from keysentry.store.rows import IncidentRow, OccurrenceRow, Tally, incident_of, occurrence_of, unread_of
from keysentry.store.sealed import Seals
from keysentry.store.settle import Change, settle
from keysentry.store.telling import appearances


class MemoryStore(Responding):
    """The `Store` protocol, in memory. Its key needs no check: it starts empty."""

    shared = False

    def __init__(self, seals: Seals) -> None:
        self._seals = seals
        self._tables = Tables()
        self._lock = threading.RLock()
        self._held: set[str] = set()
        self._closed = False

    @contextmanager
    def _open(self) -> Iterator[Tables]:
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed", place="memory:")
            yield self._tables

    @contextmanager
    def _change(self) -> Iterator[Books]:
        with self._open() as tables:
            yield MemoryBooks(tables, self._seals.audit)

    _look = _change

    def commit(self, batch: Batch, planner: Planner | None = None) -> Committed:
        """See `Store`."""
        with self._open() as tables:
            books = MemoryBooks(tables, self._seals.audit)
            change = settle(batch, books, self._seals)
            desk = Desk(books, change.incidents)
            desk.writes.events += change.events
            actions: tuple[str, ...] = ()
            if planner is not None and change.news:
                planned = planner(appearances(change.news, change.occurrences), batch.time)
                actions = desk.file(planned, "", "", batch.time)
            gone = _apply(tables, books, change)
            desk.flush()
            return change.committed(gone, actions)

    def cursor(self, source: str, unit: str) -> Cursor | None:
        """See `Store`."""
        with self._open() as tables:
            row = tables.cursors.get(self._seals.cursor_id(source, unit))
            return None if row is None else self._seals.uncover(row.id, row.covered)[1]

    def cursors(self, source: str) -> dict[str, Cursor]:
        """See `Store`."""
        with self._open() as tables:
            rows = [row for row in tables.cursors.values() if row.source == source]
            found = [self._seals.uncover(row.id, row.covered) for row in rows]
            return dict(sorted(found, key=lambda one: one[0]))

    def forget(self, source: str, unit: str = "") -> int:
        """See `Store`."""
        with self._open() as tables:
            only = self._seals.cursor_id(source, unit) if unit else ""
            gone = [id for id, row in tables.cursors.items() if row.source == source and only in ("", id)]
            for id in gone:
                del tables.cursors[id]
            return len(gone)

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
            self._tables = Tables()

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


def _apply(tables: Tables, books: MemoryBooks, change: Change) -> int:
    """Write a change; how many occurrences the end of passes made gone."""
    for incident in change.incidents:
        books.put_incident(incident)
    tables.records.update((row.id, row) for row in change.records)
    for one in change.occurrences:
        known = tables.occurrences.get(one.id)
        one.sealed = one.sealed or (known.sealed if known else None)
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
        told = tables.unread.get(unread.id)
        if told is not None:
            unread.first_seen = told.first_seen
            unread.times = told.times + (told.last_seen != unread.last_seen)
        tables.unread[unread.id] = unread
    tables.cursors.update((row.id, row) for row in change.cursors)
    return gone
