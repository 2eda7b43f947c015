"""What a batch changes in a store, worked out without one: the same for SQLite, PostgreSQL and memory.

What is one occurrence. A secret (by its fingerprint) in one part (by its route) of one record of one source, and, where
it stands there several times, its number in the order of the places. Not its line or offset: text that is added above
moves those, and the secret is where it was. A new pass over the record brings line, link and author up to date.

What is a regression. An incident that was closed or remediated opens again when an occurrence of it is new, or is back
after it was gone. Seeing a known one again changes no state, but for an accepted risk or a false alarm whose time is
over: that opens again whenever it is seen.

What is told to a planner. Occurrences that are new or back, and those that opened an incident again. Not what appears
in a record that was held and released, of an incident that it was held for: a person has looked at that.

Invariants. Nothing is written here. Only rows that the batch touches are read, however large the records are.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec

from keysentry.model.action import Held, record_of
from keysentry.model.finding import Finding, Severity
from keysentry.model.incident import Batch, Committed
from keysentry.model.lifecycle import ENDS, REOPENING
from keysentry.model.sensitive import Sensitive
from keysentry.store.audit import Draft
from keysentry.store.masking import Masks
from keysentry.store.passes import Seen, news, record_id
from keysentry.store.rows import (
    AUDIENCES,
    CursorRow,
    IncidentRow,
    OccurrenceRow,
    RecordRow,
    UnreadRow,
    digest,
    searchable,
)
from keysentry.store.sealed import Seals
from keysentry.store.telling import SEEN_AGAIN, exact_place, opened

_SHORT_ID = 12

_RANKS = {severity: severity.rank for severity in Severity}
Slot = tuple[str, str, str]
"""A pass, an incident and a part: occurrences are numbered within it."""


class Known(NamedTuple):
    """What of a stored occurrence matters to a batch."""

    scan: str
    gone: float | None
    first_seen: float
    last_seen: float


class Ledger(Protocol):
    """What is stored already, as far as a batch asks for it. The rows that it gives may be changed."""

    def records(self, ids: Collection[str]) -> dict[str, RecordRow]:
        """Those of the records that are known."""
        ...

    def incidents(self, fingerprints: Collection[str], ids: Collection[str]) -> list[IncidentRow]:
        """Incidents with one of these fingerprints or ids."""
        ...

    def counts(self, scans: Mapping[str, str], incidents: Collection[str]) -> Mapping[Slot, int]:
        """How many occurrences of these incidents these passes (by their records) have stored so far."""
        ...

    def occurrences(self, ids: Collection[str]) -> dict[str, Known]:
        """Those of the occurrences that are known."""
        ...

    def held(self, keys: Collection[str]) -> dict[str, Held]:
        """What is known of records that were held."""
        ...

    def revoked(self, fingerprints: Collection[str]) -> set[str]:
        """Those of the secrets that are known to be revoked."""
        ...


class Change(msgspec.Struct, kw_only=True):
    """What a store has to write, as rows that replace those with the same id.

    `inserted` are the keys of the rows that are not there yet. `ended` holds, for each known record of which a pass
    ended, that pass and those after it: after the rows are written, every other occurrence of the record that is still
    there is gone at `time`. `events` are for the audit trail, `news` are the occurrences that a planner is told of.
    """

    time: float
    incidents: list[IncidentRow] = []
    records: list[RecordRow] = []
    occurrences: list[OccurrenceRow] = []
    inserted: set[str] = set()
    ended: dict[str, set[str]] = {}
    unread: list[UnreadRow] = []
    cursors: list[CursorRow] = []
    events: list[Draft] = []
    news: list[tuple[IncidentRow, OccurrenceRow]] = []
    new: list[str] = []
    reopened: list[str] = []
    appeared: int = 0
    gone: int = 0

    def committed(self, ended: int, actions: tuple[str, ...] = ()) -> Committed:
        """The account of the commit, given how many rows `ended` made gone, and which actions were filed."""
        return Committed(tuple(self.new), tuple(self.reopened), self.appeared, self.gone + ended, actions)


def settle(batch: Batch, ledger: Ledger, seals: Seals) -> Change:
    """What storing a batch changes."""
    change = Change(time=batch.time)
    if batch.sightings:
        _Settling(batch, ledger, seals, change).run()
    if batch.unread:
        found = (finding for sighting in batch.sightings for finding in sighting.findings)
        masks = Masks(secret for finding in found for secret in _secrets(finding))
        unread = [_unread(batch, masks, *one) for one in batch.unread]
        change.unread = list({row.id: row for row in unread}.values())
    for unit, cursor in dict(batch.cursors).items():
        id = seals.cursor_id(batch.source, unit)
        covered = seals.cover(id, unit, cursor)
        change.cursors.append(CursorRow(id=id, source=batch.source, covered=covered, time=batch.time))
    return change


def incident_id(fingerprint: str, taken: Collection[str]) -> str:
    """A short name for an incident, the same in every store; longer where another incident has that one."""
    whole = hashlib.sha256(fingerprint.encode("utf-8", "surrogatepass")).hexdigest()
    lengths = range(_SHORT_ID, len(whole) + 1, 4)
    return next((name for size in lengths if (name := f"inc_{whole[:size]}") not in taken), f"inc_{whole}")


def _secrets(finding: Finding) -> Iterator[Sensitive]:
    yield finding.secret
    for _, companion in finding.companions:
        yield companion


def _unread(batch: Batch, masks: Masks, unit: str, place: str, reason: str, partial: bool) -> UnreadRow:
    masked = (masks(unit), masks(place), masks(reason))
    return UnreadRow(
        id=digest(batch.source, *masked),
        source=batch.source,
        unit=masked[0],
        place=masked[1],
        reason=masked[2],
        partial=partial,
        first_seen=batch.time,
        last_seen=batch.time,
    )


class _Tracked:
    """An occurrence while a batch is settled; without `row` the batch has not come to it yet.

    `seen` is the sighting and the finding that it was last in; `appeared` whether it is news for a planner.
    """

    __slots__ = ("appeared", "fresh", "known", "row", "seen")

    def __init__(self, known: Known | None) -> None:
        self.known = known
        self.fresh = known is None
        self.row: OccurrenceRow | None = None
        self.seen: tuple[Seen, Finding] | None = None
        self.appeared = False

    @property
    def latest(self) -> Known | OccurrenceRow | None:
        return self.row or self.known

    def end(self, time: float) -> None:
        """It is not there any more."""
        if self.row:
            self.row.gone = time
        elif self.known:
            self.known = self.known._replace(gone=time)


class _Settling:
    """One batch's sightings, worked through in their order."""

    def __init__(self, batch: Batch, ledger: Ledger, seals: Seals, change: Change) -> None:
        self._batch = batch
        self._ledger = ledger
        self._seals = seals
        self._change = change
        self._incidents: dict[str, IncidentRow] = {}
        self._tracked: dict[str, dict[str, _Tracked]] = defaultdict(dict)
        self._masks: dict[str, Masks] = {}
        self._released: dict[str, tuple[str, ...]] = {}
        self._before: dict[str, str] = {}

    def run(self) -> None:
        change = self._change
        stored = self._ledger.records({record_id(self._batch.source, one.record) for one in self._batch.sightings})
        seen, change.records = news(self._batch, stored)
        self._read_masks(seen)
        self._read_incidents(seen)
        keys = self._keys(seen)
        self._read_occurrences(seen, keys)
        keyed = {one.record for one in seen if one.findings}
        held = self._ledger.held([name for key in keyed for name in (key, f"{key}#1", f"{key}#2")]) if keyed else {}
        for key, hold in held.items():
            if hold.state == "released":
                self._released[record_of(key)] = (*self._released.get(record_of(key), ()), *hold.incidents)
        for one, ids in zip(seen, keys, strict=True):
            for finding, id in zip(one.findings, ids, strict=True):
                self._see(one, finding, id)
            if one.record in change.ended:
                change.ended[one.record].add(one.scan)
            if one.last:
                self._end(one)
        change.incidents = list(self._incidents.values())
        tracked = [tracked for of_record in self._tracked.values() for tracked in of_record.values()]
        change.occurrences = [self._sealed(one.row, one.seen) for one in tracked if one.row and one.seen]
        change.ended = {id: scans for id, scans in change.ended.items() if id in stored}
        change.inserted = {*change.new, *(row.id for row in change.records if row.id not in stored)}
        change.inserted.update(one.row.id for one in tracked if one.row and one.fresh)
        change.events = self._events()
        change.news = [
            (self._incidents[one.seen[1].fingerprint], one.row)
            for one in tracked
            if one.row and one.seen and one.appeared
        ]

    # What has to be known first.

    def _read_masks(self, seen: list[Seen]) -> None:
        secrets: dict[str, list[Sensitive]] = defaultdict(list)
        for one in seen:
            for finding in one.findings:
                secrets[one.record] += _secrets(finding)
        self._masks = {record: Masks(found) for record, found in secrets.items()}

    def _read_incidents(self, seen: list[Seen]) -> None:
        findings = {finding.fingerprint: finding for one in seen for finding in one.findings}
        if not findings:
            return
        names = {fingerprint: incident_id(fingerprint, ()) for fingerprint in findings}
        stored = self._ledger.incidents(findings.keys(), names.values())
        taken = {row.id for row in stored}
        self._incidents = {row.fingerprint: row for row in stored if row.fingerprint in findings}
        for fingerprint, finding in findings.items():
            if fingerprint not in self._incidents:
                name = names[fingerprint]
                row = _incident(incident_id(fingerprint, taken) if name in taken else name, finding, self._batch.time)
                self._incidents[fingerprint] = row
                taken.add(row.id)
                self._change.new.append(row.id)

    def _keys(self, seen: list[Seen]) -> list[list[str]]:
        """The key of the occurrence that each finding is of, by numbering those that are alike."""
        continued = {one.record: one.scan for one in seen if one.continued and one.findings}
        incidents = {row.id for row in self._incidents.values()}
        numbers = Counter(self._ledger.counts(continued, incidents) if continued else {})
        keys = []
        for one in seen:
            ids = []
            for finding in one.findings:
                part = self._masks[one.record](finding.location.part)
                place = (one.scan, self._incidents[finding.fingerprint].id, part)
                ids.append(digest(one.record, finding.fingerprint, part, str(numbers[place])))
                numbers[place] += 1
            keys.append(ids)
        return keys

    def _read_occurrences(self, seen: list[Seen], keys: list[list[str]]) -> None:
        wanted = {id for ids in keys for id in ids}
        known = self._ledger.occurrences(wanted) if wanted else {}
        for one, ids in zip(seen, keys, strict=True):
            self._tracked[one.record].update({id: _Tracked(known.get(id)) for id in ids})

    # What then happens.

    def _see(self, one: Seen, finding: Finding, id: str) -> None:
        tracked = self._tracked[one.record][id]
        incident = self._incidents[finding.fingerprint]
        before = tracked.latest
        news = before is None or before.gone is not None
        self._change.appeared += news
        if incident.id not in self._released.get(one.record, ()):
            reopened = self._reopen(incident, known=not news)
            tracked.appeared |= news or reopened
        time = self._batch.time
        first, last = (time, time) if before is None else (before.first_seen, before.last_seen)
        tracked.row = self._occurrence(one, finding, id, incident.id)
        tracked.row.first_seen, tracked.row.last_seen = min(first, time), max(last, time)
        tracked.seen = one, finding
        _bring_up_to_date(incident, finding, time, self._masks[one.record])

    def _reopen(self, incident: IncidentRow, *, known: bool) -> bool:
        """Open an incident again if its end is over; whether it was."""
        expired = incident.state in ENDS and incident.until is not None and incident.until <= self._batch.time
        if not expired and (known or incident.state not in REOPENING):
            return False
        self._before[incident.id] = incident.state
        incident.state, incident.until, incident.state_reason = "open", None, SEEN_AGAIN
        incident.state_since = self._batch.time
        incident.regressions += 1
        self._change.reopened.append(incident.id)
        return True

    def _end(self, one: Seen) -> None:
        self._change.ended[one.record] = {one.scan}
        for tracked in self._tracked[one.record].values():
            latest = tracked.latest
            if latest is not None and latest.gone is None and latest.scan != one.scan:
                tracked.end(self._batch.time)
                self._change.gone += 1

    # What comes of it.

    def _sealed(self, row: OccurrenceRow, seen: tuple[Seen, Finding]) -> OccurrenceRow:
        """The row with its exact place, which was seen last, sealed."""
        if self._seals.sealer is not None:
            one, finding = seen
            place = exact_place(self._batch, one, finding)
            row.sealed = self._seals.seal_finding(row.id, place, finding, self._masks[one.record](finding.title))
        return row

    def _events(self) -> list[Draft]:
        """Of the incidents that are new or open again."""
        changed = {*self._change.new, *self._change.reopened}
        rows = [row for row in self._incidents.values() if row.id in changed]
        revoked = self._ledger.revoked([row.fingerprint for row in rows]) if rows else ()
        return [opened(row, self._batch, self._before.get(row.id, ""), row.fingerprint in revoked) for row in rows]

    def _occurrence(self, one: Seen, finding: Finding, id: str, incident: str) -> OccurrenceRow:
        masks, location = self._masks[one.record], finding.location
        unit, record, uri, path, part, container, author, author_id, *reasons = masks.all(
            (
                one.unit,
                one.name,
                location.uri,
                location.path,
                location.part,
                location.container,
                location.author,
                location.author_id,
                *[reason.text for reason in finding.reasons],
            )
        )
        return OccurrenceRow(
            id=id,
            incident=incident,
            record_id=one.record,
            scan=one.scan,
            source=self._batch.source,
            unit=unit,
            record=record,
            uri=uri,
            path=path,
            part=part,
            line=location.line,
            column=location.column,
            container=container,
            author=author,
            author_id=author_id,
            time=location.time,
            audience=AUDIENCES.index(location.exposure.audience),
            reach=location.exposure.reach,
            since=location.exposure.since,
            confidence=finding.confidence,
            reasons=reasons,
            first_seen=self._batch.time,
            last_seen=self._batch.time,
            gone=None,
            words=searchable(container, author, uri, path, part),
        )


def _incident(id: str, finding: Finding, time: float) -> IncidentRow:
    """A new incident; `_bring_up_to_date` fills in what findings tell."""
    return IncidentRow(
        id=id,
        fingerprint=finding.fingerprint,
        rule="",
        title="",
        provider="",
        category="",
        severity=0,
        confidence=-1.0,
        lifetime="",
        secret="",
        state="open",
        state_since=time,
        regressions=0,
        first_seen=time,
        last_seen=time,
        words="",
    )


def _bring_up_to_date(row: IncidentRow, finding: Finding, time: float, masks: Masks) -> None:
    """The highest severity and confidence ever; the words are those of the surest finding, of equals the latest."""
    row.first_seen, row.last_seen = min(row.first_seen, time), max(row.last_seen, time)
    row.severity = max(row.severity, _RANKS[finding.severity])
    if finding.confidence < row.confidence:
        return
    row.confidence = finding.confidence
    row.rule = finding.rule
    row.title = masks(finding.title)
    row.provider = finding.provider
    row.category = finding.category
    row.lifetime = finding.lifetime.value
    row.secret = str(finding.secret)
    row.words = searchable(row.title, row.provider, row.rule, row.secret)
