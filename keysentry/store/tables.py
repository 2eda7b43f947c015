"""The tables of a store, for SQLite and PostgreSQL alike. `migrations/` makes them; a test holds the two together.

Invariants. Keys that come from outside (ids of records, paths) may be of any length, so rows are known by digests of
them. Text is given back exactly as it came, also where a database would refuse it (`ExactText`).
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from keysentry.store import exact

__all__ = [
    "ExactText",
    "action_incidents",
    "actions",
    "cursors",
    "event_incidents",
    "events",
    "holders",
    "holds",
    "incidents",
    "meta",
    "metadata",
    "occurrences",
    "receipts",
    "records",
    "revoked",
    "sources",
    "unread",
]

_MARK = "\x1a"
_REFUSED = re.compile("[\x00\x1a\ud800-\udfff]")
_STANDING = re.compile("\x1a([0-9a-f]{4})")


def stored(text: str) -> str:
    """Text as the databases take it: what they refuse (NUL, half characters of file names) as a mark and its code."""
    return _REFUSED.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def refused(text: str) -> bool:
    """Whether the databases would not take a text as it is."""
    if "\x00" in text or _MARK in text:
        return True
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def restored(text: str) -> str:
    """What `stored` was given."""
    return _STANDING.sub(lambda found: chr(int(found[1], 16)), text) if _MARK in text else text


class ExactText(TypeDecorator[str]):
    """Text of any length that comes back as it went in, and is sorted by its code points on either database."""

    impl = Text().with_variant(Text(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Into the database."""
        return value if value is None else stored(value)

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        """Out of it."""
        return value if value is None else restored(value)


class WordList(TypeDecorator[list[str]]):
    """A list of texts, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, dialect: Any) -> str | None:
        """Into the database."""
        return value if value is None else exact.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> list[str] | None:
        """Out of it."""
        return value if value is None else exact.decode(value, list[str])


_KEY = String(32)
metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""What the store as a whole is about: the id of its fingerprint key, and where the audit trail ends."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", ExactText, primary_key=True),
    Column("fingerprint", ExactText, nullable=False, unique=True),
    Column("rule", ExactText, nullable=False),
    Column("title", ExactText, nullable=False),
    Column("provider", ExactText, nullable=False),
    Column("category", ExactText, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("lifetime", String(16), nullable=False),
    Column("secret", ExactText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_since", Double, nullable=False),
    Column("regressions", Integer, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("words", ExactText, nullable=False),
    Column("until", Double),
    Column("state_reason", ExactText, nullable=False, server_default=""),
    Column("assessment", Text),
    Index("incidents_by_time", "last_seen", "id"),
)
"""One secret each, by its keyed fingerprint. The secret itself is only here as its mask."""

records = Table(
    "records",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("source", ExactText, nullable=False),
    Column("scans", WordList, nullable=False),
    Column("stretches", WordList, nullable=False),
)
"""Records in which something was found: which passes over them were stored (`passes`)."""

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("incident", ExactText, ForeignKey("incidents.id"), nullable=False),
    Column("record_id", _KEY, ForeignKey("records.id"), nullable=False),
    Column("scan", _KEY, nullable=False),
    Column("source", ExactText, nullable=False),
    Column("unit", ExactText, nullable=False),
    Column("record", ExactText, nullable=False),
    Column("uri", ExactText, nullable=False),
    Column("path", ExactText, nullable=False),
    Column("part", ExactText, nullable=False),
    Column("line", BigInteger),
    Column("column", BigInteger),
    Column("container", ExactText, nullable=False),
    Column("author", ExactText, nullable=False),
    Column("author_id", ExactText, nullable=False),
    Column("time", ExactText, nullable=False),
    Column("audience", Integer, nullable=False),
    Column("reach", BigInteger),
    Column("since", Double),
    Column("confidence", Double, nullable=False),
    Column("reasons", WordList, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("gone", Double),
    Column("words", ExactText, nullable=False),
    Column("sealed", LargeBinary),
    Index("occurrences_by_incident", "incident", "gone"),
    Index("occurrences_by_record", "record_id", "scan", "incident"),
    Index("occurrences_by_source", "source", "incident"),
)
"""Where an incident's secret was seen; `sealed` is the exact place and the secret, if there is a seal key."""

