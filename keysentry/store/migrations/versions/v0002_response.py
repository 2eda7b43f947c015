"""What is done about incidents: actions, holds, receipts, the audit trail; sealed places; cursors that are covered.

Revision ID: 0002

Cursors are not carried over here, because covering them needs a key: whoever opens a store takes them over
(`schema`).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_KEY = sa.String(32)
_LATE = sa.text("due_by IS NOT NULL AND NOT escalated AND state NOT IN ('done', 'rejected', 'cancelled')")


def _text(name: str, *, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=False, primary_key=primary_key)


def _number(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def upgrade() -> None:
    """From 0001."""
    op.add_column("incidents", _number("until", nullable=True))
    op.add_column("incidents", sa.Column("state_reason", _TEXT, nullable=False, server_default=""))
    op.add_column("incidents", sa.Column("assessment", sa.Text))
    op.add_column("occurrences", sa.Column("sealed", sa.LargeBinary))
    _cursors()
    _actions()
    _holds()
    _events()


def _cursors() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if sqlite:
        op.execute("PRAGMA secure_delete = ON")  # what stood in the old cursors shall not stay in free pages
    op.drop_table("cursors")
    if sqlite:
        op.execute("PRAGMA secure_delete = OFF")
    op.create_table(
        "cursors",
        sa.Column("id", _KEY, primary_key=True),
        _text("source"),
        sa.Column("covered", sa.LargeBinary, nullable=False),
        _number("time"),
    )
    op.create_index("cursors_by_source", "cursors", ["source"])


def _actions() -> None:
    op.create_table(
        "actions",
        _text("id", primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        _text("subject"),
        _text("record"),
        sa.Column("incidents", sa.Text, nullable=False),
        sa.Column("rounds", sa.Text, nullable=False),
        *(_text(name) for name in ("target", "source", "platform", "playbook")),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        *(_text(name) for name in ("actor", "reason")),
        *(_number(name) for name in ("created", "updated", "due_from")),
        _number("due_by", nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        *(_text(name) for name in ("approved_by", "note")),
        sa.Column("escalated", sa.Boolean, nullable=False),
        _text("worker"),
        _number("leased_until"),
        sa.Column("interrupted", sa.Boolean, nullable=False),
    )
    op.create_index("actions_due", "actions", ["state", "rank", "due_from"])
    op.create_index("actions_late", "actions", ["due_by"], sqlite_where=_LATE, postgresql_where=_LATE)
    op.create_table(
        "action_incidents",
        *(_text(name, primary_key=True) for name in ("action", "incident")),
        sa.Column("round", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("action_incidents_by_incident", "action_incidents", ["incident", "round"])
    op.create_table(
        "receipts",
        _text("action", primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        _number("time"),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.Column("undo", sa.LargeBinary),
    )


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", _KEY, primary_key=True),
        *(_text(name) for name in ("source", "platform")),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("incidents", sa.Text, nullable=False),
        _number("at"),
        *(_text(name) for name in ("note", "version")),
        sa.Column("place", sa.LargeBinary, nullable=False),
        sa.Column("original", sa.LargeBinary, nullable=False),
        _text("action"),
    )
    op.create_table("revoked", _text("fingerprint", primary_key=True), _text("incident"), _number("time"))


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        _number("time"),
        *(_text(name) for name in ("actor", "name", "incident", "action", "reason")),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("events_by_incident", "events", ["incident", "number"])
    op.create_table(
        "event_incidents",
        _text("incident", primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
