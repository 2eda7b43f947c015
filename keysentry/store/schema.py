"""Bringing a store's tables to this version when it is opened, and holding it to one fingerprint key.

Algorithm. In an empty database the tables are made as they are now; older ones are brought up to date by Alembic's
steps, which a test holds to give the same.

Invariants. A store that is new or up to date costs no import of Alembic. Of several processes that open a new
store at once one makes the tables and the others wait for it. A store of a newer version is left alone.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, column, insert, inspect, select, table

from keysentry.errors import StoreError
from keysentry.model.cursor import Cursor
from keysentry.store.audit import Head, write_head
from keysentry.store.database import Database
from keysentry.store.migrations import FOLDER, HEAD
from keysentry.store.sealed import Seals
from keysentry.store.tables import cursors, meta, metadata, restored

HEAD_OF_TRAIL = "audit_head"
"""The row of `meta` that notes where the audit trail ends."""
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own note of the last step that was run, as Alembic makes it."""


def prepare(database: Database, seals: Seals) -> None:
    """Make the tables what this version needs. Raises `StoreError` for a newer store, or one of another key."""
    with database.engine.connect() as connection:
        ready = revision(connection) == HEAD and _check_key(connection, database, seals)
    if not ready:
        with database.writing() as connection:
            database.alone(connection)
            _upgrade(connection, database, seals)
            if not _check_key(connection, database, seals):
                _sign(connection, seals)


def revision(connection: Connection) -> str | None:
    """The revision of a store's tables; None where there are none."""
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.scalar(select(_version.c.version_num))


def _check_key(connection: Connection, database: Database, seals: Seals) -> bool:
    """Whether the store has a key, which then is this one. Raises `StoreError` if it is another."""
    known = connection.scalar(select(meta.c.value).where(meta.c.name == "key_id"))
    if known not in (None, seals.key_id):
        raise StoreError(
            "it belongs to another fingerprint key, so that no secret in it would be known again",
            place=database.place,
            advice="set KEYSENTRY_KEY to the key that it was made with, or name a new store",
        )
    return known is not None


def _sign(connection: Connection, seals: Seals) -> None:
    """Note the key of a new store, and that its audit trail is empty."""
    connection.execute(insert(meta).values(name="key_id", value=seals.key_id))
    _begin_trail(connection, seals)


def _begin_trail(connection: Connection, seals: Seals) -> None:
    connection.execute(insert(meta).values(name=HEAD_OF_TRAIL, value=write_head(seals.audit, Head())))


def _upgrade(connection: Connection, database: Database, seals: Seals) -> None:
    before = revision(connection)
    if before == HEAD:
        return
    if before is None:
        metadata.create_all(connection)
        _version.create(connection)
        connection.execute(insert(_version).values(version_num=HEAD))
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before not in known:
        raise StoreError(
            f"it was written by a newer version of keysentry (its tables are of revision {before})",
            place=database.place,
            advice="pip install --upgrade keysentry",
        )
    signed = _check_key(connection, database, seals)
    plain = _plain_cursors(connection) if before == "0001" else []
    command.upgrade(config, HEAD)
    if before == "0001":
        if signed:
            _begin_trail(connection, seals)
        _cover(connection, seals, plain)


def _plain_cursors(connection: Connection) -> list[tuple[str, str, str, float]]:
    """Cursors as revision 0001 kept them."""
    old = table("cursors", *(column(name) for name in ("source", "unit", "value", "time")))
    return [(restored(source), restored(unit), restored(value), time) for source, unit, value, time in
            connection.execute(select(old))]  # fmt: skip


def _cover(connection: Connection, seals: Seals, plain: list[tuple[str, str, str, float]]) -> None:
    for source, unit, value, time in plain:
        id = seals.cursor_id(source, unit)
        covered = seals.cover(id, unit, Cursor(value))
        connection.execute(insert(cursors).values(id=id, source=source, covered=covered, time=time))
