"""A notice as machines are told of it, whatever carries it."""

from __future__ import annotations

from datetime import UTC, datetime

from keysentry.connectors.base import Notice, Recipient


def document(notice: Notice, recipient: Recipient) -> dict[str, object]:
    """A notice as an object of JSON: what it says, its facts, and whom it is for."""
    return {
        "id": notice.id,
        "kind": notice.kind,
        "severity": notice.severity,
        "urgent": notice.urgent,
        "language": notice.language,
        "subject": notice.subject,
        "text": notice.text,
        "links": [{"label": label, "href": address} for label, address in notice.links],
        "recipient": {"author": recipient.author, "author_id": recipient.author_id, "email": recipient.email},
        **notice.facts,
    }


def facts_of(notice: Notice) -> list[dict[str, object]]:
    """What the notice says of each incident."""
    found = notice.facts.get("incidents")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text_of(fact: dict[str, object], *names: str) -> str:
    """A fact as a text, by the way to it; empty where there is none."""
    value: object = fact
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def iso(seconds: float) -> str:
    """A time as RFC 3339 writes it, in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
