"""Reading rows back, a page of keys at a time: what `settle` asks for, and what a listing shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Table,
    Text,
    any_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    tuple_,
)

from keysentry.model.incident import Incident, Occurrence, Unread
from keysentry.store import exact
from keysentry.store.base import IncidentQuery
from keysentry.store.rows import (
    IncidentRow,
    OccurrenceRow,
    RecordRow,
    Tally,
    UnreadRow,
    incident_of,
    occurrence_of,
    unread_of,
)
from keysentry.store.settle import Known, Slot
from keysentry.store.tables import incidents, occurrences, records, refused, stored, unread

T = TypeVar("T")
_KEYS = 5000
"""How many keys a statement asks for at once."""
PAIRS = 200
"""How many, where each comes with another one."""


class Reader(Protocol):
    """Reads the rows with some keys, in the order of the keys."""

    def __call__(self, connection: Connection, keys: list[str]) -> Iterator[Any]:
        """The rows as a reader of the store gets them. A key that is not there any more is left out."""
        ...


def chunks(keys: Iterable[T], size: int = _KEYS) -> Iterator[list[T]]:
    """Keys in lists that a statement takes."""
    rest = iter(keys)
    while chunk := list(islice(rest, size)):
        yield chunk


def among(connection: Connection, column: ColumnElement[str], keys: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column has one of some keys: they are one value of the statement, which so is the same for all."""
    if refused("".join(keys)):
        keys = list(map(stored, keys))
    if connection.dialect.name == "sqlite":
        each = func.json_each(bindparam(None, exact.encode(keys).decode(), Text)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(bindparam(None, list(keys), ARRAY(Text)))


class SqlLedger:
    """What `settle` asks for, of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def records(self, ids: Collection[str]) -> dict[str, RecordRow]:
        """See `Ledger`."""
        return {row.id: row for row in self._rows(records, RecordRow, records.c.id, ids)}

    def incidents(self, fingerprints: Collection[str], ids: Collection[str]) -> list[IncidentRow]:
        """See `Ledger`."""
        found = {row.id: row for row in self._rows(incidents, IncidentRow, incidents.c.fingerprint, fingerprints)}
        found |= {row.id: row for row in self._rows(incidents, IncidentRow, incidents.c.id, set(ids) - found.keys())}
        return list(found.values())

    def counts(self, scans: Mapping[str, str], incidents: Collection[str]) -> Mapping[Slot, int]:
        """See `Ledger`."""
        table = occurrences.c
        place = (table.scan, table.incident, table.part)
        counts: dict[Slot, int] = {}
        for passes in chunks(scans.items(), PAIRS):
            of_pass = tuple_(table.record_id, table.scan).in_(passes)
            for chunk in chunks(incidents):
                query = (
                    select(*place, func.count())
                    .where(of_pass, among(self._connection, table.incident, chunk))
                    .group_by(*place)
                )
                for scan, incident, part, count in self._connection.execute(query):
                    counts[scan, incident, part] = count
        return counts

    def occurrences(self, ids: Collection[str]) -> dict[str, Known]:
        """See `Ledger`."""
        table = occurrences.c
        known: dict[str, Known] = {}
        for chunk in chunks(ids):
            query = select(table.id, table.scan, table.gone, table.first_seen, table.last_seen)
            for id, *rest in self._connection.execute(query.where(among(self._connection, table.id, chunk))):
                known[id] = Known(*rest)
        return known

    def _rows(self, table: Table, kind: type[T], column: ColumnElement[str], keys: Collection[str]) -> Iterator[T]:
        for chunk in chunks(keys):
            for row in self._connection.execute(select(*table.c).where(among(self._connection, column, chunk))):
                yield _struct(kind, row)


def read_incidents(connection: Connection, keys: list[str]) -> Iterator[Incident]:
    """Incidents with what is counted over their occurrences."""
    tallies = _tallies(connection, keys)
    for row in _in_order(connection, incidents, IncidentRow, keys):
        yield incident_of(row, tallies.get(row.id, Tally()))


def read_occurrences(connection: Connection, keys: list[str]) -> Iterator[Occurrence]:
    """Occurrences."""
    return map(occurrence_of, _in_order(connection, occurrences, OccurrenceRow, keys))


def read_unread(connection: Connection, keys: list[str]) -> Iterator[Unread]:
    """What was not read."""
    return map(unread_of, _in_order(connection, unread, UnreadRow, keys))


def conditions(query: IncidentQuery) -> Iterator[ColumnElement[bool]]:
    """What a query asks of incidents."""
    table, places = incidents.c, exists().where(occurrences.c.incident == incidents.c.id)
    if query.states:
        yield table.state.in_(query.states)
    if query.severity is not None:
        yield table.severity >= query.severity.rank
    if query.provider:
        yield table.provider == query.provider
    if query.rule:
        yield table.rule == query.rule
    if query.since is not None:
        yield table.last_seen >= query.since
    if query.source:
        yield places.where(occurrences.c.source == query.source)
    if query.text:
        wanted = query.text.casefold()
        in_place = places.where(occurrences.c.words.contains(wanted, autoescape=True))
        yield or_(table.words.contains(wanted, autoescape=True), in_place)


def _tallies(connection: Connection, keys: list[str]) -> dict[str, Tally]:
    table = occurrences.c
    there = table.gone.is_(None)
    query = select(
        table.incident,
        func.count(case((there, 1))),
        func.count(),
        func.coalesce(func.max(case((there, table.audience))), 0),
    )
    rows = connection.execute(query.where(table.incident.in_(keys)).group_by(table.incident))
    return {incident: Tally(places, seen, audience) for incident, places, seen, audience in rows}


def _in_order(connection: Connection, table: Table, kind: type[T], keys: list[str]) -> Iterator[T]:
    rows = {row.id: row for row in connection.execute(select(*table.c).where(table.c.id.in_(keys)))}
    return (_struct(kind, rows[key]) for key in keys if key in rows)


def _struct(kind: type[T], row: Row[Any]) -> T:
    return kind(**row._mapping)
