"""Archives and streams: their members as documents, small ones in groups, large ones in pieces."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

from keysentry.extraction.archive import ARCHIVES, Leaf, leaves, leaves_of
from keysentry.extraction.budget import Account, Budget
from keysentry.extraction.encoding import is_wide
from keysentry.extraction.member import CHUNK, Member, guarded, place_in
from keysentry.extraction.zipindex import Entry, ZipIndex
from keysentry.model.finding import Skipped
from keysentry.scan.document import Document, DocumentScanner, Outcome
from keysentry.scan.exports import Export
from keysentry.scan.group import Held, Packed, groups
from keysentry.scan.pieces import PieceScanner, together
from keysentry.scan.pool import Pool

SMALL = 4 << 20
"""A member of this size or less is held in memory, and grouped with others."""
DAY_MOST = 64 << 20
"""A day of a chat export up to this size is held in memory, so that its messages can be told apart."""
WIDE_MOST = 256 << 20
"""The largest text in a wide encoding that is read: it is held in memory to be turned into UTF-8."""

Told = tuple[Outcome, int, int]
"""(what was found, how many files it counts for, how many bytes were scanned)"""


class _Headed(io.RawIOBase):
    """A stream that can only be read forwards, with the bytes that were read of it put back."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._stream.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def headed(stream: BinaryIO, count: int) -> tuple[bytes, BinaryIO]:
    """The first `count` bytes of a stream, however few a pipe gives at once, and the stream from its beginning."""
    head = stream.read(count)
    if stream.seekable():
        stream.seek(-len(head), os.SEEK_CUR)
        return head, stream
    return head, io.BufferedReader(_Headed(head, stream), CHUNK)


