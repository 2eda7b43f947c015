"""What is stored, row by row, and what a reader gets of it. Every store keeps these rows; only where differs."""

from __future__ import annotations

import hashlib
from typing import get_args

import msgspec

from keysentry.model.action import Assessment
from keysentry.model.finding import Lifetime, Severity
from keysentry.model.incident import Incident, Occurrence, Unread
from keysentry.model.lifecycle import State
from keysentry.model.location import Audience, Exposure
from keysentry.store import exact

AUDIENCES: tuple[Audience, ...] = get_args(Audience)
"""From the least known to the widest; a row holds the index."""
_SEVERITIES = tuple(Severity)


class IncidentRow(msgspec.Struct, kw_only=True):
    """One secret. `words` is what a search by text looks through; `assessment` is JSON."""

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
    until: float | None = None
    state_reason: str = ""
    assessment: str | None = None


class RecordRow(msgspec.Struct, kw_only=True):
    """A record in which something was found: the passes over it and what of the newest was stored (`settle`)."""

    id: str
    source: str
    scans: list[str]
    stretches: list[str]


class OccurrenceRow(msgspec.Struct, kw_only=True):
    """One place of a secret. `scan` is the pass that saw it last; `sealed` the exact place and the secret (`Seals`)."""

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
    sealed: bytes | None = None


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
    """How far a unit was read: both the unit and the cursor are covered (`Seals`)."""

    id: str
    source: str
    covered: bytes
    time: float


class Tally(msgspec.Struct, frozen=True):
    """What is counted over the occurrences of an incident: those there now, all ever, the widest audience."""

    places: int = 0
    seen: int = 0
    audience: int = 0


def digest(*words: str) -> str:
    """A key for some words: 128 bits in hex. Different words never run together."""
    joined = "".join([f"{len(word)}:{word}" for word in words])
    if joined.isascii():  # nearly always, and then a character is a byte
        return hashlib.sha256(joined.encode()).hexdigest()[:32]
    raws = [word.encode("utf-8", "surrogatepass") for word in words]
    return hashlib.sha256(b"".join([b"%d:%b" % (len(raw), raw) for raw in raws])).hexdigest()[:32]


def searchable(*texts: str) -> str:
    """Texts as a search compares them: in one case, and apart from each other."""
    return "\n".join(dict.fromkeys([text.casefold() for text in texts if text]))


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
        state_since=row.state_since,
        until=row.until,
        state_reason=row.state_reason,
        assessment=None if row.assessment is None else exact.decode(row.assessment, Assessment),
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
