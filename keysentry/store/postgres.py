"""A store in a PostgreSQL database: for several daemons that share it, and for a console.

Writing. Transactions that change incidents take turns, by a lock of the database that ends with the transaction; ones
that only move a cursor do not wait. The server's own settings decide how durable a commit is (`synchronous_commit`).

Holding. A source is held by an advisory lock of a session, on a connection of its own
(https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). The source's commits go through that
connection. So a daemon that has lost its lock, because the server restarted or the network broke, cannot commit: it
gets the lock back first, and if another one had it in between, the hold is over.

Limits. A pooler that hands connections on after each transaction (PgBouncer's transaction mode) cannot be used.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, create_engine, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from keysentry.errors import HeldError, StoreError
from keysentry.store.database import Holder, this_process
from keysentry.store.rows import digest
from keysentry.store.tables import holders

_ADVICE = "each source has one reader; stop that process, or give the source to it alone"
_SETTINGS = "-c lock_timeout=60s"
_MANY = 20
_CONNECTING: dict[str, object] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "tcp_user_timeout": 30_000,
    "application_name": "keysentry",
}


class PostgresDatabase:
    """The `Database` protocol on a server. `url` has the driver `postgresql+psycopg`."""

    shared = True

    def __init__(self, url: URL) -> None:
        self.place = url.set(drivername="postgresql", password=None, query={}).render_as_string()
        settings = {name: value for name, value in _CONNECTING.items() if name not in url.query}
        settings["options"] = f"{url.query.get('options', '')} {_SETTINGS}".strip()
        self.engine = create_engine(
            url.difference_update_query(["options"]),
            connect_args=settings,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            max_overflow=-1,
            hide_parameters=True,
        )
        self._guard = threading.Lock()
        self._holds: dict[str, _Hold] = {}

    @contextmanager
    def writing(self, source: str = "") -> Iterator[Connection]:
        """See `Database`."""
        hold = self._holds.get(source)
        if hold is None:
            with self.engine.begin() as connection:
                yield connection
            return
        with hold.connected() as connection, connection.begin():
            yield connection

    def alone(self, connection: Connection) -> None:
        """See `Database`."""
        connection.execute(select(func.pg_advisory_xact_lock(_number("incidents"))))

    def insert(self, table: Table) -> postgresql.Insert:
        """See `Database`."""
        return postgresql.insert(table)

    def put(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], conflict: str) -> None:
        """See `Database`. Many rows of which none is there yet are copied, which is several times as fast."""
        names = ", ".join(f'"{column.name}"' for column in table.c)
        if not conflict and len(rows) >= _MANY:
            _copy(connection, f"COPY {table.name} ({names}) FROM STDIN", rows)
            return
        marks = ", ".join(["%s"] * len(table.c))
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks}){conflict}"  # noqa: S608  names of ours
        connection.exec_driver_sql(statement, list(rows))

    @contextmanager
    def hold(self, source: str) -> Iterator[None]:
        """See `Database`."""
        hold = _Hold(self, source)
        with self._guard:
            if source in self._holds:
                raise HeldError("this process reads it already", place=source)
            self._holds[source] = hold
        try:
            hold.take()
            yield
        finally:
            with self._guard:
                self._holds.pop(source, None)
            hold.give()

    def failed(self) -> None:
        """See `Database`. The pool tries its connections before it lends them."""

    def close(self) -> None:
        """See `Database`."""
        for hold in list(self._holds.values()):
            hold.give()
        self.engine.dispose()


class _Hold:
    """One source, held by one session. `token` tells whether the latest holder was this one."""

    def __init__(self, database: PostgresDatabase, source: str) -> None:
        self._database = database
        self._source = source
        self._token = secrets.token_hex(16)
        self._connection: Connection | None = None
        self._guard = threading.RLock()

    def take(self) -> None:
        """Begin to hold. Raises `HeldError`."""
        with self._guard:
            connection = self._database.engine.connect()
            try:
                if not self._lock(connection):
                    raise self._refusal(connection)
                self._sign(connection)
                connection.commit()
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            self._connection = connection

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """The session that holds; if it was lost, a new one that has got the lock back.

        Raises `HeldError` if another process held the source in between.
        """
        with self._guard:
            connection = self._connection or self._take_again()
            try:
                yield connection
            except SQLAlchemyError:
                if connection.invalidated:
                    self._drop()
                raise

    def give(self) -> None:
        """End to hold."""
        with self._guard:
            self._drop()

    def _take_again(self) -> Connection:
        connection = self._database.engine.connect()
        try:
            locked = self._lock(connection)
            if self._last_token(connection) != self._token:
                raise HeldError(
                    "another process took it over while the connection was lost",
                    place=self._source,
                    advice="begin again from the stored cursor",
                )
            if not locked:
                advice = "it will, as soon as it finds the old connection dead; try again"
                raise StoreError("the server has not ended the lost session yet", place=self._source, advice=advice)
            connection.commit()
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._connection = connection
        return connection

    def _drop(self) -> None:
        """End the session, and with it the lock."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if not connection.invalidated:
                connection.execute(select(func.pg_advisory_unlock_all()))
        except SQLAlchemyError:
            connection.invalidate()
        connection.close()

    def _lock(self, connection: Connection) -> bool:
        return bool(connection.scalar(select(func.pg_try_advisory_lock(_number("source", self._source)))))

    def _last_token(self, connection: Connection) -> str | None:
        return connection.scalar(select(holders.c.token).where(holders.c.source == self._source))

    def _sign(self, connection: Connection) -> None:
        note = msgspec.json.encode(this_process()).decode()
        row = {"source": self._source, "token": self._token, "holder": note}
        insert = postgresql.insert(holders).values(row)
        connection.execute(insert.on_conflict_do_update(index_elements=["source"], set_=row))

    def _refusal(self, connection: Connection) -> HeldError:
        note = connection.scalar(select(holders.c.holder).where(holders.c.source == self._source))
        if note is None:
            return HeldError("another process holds it", place=self._source, advice=_ADVICE)
        return msgspec.json.decode(note, type=Holder).refusal(self._source, _ADVICE)


def _copy(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Copy rows into a table. The driver does this itself, so its errors are given the form of the others here."""
    import psycopg

    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    try:
        with raw.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        lost = raw.closed
        if lost:
            connection.invalidate(error)
        raise DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=lost) from error


def _number(*words: str) -> int:
    """The key of an advisory lock: 64 bits with a sign."""
    return int.from_bytes(bytes.fromhex(digest("keysentry", *words)[:16]), "big", signed=True)
