"""The source of files: what lies in a folder, each file once, and again when it has changed.

Units are the folders directly in the root, and the root for the files directly in it. A record is a file, or a folder
that is an export as a whole; scanning takes it apart. How far a unit was read is told by `place`.

Algorithm. A look at a unit lists it and keeps the first `MOST` files, by the time of their last change, that are new
and have not changed for `settle` seconds. They are given one by one, each looked at once more right before. Files that
are too fresh are waited for, once around; what still changes then is left for the next pass.

Invariants. A file that changes after it was looked at, while it is scanned for instance, comes again. Nothing is opened
that could block. Memory is that of `MOST` files.
"""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from keysentry.connectors.base import Delivery
from keysentry.connectors.files import Options
from keysentry.connectors.files.complete import is_cut_off
from keysentry.connectors.files.listing import Entry, Listing
from keysentry.connectors.files.place import Place, hashed
from keysentry.errors import AccessError, ClosedError, GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Part, Record, Unit

ROOT = "."
"""The id of the unit of files directly in the root."""
MOST = 10_000
"""How many files one look keeps."""
_SECOND = 1_000_000_000
LOOKS = 2
"""How often files that are not finished are waited for in one pass."""
_SHORTEST_WAIT = 0.01
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class _Look(NamedTuple):
    """What there was at one moment: files to give, what could not be listed, unfinished files that are gone, seconds
    until the next file is old enough (None: there is none), and whether there was more than could be kept.
    """

    entries: list[Entry]
    skipped: tuple[Skipped, ...]
    gone: frozenset[bytes]
    fresh: float | None
    more: bool


