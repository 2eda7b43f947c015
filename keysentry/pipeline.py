"""One source, from its records to the store: read, scan, commit, and only then tell the platform.

    source.records(unit, cursor) -> a batch of deliveries -> scanner -> store.commit(findings, cursor) -> done()

What is to be done about findings is planned inside the commit and carried out by others (`response.act`).

Invariants. A cursor is stored in the same transaction as the findings of everything before it, so that a process that
dies is at worst given some records twice, which changes nothing. A unit is read no faster than it is scanned and
stored: the source is only asked for more when a batch is committed, and memory is that of one batch.

Failure modes. Where a content cannot be had for now (`SourceError`), the records before it are committed and the error
passes on; the unit is read again from there. A store that cannot commit (`StoreError`) loses nothing either.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import msgspec

from keysentry.connectors.base import Delivery, Source
from keysentry.errors import ClosedError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Finding, Skipped
from keysentry.model.incident import Batch, Committed, Planner, Sighting
from keysentry.model.record import Record, Unit
from keysentry.scan import FileOptions, Scanner
from keysentry.scan.records import name as owner_name
from keysentry.store.base import Store

STRETCH = 1000
"""A record with more findings than this is stored in stretches of so many."""

Clock = Callable[[], float]


class BatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """A batch is full when it has so many records, so many bytes, or is so many seconds old."""

    records: int = 2000
    bytes: int = 8 << 20
    seconds: float = 2.0


class Progressed(msgspec.Struct, frozen=True):
    """What one commit brought. `lag` is the age of the newest record when it was stored, in seconds."""

    unit: Unit
    records: int
    bytes: int
    findings: int
    skipped: tuple[Skipped, ...]
    committed: Committed
    lag: float | None = None


class Pipeline:
    """Takes the units of one source through the line. The scanner may be exchanged between two batches."""

    def __init__(
        self,
        name: str,
        source: Source,
        scanner: Scanner,
        store: Store,
        *,
        limits: BatchLimits | None = None,
        files: FileOptions | None = None,
        planner: Planner | None = None,
        platform: str = "",
        clock: Clock = time.time,
    ) -> None:
        """`planner` says what is to be done about what is found; `platform` is the source's."""
        self.scanner = scanner
        self.planner = planner
        self._platform = platform
        self._name = name
        self._source = source
        self._store = store
        self._limits = limits or BatchLimits()
        self._files = files or FileOptions()
        self._clock = clock

    def run(self, unit: Unit, stop: Callable[[], bool] = lambda: False) -> Iterator[Progressed]:
        """Read a unit from where it was left, until there is nothing more or `stop` says so; one value a commit.

        Raises `SourceError` and `StoreError`; what was read before is stored, or will be read again.
        """
        deliveries = _PushBack(self._source.records(unit, self._store.cursor(self._name, unit.id)))
        while True:
            batch, error = self._next(unit, deliveries, stop)
            if batch:
                yield from self._store_batch(unit, batch)
            if error is not None:
                raise error
            if not batch or stop():
                return

    def note(self, unit: str, skipped: Sequence[Skipped]) -> None:
        """Store what a source could not list or read at all."""
        unread = tuple((unit, one.place, one.reason, one.partial) for one in skipped)
        self._store.commit(Batch(source=self._name, time=self._clock(), unread=unread))

    def _next(
        self, unit: Unit, deliveries: _PushBack, stop: Callable[[], bool]
    ) -> tuple[list[Delivery], SourceError | None]:
        """The next batch, and the error that ended it, if one did. What a live unit gives is stored at once."""
        batch: list[Delivery] = []
        records: set[str] = set()
        size = 0
        began = time.monotonic()
        limits = self._limits
        try:
            for delivery in deliveries.rest:
                record = delivery.record
                if record is not None:
                    if record.id in records:  # it changed meanwhile: that is another pass over it
                        deliveries.push_back(delivery)
                        break
                    records.add(record.id)
                    size += record_size(record)
                batch.append(delivery)
                full = len(batch) >= limits.records or size >= limits.bytes
                if unit.live or full or time.monotonic() - began >= limits.seconds or stop():
                    break
        except SourceError as error:
            return batch, error
        return batch, None

    def _store_batch(self, unit: Unit, batch: list[Delivery]) -> Iterator[Progressed]:
        try:
            yield from self._scan_and_store(unit, batch)
        except SourceError as error:
            if len(batch) == 1 or isinstance(error, ClosedError):
                raise
            # One of them cannot be had now: those before it are stored one by one.
            for delivery in batch:
                yield from self._scan_and_store(unit, [delivery])

    def _scan_and_store(self, unit: Unit, batch: list[Delivery]) -> Iterator[Progressed]:
        records = [delivery.record for delivery in batch if delivery.record is not None]
        skipped = [one for delivery in batch for one in delivery.skipped]
        cursor = batch[-1].cursor
        sightings: list[Sighting] = []
        for sighting in self._sightings(unit, records, skipped):
            sightings.append(sighting)
            if not sighting.last:
                yield self._commit(unit, sightings, (), None, ())
                sightings = []
        sightings = _left_open(sightings, batch, skipped)
        done = self._commit(unit, sightings, skipped, cursor, records)
        for delivery in batch:
            if delivery.done is not None:
                delivery.done()
        yield done

    def _sightings(self, unit: Unit, records: list[Record], skipped: list[Skipped]) -> Iterator[Sighting]:
        """What is found in records, in their order; a record of many findings in stretches."""
        token = secrets.token_hex(6)
        number = 0
        findings: list[Finding] = []
        for record, finding in self.scanner.scan_records(records, skipped, self._files):
            while number < len(records) and record is not records[number]:
                yield _sighting(unit, records[number], f"{token}.{number}", findings)
                findings = []
                number += 1
            if len(findings) >= STRETCH and number < len(records):
                yield _sighting(unit, records[number], f"{token}.{number}", findings, last=False)
                findings = []
            findings.append(finding)
        for rest in range(number, len(records)):
            yield _sighting(unit, records[rest], f"{token}.{rest}", findings)
            findings = []

    def _commit(
        self,
        unit: Unit,
        sightings: list[Sighting],
        skipped: Sequence[Skipped],
        cursor: Cursor | None,
        records: Sequence[Record],
    ) -> Progressed:
        now = self._clock()
        committed = self._store.commit(
            Batch(
                source=self._name,
                time=now,
                sightings=tuple(sightings),
                unread=tuple((unit.id, one.place, one.reason, one.partial) for one in skipped),
                cursors=((unit.id, cursor),) if cursor is not None else (),
                platform=self._platform,
            ),
            self.planner,
        )
        newest = max((record.time for record in records if record.time is not None), default=None)
        return Progressed(
            unit,
            len(records),
            sum(map(record_size, records)),
            sum(len(sighting.findings) for sighting in sightings),
            tuple(skipped),
            committed,
            None if newest is None else max(0.0, now - newest),
        )


