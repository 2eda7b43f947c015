"""Many small files at once: read straight into one buffer, looked at by one call of the prefilter.

Algorithm. Each worker has a buffer of its own. A file is read by one `readv` into what is left of it; when a file does not fit, what is there
is scanned first. Nothing large is allocated for a file, and for one without a hit no Python runs but that which reads it.

Invariants. What comes out is in the order of the paths. A file that is larger than `LARGE`, an archive, or text in a wide encoding is not
read here but handed back as `Deferred`, in its place.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from keysentry.engine.arena import by_segment
from keysentry.extraction.sniff import FIRST_BYTES, HEAD, TAR_MAGIC, TAR_OFFSET, Kind, sniff
from keysentry.model.finding import Skipped
from keysentry.scan.document import HEAD as NATURE_HEAD
from keysentry.scan.document import Document, DocumentScanner, Outcome, Piece

if TYPE_CHECKING:
    from keysentry.scan.exports import Export

ARENA = 4 << 20
LARGE = 2 << 20
"""A file of this size or more is scanned in pieces, by several workers."""
_GAP = 1
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Deferred(NamedTuple):
    """A file that needs another way of reading."""

    path: str
    kind: Kind
    size: int


class Batch(NamedTuple):
    """What a batch of files gave: outcomes and deferred files in the order of the paths, and how much was read."""

    outcomes: list[Outcome | Deferred]
    files: int
    size: int


class Reader:
    """Scans batches of small files. Each thread that calls it has a buffer of its own."""

    def __init__(self, scanner: DocumentScanner, max_size: int | None = None) -> None:
        self._scanner = scanner
        self._max_size = max_size
        self._local = threading.local()

    def batch(self, paths: Sequence[str], base: int, export: Export | None = None) -> Batch:
        """Scan some files; `base` is how many characters of each path the user named (the rest is the file's own name).

        `export` is the chat export that they belong to, if any.
        """
        try:
            run: _Run = self._local.run
        except AttributeError:
            run = self._local.run = _Run(self._scanner, self._max_size)
        return run.batch(paths, base, export)


class _Run:
    """One worker's buffer, and what is in it."""

    def __init__(self, scanner: DocumentScanner, max_size: int | None) -> None:
        self._scanner = scanner
        self._max_size = max_size
        self._buffer = bytearray(ARENA)
        self._view = memoryview(self._buffer)

    def batch(self, paths: Sequence[str], base: int, export: Export | None) -> Batch:
        self._outcomes: list[Outcome | Deferred] = []
        self._base = base
        self._export = export
        self._size = 0
        self._clear()
        for path in paths:
            self._read(path)
        self._flush()
        return Batch(self._outcomes, len(paths), self._size)

    def _clear(self) -> None:
        self._used = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._paths: list[str] = []

    def _read(self, path: str) -> None:
        try:
            descriptor = os.open(path, _FLAGS)
        except OSError as error:
            self._refuse(path, error)
            return
        try:
            self._take(path, descriptor)
        except OSError as error:
            self._refuse(path, error)
        finally:
            os.close(descriptor)

    def _take(self, path: str, descriptor: int) -> None:
        """Read an open file into the buffer, or put it aside."""
        start = self._used
        room = ARENA - _GAP - start
        count = os.readv(descriptor, [self._view[start : start + room]]) if room else 0
        if count >= room or count >= LARGE:
            size = os.fstat(descriptor).st_size
            if size >= LARGE and (self._export is None or not self._export.holds(path) or size > ARENA - _GAP):
                head = os.pread(descriptor, HEAD, 0)
                self._defer(Deferred(path, sniff(head, path), size))
                return
            self._flush()
            start = 0
            count = os.preadv(descriptor, [self._view[: ARENA - _GAP]], 0)
        if not count:
            return
        buffer = self._buffer
        first = buffer[start]
        if (
            first in FIRST_BYTES
            or (count > 1 and not buffer[start + 1])
            or (count > TAR_OFFSET and buffer.startswith(TAR_MAGIC, start + TAR_OFFSET))
        ):
            kind = sniff(bytes(self._view[start : start + min(count, HEAD)]), path)
            if kind not in ("text", "binary"):
                self._defer(Deferred(path, kind, count))
                return
        if self._max_size is not None and count > self._max_size:
            self._too_large(path, count)
            return
        end = start + count
        buffer[end] = 10
        self._starts.append(start)
        self._ends.append(end)
        self._paths.append(path)
        self._used = end + _GAP
        self._size += count

    def _defer(self, deferred: Deferred) -> None:
        self._flush()
        if self._max_size is not None and deferred.size > self._max_size:
            self._too_large(deferred.path, deferred.size)
        else:
            self._outcomes.append(deferred)

    def _too_large(self, path: str, size: int) -> None:
        self._flush()
        reason = f"larger than the limit: {size:,} bytes (raise --max-size to read it)"
        self._outcomes.append(Outcome([], [Skipped(path, reason)]))

    def _refuse(self, path: str, error: OSError) -> None:
        self._flush()
        reason = "it is gone" if error.errno == errno.ENOENT else f"cannot be read: {error.strerror}"
        self._outcomes.append(Outcome([], [Skipped(path, reason)]))

    def _flush(self) -> None:
        """Scan what is in the buffer."""
        if not self._starts:
            return
        events = self._scanner.engine.events(self._view[: self._used])
        if events:
            for number, found in by_segment(events, self._starts, self._ends):
                start, end = self._starts[number], self._ends[number]
                path = self._paths[number]
                document = Document(path, name=path[self._base :])
                if self._export is not None and self._export.holds(path):
                    offsets = [offset - start for _target, offset in found]
                    self._outcomes.append(self._export.day(self._scanner, document, bytes(self._view[start:end]), offsets))
                    continue
                head = bytes(self._view[start : min(end, start + NATURE_HEAD)])
                # The buffer begins at `-start` of the file, so that offsets in the buffer become offsets in the file.
                piece = Piece(start, end, start, end, offset=-start)
                self._outcomes.append(self._scanner.piece(document, self._view, piece, found, head))
        self._clear()
