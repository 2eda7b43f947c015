"""The store on a database: what `settle` works out, as a handful of statements in one transaction.

Algorithm. A commit asks for what its batch touches (known records, incidents, occurrences), each with one statement
per few hundred keys, lets `settle` work out the rows, and writes them table by table, cursors last. A batch in which
nothing was found, of records that are not known, ends after the first question and the cursors.

Failure modes. Whatever a database complains of is a `StoreError`; the transaction is rolled back, and the next one
begins with a connection that works, if one can be had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection, Select, Table, case, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from keysentry.errors import StoreError
from keysentry.model.cursor import Cursor
from keysentry.model.incident import Batch, Committed, Incident, Occurrence, SourceStatus, State, Unread
from keysentry.store.base import IncidentQuery
from keysentry.store.database import Database
from keysentry.store.faults import store_error
from keysentry.store.reading import (
    PAIRS,
    Reader,
    SqlLedger,
    chunks,
    conditions,
    read_incidents,
    read_occurrences,
    read_unread,
)
from keysentry.store.rows import digest
from keysentry.store.schema import prepare
from keysentry.store.settle import Change, settle
from keysentry.store.tables import cursors, incidents, occurrences, records, sources, unread

if TYPE_CHECKING:
    from keysentry.store.database import Insert

_PAGE = 200
"""How many rows a listing reads at once."""


class SqlStore:
    """The `Store` protocol on a database."""

    def __init__(self, database: Database, key_id: str) -> None:
        """Raises `StoreError` if the database cannot be used, is of a newer version, or belongs to another key."""
        self._database = database
        self._closed = False
        self._replacing = {table: _replacing(database, table) for table in (incidents, records, occurrences, cursors)}
        self._noting = _noting(database)
        try:
            with self._faults():
                prepare(database, key_id)
        except BaseException:
            database.close()
            raise

    def commit(self, batch: Batch) -> Committed:
        """See `Store`."""
        with self._writing(batch.source) as connection:
            if any(sighting.findings for sighting in batch.sightings):
                self._database.alone(connection)
            change = settle(batch, SqlLedger(connection))
            return change.committed(self._write(connection, change))

    def cursor(self, source: str, unit: str) -> Cursor | None:
        """See `Store`."""
        with self._reading() as connection:
            value = connection.scalar(select(cursors.c.value).where(cursors.c.id == digest(source, unit)))
            return None if value is None else Cursor(value)

    def cursors(self, source: str) -> dict[str, Cursor]:
        """See `Store`."""
        query = select(cursors.c.unit, cursors.c.value).where(cursors.c.source == source).order_by(cursors.c.unit)
        with self._reading() as connection:
            return {unit: Cursor(value) for unit, value in connection.execute(query)}

    def forget(self, source: str, unit: str = "") -> int:
        """See `Store`."""
        with self._writing() as connection:
            wanted = cursors.c.id == digest(source, unit) if unit else cursors.c.source == source
            return connection.execute(delete(cursors).where(wanted)).rowcount

    def set_state(self, incident: str, state: State, time: float) -> None:
        """See `Store`."""
        with self._writing() as connection:
            self._database.alone(connection)
            known = connection.scalar(select(incidents.c.state).where(incidents.c.id == incident))
            if known is None:
                raise StoreError("there is no such incident", place=incident)
            if known != state:
                values = {"state": state, "state_since": time}
                connection.execute(update(incidents).where(incidents.c.id == incident).values(values))

    def incidents(self, query: IncidentQuery | None = None) -> Iterator[Incident]:
        """See `Store`."""
        query = query or IncidentQuery()
        ids = select(incidents.c.id).where(*conditions(query)).order_by(incidents.c.last_seen.desc(), incidents.c.id)
        return self._listing(ids.limit(query.limit), read_incidents)

    def incident(self, id: str) -> Incident | None:
        """See `Store`."""
        # Ids are in ASCII, so that no id that begins with this one comes after it and the last ASCII character.
        beginning = (incidents.c.id >= id) & (incidents.c.id <= f"{id}\x7f")
        with self._reading() as connection:
            found = list(connection.scalars(select(incidents.c.id).where(beginning).order_by(incidents.c.id).limit(2)))
            if not id or not found or (len(found) > 1 and found[0] != id):
                return None
            return next(read_incidents(connection, found[:1]), None)

    def occurrences(self, incident: str) -> Iterator[Occurrence]:
        """See `Store`."""
        table = occurrences.c
        order = (case((table.gone.is_(None), 0), else_=1), table.time, table.first_seen, table.id)
        return self._listing(select(table.id).where(table.incident == incident).order_by(*order), read_occurrences)

    def unread(self, source: str = "") -> Iterator[Unread]:
        """See `Store`."""
        table = unread.c
        ids = select(table.id).order_by(table.last_seen.desc(), table.source, table.unit, table.place, table.id)
        return self._listing(ids.where(table.source == source) if source else ids, read_unread)

    def report(self, status: SourceStatus) -> None:
        """See `Store`."""
        row = {"source": status.source, "status": json.dumps(asdict(status))}
        insert = self._database.insert(sources).values(row)
        with self._writing() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["source"], set_=row))

    def statuses(self) -> list[SourceStatus]:
        """See `Store`."""
        with self._reading() as connection:
            rows = connection.scalars(select(sources.c.status).order_by(sources.c.source))
            return [msgspec.convert(json.loads(row), SourceStatus) for row in rows]

    @contextmanager
    def hold(self, source: str) -> Iterator[None]:
        """See `Store`."""
        hold = self._database.hold(source)
        with self._faults():
            hold.__enter__()
        try:
            yield
        finally:
            hold.__exit__(None, None, None)

    def close(self) -> None:
        """See `Store`."""
        self._closed = True
        self._database.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        if self._closed:
            raise StoreError("the store is closed", place=self._database.place)
        try:
            yield
        except SQLAlchemyError as error:
            self._database.failed()
            raise store_error(error, self._database.place) from error

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._faults(), self._database.engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self, source: str = "") -> Iterator[Connection]:
        with self._faults(), self._database.writing(source) as connection:
            yield connection

    def _write(self, connection: Connection, change: Change) -> int:
        """Write a change; how many occurrences the end of passes made gone."""
        self._replace(connection, incidents, change.incidents)
        self._replace(connection, records, change.records)
        self._replace(connection, occurrences, change.occurrences)
        gone = sum(_end(connection, change, ended) for ended in chunks(change.ended, PAIRS))
        if change.unread:
            connection.execute(self._noting, [asdict(row) for row in change.unread])
        self._replace(connection, cursors, change.cursors)
        return gone

    def _replace(self, connection: Connection, table: Table, rows: list[Any]) -> None:
        if rows:
            connection.execute(self._replacing[table], [asdict(row) for row in rows])

    def _listing(self, ids: Select[Any], read: Reader) -> Iterator[Any]:
        """Rows in the order of `ids`. The list of keys is read at once, so that it does not shift while it is shown;
        the rows are read page by page, so that nothing stays open between them.
        """
        with self._reading() as connection:
            keys = list(connection.scalars(ids))
        return self._pages(keys, read)

    def _pages(self, keys: list[str], read: Reader) -> Iterator[Any]:
        for at in range(0, len(keys), _PAGE):
            with self._reading() as connection:
                page = list(read(connection, keys[at : at + _PAGE]))
            yield from page


def _replacing(database: Database, table: Table) -> Insert:
    """Write rows in the place of those with the same keys."""
    insert = database.insert(table)
    values = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=["id"], set_=values)


def _noting(database: Database) -> Insert:
    """Note again what was not read: a batch that is committed again has the same time, and is not counted twice."""
    insert = database.insert(unread)
    anew = case((unread.c.last_seen != insert.excluded.last_seen, 1), else_=0)
    values = {
        "times": unread.c.times + anew,
        "last_seen": insert.excluded.last_seen,
        "partial": insert.excluded.partial,
    }
    return insert.on_conflict_do_update(index_elements=["id"], set_=values)


def _end(connection: Connection, change: Change, ended: list[str]) -> int:
    """What a pass has not seen is gone. Keys of passes name their record as well, so one statement does for all."""
    scans = [scan for record in ended for scan in change.ended[record]]
    table = occurrences.c
    left = table.record_id.in_(ended) & table.gone.is_(None) & table.scan.not_in(scans)
    return connection.execute(update(occurrences).where(left).values(gone=change.time)).rowcount
