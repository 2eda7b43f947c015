"""Large documents, in pieces: memory stays flat, and every core has work.

Algorithm. A document is cut into cores of `CORE` bytes; each is scanned with a margin of its neighbours on both
sides. A piece counts its own line ends and the characters after the last of them; whoever puts the pieces together
adds up.

Invariants. The findings are those of the whole document scanned at once, whatever the cut.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from keysentry.engine.prefilter.base import Buffer
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import Step
from keysentry.scan.document import HEAD, NOTHING, PATHS_IN, Document, DocumentScanner, Outcome, Piece
from keysentry.scan.locate import characters
from keysentry.scan.pool import Task

if TYPE_CHECKING:
    from keysentry.extraction.formats.teams import Conversations
    from keysentry.extraction.jsonpath import FieldPaths

CORE = 4 << 20


class Scanned(NamedTuple):
    """What a piece gave: its outcome with lines and columns counted from the core's beginning, its line ends, the
    characters after the last of them, and how many bytes its core had."""

    outcome: Outcome
    lines: int
    tail: int
    size: int


class PieceScanner:
    """Scans pieces of documents; each thread that calls it has a buffer of its own for files."""

    def __init__(self, scanner: DocumentScanner) -> None:
        self._scanner = scanner
        self._local = threading.local()

    def of_file(self, document: Document, size: int) -> Iterator[Task[Scanned]]:
        """The tasks that scan a file in pieces."""
        head: list[bytes] = []
        document = document._replace(names=_names(document.path))
        for start in range(0, size, CORE):
            yield partial(self._file_piece, document, start, min(start + CORE, size), size, head)

    def _file_piece(self, document: Document, start: int, end: int, size: int, head: list[bytes]) -> Scanned:
        margin = self._scanner.margin
        first, last = max(0, start - margin), min(size, end + margin)
        try:
            buffer: bytearray = self._local.buffer
        except AttributeError:
            buffer = self._local.buffer = bytearray(CORE + 2 * margin)
        view = memoryview(buffer)
        try:
            descriptor = os.open(document.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            return _unread(document, error)
        try:
            if not head:
                head.append(os.pread(descriptor, HEAD, 0))
            count = _fill(descriptor, view[: last - first], first)
        except OSError as error:
            return _unread(document, error)
        finally:
            os.close(descriptor)
        end = min(end, first + count)
        if end <= start:
            return Scanned(_changed(document), 0, 0, 0)
        scanned = self.window(document, view[:count], start - first, end - first, first, head[0])
        if first + count < last:
            scanned.outcome.skipped.extend(_changed(document).skipped)
        return scanned

    def of_stream(self, document: Document, chunks: Iterable[bytes]) -> Iterator[Task[Scanned]]:
        """The tasks that scan a document that comes in chunks."""
        margin = self._scanner.margin
        left = b""
        held = bytearray()
        offset = 0
        head = b""
        for chunk in chunks:
            if not offset and not held and (names := _names("", chunk)):
                document = document._replace(names=names)
            if document.names is not None:
                document.names.feed(chunk)
            held += chunk
            while len(held) >= CORE + margin:
                head = head or bytes(held[:HEAD])
                window = left + held[: CORE + margin]
                yield partial(self.window, document, window, len(left), len(left) + CORE, offset - len(left), head)
                left = window[len(left) + CORE - margin : len(left) + CORE]
                del held[:CORE]
                offset += CORE
        if held:
            head = head or bytes(held[:HEAD])
            window = left + held
            yield partial(self.window, document, window, len(left), len(window), offset - len(left), head)

    def window(self, document: Document, buffer: Buffer, start: int, end: int, offset: int, head: bytes) -> Scanned:
        """Scan the core from `start` to `end` of a buffer whose first byte lies at `offset` of the document."""
        events = self._scanner.engine.events(buffer)
        core = bytes(buffer[start:end])
        lines = core.count(b"\n")
        tail = characters(core[core.rfind(b"\n") + 1 :])
        if not events:
            return Scanned(NOTHING, lines, tail, len(core))
        piece = Piece(0, len(buffer), start, end, offset)
        return Scanned(self._scanner.piece(document, buffer, piece, events, head), lines, tail, len(core))


class Fields:
    """Tells the JSON fields of findings in a file that was cut into pieces: read again, once, when something is
    found.
    """

    def __init__(self, document: Document, size: int) -> None:
        self._document = document
        self._size = size
        self._paths: FieldPaths | None = None
        self._wanted: bool | None = None

    def told(self, outcome: Outcome) -> Outcome:
        """An outcome with the fields of its findings, where the file is JSON and not too large.

        Outcomes come in order.
        """
        if not outcome.findings or self._size > PATHS_IN or self._wanted is False:
            return outcome
        if self._paths is None:
            self._paths = self._read()
            self._wanted = self._paths is not None
        return outcome._replace(findings=[self._with_field(finding) for finding in outcome.findings])

    def _read(self) -> FieldPaths | None:
        from keysentry.extraction.jsonpath import FieldPaths
        from keysentry.scan.nature import is_lines_of_json, nature_of

        name = self._document.name or self._document.path
        try:
            with open(self._document.path, "rb") as file:  # noqa: PTH123
                head = file.read(HEAD)
                if is_lines_of_json(name) or not nature_of(name, head).json:
                    return None
                return FieldPaths(head + file.read(PATHS_IN))
        except OSError:
            return None

    def _with_field(self, finding: Finding) -> Finding:
        location = finding.location
        if self._paths is None or location.span is None or any(step.kind == "field" for step in location.route):
            return finding
        field = self._paths.at(location.span.start)
        if not field:
            return finding
        placed = msgspec.structs.replace(location, route=(Step("field", field), *location.route))
        return msgspec.structs.replace(finding, location=placed)


def _names(path: str, head: bytes = b"") -> Conversations | None:
    """Room for the conversations of a file, or of what begins with `head`, if it may be a chat export."""
    if path:
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                head = file.read(HEAD)
        except OSError:
            return None
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return None
    from keysentry.extraction.formats.teams import Conversations, is_export

    return Conversations(path) if is_export(head[:HEAD]) else None


def _fill(descriptor: int, view: memoryview, offset: int) -> int:
    count = 0
    while count < len(view):
        got = os.preadv(descriptor, [view[count:]], offset + count)
        if not got:
            break
        count += got
    return count


def _unread(document: Document, error: OSError) -> Scanned:
    return Scanned(Outcome([], [Skipped(document.place, f"cannot be read: {error.strerror}", partial=True)]), 0, 0, 0)


def _changed(document: Document) -> Outcome:
    return Outcome([], [Skipped(document.place, "it became shorter while it was read", partial=True)])


def together(pieces: Iterable[Scanned]) -> Iterator[tuple[Outcome, int]]:
    """The outcomes of a document's pieces with lines and columns counted from the document's beginning, and their
    sizes.
    """
    lines = columns = 0
    for piece in pieces:
        findings = [_moved(finding, lines, columns) for finding in piece.outcome.findings]
        yield piece.outcome._replace(findings=findings), piece.size
        columns = piece.tail if piece.lines else columns + piece.tail
        lines += piece.lines


def _moved(finding: Finding, lines: int, columns: int) -> Finding:
    location = finding.location
    if location.line is None or location.column is None:
        return finding
    column = location.column + (columns if location.line == 1 else 0)
    moved = msgspec.structs.replace(location, line=location.line + lines, column=column)
    return msgspec.structs.replace(finding, location=moved)