class Members:
    """Scans what archives hold."""

    def __init__(self, scanner: DocumentScanner, pieces: PieceScanner, pool: Pool, budget: Budget) -> None:
        self._scanner = scanner
        self._pieces = pieces
        self._pool = pool
        self._budget = budget

    def of_file(self, document: Document) -> Iterator[Told]:
        """Scan an archive, or a text in a wide encoding, that is a file."""
        try:
            with open(document.path, "rb") as file:  # noqa: PTH123
                yield from self.of_stream(document, file)
        except OSError as error:
            yield _skip(document.path, f"cannot be read: {error.strerror}"), 0, 0

    def of_stream(self, document: Document, stream: BinaryIO) -> Iterator[Told]:
        """Scan what comes from a stream: text, or an archive of any kind."""
        if document.kind not in ARCHIVES:
            yield from self._document(document, iter(partial(stream.read, CHUNK), b""))
        elif document.kind != "zip":
            account = Account(self._budget)
            yield from self._leaves(document, leaves(stream, document.kind, document.path, account), account)
        elif stream.seekable():
            yield from self._zip(document, stream)
        else:
            with tempfile.TemporaryFile() as spooled:
                for chunk in iter(partial(stream.read, CHUNK), b""):
                    spooled.write(chunk)
                spooled.seek(0)
                yield from self._zip(document, spooled)

    def _document(self, document: Document, chunks: Iterator[bytes]) -> Iterator[Told]:
        """Scan one document that comes in chunks."""
        if is_wide(document.kind):
            yield from self._wide(document, chunks)
            return
        for outcome, size in together(self._pool.ordered(self._pieces.of_stream(document, chunks))):
            yield outcome, 0, size

    def _wide(self, document: Document, chunks: Iterator[bytes]) -> Iterator[Told]:
        content = bytearray()
        for chunk in chunks:
            content += chunk
            if len(content) > WIDE_MOST:
                reason = f"text in {document.kind} is larger than {WIDE_MOST:,} bytes (turn it into UTF-8 first)"
                yield _skip(document.place, reason, partial=True), 0, 0
                break
        yield self._scanner.whole(document, bytes(content)), 0, len(content)

    def _zip(self, document: Document, file: BinaryIO) -> Iterator[Told]:
        """Scan a zip: its small members in groups, which workers inflate side by side, its large ones as they come."""
        account = Account(self._budget, packed=os.fstat(file.fileno()).st_size)
        index = ZipIndex(file.fileno(), document.path, account)
        if index.damage is not None:
            yield Outcome([], [index.damage]), 0, 0
        export = _export(index)
        if export is not None and export.skipped:
            named = [Skipped(place_in(document.path, one.place), one.reason, one.partial) for one in export.skipped]
            yield Outcome([], named), 0, 0
        waiting: list[Held] = []
        for entry in index.entries:
            place = place_in(document.path, entry.name)
            day = export if export is not None and export.holds(entry.name) else None
            if entry.refusal:
                yield _skip(place, entry.refusal), 0, 0
            elif 0 <= entry.size <= (SMALL if day is None else DAY_MOST):
                member = document._replace(members=(entry.name,), kind="text", name=entry.name)
                waiting.append(Held(member, entry.size, partial(_read, index, entry, place), day))
            else:
                yield from self._grouped(document, iter(waiting), account)
                waiting = []
                problems: list[Skipped] = []
                chunks = partial(guarded, index.chunks(entry), place, problems)
                found = leaves_of(iter((Member(entry.name, entry.size, chunks),)), document.path, account)
                yield from self._leaves(document, found, account)
                yield Outcome([], problems), 0, 0
        yield from self._grouped(document, iter(waiting), account)

    def _grouped(self, document: Document, held: Iterator[Held], account: Account) -> Iterator[Told]:
        for grouped in self._pool.ordered(groups(held, self._scanner)):
            yield Outcome([], []), grouped.files, grouped.size
            for outcome in grouped.outcomes:
                if isinstance(outcome, Packed):
                    yield from self._packed(document, outcome, account)
                else:
                    yield outcome, 0, 0

    def _packed(self, document: Document, packed: Packed, account: Account) -> Iterator[Told]:
        """Scan an archive inside the archive, which a worker came upon."""
        *outer, name = packed.document.members
        place = document._replace(members=tuple(outer)).place
        member = Member(name, len(packed.content), lambda: iter((packed.content,)))
        yield from self._leaves(document, leaves_of(iter((member,)), place, account), account)

    def _leaves(self, document: Document, found: Iterator[Leaf | Skipped], account: Account) -> Iterator[Told]:
        """Scan the files that an archive gives one after the other."""
        skipped: list[Skipped] = []
        large: list[tuple[Document, Iterator[bytes]]] = []
        while True:
            yield from self._grouped(document, self._small(document, found, large, skipped), account)
            yield Outcome([], skipped[:]), 0, 0
            skipped.clear()
            if not large:
                return
            member, chunks = large.pop()
            yield Outcome([], []), 1, 0
            yield from self._document(member, chunks)

    def _small(
        self,
        document: Document,
        found: Iterator[Leaf | Skipped],
        large: list[tuple[Document, Iterator[bytes]]],
        skipped: list[Skipped],
    ) -> Iterator[Held]:
        """The leaves up to the next large one, which goes to `large`."""
        for leaf in found:
            if isinstance(leaf, Skipped):
                skipped.append(leaf)
                continue
            members = tuple(leaf.place.removeprefix(f"{document.path} » ").split(" » "))
            member = document._replace(members=members, kind=leaf.kind, name="/".join(members))
            content = b""
            for chunk in leaf.chunks:
                content = content + chunk if content else chunk
                if len(content) > SMALL:
                    large.append((member, chain((content,), leaf.chunks)))
                    return
            yield Held(member, len(content), partial(_content, content))


def _export(index: ZipIndex) -> Export | None:
    by_name = {entry.name: entry for entry in index.entries}

    def read(name: str) -> bytes | None:
        entry = by_name.get(name)
        return None if entry is None else _read(index, entry, name, [])

    return Export.of_archive(list(by_name), read)


def _read(index: ZipIndex, entry: Entry, place: str, problems: list[Skipped]) -> bytes:
    return b"".join(guarded(index.chunks(entry), place, problems))


def _content(content: bytes, _problems: list[Skipped]) -> bytes:
    return content


def _skip(place: str, reason: str, *, partial: bool = False) -> Outcome:
    return Outcome([], [Skipped(place, reason, partial)])
