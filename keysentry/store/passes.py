"""Telling a repetition from news: which sightings of a batch count, given what a store remembers of their records.

A pass over a record has a name (`Sighting.scan`), which is the same for all stretches of the record and is never used
for it again. A record in which something was found remembers its latest passes and, of the newest one, the digests of
the stretches that were stored. So

- a stretch of the newest pass that was stored already changes nothing;
- another stretch of it adds to what is stored;
- a sighting of an older pass is ignored: it was stored before the newer one began;
- a pass with a new name begins anew, and what it has not seen when it ends is gone.

A record in which nothing was ever found is not remembered at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from keysentry.model.finding import Finding
from keysentry.model.incident import Batch, Sighting
from keysentry.store.rows import RecordRow, digest

_KEPT = 32
"""How many passes and stretches a record remembers at least; more where one batch brings more."""


class Seen(NamedTuple):
    """A sighting that counts, with the keys of its record and its pass.

    `findings` are in the order of their places, and empty where they are stored already. `continued`: earlier
    stretches of the pass may be stored.
    """

    unit: str
    name: str
    record: str
    scan: str
    findings: tuple[Finding, ...]
    last: bool
    continued: bool


@lru_cache(2048)
def record_id(source: str, record: str) -> str:
    """The key of a record. A commit asks for each of a batch twice."""
    return digest(source, record)


def news(batch: Batch, stored: Mapping[str, RecordRow]) -> tuple[list[Seen], list[RecordRow]]:
    """The sightings that count, in their order, and their records as they are to be remembered."""
    records: dict[str, _Record] = {}
    clean: dict[str, list[Sighting]] = defaultdict(list)
    seen = []
    for sighting in batch.sightings:
        if not (sighting.findings or sighting.last):
            continue
        id = record_id(batch.source, sighting.record)
        if id not in records:
            if not sighting.findings and id not in stored:
                clean[id].append(sighting)
                continue
            records[id] = _Record(id, batch.source, stored.get(id))
            # Were they not remembered, they would look new when the batch comes again.
            for earlier in clean.pop(id, ()):
                records[id].take(earlier)
        one = records[id].take(sighting)
        if one is not None:
            seen.append(one)
    return seen, [record.row() for record in records.values()]


class _Record:
    """What a record remembers, while a batch is looked at."""

    def __init__(self, id: str, source: str, stored: RecordRow | None) -> None:
        self._id = id
        self._source = source
        self._scans = list(stored.scans) if stored else []
        self._stretches = list(stored.stretches) if stored else []
        self._stored_scan = self._scans[-1] if stored else ""
        self._stored_stretches = frozenset(self._stretches)
        self._taken = 0

    def take(self, sighting: Sighting) -> Seen | None:
        """The sighting with its keys; None if it belongs to an older pass."""
        self._taken += 1
        scan = digest(self._id, sighting.scan)
        if scan in self._scans[:-1]:
            return None
        if self._scans[-1:] != [scan]:
            self._scans.append(scan)
            self._stretches = []
        continued = scan == self._stored_scan
        findings = tuple(sorted(sighting.findings, key=_position))
        stretch = _stretch(findings)
        if continued and stretch in self._stored_stretches:
            findings = ()
        elif findings:
            self._stretches.append(stretch)
        return Seen(sighting.unit, sighting.record, self._id, scan, findings, sighting.last, continued)

    def row(self) -> RecordRow:
        keep = max(_KEPT, self._taken)
        return RecordRow(id=self._id, source=self._source, scans=self._scans[-keep:], stretches=self._stretches[-keep:])


def _position(finding: Finding) -> tuple[int, int, int, int]:
    """Where a finding stands in its record, to put it before or behind others."""
    location = finding.location
    span = location.span or finding.span
    return span.start, location.line or 0, location.column or 0, finding.span.start


def _stretch(findings: tuple[Finding, ...]) -> str:
    """Names what was found in a stretch: secrets, parts and places."""
    words = []
    for finding in findings:
        words += [finding.fingerprint, finding.location.part, *map(str, _position(finding))]
    return digest(*words)
