"""Where findings and cursors are kept: SQLite, PostgreSQL, or memory, behind one protocol.

with closing(open_store("sqlite:///keysentry.db", key=key())) as store:
    for incident in store.incidents():
        ...
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keysentry.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from keysentry.store.base import Store
    from keysentry.store.sealed import Seals
    from keysentry.store.sealing import Sealer

__all__ = ["open_store"]

_ADVICE = "write sqlite:///path/to/file.db, postgresql://user@host/database, or memory:"
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


def open_store(url: str, *, key: bytes, sealer: Sealer | None = None) -> Store:
    """Open the store that a url names, and make it where it is not there yet; see `StoreOptions` for the urls.

    `key` is the installation's (`installation.key`): the one that fingerprints are made with. `sealer` has the seal
    keys; without one secrets and their exact places are not kept, so that nothing can be held or revoked.

    Raises `ConfigError` for a url that cannot be used, `MissingExtraError` for PostgreSQL without its driver,
    `StoreError` for a store that cannot be opened, was written by a newer version, or belongs to another key.
    """
    from keysentry.store.sealed import Seals

    seals = Seals(key, sealer)
    if url == "memory:":
        from keysentry.store.memory import MemoryStore

        return MemoryStore(seals)
    if not url:
        from keysentry.installation import data_folder

        return _sqlite(Path(data_folder(), "keysentry.db"), seals)
    parsed = _parsed(url)
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or parsed.host or parsed.query:
            raise ConfigError("this url of a SQLite store cannot be used", place="store", advice=_ADVICE)
        return _sqlite(Path(parsed.database).expanduser(), seals)
    if parsed.drivername in _POSTGRES:
        return _postgres(parsed, seals)
    raise ConfigError(f"there is no store of the kind {parsed.drivername!r}", place="store", advice=_ADVICE)


def _parsed(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Not told: it may hold a password.
        raise ConfigError("the url of the store cannot be read", place="store", advice=_ADVICE) from None


def _sqlite(path: Path, seals: Seals) -> Store:
    from keysentry.store.sql import SqlStore
    from keysentry.store.sqlite import SqliteDatabase

    return SqlStore(SqliteDatabase(path), seals)


def _postgres(url: URL, seals: Seals) -> Store:
    try:
        import psycopg as psycopg
    except ImportError:
        raise MissingExtraError("PostgreSQL", "postgres") from None
    if not url.database:
        raise ConfigError("the url of the store names no database", place="store", advice=_ADVICE)
    from keysentry.store.postgres import PostgresDatabase
    from keysentry.store.sql import SqlStore

    return SqlStore(PostgresDatabase(url.set(drivername="postgresql+psycopg")), seals)
