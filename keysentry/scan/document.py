"""One file, or one member of an archive: from the matches in a piece of it to findings with their places.

Invariants. `line` and `column` are those of the original text. What is found does not depend on where a document is
cut: a piece reaches `margin` bytes into its neighbours, which is more than any match and its surroundings, and
answers only for matches that begin in its core.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from keysentry.engine.engine import Engine, Match, Result
from keysentry.engine.prefilter.base import Buffer, Event
from keysentry.engine.triggers import MESSAGE
from keysentry.extraction.sniff import Kind
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan, Location, Route, Step
from keysentry.scan.findings import FindingMaker
from keysentry.scan.locate import Lines

if TYPE_CHECKING:
    from keysentry.extraction.budget import Budget
    from keysentry.extraction.formats.sheets.process import SheetReader
    from keysentry.extraction.formats.teams import Conversations
    from keysentry.extraction.jsonpath import FieldPaths
    from keysentry.scan.tables import TableScanner
    from keysentry.scan.workbooks import WorkbookScanner

HEAD = 8192
"""How much of a document's beginning tells its nature."""
PATHS_IN = 64 << 20
"""The largest document in which the field path of a finding is worked out."""


_TABLES = (".csv", ".tsv", ".tab", ".fods")


def is_table(name: str) -> bool:
    """Whether a file is a table as text, by its name."""
    return name.lower().endswith(_TABLES)


class Document(NamedTuple):
    """What a piece of text is part of: the file as the user named it, and the members of archives on the way to it.

    `names` are the conversations of a chat export that is scanned in pieces.
    """

    path: str
    members: tuple[str, ...] = ()
    kind: Kind = "text"
    name: str = ""
    names: Conversations | None = None

    @property
    def uri(self) -> str:
        """A link to the file, with the way inside it as a fragment."""
        if self.path == "-":
            return ""
        import os
        from urllib.parse import quote

        uri = f"file://{quote(os.fsencode(os.path.abspath(self.path)))}"  # noqa: PTH100  many times faster than pathlib
        return f"{uri}#{quote('/'.join(self.members))}" if self.members else uri

    @property
    def place(self) -> str:
        """The document, as messages call it."""
        return " » ".join((self.path, *self.members))

    @property
    def route(self) -> Route:
        """The way to it from the file."""
        return tuple(Step("member", member) for member in self.members)


class Piece(NamedTuple):
    """A stretch of a document in a buffer: `start` to `end`, of which `core_start` to `core_end` is answered for.

    `offset` is where the buffer's first byte lies in the document; `lines` and `columns` are how many line ends come
    before the core and how many characters since the last of them.
    """

    start: int
    end: int
    core_start: int
    core_end: int
    offset: int = 0
    lines: int = 0
    columns: int = 0


class Outcome(NamedTuple):
    """What was found in a piece, and what must be told about it."""

    findings: list[Finding]
    skipped: list[Skipped]
    below: int = 0
    allowed: int = 0


NOTHING = Outcome([], [])


