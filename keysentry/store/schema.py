"""Bringing a store's tables to this version when it is opened, and holding it to one fingerprint key.

Algorithm. In an empty database the tables are made as they are now; older ones are brought up to date by Alembic's
steps, which a test holds to give the same.

Invariants. A store that is new or up to date costs no import of Alembic. Of several processes that open a new
store at once one makes the tables and the others wait for it. A store of a newer version is left alone.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from keysentry.errors import StoreError
from keysentry.store.database import Database
from keysentry.store.migrations import FOLDER, HEAD
from keysentry.store.tables import meta, metadata

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own note of the last step that was run, as Alembic makes it."""


def prepare(database: Database, key_id: str) -> None:
    """Make the tables what this version needs. Raises `StoreError` for a newer store, or one of another key."""
    with database.engine.connect() as connection:
        ready = revision(connection) == HEAD
    if not ready:
        with database.writing() as connection:
            database.alone(connection)
            _upgrade(connection, database.place)
    with database.engine.connect() as connection:
        known = _key(connection)
    if known is None:
        with database.writing() as connection:
            row = {"name": "key_id", "value": key_id}
            connection.execute(database.insert(meta).values(row).on_conflict_do_nothing(index_elements=["name"]))
            known = _key(connection)
    if known != key_id:
        raise StoreError(
            "it belongs to another fingerprint key, so that no secret in it would be known again",
            place=database.place,
            advice="set KEYSENTRY_KEY to the key that it was made with, or name a new store",
        )


def revision(connection: Connection) -> str | None:
    """The revision of a store's tables; None where there are none."""
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.scalar(select(_version.c.version_num))


def _key(connection: Connection) -> str | None:
    return connection.scalar(select(meta.c.value).where(meta.c.name == "key_id"))


def _upgrade(connection: Connection, place: str) -> None:
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
            place=place,
            advice="pip install --upgrade keysentry",
        )
    command.upgrade(config, HEAD)
