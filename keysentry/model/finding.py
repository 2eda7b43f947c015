"""What the engine keeps, and why."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from keysentry.model.location import ByteSpan, Location
from keysentry.model.sensitive import Sensitive


class Severity(StrEnum):
    """How bad it is if the finding is real."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low up to 3 for critical."""
        return list(Severity).index(self)


class Lifetime(StrEnum):
    """How long a credential lives if nobody kills it."""

    EPHEMERAL = "ephemeral"
    LONG_LIVED = "long-lived"
    UNKNOWN = "unknown"


class Reason(msgspec.Struct, frozen=True):
    """One thing that moved the confidence: what it was, in words and figures, and by how much (log-odds)."""

    name: str
    text: str
    weight: float = 0.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A credential or a piece of personal data, where it is, how sure we are, and why.

    `span` is the secret's bytes in the text that was given to the scanner; `location.span` those in the original file.
    `companions` are the other parts of a composite credential (the key id beside the secret), by their names in the
    rule.
    """

    rule: str
    title: str
    provider: str
    location: Location
    span: ByteSpan
    secret: Sensitive
    confidence: float
    severity: Severity
    category: str
    lifetime: Lifetime
    fingerprint: str
    reasons: tuple[Reason, ...] = ()
    companions: tuple[tuple[str, Sensitive], ...] = ()


class Skipped(msgspec.Struct, frozen=True):
    """Something that was not read, or not to its end: where and why. A value, never only a log line."""

    place: str
    reason: str
    partial: bool = False
