"""The tables of a store, for SQLite and PostgreSQL alike. `migrations/` makes them; a test holds the two together.

Invariants. Keys that come from outside (ids of records, paths) may be of any length, so rows are known by digests of
them. Text is given back exactly as it came, also where a database would refuse it (`ExactText`).
"""

from __future__ import annotations

import json
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
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

__all__ = [
    "ExactText",
    "cursors",
    "holders",
    "incidents",
    "meta",
    "metadata",
    "occurrences",
    "records",
    "sources",
    "unread",
]

_MARK = "\x1a"
_REFUSED = re.compile("[\x00\x1a\ud800-\udfff]")
_STANDING = re.compile("\x1a([0-9a-f]{4})")


def stored(text: str) -> str:
    """Text as the databases take it: what they refuse (NUL, half characters of file names) as a mark and its code."""
    return _REFUSED.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


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
    """A list of texts, as JSON in ASCII."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, dialect: Any) -> str | None:
        """Into the database."""
        return value if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Any) -> list[str] | None:
        """Out of it."""
        return value if value is None else list(json.loads(value))


_KEY = String(32)
metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""What the store as a whole is about: the id of its fingerprint key."""

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
    Index("occurrences_by_incident", "incident", "gone"),
    Index("occurrences_by_record", "record_id", "scan", "incident"),
    Index("occurrences_by_source", "source", "incident"),
)
"""Where an incident's secret was seen."""

cursors = Table(
    "cursors",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("source", ExactText, nullable=False),
    Column("unit", ExactText, nullable=False),
    Column("value", ExactText, nullable=False),
    Column("time", Double, nullable=False),
    Index("cursors_by_source", "source"),
)
"""How far each unit was read, in the source's own words."""

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
