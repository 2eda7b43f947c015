"""Incidents, occurrences, the records they are in; cursors; what was not read; sources and who holds them.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_KEY = sa.String(32)


def _text(name: str, *more: sa.ForeignKey, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, *more, nullable=False, primary_key=primary_key)


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "meta",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    _incidents()
    _occurrences()
    _sources()


def _incidents() -> None:
    op.create_table(
        "incidents",
        _text("id", primary_key=True),
        sa.Column("fingerprint", _TEXT, nullable=False, unique=True),
        *(_text(name) for name in ("rule", "title", "provider", "category")),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("lifetime", sa.String(16), nullable=False),
        _text("secret"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_since", sa.Double, nullable=False),
        sa.Column("regressions", sa.Integer, nullable=False),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        _text("words"),
    )
    op.create_index("incidents_by_time", "incidents", ["last_seen", "id"])


def _occurrences() -> None:
    op.create_table(
        "records",
        sa.Column("id", _KEY, primary_key=True),
        _text("source"),
        sa.Column("scans", sa.Text, nullable=False),
        sa.Column("stretches", sa.Text, nullable=False),
    )
    op.create_table(
        "occurrences",
        sa.Column("id", _KEY, primary_key=True),
        _text("incident", sa.ForeignKey("incidents.id")),
        sa.Column("record_id", _KEY, sa.ForeignKey("records.id"), nullable=False),
        sa.Column("scan", _KEY, nullable=False),
        *(_text(name) for name in ("source", "unit", "record", "uri", "path", "part")),
        sa.Column("line", sa.BigInteger),
        sa.Column("column", sa.BigInteger),
        *(_text(name) for name in ("container", "author", "author_id", "time")),
        sa.Column("audience", sa.Integer, nullable=False),
        sa.Column("reach", sa.BigInteger),
        sa.Column("since", sa.Double),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("gone", sa.Double),
        _text("words"),
    )
    op.create_index("occurrences_by_incident", "occurrences", ["incident", "gone"])
    op.create_index("occurrences_by_record", "occurrences", ["record_id", "scan", "incident"])
    op.create_index("occurrences_by_source", "occurrences", ["source", "incident"])


def _sources() -> None:
    op.create_table(
        "cursors",
        sa.Column("id", _KEY, primary_key=True),
        *(_text(name) for name in ("source", "unit", "value")),
        sa.Column("time", sa.Double, nullable=False),
    )
    op.create_index("cursors_by_source", "cursors", ["source"])
    op.create_table(
        "unread",
        sa.Column("id", _KEY, primary_key=True),
        *(_text(name) for name in ("source", "unit", "place", "reason")),
        sa.Column("partial", sa.Boolean, nullable=False),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
    )
    op.create_index("unread_by_time", "unread", ["last_seen"])
    op.create_table("sources", _text("source", primary_key=True), _text("status"))
    op.create_table(
        "holders",
        _text("source", primary_key=True),
        sa.Column("token", _KEY, nullable=False),
        _text("holder"),
    )
