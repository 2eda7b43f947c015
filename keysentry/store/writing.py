"""Writing rows by the hundred: one statement a table, its values taken from rows without detours.

A commit of a thousand findings writes some thousands of rows. SQLAlchemy's way from a row to a driver's values costs
more than the databases need for them, so this is the one place that speaks to the drivers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Table

from keysentry.store import exact
from keysentry.store.tables import ExactText, WordList, refused, stored

if TYPE_CHECKING:
    from keysentry.store.database import Database

Values = tuple[Any, ...]


class Writer:
    """Puts rows into one table.

    `instead` says what happens to a row whose key is there already: `replace` all of it but its key, or `keep` what is
    there. `coalesce` names columns whose value stays where the new row has none. `take` gives the values of a row in
    the order of the table's columns; without it a row has attributes with their names.
    """

    def __init__(
        self,
        database: Database,
        table: Table,
        instead: Literal["replace", "keep"] = "replace",
        *,
        coalesce: Sequence[str] = (),
        take: Callable[[Any], Values] | None = None,
    ) -> None:
        self._database = database
        self._table = table
        columns = list(table.c)
        names = [column.name for column in columns]
        self._take = take or attrgetter(*names)
        self._texts = [at for at, column in enumerate(columns) if isinstance(column.type, ExactText)]
        self._lists = [at for at, column in enumerate(columns) if isinstance(column.type, WordList)]
        self._read = itemgetter(*self._texts, *self._texts[:1]) if self._texts else tuple
        self._conflict = _conflict(table, instead, coalesce)

    def put(self, connection: Connection, rows: Iterable[Any], *, new: bool = False) -> None:
        """Write rows, each of another key. `new`: none of them is there yet, and nobody else can write one now."""
        values = list(map(self._take, rows))
        if not values:
            return
        for at in self._lists:
            values = [(*row[:at], exact.encode(row[at]).decode(), *row[at + 1 :]) for row in values]
        if self._texts and refused("".join(chain.from_iterable(map(self._read, values)))):
            values = [self._stored(row) for row in values]
        self._database.put(connection, self._table, values, "" if new else self._conflict)

    def _stored(self, row: Values) -> Values:
        """A row with texts that the database takes."""
        changed = list(row)
        for at in self._texts:
            changed[at] = stored(row[at])
        return tuple(changed)


def _conflict(table: Table, instead: str, coalesce: Sequence[str]) -> str:
    """What follows the values of an `INSERT`, the same for SQLite and PostgreSQL."""
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    if instead == "keep":
        return f" ON CONFLICT ({keys}) DO NOTHING"
    names = [column.name for column in table.c if not column.primary_key]
    values = {name: f'excluded."{name}"' for name in names}
    values |= {name: f'coalesce({values[name]}, {table.name}."{name}")' for name in coalesce}
    return f" ON CONFLICT ({keys}) DO UPDATE SET " + ", ".join(f'"{name}" = {value}' for name, value in values.items())