cursors = Table(
    "cursors",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("source", ExactText, nullable=False),
    Column("covered", LargeBinary, nullable=False),
    Column("time", Double, nullable=False),
    Index("cursors_by_source", "source"),
)
"""How far each unit was read, in the source's own words, which nobody can read without the installation's key."""

unread = Table(
    "unread",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("source", ExactText, nullable=False),
    Column("unit", ExactText, nullable=False),
    Column("place", ExactText, nullable=False),
    Column("reason", ExactText, nullable=False),
    Column("partial", Boolean, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("times", Integer, nullable=False),
    Index("unread_by_time", "last_seen"),
)
"""What was not read, or not to its end."""

sources = Table(
    "sources",
    metadata,
    Column("source", ExactText, primary_key=True),
    Column("status", ExactText, nullable=False),
)
"""How each source is doing, as its daemon last told (JSON)."""

holders = Table(
    "holders",
    metadata,
    Column("source", ExactText, primary_key=True),
    Column("token", _KEY, nullable=False),
    Column("holder", ExactText, nullable=False),
)
"""Which process reads a source. PostgreSQL only; the lock itself is its session's."""

LATE = text("due_by IS NOT NULL AND NOT escalated AND state NOT IN ('done', 'rejected', 'cancelled')")
"""Actions whose deadline can still be missed. The databases only use an index for a condition that is written alike."""

actions = Table(
    "actions",
    metadata,
    Column("id", ExactText, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("subject", ExactText, nullable=False),
    Column("record", ExactText, nullable=False),
    Column("incidents", Text, nullable=False),
    Column("rounds", Text, nullable=False),
    Column("target", ExactText, nullable=False),
    Column("source", ExactText, nullable=False),
    Column("platform", ExactText, nullable=False),
    Column("playbook", ExactText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("round", Integer, nullable=False),
    Column("settings", Text, nullable=False),
    Column("actor", ExactText, nullable=False),
    Column("reason", ExactText, nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("due_from", Double, nullable=False),
    Column("due_by", Double),
    Column("attempts", Integer, nullable=False),
    Column("approved_by", ExactText, nullable=False),
    Column("note", ExactText, nullable=False),
    Column("escalated", Boolean, nullable=False),
    Column("worker", ExactText, nullable=False),
    Column("leased_until", Double, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Index("actions_due", "state", "rank", "due_from"),
    Index("actions_late", "due_by", sqlite_where=LATE, postgresql_where=LATE),
)
"""What is done, or to be done. Lists and settings are JSON; `rank` and `stage` follow from the kind (`outbox`)."""

action_incidents = Table(
    "action_incidents",
    metadata,
    Column("action", ExactText, primary_key=True),
    Column("incident", ExactText, primary_key=True),
    Column("round", Integer, nullable=False),
    Index("action_incidents_by_incident", "incident", "round"),
    sqlite_with_rowid=False,
)
"""Which incidents an action belongs to, and how often each had come back by then."""

holds = Table(
    "holds",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("source", ExactText, nullable=False),
    Column("platform", ExactText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("incidents", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("note", ExactText, nullable=False),
    Column("version", ExactText, nullable=False),
    Column("place", LargeBinary, nullable=False),
    Column("original", LargeBinary, nullable=False),
    Column("action", ExactText, nullable=False),
)
"""Records that were held, by their keys; `place` and `original` are sealed."""

receipts = Table(
    "receipts",
    metadata,
    Column("action", ExactText, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("time", Double, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("undo", LargeBinary),
)
"""What came of actions (JSON), in the order of `number`; `undo` is sealed."""

revoked = Table(
    "revoked",
    metadata,
    Column("fingerprint", ExactText, primary_key=True),
    Column("incident", ExactText, nullable=False),
    Column("time", Double, nullable=False),
)
"""Secrets that are known to be revoked, for ever."""

events = Table(
    "events",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("time", Double, nullable=False),
    Column("actor", ExactText, nullable=False),
    Column("name", ExactText, nullable=False),
    Column("incident", ExactText, nullable=False),
    Column("action", ExactText, nullable=False),
    Column("reason", ExactText, nullable=False),
    Column("fields", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("events_by_incident", "incident", "number"),
)
"""The audit trail (`audit`)."""

event_incidents = Table(
    "event_incidents",
    metadata,
    Column("incident", ExactText, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""To whose parts of the trail an event belongs beside that of the incident that it names."""