class FilesSource:
    """Reads files below one path."""

    def __init__(
        self,
        options: Options,
        *,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float], bool] | None = None,
        most: int = MOST,
    ) -> None:
        """`clock` gives UTC seconds; `wait` sleeps and answers True if it was woken to stop; `most` is how many files
        one look keeps.
        """
        self._options = options
        self._listing = Listing(options)
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._most = most
        self._ahead: dict[str, tuple[Entry, float]] = {}

    def units(self) -> Iterator[Unit | Skipped]:
        """The root, and the folders directly in it. Raises `SourceError` if the root cannot be listed."""
        try:
            folders = self._listing.folders()
        except OSError as error:
            raise self._failed(error) from None
        yield Unit(ROOT, shown(self._listing.root))
        for name in folders:
            yield Unit(shown(name), shown(name))

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """The files of a unit that are new or have changed, those that changed first first.

        Raises `GoneError` if the unit's folder is not there any more, `ClosedError` once the source is closed.
        """
        below = self._below(unit)
        place = stored = Place.of(cursor)
        told: set[Skipped] = set()
        looks = 0
        while True:
            look = self._look(below, place)
            news = tuple(one for one in look.skipped if one not in told)
            told.update(news)
            if news:
                yield Delivery(None, place.cursor, news)
            before, changed = place, False
            for entry in look.entries:
                self._check_open()
                found = self._listing.again(entry)
                if found != entry:
                    changed = changed or found is not None
                    continue
                delivery, place = self._give(unit, entry, place)
                if delivery is not None:
                    stored = place
                    yield delivery
            if look.more and place != before:
                continue
            looks += 1
            if looks > LOOKS or (look.fresh is None and not changed):
                break
            self._pause(self._options.settle if look.fresh is None else look.fresh)
        place = place.without(look.gone)
        if place != stored:
            yield Delivery(None, place.cursor)

    def close(self) -> None:
        """Wake whoever waits for a file to settle."""
        self._closed.set()

    # -- looking ------------------------------------------------------------------------------------------------------

    def _look(self, below: str, place: Place) -> _Look:
        """List a unit, and choose what to give."""
        self._check_open()
        now = self._clock()
        skipped: list[Skipped] = []
        there: set[bytes] = set()
        fresh: list[float] = []
        until = self._unsettled_until(below, now)

        def ready() -> Iterator[Entry]:
            for entry in self._listing.entries(below):
                if isinstance(entry, Skipped):
                    skipped.append(entry)
                elif place.is_new(entry):
                    if place.held:
                        there.add(hashed(entry))
                    left = self._left(entry, now, until)
                    if left <= 0:
                        yield entry
                    else:
                        fresh[:] = [min(left, *fresh)] if fresh else [left]

        try:
            entries = heapq.nsmallest(self._most + 1, ready(), key=_order)
        except OSError as error:
            raise self._failed(error, below) from None
        more = len(entries) > self._most
        gone = frozenset() if skipped else place.names_held - there
        return _Look(entries[: self._most], tuple(skipped), gone, fresh[0] if fresh else None, more)

    def _unsettled_until(self, below: str, now: float) -> float:
        """Of a folder in a drop directory: in how many seconds all in it will have settled, if nothing changes."""
        if not below or not self._options.drop or not self._options.settle:
            return 0.0
        try:
            latest = self._listing.latest_change(below) / _SECOND
        except OSError:
            return 0.0
        return latest + self._options.settle - now if latest <= now else 0.0

    def _left(self, entry: Entry, now: float, until: float) -> float:
        """For how many seconds a file must still not change before it counts as complete."""
        settle = self._options.settle
        age = now - entry.changed / _SECOND
        if age < 0:
            return self._left_of_ahead(entry, now)
        if until > 0 and age < self._options.give_up:
            return max(until, settle - age)
        return settle - age

    def _left_of_ahead(self, entry: Entry, now: float) -> float:
        """The same for a file whose time lies ahead of our clock (a file server's): it is watched by us."""
        before, since = self._ahead.get(entry.below, (None, now))
        if before != entry:
            since = now
            if len(self._ahead) >= self._most:
                self._ahead.clear()
            self._ahead[entry.below] = (entry, now)
        return since + self._options.settle - now

    # -- giving -------------------------------------------------------------------------------------------------------

    def _give(self, unit: Unit, entry: Entry, place: Place) -> tuple[Delivery | None, Place]:
        """The delivery of a file, if it is complete, and the place after it."""
        problem, cut_off = entry.problem, False
        if not problem and not entry.folder:
            try:
                cut_off = self._is_cut_off(entry)
            except FileNotFoundError:
                return None, place
            except OSError as error:
                problem = f"cannot be read: {error.strerror}"
        young = self._clock() - entry.changed / _SECOND < self._options.give_up
        if cut_off and young and place.can_hold(entry):
            return None, place.holding(entry)
        place = place.after(entry)
        self._ahead.pop(entry.below, None)
        if problem:
            return Delivery(None, place.cursor, (Skipped(shown(entry.path), problem),)), place
        skipped: tuple[Skipped, ...] = ()
        if cut_off:
            reason = "it is an archive without its end, and nothing is written to it any more: read as far as it goes"
            skipped = (Skipped(shown(entry.path), reason, partial=True),)
        return Delivery(self._record(unit, entry), place.cursor, skipped), place

    def _is_cut_off(self, entry: Entry) -> bool:
        """Whether a file is a zip without its end. Raises `OSError` if it cannot be opened."""
        descriptor = os.open(entry.path, _FLAGS)
        try:
            return is_cut_off(descriptor, entry.size)
        finally:
            os.close(descriptor)

    def _record(self, unit: Unit, entry: Entry) -> Record:
        name = os.path.basename(entry.path)  # noqa: PTH119
        modified = entry.modified / _SECOND
        return Record(
            id=shown(entry.below),
            parts=(Part(path=entry.path, name=name, size=entry.size),),
            unit=unit.id,
            time=modified,
            container=shown(os.path.dirname(entry.path)),  # noqa: PTH120
            uri=f"file://{quote(os.fsencode(entry.path))}",
            path=shown(entry.path),
            exposure=Exposure("internal" if entry.mode & 0o004 else "private", None, modified),
        )

    # -- failing ------------------------------------------------------------------------------------------------------

    def _below(self, unit: Unit) -> str:
        """The folder of a unit, below the root."""
        if unit.id == ROOT:
            return ""
        try:
            return next((name for name in self._listing.folders() if shown(name) == unit.id), unit.id)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError, below: str = "") -> SourceError:
        root = shown(self._listing.root)
        if isinstance(error, PermissionError):
            return AccessError(
                f"the folder cannot be listed: {error.strerror}",
                place=shown(os.path.join(root, below)),  # noqa: PTH118
                advice="give the user that keysentry runs as the right to read it",
            )
        if below and isinstance(error, FileNotFoundError | NotADirectoryError):
            return GoneError("the folder is not there any more", place=f"{root}/{shown(below)}")
        return SourceError(error.strerror or str(error), place=root, advice="create it, mount it, or correct path")

    def _pause(self, seconds: float) -> None:
        self._check_open()
        if self._wait(max(seconds, _SHORTEST_WAIT)):
            raise ClosedError("closed while it waited", place=shown(self._listing.root))

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise ClosedError("closed", place=shown(self._listing.root))


def _order(entry: Entry) -> tuple[int, bytes]:
    return entry.changed, hashed(entry)


def shown(path: str) -> str:
    """A path as text that can be stored and printed: bytes that are no UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
