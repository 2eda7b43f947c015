"""A store in a SQLite file: for one daemon, and any number of processes that look.

Durability. The write-ahead log is synced at every commit (`synchronous=FULL`): what a commit has returned from
survives a power cut, and a source may tell its platform that an event need not be sent again.

Holding. The first hold of a process locks a file beside the database (`flock`) for as long as one of its holds
lasts; the lock ends with the process, however that ends. The whole file is held, not one source: two daemons on one
file would wait for each other's writes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import QueuePool

from keysentry.errors import StoreError
from keysentry.store.filelock import FileLock

_PATIENCE = 30.0
"""Seconds to wait for a lock of another process."""
_WRITES = {"keysentry_writes": True}


class SqliteDatabase:
    """The `Database` protocol on a file, which is made, readable by its owner only, if it is not there."""

    shared = False

    def __init__(self, path: Path) -> None:
        path = path.resolve()  # the lock must be the same by whatever name the file is called
        self.place = str(path)
        self._make(path)
        self.engine = _engine(path)
        self._writer = threading.Lock()
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))

    def _make(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            advice = "name another file in the store's url, or give this user write access to the folder"
            raise StoreError(f"the file cannot be made: {error.strerror}", place=self.place, advice=advice) from None

    @contextmanager
    def writing(self, source: str = "") -> Iterator[Connection]:
        """See `Database`. One thread at a time; the lock of the file keeps other processes out."""
        del source
        with self._writer, self.engine.connect() as connection:
            connection.execution_options(**_WRITES)
            with connection.begin():
                yield connection

    def alone(self, connection: Connection) -> None:
        """See `Database`. SQLite has only one writer anyway."""

    def insert(self, table: Table) -> sqlite.Insert:
        """See `Database`."""
        return sqlite.insert(table)

    def put(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], conflict: str) -> None:
        """See `Database`."""
        names = ", ".join(f'"{column.name}"' for column in table.c)
        marks = ", ".join("?" * len(table.c))
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks}){conflict}"  # noqa: S608  names of ours
        connection.exec_driver_sql(statement, list(rows))

    @contextmanager
    def hold(self, source: str) -> Iterator[None]:
        """See `Database`."""
        self._lock.take(source, self.place)
        try:
            yield
        finally:
            self._lock.give(source)

    def failed(self) -> None:
        """See `Database`."""
        self.engine.dispose()

    def close(self) -> None:
        """See `Database`."""
        self._lock.close()
        self.engine.dispose()


def _engine(path: Path) -> Engine:
    engine = create_engine(
        "sqlite://",
        creator=lambda: _connect(path),
        poolclass=QueuePool,
        max_overflow=-1,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver would begin by itself, later than the reads that a write depends on.
        writes = connection.get_execution_options().get("keysentry_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-65536")  # rows are known by digests, so they are written everywhere
        connection.execute("PRAGMA wal_autocheckpoint=8000")
        connection.execute("PRAGMA fullfsync=ON")  # macOS: through the drive's own cache as well
        _write_ahead(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. SQLite does not wait for the lock that this takes, so we do."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
