"""The source of every object store: units from the first step of the keys, records from passes over a listing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from keysentry.connectors.base import Delivery
from keysentry.connectors.objects.content import stream
from keysentry.connectors.objects.options import ObjectOptions, outermost
from keysentry.connectors.objects.progress import Progress
from keysentry.connectors.objects.store import Denied, Entry, ObjectStore, Scope
from keysentry.connectors.pace import Pace
from keysentry.errors import AccessError, ClosedError, GoneError, InputError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Part, Record, Unit

MOST_UNITS = 1000
"""A prefix with more than so many prefixes under it is one unit."""
_PROBES = 5
"""How many objects must all be denied before it is the permission that is missing, not theirs."""


class ObjectSource:
    """Buckets as units, objects as records."""

    def __init__(self, options: ObjectOptions, buckets: Sequence[str], store: ObjectStore, pace: Pace) -> None:
        self._settings = options
        self._buckets = tuple(dict.fromkeys(buckets))
        self._store = store
        self._pace = pace
        self._readable: set[str] = set()

    def units(self) -> Iterator[Unit | Skipped]:
        """One for each prefix that is one step longer, and one for the keys that stand beside them.

        A bucket that cannot be listed is `Skipped`. Raises `SourceError` if none can.
        """
        failed: list[SourceError] = []
        listed = False
        for bucket in self._buckets or self._store.buckets():
            for prefix in outermost(self._settings.prefixes):
                try:
                    level = self._store.level(bucket, prefix, self._settings.versions, MOST_UNITS)
                except ClosedError:
                    raise
                except SourceError as error:
                    failed.append(error)
                    continue
                listed = True
                yield from self._units(bucket, prefix, level.prefixes, level.keys, level.complete)
        if failed and not listed:
            raise failed[0]
        for one in failed:
            yield Skipped(one.place, f"{one.reason} ({one.advice})" if one.advice else one.reason)

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """The objects of a unit in the order of their keys; on a later pass those that are new or changed.

        Raises `AccessError`, `GoneError` where the bucket is gone, and `SourceError`.
        """
        scope = Scope.of(unit.id)
        if scope is None:
            raise GoneError("there is no such unit", place=unit.title or unit.id)
        progress = Progress(cursor, versions=self._settings.versions, margin=self._settings.margin)
        more = True
        while more:
            yield from self._round(scope, progress)
            more = progress.turn()
        yield Delivery(None, progress.cursor())

    def close(self) -> None:
        """Let go of connections and wake whoever waits."""
        self._pace.close()
        self._store.close()

    def outcome(
        self, bucket: str, entry: Entry, unit: str, alive: Callable[[], None] | None = None
    ) -> tuple[Record | None, tuple[Skipped, ...]]:
        """The record of an entry, or why its content will not be read. `alive` is called while it is read."""
        reason = self._unread(entry)
        if reason:
            return None, (Skipped(self._store.place(bucket, entry.key), reason),)
        return self.record(bucket, entry, unit, alive), ()

    def record(self, bucket: str, entry: Entry, unit: str, alive: Callable[[], None] | None = None) -> Record:
        """What an entry is to everyone else."""
        name = record_id(bucket, entry)
        if entry.deleted:
            return Record(id=name, unit=unit, time=entry.modified or None, container=bucket, deleted=True)
        return Record(
            id=name,
            parts=self._parts(bucket, entry, alive),
            unit=unit,
            author=entry.author,
            author_id=entry.author_id,
            time=entry.modified or None,
            container=bucket,
            uri=self._store.link(bucket, entry),
            path=self._store.place(bucket, entry.key),
            exposure=self._store.exposure(bucket, entry),
        )

    def must_be_readable(self, bucket: str, entries: Iterable[Entry]) -> None:
        """Raise `AccessError` if objects may be listed here but none be read: a person must act, and nothing is lost.

        One object that is denied is that object's own matter. So a few are asked for a byte; once one was given, the
        entries are not even looked at again.
        """
        if bucket in self._readable:
            return
        asked = 0
        for entry in _spread([one for one in entries if one.size and not one.archived and not one.deleted]):
            asked += 1
            if not self._denied(bucket, entry):
                self._readable.add(bucket)
                return
        if asked:
            permission = self._store.permissions[1]
            raise AccessError(
                f"objects may be listed, but not one of {asked} may be read",
                place=self._store.place(bucket),
                advice=f"grant {permission} (and the use of the key that they are encrypted with)",
            )

    def _units(
        self, bucket: str, prefix: str, prefixes: Iterable[str], keys: bool, complete: bool
    ) -> Iterator[Unit | Skipped]:
        if not complete:
            yield Unit(Scope(bucket, prefix).id, self._store.place(bucket, prefix))
            return
        if keys:
            title = f"{self._store.place(bucket, prefix)} (keys without a further /)"
            yield Unit(Scope(bucket, prefix, top=True).id, title)
        for longer in prefixes:
            yield Unit(Scope(bucket, longer).id, self._store.place(bucket, longer))

    def _round(self, scope: Scope, progress: Progress) -> Iterator[Delivery]:
        """Once through the listing, from where the progress stands."""
        under_way = () if progress.begun else self._store.unfinished(scope)
        passed = False
        for page in self._store.pages(scope, progress.position, self._settings.versions):
            if not progress.begun:
                progress.begin(page.at, under_way)
            elif passed:
                yield Delivery(None, progress.cursor())
            given = False
            for entry in page.entries:
                if not progress.see(entry):
                    continue
                if not given:
                    self.must_be_readable(scope.bucket, page.entries)
                given = True
                record, skipped = self.outcome(scope.bucket, entry, scope.id)
                yield Delivery(record, progress.cursor(), skipped)
            passed = not given

    def _unread(self, entry: Entry) -> str:
        """Why the content of an entry will not be read; empty if it will."""
        most = self._settings.max_object
        if entry.deleted:
            return ""
        if most and entry.size > most:
            return f"{entry.size:,} bytes are more than max_object allows ({most:,})"
        return entry.archived

    def _parts(self, bucket: str, entry: Entry, alive: Callable[[], None] | None) -> tuple[Part, ...]:
        if not entry.size:
            return ()
        chunks = partial(stream, self._store, self._pace, bucket, entry, alive)
        return (Part(open=chunks, name=entry.key.rstrip("/").rpartition("/")[2], size=entry.size),)

    def _denied(self, bucket: str, entry: Entry) -> bool:
        try:
            self._pace.call(lambda: b"".join(self._store.read(bucket, entry, 0, 1)))
        except Denied:
            return True
        except SourceError:
            raise
        except InputError:
            return False
        return False


def _spread(entries: Sequence[Entry]) -> Iterable[Entry]:
    """A few of them, from all over."""
    step = max(1, len(entries) // _PROBES)
    return entries[::step][:_PROBES]


def record_id(bucket: str, entry: Entry) -> str:
    """`bucket/key`, and with it the version of one that is not current. Unique, whatever characters a key has."""
    key = entry.key.replace("%", "%25").replace("?", "%3F")
    return f"{bucket}/{key}" if entry.current else f"{bucket}/{key}?version={entry.version}"
