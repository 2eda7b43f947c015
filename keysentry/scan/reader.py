"""Many small files at once: read straight into large buffers, each looked at by one call of the prefilter.

Algorithm. The calling thread opens files and reads each by one `readv` into what is left of a buffer; a full buffer
(an arena) goes to a worker, which runs the prefilter over it and judges what it reports. Nothing large is allocated
for a file, and for one without a hit no Python runs but that which reads it. One thread reads because reading is
short system calls: several threads would hand the interpreter's lock to and fro at each of them, and be slower
together than one.

Invariants. What comes out is in the order of the paths. A file that is larger than `LARGE`, an archive, or text in a
wide encoding is not read here but handed back as `Deferred`, in its place.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from keysentry.engine.arena import by_segment
from keysentry.extraction.sniff import FIRST_BYTES, HEAD, TAR_MAGIC, TAR_OFFSET, Kind, sniff
from keysentry.model.finding import Skipped
from keysentry.scan.document import HEAD as NATURE_HEAD
from keysentry.scan.document import NOTHING, Document, DocumentScanner, Outcome, Piece, is_table
from keysentry.scan.pool import Task

if TYPE_CHECKING:
    from keysentry.scan.exports import Export

ARENA = 2 << 20
LARGE = 1 << 20
"""A file of this size or more is scanned in pieces, by several workers."""
DAY_MOST = ARENA - 1
"""A day of a chat export up to this size is read whole, so that its messages can be told apart."""
MOST = 2048
"""How many files go into one arena."""
_LIKE_TABLES = frozenset((".csv", ".tsv", ".tab", "fods", ".CSV", ".TSV", ".TAB", "FODS"))
"""How the names of tables end: looked at for every file, so in the quickest way."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Deferred(NamedTuple):
    """A file that needs another way of reading; `export` is set for a day of a chat export."""

    path: str
    kind: Kind
    size: int
    export: Export | None = None


class Batch(NamedTuple):
    """What an arena gave: outcomes and deferred files in the order of the paths, and how much was read."""

    outcomes: list[Outcome | Deferred]
    files: int
    size: int


class Arena:
    """A buffer and the files in it; `aside` are files that are not in it, each with how many of those in it come
    before.
    """

    __slots__ = ("aside", "empty", "ends", "paths", "starts", "tables", "used", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(ARENA))
        self.clear()

    def clear(self) -> None:
        """Forget the files."""
        self.used = self.empty = 0
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.paths: list[str] = []
        self.aside: list[tuple[int, Outcome | Deferred]] = []
        self.tables: set[int] = set()


