"""A store as a daemon leaves it: a few incidents, one of them gone, one come back, and two sources with trouble.

The secrets are forged from a seed; the store keeps their masks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing

from keysentry.installation import key
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Finding, Lifetime, Reason, Severity
from keysentry.model.incident import Batch, Sighting, SourceStatus
from keysentry.model.location import ByteSpan, Exposure, Location, Step
from keysentry.model.sensitive import Sensitive, fingerprint
from keysentry.rules.forge import forge
from keysentry.store import open_store

NOON = 1_780_000_000.0
"""2026-05-28T20:26:40Z"""
HOUR = 3600.0
GITHUB = ("github.pat-classic", "GitHub personal access token (classic)", "ghp_{base62:30}{crc32-base62:6}")
AWS = ("aws.access-key", "AWS secret access key", "{base64:40}")
PASSWORD = ("generic.password", "Password in a message", "{password:14}")

OPS = Location(
    uri="https://acme.example/archives/C012/p1714000000",
    route=(Step("message", "message 17"), Step("block", "text")),
    container="#ops",
    author="Zoë Müller",
    author_id="U012",
    time="2026-05-28T10:22:33Z",
    exposure=Exposure("internal", 240, NOON - 90 * 86400),
)
SHARED = Location(
    uri="https://acme.example/archives/C900/p1714000001",
    route=(Step("message", "message 3"),),
    container="#partners",
    author="Ed",
    author_id="U013",
    time="2026-05-28T11:00:00Z",
    exposure=Exposure("external", 1, None),
)
SHEET = Location(
    path="drop/finance.xlsx",
    route=(Step("sheet", "Keys"), Step("cell", "B7")),
    exposure=Exposure("private", None, None),
)
NOTES = Location(path="drop/=notes\n.txt", line=3, column=9, span=ByteSpan(40, 54))


def secret(kind: tuple[str, str, str], seed: int) -> Sensitive:
    """What was found; no store and no report may hold it."""
    return Sensitive(forge(kind[2], random.Random(seed)))


def found(kind: tuple[str, str, str], seed: int, where: Location, severity: Severity, confidence: float) -> Finding:
    """A finding."""
    hidden = secret(kind, seed)
    provider = kind[0].partition(".")[0]
    return Finding(
        rule=kind[0],
        title=kind[1],
        provider=provider,
        location=where,
        span=ByteSpan(0, len(hidden)),
        secret=hidden,
        confidence=confidence,
        severity=severity,
        category="credential",
        lifetime=Lifetime.LONG_LIVED,
        fingerprint=fingerprint(key(), provider, hidden),
        reasons=(Reason("check", "the checksum holds", 4.0), Reason("entropy", "4.6 bits a character", 0.8)),
    )


def batches() -> Iterator[Batch]:
    """What two sources saw, in this order."""
    token = found(*(GITHUB, 1), OPS, Severity.CRITICAL, 0.9964)
    again = found(*(GITHUB, 1), SHARED, Severity.CRITICAL, 0.97)
    cell = found(*(AWS, 2), SHEET, Severity.HIGH, 0.81)
    word = found(*(PASSWORD, 3), NOTES, Severity.LOW, 0.52)
    yield Batch(
        source="slack-main",
        time=NOON,
        sightings=(
            Sighting(unit="C012", record="C012/17", scan="1", findings=(token,)),
            Sighting(unit="C900", record="C900/3", scan="1", findings=(again,)),
        ),
        unread=(("C012", "#ops: budget.kdbx", "no format that is read", False),),
        cursors=(("C012", Cursor("17")),),
    )
    yield Batch(
        source="drop",
        time=NOON + HOUR,
        sightings=(
            Sighting(unit="drop", record="finance.xlsx", scan="1", findings=(cell,)),
            Sighting(unit="drop", record="notes.txt", scan="1", findings=(word,)),
        ),
        unread=(("drop", "drop/huge.zip", "more than 4 archives deep", True),),
    )
    yield Batch(
        source="slack-main", time=NOON + 2 * HOUR, sightings=(Sighting(unit="C900", record="C900/3", scan="2"),)
    )
    yield Batch(source="drop", time=NOON + 3 * HOUR, sightings=(Sighting(unit="drop", record="notes.txt", scan="2"),))


def statuses(now: float) -> Iterator[SourceStatus]:
    """How the sources are doing, as told a moment ago."""
    yield SourceStatus(
        source="slack-main", platform="slack", state="reading", at=now - 1, unit="#ops", units=40, records=12_304,
        bytes=9_000_000, findings=17, unread=1, records_per_second=45.2, lag=2.2, last_record=now - 3,
    )  # fmt: skip
    yield SourceStatus(
        source="drop", platform="files", state="backing-off", at=now - 30, units=1, records=2, findings=2, unread=1,
        last_error="drop: Input/output error", last_error_at=now - 30,
    )  # fmt: skip


def fill(url: str, now: float, told: Iterator[SourceStatus] | None = None) -> None:
    """Fill a store, and let one incident come to its end."""
    with closing(open_store(url, key=key())) as store:
        for batch in batches():
            store.commit(batch)
        for status in told or statuses(now):
            store.report(status)
        for incident in store.incidents():
            if incident.rule == PASSWORD[0]:
                store.move(incident.id, "false-positive", actor="ann", reason="an example", time=NOON + 4 * HOUR)
