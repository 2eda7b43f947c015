"""S3 as a source: what every object store has, and the queue of its notifications as a live unit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.objects.options import outermost
from keysentry.connectors.objects.source import ObjectSource
from keysentry.connectors.objects.store import Entry, Position, Scope
from keysentry.connectors.pace import Pace
from keysentry.connectors.s3 import Options
from keysentry.connectors.s3.client import S3Store
from keysentry.connectors.s3.events import Event
from keysentry.connectors.s3.queue import Queue
from keysentry.errors import GoneError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record, Unit


class S3Source(ObjectSource):
    """Buckets, and a queue that tells of changes."""

    def __init__(
        self, options: Options, store: S3Store, pace: Pace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(options, options.buckets, store, pace)
        self._options = options
        self._s3 = store
        self._prefixes = tuple(outermost(options.prefixes))
        self._queue = Queue(options, store, pace, self._look, clock)
        self._queue_unit = f"queue:{options.queue}"

    @classmethod
    def connect(cls, options: Options) -> S3Source:
        """A source with these options. Nothing is asked of the network yet."""
        pace = Pace(f"S3 ({options.name})")
        return cls(options, S3Store(options, pace), pace)

    def units(self) -> Iterator[Unit | Skipped]:
        """The queue, if there is one, and the prefixes."""
        if self._options.queue:
            yield Unit(self._queue_unit, f"news from {self._options.queue}", live=True)
        yield from super().units()

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """Objects of a prefix, or those that the queue has news of."""
        if self._options.queue and unit.id == self._queue_unit:
            return self._queue.deliveries()
        return super().records(unit, cursor)

    def _look(self, event: Event, alive: Callable[[], None]) -> tuple[Record | None, tuple[Skipped, ...]]:
        """What an event is about, as it is now; nothing if it is outside of what is to be read."""
        wanted = not self._options.buckets or event.bucket in self._options.buckets
        if not wanted or not event.key.startswith(self._prefixes):
            return None, ()
        if event.version:
            gone = Entry(key=event.key, modified=0.0, version=event.version, current=False, deleted=True)
            return (self.record(event.bucket, gone, self._queue_unit) if self._options.versions else None), ()
        entry = self._now(event)
        if entry is None:
            gone = Entry(key=event.key, modified=0.0, deleted=True)
            return self.record(event.bucket, gone, self._queue_unit), ()
        self.must_be_readable(event.bucket, self._sample(event.bucket, entry))
        if event.author_id:
            entry = msgspec.structs.replace(entry, author="", author_id=event.author_id)
        return self.outcome(event.bucket, entry, self._queue_unit, alive)

    def _now(self, event: Event) -> Entry | None:
        """What is under the event's key; None if nothing is, or its whole bucket is gone."""
        try:
            return self._s3.stat(event.bucket, event.key)
        except GoneError:
            return None

    def _sample(self, bucket: str, entry: Entry) -> Iterator[Entry]:
        """An entry, and others of its bucket."""
        yield entry
        for page in islice(self._s3.pages(Scope(bucket), Position(), versions=False), 1):
            yield from page.entries
