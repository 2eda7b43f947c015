"""Records with their contents: texts, attachments of any format and size, and files of this machine.

Algorithm. Records come in batches; their texts are scanned together (`records`). A content goes the way of any file,
archives, spreadsheets and all, piece by piece as its source gives it; a path is scanned as the command line scans it.

Invariants. Findings come in the order of the records. What a content does not give is a `Skipped`, and what came
before is scanned; a `SourceError` while it is read passes through: it may be had later, and so the record is not
finished. Comments never silence a finding here: whoever leaks a secret could write them too.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, cast

import msgspec

from keysentry.engine.engine import Engine
from keysentry.errors import InputError
from keysentry.extraction.encoding import to_utf8
from keysentry.extraction.member import CHUNK
from keysentry.extraction.sniff import HEAD, sniff
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import Location, Step
from keysentry.model.record import Part, Record, Segment
from keysentry.scan.document import Document, DocumentScanner, is_table
from keysentry.scan.findings import FindingMaker
from keysentry.scan.members import Members, headed
from keysentry.scan.options import FileOptions
from keysentry.scan.pieces import PieceScanner
from keysentry.scan.pool import Pool
from keysentry.scan.records import name, scan_records, timestamp

BATCH = 1024
"""How many records are looked at by one call of the prefilter, at most."""
SMALL = 1 << 16
"""A text in memory up to this size is scanned together with those of other records."""


class ContentScanner:
    """Scans records and what is in them. It holds threads while it is in use: `close` it."""

    def __init__(self, engine: Engine, maker: FindingMaker, options: FileOptions) -> None:
        self._engine = engine
        self._maker = maker
        self._options = msgspec.structs.replace(options, allow_comments=False, processes=False)
        self._pool = Pool(options.jobs or 1)
        self._documents = DocumentScanner(engine, maker, allow_comments=False)
        self._members = Members(self._documents, PieceScanner(self._documents), self._pool, options.budget)

    def scan(self, records: Iterable[Record], skipped: list[Skipped]) -> Iterator[tuple[Record, Finding]]:
        """(record, finding), in the order of the records; what could not be read goes to `skipped`."""
        stream = iter(records)
        while batch := list(islice(stream, BATCH)):
            yield from self._batch(batch, skipped)

    def close(self) -> None:
        """Let the threads end, and the process that reads workbooks."""
        self._pool.close()
        self._documents.close()

    def _batch(self, records: list[Record], skipped: list[Skipped]) -> Iterator[tuple[Record, Finding]]:
        joined = [_with_small_texts(record) for record in records]
        found: defaultdict[int, list[Finding]] = defaultdict(list)
        for number, finding in scan_records(self._engine, self._maker, joined, skipped):
            found[number].append(finding)
        for number, record in enumerate(joined):
            if number in found:
                for finding in found.pop(number):
                    yield records[number], finding
            for part in record.parts:
                if part.segment is None or part.path or part.content is not None or part.open is not None:
                    for finding in self._content(record, part, skipped):
                        yield records[number], finding

    def _content(self, record: Record, part: Part, skipped: list[Skipped]) -> Iterator[Finding]:
        if part.path:
            yield from self._path(record, part.path, skipped)
        elif part.content is not None:
            yield from self._stream(record, part, iter((part.content,)), skipped)
        elif part.open is not None:
            try:
                chunks = part.open()
            except InputError as error:
                skipped.append(_unread(record, part, error, partial=False))
                return
            yield from self._stream(record, part, chunks, skipped)

    def _stream(self, record: Record, part: Part, chunks: Iterator[bytes], skipped: list[Skipped]) -> Iterator[Finding]:
        """Scan a content that comes in pieces."""
        title = part.name or name(record)
        reading = _Reading(chunks)
        head, stream = headed(cast(BinaryIO, io.BufferedReader(reading, CHUNK)), HEAD)
        document = Document(title, kind=sniff(head, part.name), name=part.name)
        for outcome, _files, _size in self._members.of_stream(document, stream):
            skipped += [_renamed(one, record, title) for one in outcome.skipped]
            for finding in outcome.findings:
                yield _placed(finding, record, part)
        if reading.error is not None:
            skipped.append(_unread(record, part, reading.error, partial=reading.given))

    def _path(self, record: Record, path: str, skipped: list[Skipped]) -> Iterator[Finding]:
        """Scan a file or folder of this machine."""
        from keysentry.scan.run import Scan

        scan = Scan(self._engine, self._maker, [path], self._options, None)
        try:
            for finding in scan:
                yield _owned(finding, record)
        except InputError as error:
            skipped.append(Skipped(error.place or path, error.reason))
        skipped += scan.summary.skipped


class _Reading(io.RawIOBase):
    """Pieces as a stream. An `InputError` ends it, and is kept; any other error passes through."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.error: InputError | None = None
        self.given = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                piece = next(self._chunks, None)
            except InputError as error:
                self.error = error
                piece = None
            if piece is None:
                return 0
            self._rest = memoryview(piece)
            self.given = self.given or bool(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _with_small_texts(record: Record) -> Record:
    """The record with contents that are short plain texts turned into segments."""
    for part in record.parts:
        if part.content is not None:
            break
    else:
        return record
    return msgspec.structs.replace(record, parts=tuple(_as_segment(part) for part in record.parts))


def _as_segment(part: Part) -> Part:
    content = part.content
    if content is None or len(content) > SMALL or is_table(part.name):
        return part
    kind = sniff(content[:HEAD], part.name)
    if kind != "text":
        return part
    return Part(segment=Segment(to_utf8(content, kind), _route(part)))


def _route(part: Part) -> tuple[Step, ...]:
    return (*part.route, Step("file", part.name)) if part.name else part.route


def _placed(finding: Finding, record: Record, part: Part) -> Finding:
    """A finding in a content, as one of the record: the way to the content, then the way inside it."""
    location = finding.location
    placed = Location(
        uri=record.uri,
        path=record.path,
        route=(*_route(part), *location.route),
        line=location.line,
        column=location.column,
        span=location.span,
        container=record.container,
        author=location.author or record.author,
        author_id=location.author_id or record.author_id,
        time=location.time or timestamp(record.time),
        exposure=record.exposure,
    )
    return msgspec.structs.replace(finding, location=placed)


def _owned(finding: Finding, record: Record) -> Finding:
    """A finding in a file of this machine; what an export tells of a message's author and place stands first."""
    location = finding.location
    inner = location.exposure.audience != "unknown"
    placed = msgspec.structs.replace(
        location,
        container=location.container or record.container,
        author=location.author or record.author,
        author_id=location.author_id or record.author_id,
        time=location.time or timestamp(record.time),
        exposure=location.exposure if inner else record.exposure,
    )
    return msgspec.structs.replace(finding, location=placed)


def _renamed(skipped: Skipped, record: Record, title: str) -> Skipped:
    """What was not read of a content, with the record that it belongs to in front."""
    owner = name(record)
    place = skipped.place if owner == title else f"{owner} » {skipped.place}"
    return msgspec.structs.replace(skipped, place=place)


def _unread(record: Record, part: Part, error: InputError, *, partial: bool) -> Skipped:
    reason = f"{error.reason} ({error.advice})" if error.advice else error.reason
    owner = name(record)
    return Skipped(f"{owner} » {part.name}" if part.name else owner, reason, partial)
