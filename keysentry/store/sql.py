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
from sqlalchemy import Connection, Select, case, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from keysentry.errors import StoreError
from keysentry.model.cursor import Cursor
from keysentry.model.incident import Batch, Committed, Incident, Occurrence, Planner, SourceStatus, Unread
from keysentry.store.base import IncidentQuery
from keysentry.store.database import Database
from keysentry.store.desk import Desk
from keysentry.store.faults import store_error
from keysentry.store.outbox import Books
from keysentry.store.reading import (
    PAIRS,
    Reader,
    chunks,
    conditions,
    read_incidents,
    read_occurrences,
    read_unread,
)
from keysentry.store.respond import Responding
from keysentry.store.schema import prepare
from keysentry.store.sealed import Seals
from keysentry.store.settle import Change, settle
from keysentry.store.sqlbooks import SqlBooks, Writers
from keysentry.store.tables import cursors, incidents, occurrences, records, sources, unread
from keysentry.store.telling import appearances
from keysentry.store.writing import Writer

if TYPE_CHECKING:
    from keysentry.store.database import Insert

_PAGE = 200
"""How many rows a listing reads at once."""


class SqlStore(Responding):
    """The `Store` protocol on a database."""

    def __init__(self, database: Database, seals: Seals) -> None:
        """Raises `StoreError` if the database cannot be used, is of a newer version, or belongs to another key."""
        self.shared = database.shared
        self._database = database
        self._seals = seals
        self._closed = False
        self._writers = Writers(database)
        self._tables = _Tables(database)
        try:
            with self._faults():
                prepare(database, seals)
        except BaseException:
            database.close()
            raise

    def commit(self, batch: Batch, planner: Planner | None = None) -> Committed:
        """See `Store`."""
        with self._writing(batch.source) as connection:
            if any(sighting.findings for sighting in batch.sightings):
                self._database.alone(connection)
            books = SqlBooks(connection, self._writers, self._seals.audit)
            change = settle(batch, books, self._seals)
            desk = Desk(books, change.incidents)
            desk.writes.events += change.events
            actions: tuple[str, ...] = ()
            if planner is not None and change.news:
                planned = planner(appearances(change.news, change.occurrences), batch.time)
                actions = desk.file(planned, "", "", batch.time)
            gone = self._tables.write(connection, change)
            desk.flush()
            return change.committed(gone, actions)

    def cursor(self, source: str, unit: str) -> Cursor | None:
        """See `Store`."""
        id = self._seals.cursor_id(source, unit)
        with self._reading() as connection:
            covered = connection.scalar(select(cursors.c.covered).where(cursors.c.id == id))
        return None if covered is None else self._seals.uncover(id, covered)[1]

    def cursors(self, source: str) -> dict[str, Cursor]:
        """See `Store`."""
        query = select(cursors.c.id, cursors.c.covered).where(cursors.c.source == source)
        with self._reading() as connection:
            found = [self._seals.uncover(id, covered) for id, covered in connection.execute(query)]
        return dict(sorted(found, key=lambda one: one[0]))

    def forget(self, source: str, unit: str = "") -> int:
        """See `Store`."""
        with self._writing() as connection:
            wanted = cursors.c.id == self._seals.cursor_id(source, unit) if unit else cursors.c.source == source
            return connection.execute(delete(cursors).where(wanted)).rowcount

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

    @contextmanager
    def _look(self) -> Iterator[Books]:
        with self._reading() as connection:
            yield SqlBooks(connection, self._writers, self._seals.audit)

    @contextmanager
    def _change(self) -> Iterator[Books]:
        with self._writing() as connection:
            self._database.alone(connection)
            yield SqlBooks(connection, self._writers, self._seals.audit)

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


class _Tables:
    """How a database writes what `settle` works out."""

    def __init__(self, database: Database) -> None:
        self._incidents = Writer(database, incidents)
        self._records = Writer(database, records)
        self._occurrences = Writer(database, occurrences, coalesce=("sealed",))
        self._cursors = Writer(database, cursors)
        self._noting = _noting(database)

    def write(self, connection: Connection, change: Change) -> int:
        """Write a change; how many occurrences the end of passes made gone."""
        for writer, rows in (
            (self._incidents, change.incidents),
            (self._records, change.records),
            (self._occurrences, change.occurrences),
        ):
            writer.put(connection, (row for row in rows if row.id in change.inserted), new=True)
            writer.put(connection, (row for row in rows if row.id not in change.inserted))
        gone = sum(_end(connection, change, ended) for ended in chunks(change.ended, PAIRS))
        if change.unread:
            connection.execute(self._noting, [asdict(row) for row in change.unread])
        self._cursors.put(connection, change.cursors)
        return gone


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
