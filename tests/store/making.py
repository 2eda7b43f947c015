"""Findings and batches for the tests of stores. Secrets are forged, and never the same as in another test run."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from msgspec.structs import asdict

from keysentry.model.cursor import Cursor
from keysentry.model.finding import Finding, Lifetime, Reason, Severity
from keysentry.model.incident import Batch, Sighting
from keysentry.model.location import Audience, ByteSpan, Exposure, Location, Step
from keysentry.model.sensitive import Sensitive, fingerprint
from keysentry.rules.forge import forge
from keysentry.store.base import Store

KEY = b"the key of these tests"


def forged(seed: int) -> str:
    """A token that looks like one of GitHub's, checksum included."""
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def found(
    secret: str | int = 0,
    *,
    start: int = 0,
    part: str = "",
    audience: Audience = "internal",
    rule: str = "github.pat",
    title: str = "GitHub token",
    provider: str = "github",
    confidence: float = 0.9,
    severity: Severity = Severity.HIGH,
    reasons: Iterable[str] = ("the pattern matches",),
    companions: tuple[tuple[str, Sensitive], ...] = (),
    **location: Any,
) -> Finding:
    """A finding of a secret (or of the one forged from a number), `start` bytes into a part of a record."""
    value = Sensitive(forged(secret) if isinstance(secret, int) else secret)
    span = ByteSpan(start, start + max(len(value), 1))
    where = {"uri": "https://chat.example/p1", "container": "ops", "author": "Ann", "author_id": "U1"} | location
    return Finding(
        rule=rule,
        title=title,
        provider=provider,
        location=Location(
            route=(Step("file", part),) if part else (),
            span=span,
            line=start + 1,
            column=1,
            exposure=Exposure(audience, 12, 1000.0),
            **where,
        ),
        span=span,
        secret=value,
        confidence=confidence,
        severity=severity,
        category="credential",
        lifetime=Lifetime.LONG_LIVED,
        fingerprint=fingerprint(KEY, provider, value),
        reasons=tuple(Reason("reason", text) for text in reasons),
        companions=companions,
    )


def sighting(record: str, scan: str, *findings: Finding, last: bool = True, unit: str = "C1") -> Sighting:
    """What a pass found in a record."""
    return Sighting(unit=unit, record=record, scan=scan, findings=findings, last=last)


def batch(*sightings: Sighting, time: float = 100.0, source: str = "chat", cursor: str = "", **more: Any) -> Batch:
    """A batch, with the cursor of the unit C1 if one is given."""
    cursors = (("C1", Cursor(cursor)),) if cursor else ()
    return Batch(source=source, time=time, sightings=sightings, **({"cursors": cursors} | more))


def dump(store: Store, *sources: str) -> dict[str, Any]:
    """All that a store tells."""
    incidents = [asdict(one) for one in store.incidents()]
    return {
        "incidents": incidents,
        "occurrences": {one["id"]: [asdict(place) for place in store.occurrences(one["id"])] for one in incidents},
        "cursors": {source: store.cursors(source) for source in sources or ("chat",)},
        "unread": [asdict(one) for one in store.unread()],
        "statuses": store.statuses(),
    }
