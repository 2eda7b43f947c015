"""What a transaction of the response part reads from a database, and writes to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Connection, Row, Table, bindparam, case, func, or_, select, update

from keysentry.model.action import Held, Kind
from keysentry.model.audit import Event
from keysentry.store import audit, leases
from keysentry.store.audit import Draft, EventRow, Head
from keysentry.store.base import ActionQuery
from keysentry.store.outbox import Drawer, HoldRow, Placed, ReceiptRow, Task, Writes, order
from keysentry.store.reading import SqlLedger, among, chunks
from keysentry.store.rows import IncidentRow, OccurrenceRow
from keysentry.store.schema import HEAD_OF_TRAIL
from keysentry.store.tables import (
    action_incidents,
    actions,
    event_incidents,
    events,
    holds,
    incidents,
    meta,
    metadata,
    occurrences,
    receipts,
    revoked,
)
from keysentry.store.taskrows import (
    held_of,
    hold_values,
    link_values,
    receipt_of,
    receipt_values,
    task_of,
    task_values,
    texted,
)
from keysentry.store.writing import Writer

if TYPE_CHECKING:
    from keysentry.store.database import Database

T = TypeVar("T")
_RISKS = ("accepted-risk", "false-positive")
_HELD = tuple(column for column in holds.c if column.name not in ("place", "original"))


class Writers:
    """How a database writes the tables of the response part."""

    def __init__(self, database: Database) -> None:
        self.incidents = Writer(database, incidents)
        self.actions = Writer(database, actions, take=task_values)
        self.links = Writer(database, action_incidents, "keep", take=tuple)
        self.holds = Writer(database, holds, take=hold_values)
        self.receipts = Writer(database, receipts, take=tuple)
        self.revoked = Writer(database, revoked, "keep", take=tuple)
        self.events = Writer(database, events, take=tuple)
        self.shares = Writer(database, event_incidents, take=tuple)
        self.meta = Writer(database, meta, take=tuple)


class SqlBooks(SqlLedger):
    """The `Books` of a database, for one transaction."""

    def __init__(self, connection: Connection, writers: Writers, audit_key: bytes) -> None:
        super().__init__(connection)
        self._writers = writers
        self._audit_key = audit_key

    # Incidents and actions.

    def incident_rows(self, ids: Collection[str]) -> dict[str, IncidentRow]:
        """See `Books`."""
        return {row.id: row for row in self._rows(incidents, IncidentRow, incidents.c.id, ids)}

    def expired(self, time: float) -> list[str]:
        """See `Books`."""
        table = incidents.c
        query = select(table.id).where(table.state.in_(_RISKS), table.until <= time).order_by(table.until, table.id)
        return list(self._connection.scalars(query))

    def tasks(self, ids: Collection[str]) -> dict[str, Task]:
        """See `Books`."""
        return self._by(actions, ids, lambda row: (row.id, task_of(row)))

    def tasks_of(self, incidents: Collection[str]) -> list[Task]:
        """See `Books`."""
        found: dict[str, Task] = {}
        for chunk in chunks(incidents):
            own = select(action_incidents.c.action).where(among(self._connection, action_incidents.c.incident, chunk))
            for row in self._connection.execute(select(*actions.c).where(actions.c.id.in_(own))):
                found[row.id] = task_of(row)
        return list(found.values())

    def running(self, worker: str) -> list[Task]:
        """See `Books`."""
        return [task_of(row) for row in self._connection.execute(leases.running(worker))]

    def due(self, time: float, kinds: Sequence[Kind], limit: int) -> list[Task]:
        """See `Books`."""
        lapsed = [task_of(row) for row in self._connection.execute(leases.lapsed(time, kinds, limit))]
        ready = [task_of(row) for row in self._connection.execute(leases.ready(time, kinds, limit))]
        return sorted(lapsed + ready, key=order)[:limit]

    def task_ids(self, query: ActionQuery) -> list[str]:
        """See `Books`."""
        return list(self._connection.scalars(leases.of_query(query)))

    def task_ids_like(self, beginning: str) -> list[str]:
        """See `Books`."""
        like = (actions.c.id >= beginning) & (actions.c.id <= f"{beginning}\x7f")
        return list(self._connection.scalars(select(actions.c.id).where(like).order_by(actions.c.id).limit(2)))

    # Holds, receipts, sealed values.

    def held(self, keys: Collection[str]) -> dict[str, Held]:
        """See `Books`."""
        return self._by(holds, keys, lambda row: (row.id, held_of(row)), _HELD)

    def kept(self, key: str) -> HoldRow | None:
        """See `Books`."""
        row = self._connection.execute(select(*holds.c).where(holds.c.id == key)).first()
        return (
            None
            if row is None
            else HoldRow(held=held_of(row), place=row.place, original=row.original, action=row.action)
        )

    def held_keys(self, incident: str) -> list[str]:
        """See `Books`."""
        query = select(holds.c.id).order_by(holds.c.at.desc(), holds.c.id)
        if incident:
            query = query.where(holds.c.incidents.contains(f'"{incident}"', autoescape=True))
        return list(self._connection.scalars(query))

    def receipts(self, actions: Collection[str]) -> dict[str, ReceiptRow]:
        """See `Books`."""
        return self._by(receipts, actions, lambda row: (row.action, receipt_of(row)))

    def receipts_of(self, incident: str) -> list[str]:
        """See `Books`."""
        own = select(action_incidents.c.action).where(action_incidents.c.incident == incident)
        query = select(receipts.c.action).where(receipts.c.action.in_(own)).order_by(receipts.c.number)
        return list(self._connection.scalars(query))

    def revoked(self, fingerprints: Collection[str]) -> set[str]:
        """See `Books`."""
        return set(self._by(revoked, fingerprints, lambda row: (row.fingerprint, None)))

    def sealed_ids(self, incident: str, key: str, limit: int | None = None) -> list[str]:
        """See `Books`."""
        table = occurrences.c
        order = (case((table.gone.is_(None), 0), else_=1), table.time, table.first_seen, table.id)
        query = select(table.id).where(table.sealed.is_not(None)).order_by(*order).limit(limit)
        if incident:
            query = query.where(table.incident == incident)
        if key:
            query = query.where(table.record_id == key)
        return list(self._connection.scalars(query))

    def sealed_rows(self, ids: Collection[str]) -> dict[str, OccurrenceRow]:
        """See `Books`."""
        return {row.id: row for row in self._rows(occurrences, OccurrenceRow, occurrences.c.id, ids)}

    def stale(self, drawer: Drawer, key_name: bytes, after: str, limit: int) -> list[tuple[str, bytes]]:
        """See `Books`."""
        id, value = _drawer(drawer)
        other = func.substr(value, 2, len(key_name)) != key_name
        query = select(id, value).where(id > after, value.is_not(None), other).order_by(id).limit(limit)
        return [(row[0], row[1]) for row in self._connection.execute(query)]

    def reseal(self, drawer: Drawer, values: Sequence[tuple[str, bytes]]) -> None:
        """See `Books`."""
        id, value = _drawer(drawer)
        query = update(id.table).where(id == bindparam("_id")).values({value.name: bindparam("_sealed")})
        self._connection.execute(query, [{"_id": key, "_sealed": sealed} for key, sealed in values])

    # The audit trail.

    def head(self) -> tuple[Head | None, int]:
        """See `Books`."""
        last = select(func.coalesce(func.max(events.c.number), 0)).scalar_subquery()
        noted = select(meta.c.value).where(meta.c.name == HEAD_OF_TRAIL).scalar_subquery()
        row = self._connection.execute(select(noted, last)).one()
        return audit.read_head(self._audit_key, row[0]), row[1]

    def events(self, incident: str, after: int, since: float | None, limit: int) -> list[Event]:
        """See `Books`."""
        table = events.c
        query = select(*table).where(table.number > after).order_by(table.number).limit(limit)
        if since is not None:
            query = query.where(table.time >= since)
        if incident:
            shared = select(event_incidents.c.number).where(event_incidents.c.incident == incident)
            query = query.where(or_(table.incident == incident, table.number.in_(shared)))
        return [EventRow(*row).event() for row in self._connection.execute(query)]

    # Changing it.

    def write(self, writes: Writes) -> list[EventRow]:
        """See `Books`."""
        writers, connection = self._writers, self._connection
        writers.incidents.put(connection, writes.incidents)
        writers.actions.put(connection, writes.filed, new=True)
        writers.links.put(connection, (link for task in writes.filed for link in link_values(task)), new=True)
        writers.actions.put(connection, writes.tasks)
        writers.links.put(connection, (link for task in writes.tasks for link in link_values(task)))
        writers.holds.put(connection, writes.kept)
        for placed in writes.placed:
            self._place(placed)
        told, head = self._append(writes.events)
        writers.receipts.put(connection, (receipt_values(head.number, row) for row in writes.receipts))
        writers.revoked.put(connection, writes.revoked)
        for key, time in writes.gone:
            here = (occurrences.c.record_id == key) & occurrences.c.gone.is_(None)
            connection.execute(update(occurrences).where(here).values(gone=time))
        return told

    def _place(self, placed: Placed) -> None:
        values: dict[str, Any] = {"state": placed.state, "incidents": texted(placed.incidents), "at": placed.at}
        if placed.action:
            values["action"] = placed.action
        self._connection.execute(update(holds).where(holds.c.id == placed.key).values(values))

    def _append(self, drafts: list[Draft]) -> tuple[list[EventRow], Head]:
        """Write events at the end of the trail. Where the note of its end is lost, that is written into it first."""
        if not drafts:
            return [], Head()
        noted = self._connection.scalar(select(meta.c.value).where(meta.c.name == HEAD_OF_TRAIL))
        head = audit.read_head(self._audit_key, noted)
        if head is None:
            head, drafts = self._last(), [audit.lost(drafts[0].time), *drafts]
        told, head = audit.append(self._audit_key, head, drafts)
        self._writers.events.put(self._connection, told, new=True)
        shares = [(id, row.number) for row, draft in zip(told, drafts, strict=True) for id in draft.also]
        self._writers.shares.put(self._connection, shares, new=True)
        self._writers.meta.put(self._connection, [(HEAD_OF_TRAIL, audit.write_head(self._audit_key, head))])
        return told, head

    def _last(self) -> Head:
        """The last event that is there."""
        table = events.c
        row = self._connection.execute(select(table.number, table.hash, table.time).order_by(table.number.desc()))
        last = row.first()
        return Head(*last) if last else Head()

    def _by(
        self,
        table: Table,
        keys: Collection[str],
        pair: Callable[[Row[Any]], tuple[str, T]],
        columns: Sequence[Column[Any]] = (),
    ) -> dict[str, T]:
        """What the rows with some keys are, by their keys."""
        (key,) = table.primary_key
        query = select(*(columns or table.c))
        found: dict[str, T] = {}
        for chunk in chunks(keys):
            found.update(map(pair, self._connection.execute(query.where(among(self._connection, key, chunk)))))
        return found


def _drawer(drawer: Drawer) -> tuple[Column[str], Column[bytes]]:
    """The key and the sealed column of a drawer's table."""
    table = metadata.tables[drawer.table]
    (key,) = table.primary_key
    return key, table.c[drawer.column]
