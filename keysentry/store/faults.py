"""What a database complains of, as a `StoreError` that says what to do.

The complaint is told without the statement and its values. `sqlite_errorname` and SQLSTATE are the databases' own
names for it (https://www.sqlite.org/rescode.html, https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from keysentry.errors import StoreError

_RETRY = "nothing of this commit is stored; it is safe to repeat"
_FULL = f"free some space; {_RETRY}"

_SQLITE = (
    ("SQLITE_FULL", "the disk is full", _FULL),
    ("SQLITE_READONLY", "the file cannot be written", "give this user write access to the file and its folder"),
    ("SQLITE_BUSY", "another process keeps the file locked", f"end it, or wait; {_RETRY}"),
    ("SQLITE_LOCKED", "another process keeps the file locked", f"end it, or wait; {_RETRY}"),
    ("SQLITE_CANTOPEN", "the file cannot be opened", "give this user read and write access to the file and its folder"),
    ("SQLITE_NOTADB", "the file is no SQLite database", "name another file in the store's url"),
    ("SQLITE_CORRUPT", "the file is damaged", "put the latest backup in its place"),
    ("SQLITE_IOERR", "the file cannot be read or written", f"look at the disk: is it full or failing? {_RETRY}"),
)
_POSTGRES = (
    ("53100", "the server's disk is full", _FULL),
    ("25006", "the server takes no writes", "connect to the primary, not to a standby"),
    ("42501", "the user may not do this", "let it create and write tables in its schema"),
    ("55P03", "another process keeps a lock for too long", f"see pg_stat_activity; {_RETRY}"),
    ("08", "the connection is lost", _RETRY),
    ("57", "the connection is lost", _RETRY),
    ("22021", "the database does not keep text in UTF-8", "create it with ENCODING 'UTF8'"),
)


def store_error(error: SQLAlchemyError, place: str) -> StoreError:
    """What happened at the store that `place` names."""
    if not isinstance(error, DBAPIError):
        return StoreError(f"it cannot be used ({type(error).__name__})", place=place)
    cause = error.orig
    name = str(getattr(cause, "sqlite_errorname", "") or "")
    state = str(getattr(cause, "sqlstate", "") or "")
    for code, table in ((name, _SQLITE), (state, _POSTGRES)):
        for prefix, reason, advice in table:
            if code.startswith(prefix):
                return StoreError(reason, place=place, advice=advice)
    if error.connection_invalidated or (not name and not state and type(cause).__name__ == "OperationalError"):
        advice = f"is it running, and are user, password and database in the store's url right? {_RETRY}"
        return StoreError(f"no connection: {_words(cause)}", place=place, advice=advice)
    return StoreError(f"it refuses: {name or state or type(cause).__name__}: {_words(cause)}", place=place)


def _words(cause: object) -> str:
    """The database's own words in one line, without the values that PostgreSQL adds to its first one."""
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    return " ".join(str(primary or cause).split())