class _PushBack:
    """Deliveries, of which the last one can be put back: `rest` is what is still to come."""

    def __init__(self, deliveries: Iterator[Delivery]) -> None:
        self.rest = deliveries
        self._deliveries = deliveries

    def push_back(self, delivery: Delivery) -> None:
        """Put back the last one that `rest` gave."""
        self.rest = chain((delivery,), self._deliveries)


def _left_open(sightings: list[Sighting], batch: list[Delivery], skipped: list[Skipped]) -> list[Sighting]:
    """What was not read of a record may hold what was found in it before: such a record is not seen to its end."""
    if not skipped:
        return sightings
    places = [one.place for one in skipped]
    unread = set()
    for delivery in batch:
        record = delivery.record
        if record is None:
            continue
        names = [owner_name(record), *(part.path for part in record.parts if part.path)]
        if delivery.skipped or any(place.startswith(name) for place in places for name in names if name):
            unread.add(record.id)
    return [msgspec.structs.replace(one, last=False) if one.record in unread else one for one in sightings]


def _sighting(unit: Unit, record: Record, scan: str, findings: list[Finding], *, last: bool = True) -> Sighting:
    return Sighting(unit=unit.id, record=record.id, scan=scan, findings=tuple(findings), last=last)


def record_size(record: Record) -> int:
    """How many bytes a record has, as far as it is known before it is read."""
    size = 0
    for part in record.parts:
        segment = part.segment
        if segment is not None:
            size += len(segment.text)
        elif part.content is not None:
            size += len(part.content)
        else:
            size += part.size or 0
    return size