class Reader:
    """Reads files into arenas, and gives the tasks that scan them."""

    def __init__(self, scanner: DocumentScanner, max_size: int | None = None) -> None:
        self._scanner = scanner
        self._max_size = max_size
        self._free: deque[Arena] = deque()

    def tasks(self, paths: Iterable[str], base: int, export: Export | None = None) -> Iterator[Task[Batch]]:
        """The tasks that scan some files. They are read when the next task is asked for, in the thread that asks.

        `base` is how many characters of each path the user named (the rest is the file's own name); `export` is the
        chat export that the files belong to, if any.
        """
        arena = self._new()
        for path in paths:
            if len(arena.paths) + len(arena.aside) >= MOST or not self._read(arena, path, export):
                yield partial(self._scan, arena, base, export)
                arena = self._new()
                self._read(arena, path, export)
        if arena.paths or arena.aside or arena.empty:
            yield partial(self._scan, arena, base, export)

    def _new(self) -> Arena:
        try:
            arena = self._free.popleft()
        except IndexError:
            return Arena()
        arena.clear()
        return arena

    def _read(self, arena: Arena, path: str, export: Export | None) -> bool:
        """Read a file into an arena, or put it aside; False if the arena has no room for it."""
        start = arena.used
        room = ARENA - 1 - start
        try:
            descriptor = os.open(path, _FLAGS)
        except OSError as error:
            self._aside(arena, _refused(path, error))
            return True
        try:
            count = os.readv(descriptor, [arena.view[start : start + room]]) if room > 0 else 0
            if count >= room or count >= LARGE:
                size = os.fstat(descriptor).st_size
                day = export if size >= LARGE and export is not None and export.holds(path) else None
                if size >= LARGE and not (size <= DAY_MOST and day is not None):
                    kind = sniff(os.pread(descriptor, HEAD, 0), path)
                    kind = "table" if kind == "text" and is_table(path) and day is None else kind
                    self._defer(arena, Deferred(path, kind, size, day))
                    return True
                if size > room:
                    return False
        except OSError as error:
            self._aside(arena, _refused(path, error))
            return True
        finally:
            os.close(descriptor)
        if count:
            self._take(arena, path, start, count)
        else:
            arena.empty += 1
        return True

    def _take(self, arena: Arena, path: str, start: int, count: int) -> None:
        """Note a file that was read, unless its first bytes say that it must be read in another way."""
        view = arena.view
        if (
            view[start] in FIRST_BYTES
            or (count > 1 and not view[start + 1])
            or (count > TAR_OFFSET and view[start + TAR_OFFSET] == TAR_MAGIC[0])
        ):
            kind = sniff(bytes(view[start : start + min(count, HEAD)]), path)
            if kind not in ("text", "binary"):
                self._defer(arena, Deferred(path, kind, count))
                return
        if self._max_size is not None and count > self._max_size:
            self._aside(arena, _too_large(path, count))
            return
        end = start + count
        view[end] = 10
        if path[-4:] in _LIKE_TABLES and is_table(path):
            arena.tables.add(len(arena.paths))
        arena.starts.append(start)
        arena.ends.append(end)
        arena.paths.append(path)
        arena.used = end + 1

    def _defer(self, arena: Arena, deferred: Deferred) -> None:
        large = self._max_size is not None and deferred.size > self._max_size
        self._aside(arena, _too_large(deferred.path, deferred.size) if large else deferred)

    def _aside(self, arena: Arena, outcome: Outcome | Deferred) -> None:
        arena.aside.append((len(arena.paths), outcome))

    def _scan(self, arena: Arena, base: int, export: Export | None) -> Batch:
        """Scan the files of an arena, which is then free for others."""
        found: list[tuple[int, Outcome | Deferred]] = []
        size = arena.used - len(arena.paths)
        files = len(arena.paths) + len(arena.aside) + arena.empty
        events = self._scanner.engine.events(arena.view[: arena.used]) if arena.used else []
        for number, offsets in by_segment(events, arena.starts, arena.ends):
            start, end, path = arena.starts[number], arena.ends[number], arena.paths[number]
            document = Document(path, name=path[base:])
            if export is not None and export.holds(path):
                places = [offset - start for _target, offset in offsets]
                found.append((number, export.day(self._scanner, document, bytes(arena.view[start:end]), places)))
                continue
            # The buffer begins at `-start` of the file, so that offsets in the buffer become offsets in the file.
            piece = Piece(start, end, start, end, offset=-start)
            head = bytes(arena.view[start : min(end, start + NATURE_HEAD)])
            outcome = self._scanner.piece(document, arena.view, piece, offsets, head)
            if number in arena.tables:
                arena.tables.discard(number)
                outcome = self._scanner.tables.whole(document, bytes(arena.view[start:end]), outcome)
            found.append((number, outcome))
        found += [(number, self._table(arena, number, base)) for number in arena.tables]
        if arena.aside or arena.tables:
            # What was put aside before file n comes before it.
            found += [(before - 1, outcome) for before, outcome in arena.aside]
            found.sort(key=_place)
        self._free.append(arena)
        return Batch([outcome for _number, outcome in found], files, size)

    def _table(self, arena: Arena, number: int, base: int) -> Outcome:
        """What a table holds in which the prefilter sees nothing."""
        path = arena.paths[number]
        text = bytes(arena.view[arena.starts[number] : arena.ends[number]])
        return self._scanner.tables.whole(Document(path, name=path[base:]), text, NOTHING)


def _place(found: tuple[int, Outcome | Deferred]) -> int:
    return found[0]


def _too_large(path: str, size: int) -> Outcome:
    return Outcome([], [Skipped(path, f"larger than the limit: {size:,} bytes (raise --max-size to read it)")])


def _refused(path: str, error: OSError) -> Outcome:
    reason = "it is gone" if error.errno == errno.ENOENT else f"cannot be read: {error.strerror}"
    return Outcome([], [Skipped(path, reason)])
