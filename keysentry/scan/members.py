"""Archives and streams: their members as documents, small ones in groups, large ones in pieces."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from keysentry.errors import BudgetExceeded
from keysentry.extraction.archive import ARCHIVES, Leaf, leaves, leaves_of, workbook_kind
from keysentry.extraction.budget import Account, Budget
from keysentry.extraction.encoding import is_wide
from keysentry.extraction.formats.sheets.book import OLD_SHEET, Book
from keysentry.extraction.member import CHUNK, Member, guarded, place_in, skipped
from keysentry.extraction.zipindex import Entry, ZipIndex
from keysentry.model.finding import Finding, Skipped
from keysentry.scan.document import HEAD, PATHS_IN, Document, DocumentScanner, Outcome, is_table
from keysentry.scan.exports import Export
from keysentry.scan.group import Held, Packed, groups
from keysentry.scan.pieces import PieceScanner, together
from keysentry.scan.pool import Pool

if TYPE_CHECKING:
    from keysentry.extraction.formats.sheets.book import Flavour
    from keysentry.scan.workbook_file import WorkbookFile

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
        """Scan a file that is an archive, a workbook, a table, or a text in a wide encoding."""
        try:
            with open(document.path, "rb") as file:  # noqa: PTH123
                yield from self.of_stream(document, file, os.path.abspath(document.path))  # noqa: PTH100  as in `uri`
        except OSError as error:
            yield _skip(document.path, f"cannot be read: {error.strerror}"), 0, 0

    def of_stream(self, document: Document, stream: BinaryIO, path: str = "") -> Iterator[Told]:
        """Scan what comes from a stream: text, an archive of any kind, a workbook. `path` is that of the file that the
        stream is, if it is one.
        """
        if document.kind == "table" and stream.seekable():
            yield from self._table(document._replace(kind="text"), stream)
        elif document.kind not in ARCHIVES:
            yield from self._document(document, _chunks(stream), path)
        elif document.kind != "zip":
            account = Account(self._budget)
            yield from self._leaves(
                document, leaves(stream, document.kind, document.path, account, books=True), account
            )
        elif stream.seekable():
            yield from self._zip(document, stream, path)
        else:
            with tempfile.TemporaryFile() as spooled:
                for chunk in _chunks(stream):
                    spooled.write(chunk)
                spooled.seek(0)
                yield from self._zip(document, spooled)

    def _document(self, document: Document, chunks: Iterator[bytes], path: str = "") -> Iterator[Told]:
        """Scan one document that comes in chunks; `path` is that of its own file, if it is one."""
        if is_wide(document.kind):
            yield from self._wide(document, chunks)
            return
        if document.kind == "ole":
            yield from self._compound(document, chunks, path)
            return
        if document.kind in ("text", "table") and is_table(document.name or document.path):
            yield from self._spooled(document._replace(kind="text"), chunks)
            return
        if document.kind == "sheet":
            yield _skip(document.place, OLD_SHEET, partial=True), 0, 0
        yield from self._text(document, chunks)

    def _table(self, document: Document, file: BinaryIO) -> Iterator[Told]:
        """Scan a table that is too large for an arena: as text, and then its columns of secrets."""
        from keysentry.scan.tables import Spans, named, with_cells

        if (document.name or document.path).lower().endswith(".fods"):
            yield from self._flat(document, file)
            return
        found: list[Finding] = []
        for outcome, files, size in self._text(document, _chunks(file)):
            found += outcome.findings
            yield outcome._replace(findings=[]), files, size
        file.seek(0)
        table = named(file.read(HEAD), document.name or document.path)
        file.seek(0)
        spans = [finding.span for finding in found]
        if found and max(spans).end < PATHS_IN - CHUNK:
            found = with_cells(found, spans, file.read(max(spans).end + CHUNK), table.dialect)
            file.seek(0)
        yield Outcome(found, []), 0, 0
        if table.columns:
            for outcome in self._scanner.tables.columns(document, _chunks(file), table, Spans(spans)):
                yield outcome, 0, 0

    def _flat(self, document: Document, file: BinaryIO) -> Iterator[Told]:
        """Scan a workbook that is one XML file: held in memory, or if it is too large for that, as the text it is."""
        content = file.read(self._budget.held + 1)
        if len(content) <= self._budget.held:
            yield self._scanner.whole(document, content), 0, len(content)
            return
        reason = (
            f"larger than {self._budget.held:,} bytes: its cells are not told apart (raise budget.held to read them)"
        )
        yield _skip(document.place, reason, partial=True), 0, 0
        yield from self._text(document, chain((content,), _chunks(file)))

    def _spooled(self, document: Document, chunks: Iterator[bytes]) -> Iterator[Told]:
        """Scan a table that can be read once only."""
        from keysentry.scan.tables import named

        first = next(chunks, b"")
        again = chain((first,), chunks)
        name = document.name or document.path
        if not name.lower().endswith(".fods") and not named(first[:HEAD], name).columns:
            yield from self._text(document, again)
            return
        with tempfile.TemporaryFile() as spooled:
            for chunk in again:
                spooled.write(chunk)
            spooled.seek(0)
            yield from self._table(document, spooled)

    def _text(self, document: Document, chunks: Iterator[bytes]) -> Iterator[Told]:
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

    def _compound(self, document: Document, chunks: Iterator[bytes], path: str) -> Iterator[Told]:
        """Scan a compound file, which is held in memory."""
        content = bytearray()
        for chunk in chunks:
            content += chunk
            if len(content) > self._budget.held:
                reason = f"larger than {self._budget.held:,} bytes: if it is a workbook, its cells are not told apart"
                yield _skip(document.place, f"{reason} (raise budget.held to read them)", partial=True), 0, 0
                yield from self._text(document, chain((bytes(content),), chunks))
                return
        from keysentry.extraction.formats.sheets.ole import Compound

        whole = bytes(content)
        compound = Compound(whole)
        raw = self._text(document, iter((whole,)))
        if compound.is_workbook:
            reading = self._scanner.sheet_reader(self._budget).read(Book(path, b"" if path else whole))
            yield from self._books.compound(document, whole, compound, reading, raw)
            return
        yield from self._books.other_compound(document, compound, raw)
        if compound.is_old_workbook:
            yield _skip(document.place, OLD_SHEET, partial=True), 0, 0
        elif compound.encrypted:
            yield _skip(document.place, "it is encrypted"), 0, 0

    def _zip(self, document: Document, file: BinaryIO, path: str = "") -> Iterator[Told]:
        """Scan a zip, which may be a workbook."""
        account = Account(self._budget)
        index = ZipIndex(file, document.place, account)
        kind = workbook_kind(index)
        if kind:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if not path and size > self._budget.held:
                reason = f"larger than {self._budget.held:,} bytes: its cells are not told apart (save it as a file)"
                yield _skip(document.place, reason, partial=True), 0, 0
                yield from self._entries(document, index, None, account)
                return
            yield from self._workbook(document, index, kind, Book(path, b"" if path else file.read()), account)
        else:
            yield from self._entries(document, index, _export(index), account)

    def _workbook(
        self, document: Document, index: ZipIndex, kind: Flavour, book: Book, account: Account
    ) -> Iterator[Told]:
        """Scan a workbook that is a zip; its parts do not count as files."""
        raw = (
            (outcome, 0, size) for outcome, _files, size in self._entries(document, index, None, account, parts=True)
        )
        if kind == "iwork":
            yield from self._books.iwork(document, index, raw)
            return
        # The process starts before all that is needed to scan is imported.
        reading = self._scanner.sheet_reader(self._budget).read(book)
        yield from self._books.package(document, index, kind, reading, raw)

    @cached_property
    def _books(self) -> WorkbookFile:
        from keysentry.scan.workbook_file import WorkbookFile

        return WorkbookFile(self._scanner, self._pool, self._budget)

    def _entries(
        self, document: Document, index: ZipIndex, export: Export | None, account: Account, *, parts: bool = False
    ) -> Iterator[Told]:
        """Scan the members of a zip: small ones in groups, which workers inflate side by side, large ones as they
        come; `parts` says that they are parts of a workbook.
        """
        if index.damage is not None:
            yield Outcome([], [index.damage]), 0, 0
        if export is not None and export.skipped:
            named = [Skipped(place_in(document.path, one.place), one.reason, one.partial) for one in export.skipped]
            yield Outcome([], named), 0, 0
        waiting: list[Held] = []
        for entry in index.entries:
            place = place_in(document.place, entry.name)
            day = export if export is not None and export.holds(entry.name) else None
            if entry.refusal:
                yield _skip(place, entry.refusal), 0, 0
            elif 0 <= entry.size <= (SMALL if day is None else DAY_MOST):
                held = _member(document, entry.name)
                waiting.append(Held(held, entry.size, partial(_read, index, entry, place), day))
            else:
                yield from self._grouped(document, iter(waiting), account)
                waiting = []
                problems: list[Skipped] = []
                chunks = partial(guarded, index.chunks(entry), place, problems)
                if parts and entry.name.endswith(".xml"):
                    yield from self._books.part(_member(document, entry.name), chunks())
                else:
                    member = Member(entry.name, entry.size, chunks)
                    found = leaves_of(iter((member,)), document.place, account, books=True)
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
        if packed.document.kind == "ole":
            yield from self._compound(packed.document, iter((packed.content,)), "")
            return
        if packed.document.kind == "zip" and (kind := workbook_kind(ZipIndex(io.BytesIO(packed.content)))):
            yield from self._nested(packed, kind, account)
            return
        place = document._replace(members=tuple(outer)).place
        member = Member(name, len(packed.content), lambda: iter((packed.content,)))
        yield from self._leaves(document, leaves_of(iter((member,)), place, account, books=True), account)

    def _nested(self, packed: Packed, kind: Flavour, account: Account) -> Iterator[Told]:
        """Scan a workbook inside an archive."""
        document = packed.document
        try:
            inner = account.deeper(document.place)
        except BudgetExceeded as error:
            yield Outcome([], [skipped(error, document.place)]), 0, 0
            return
        index = ZipIndex(io.BytesIO(packed.content), document.place, inner)
        yield from self._workbook(document, index, kind, Book("", packed.content), inner)

    def _leaves(self, document: Document, found: Iterator[Leaf | Skipped], account: Account) -> Iterator[Told]:
        """Scan the files that an archive gives one after the other."""
        unread: list[Skipped] = []
        large: list[tuple[Document, Iterator[bytes]]] = []
        while True:
            yield from self._grouped(document, self._small(document, found, large, unread), account)
            yield Outcome([], unread[:]), 0, 0
            unread.clear()
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
        unread: list[Skipped],
    ) -> Iterator[Held]:
        """The leaves up to the next large one, which goes to `large`."""
        for leaf in found:
            if isinstance(leaf, Skipped):
                unread.append(leaf)
                continue
            members = tuple(leaf.place.removeprefix(f"{document.path} » ").split(" » "))
            member = document._replace(members=members, kind=leaf.kind, name="/".join(members))
            content = b""
            for chunk in leaf.chunks:
                content = content + chunk if content else chunk
                if len(content) > SMALL and leaf.kind != "zip":
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


def _member(document: Document, name: str) -> Document:
    members = (*document.members, name)
    return document._replace(members=members, kind="text", name="/".join(members))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    return iter(partial(stream.read, CHUNK), b"")


def _content(content: bytes, _problems: list[Skipped]) -> bytes:
    return content


def _skip(place: str, reason: str, *, partial: bool = False) -> Outcome:
    return Outcome([], [Skipped(place, reason, partial)])
