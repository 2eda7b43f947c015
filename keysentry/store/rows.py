"""What is stored, row by row, and what a reader gets of it. Every store keeps these rows; only where differs."""

from __future__ import annotations

import hashlib
from typing import get_args

import msgspec

from keysentry.model.finding import Lifetime, Severity
from keysentry.model.incident import Incident, Occurrence, State, Unread
from keysentry.model.location import Audience, Exposure

AUDIENCES: tuple[Audience, ...] = get_args(Audience)
"""From the least known to the widest; a row holds the index."""
_SEVERITIES = tuple(Severity)


class IncidentRow(msgspec.Struct, kw_only=True):
    """One secret. `words` is what a search by text looks through."""

    id: str
    fingerprint: str
    rule: str
    title: str
    provider: str
    category: str
    severity: int
    confidence: float
    lifetime: str
    secret: str
    state: State
    state_since: float
    regressions: int
    first_seen: float
    last_seen: float
    words: str


class RecordRow(msgspec.Struct, kw_only=True):
    """A record in which something was found: the passes over it and what of the newest was stored (`settle`)."""

    id: str
    source: str
    scans: list[str]
    stretches: list[str]


class OccurrenceRow(msgspec.Struct, kw_only=True):
    """One place of a secret. `scan` is the pass that saw it last."""

    id: str
    incident: str
    record_id: str
    scan: str
    source: str
    unit: str
    record: str
    uri: str
    path: str
    part: str
    line: int | None
    column: int | None
    container: str
    author: str
    author_id: str
    time: str
    audience: int
    reach: int | None
    since: float | None
    confidence: float
    reasons: list[str]
    first_seen: float
    last_seen: float
    gone: float | None
    words: str


class UnreadRow(msgspec.Struct, kw_only=True):
    """Something that was not read."""

    id: str
    source: str
    unit: str
    place: str
    reason: str
    partial: bool
    first_seen: float
    last_seen: float
    times: int = 1


class CursorRow(msgspec.Struct, kw_only=True):
    """How far a unit was read."""

    id: str
    source: str
    unit: str
    value: str
    time: float


class Tally(msgspec.Struct, frozen=True):
    """What is counted over the occurrences of an incident: those there now, all ever, the widest audience."""

    places: int = 0
    seen: int = 0
    audience: int = 0


def digest(*words: str) -> str:
    """A key for some words: 128 bits in hex. Different words never run together."""
    whole = hashlib.sha256()
    for word in words:
        raw = word.encode("utf-8", "surrogatepass")
        whole.update(b"%d:" % len(raw))
        whole.update(raw)
    return whole.hexdigest()[:32]


def searchable(*texts: str) -> str:
    """Texts as a search compares them: in one case, and apart from each other."""
    return "\n".join(dict.fromkeys(text.casefold() for text in texts if text))


def incident_of(row: IncidentRow, tally: Tally) -> Incident:
    """A row as a reader gets it."""
    return Incident(
        id=row.id,
        fingerprint=row.fingerprint,
        rule=row.rule,
        title=row.title,
        provider=row.provider,
        category=row.category,
        severity=_SEVERITIES[row.severity],
        confidence=row.confidence,
        lifetime=Lifetime(row.lifetime),
        secret=row.secret,
        state=row.state,
        places=tally.places,
        seen=tally.seen,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        regressions=row.regressions,
        audience=AUDIENCES[tally.audience],
    )


def occurrence_of(row: OccurrenceRow) -> Occurrence:
    """A row as a reader gets it."""
    return Occurrence(
        incident=row.incident,
        source=row.source,
        unit=row.unit,
        record=row.record,
        uri=row.uri,
        path=row.path,
        part=row.part,
        line=row.line,
        column=row.column,
        container=row.container,
        author=row.author,
        author_id=row.author_id,
        time=row.time,
        exposure=Exposure(AUDIENCES[row.audience], row.reach, row.since),
        confidence=row.confidence,
        reasons=tuple(row.reasons),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        gone=row.gone,
    )


def unread_of(row: UnreadRow) -> Unread:
    """A row as a reader gets it."""
    return Unread(
        source=row.source,
        unit=row.unit,
        place=row.place,
        reason=row.reason,
        partial=row.partial,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        times=row.times,
    )