class DocumentScanner:
    """Turns events in pieces of documents into findings."""

    def __init__(self, engine: Engine, maker: FindingMaker, *, allow_comments: bool) -> None:
        self.engine = engine
        self.maker = maker
        self._allow_comments = allow_comments
        self._sheet_reader: SheetReader | None = None
        self.margin = max(1 << 16, 3 * engine.reach + (1 << 14))

    @cached_property
    def workbooks(self) -> WorkbookScanner:
        """What scans the cells of spreadsheets."""
        from keysentry.scan.workbooks import WorkbookScanner

        return WorkbookScanner(self.engine, self.maker, allow_comments=self._allow_comments)

    @cached_property
    def tables(self) -> TableScanner:
        """What scans the cells of tables that are text."""
        from keysentry.scan.tables import TableScanner

        return TableScanner(self, allow_comments=self._allow_comments)

    def sheet_reader(self, budget: Budget) -> SheetReader:
        """What reads the cells of spreadsheets under a budget."""
        from keysentry.extraction.formats.sheets.process import SheetReader

        if self._sheet_reader is None or self._sheet_reader.budget != budget:
            self.close()
            self._sheet_reader = SheetReader(budget)
        return self._sheet_reader

    def close(self) -> None:
        """End the processes that read spreadsheets, if there are any."""
        if self._sheet_reader is not None:
            self._sheet_reader.close()
            self._sheet_reader = None

    def whole(self, document: Document, data: bytes) -> Outcome:
        """Scan a document that is in memory, of any encoding."""
        from keysentry.extraction.encoding import to_utf8

        text = to_utf8(data, document.kind)
        events = self.engine.events(text)
        piece = Piece(0, len(text), 0, len(text))
        outcome = self.piece(document, text, piece, events, text[:HEAD]) if events else NOTHING
        return self.tables.whole(document, text, outcome) if is_table(document.name or document.path) else outcome

    def piece(self, document: Document, buffer: Buffer, piece: Piece, events: list[Event], head: bytes) -> Outcome:
        """The findings of a piece, given its events; `head` is the document's beginning."""
        mark = len(self.engine.program.rules) + MESSAGE
        if any(target == mark for target, _offset in events):
            from keysentry.scan.teams import scan_piece

            chat = scan_piece(self, document, buffer, piece, events, head)
            if chat is not None:
                return chat
        return self.judged(document, buffer, piece, events, head, allow_comments=self._allow_comments)

    def judged(
        self,
        document: Document,
        buffer: Buffer,
        piece: Piece,
        events: list[Event],
        head: bytes,
        *,
        allow_comments: bool,
    ) -> Outcome:
        """The findings of a piece as the text it is."""
        from keysentry.scan.nature import nature_of

        nature = nature_of(document.name or document.path, head)
        result = self.engine.judge(buffer, (piece.start, piece.end), events, nature)
        matches = [match for match in result.matches if piece.core_start <= match.start < piece.core_end]
        skipped = [self._slow(document, result, number) for number in {slow.rule for slow in result.slow}]
        below = sum(piece.core_start <= at < piece.core_end for at in result.below)
        if not matches:
            return Outcome([], skipped, below)
        from keysentry.scan.allow import allowed

        data = bytes(buffer[piece.start : piece.end])
        located = _Places(document, data, piece, nature.json)
        findings, silenced = [], 0
        for match in matches:
            if allow_comments and allowed(data, match.start - piece.start, match.end - piece.start):
                silenced += 1
            else:
                findings.append(self.maker.make(match, *located.of(match)))
        return Outcome(findings, skipped, below, silenced)

    def _slow(self, document: Document, result: Result, number: int) -> Skipped:
        rule = self.engine.program.rules[number].rule.id
        count = sum(1 for slow in result.slow if slow.rule == number)
        return Skipped(
            document.place, f"the rule {rule} took too long at {count} places and was stopped there", partial=True
        )


class _Places:
    """Works out where matches of one piece lie, in ascending order."""

    def __init__(self, document: Document, data: bytes, piece: Piece, json: bool) -> None:
        self._document = document
        self._data = data
        self._piece = piece
        self._json = json
        self._lines = Lines(data, piece.core_start - piece.start, piece.lines + 1, piece.columns)
        self._paths: FieldPaths | None = None

    def of(self, match: Match) -> tuple[ByteSpan, Location]:
        piece, document = self._piece, self._document
        at = match.start - piece.start
        span = ByteSpan(piece.offset + match.start, piece.offset + match.end)
        line, column = self._lines.at(at)
        if document.kind != "text" and piece.offset == 0:
            from keysentry.extraction.encoding import original_span

            span = original_span(document.kind, self._data, ByteSpan(at, match.end - piece.start))
        route = document.route
        field = self._field(at)
        if field:
            route = (*route, Step("field", field))
        if match.coding and match.coding != "escaped":
            route = (*route, Step("encoded", match.coding))
        location = Location(uri=document.uri, path=document.path, route=route, line=line, column=column, span=span)
        return span, location

    def _field(self, at: int) -> str:
        """The path of the JSON field that an offset of the piece lies in; empty where there is none or it cannot be
        told.
        """
        if not self._json:
            return ""
        from keysentry.extraction.jsonpath import FieldPaths, path_at
        from keysentry.scan.nature import is_lines_of_json

        first = self._piece.offset + self._piece.start == 0
        if is_lines_of_json(self._document.name or self._document.path):
            begin = self._data.rfind(b"\n", 0, at) + 1
            end = self._data.find(b"\n", at)
            line = self._data[begin : end if end >= 0 else len(self._data)]
            return path_at(line, at - begin) or "" if begin or first else ""
        if not first or len(self._data) > PATHS_IN:
            return ""
        if self._paths is None:
            self._paths = FieldPaths(self._data)
        return self._paths.at(at) or ""
