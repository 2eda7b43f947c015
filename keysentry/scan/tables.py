"""Tables as text (csv, tsv): the cells of what is found in them, and what only the name of a column tells.

Algorithm. Such a file is scanned as the text that it is. What is found is told with its cell. Where the first row
names a column of secrets, the cells of such columns are also judged as a grid, a few thousand rows at a time; what the
text gave already is left out.

Invariants. A table without such a name and without a finding costs a look at its first row.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from keysentry.extraction.encoding import original_span
from keysentry.extraction.formats.delimited import (
    Dialect,
    Field,
    Window,
    dialect,
    original,
    place,
    rows,
    value,
    windows,
)
from keysentry.extraction.formats.headings import Meaning, meanings
from keysentry.extraction.formats.sheets.address import address
from keysentry.extraction.formats.sheets.column import Column
from keysentry.extraction.member import CHUNK
from keysentry.model.finding import Finding
from keysentry.model.location import ByteSpan, Location, Step
from keysentry.scan.allow import allowed
from keysentry.scan.document import HEAD, Document, DocumentScanner, Outcome
from keysentry.scan.grid import Grid, Hit
from keysentry.scan.headed import Block, like_names
from keysentry.scan.locate import line_and_column
from keysentry.scan.nature import nature_of

CELLS_IN = 16 << 20
"""How many bytes are taken apart to tell the cell of a finding, where they hold quotes; other lines are counted."""
_ROWS = 4096
"""How many rows are judged together."""


class Named(NamedTuple):
    """The columns of a table that its first row names as secrets: heading and meaning by the number of the column."""

    dialect: Dialect
    columns: dict[int, tuple[str, Meaning]]


def named(head: bytes, name: str) -> Named:
    """What the first row of a table says."""
    how = dialect(head, name)
    first = next(rows(head, how), [])
    names = [" ".join(_heading(value(field)).split()) for field in first]
    if not like_names(names):
        return Named(how, {})
    found = zip(names, meanings(names), strict=True)
    return Named(how, {number: (text, meant) for number, (text, meant) in enumerate(found) if meant})


class TableScanner:
    """Adds to the scan of a table as text what its rows and columns tell."""

    def __init__(self, scanner: DocumentScanner, *, allow_comments: bool) -> None:
        self._engine = scanner.engine
        self._scanner = scanner
        self._maker = scanner.maker
        self._allow_comments = allow_comments

    def whole(self, document: Document, text: bytes, outcome: Outcome) -> Outcome:
        """Complete what the scan of a table as text gave; `text` is all of it, as UTF-8."""
        if (document.name or document.path).lower().endswith(".fods"):
            from keysentry.scan.workbook_file import flat

            return flat(self._scanner.workbooks, document, _pieces(text), outcome)
        table = named(text[:HEAD], document.name or document.path)
        if not outcome.findings and not table.columns:
            return outcome
        wide = document.kind != "text"
        places = _places(outcome.findings, text) if wide else [finding.span for finding in outcome.findings]
        findings = with_cells(outcome.findings, places, text, table.dialect)
        if not table.columns:
            return outcome._replace(findings=findings)
        spans = Spans(places)
        below = silenced = 0
        added: list[Finding] = []
        for more in self.columns(document, _pieces(text), table, spans):
            added += more.findings
            below, silenced = below + more.below, silenced + more.allowed
        if wide:
            added = [_in_original(finding, document, text) for finding in added]
        found = sorted([*findings, *added], key=_begin) if added else list(findings)
        return outcome._replace(findings=found, below=outcome.below + below, allowed=outcome.allowed + silenced)

    def columns(self, document: Document, chunks: Iterator[bytes], table: Named, known: Spans) -> Iterator[Outcome]:
        """What the named columns give of a table that comes in chunks, but for what is `known`."""
        test = nature_of(document.name or document.path, b"").test
        grid = Grid(self._engine, test=test, only_named=True, allow_comments=False)
        first = True
        for window, found in windows(chunks, table.dialect):
            if first:
                found = found[1:]
            for begin in range(0, len(found), _ROWS):
                part = found[begin : begin + _ROWS]
                block = _block(table, window.row + first + begin, part)
                judged = grid.judge([block], block.rows[0], block.rows[-1])
                found_here = [
                    self._finding(document, window, part[hit.row - block.rows[0]], hit) for hit in judged.hits
                ]
                new = [finding for finding in found_here if not known.has(finding.span)]
                kept = [finding for finding in new if not self._silenced(window, finding)]
                yield Outcome(kept, [], judged.below, len(new) - len(kept))
            first = False

    def _silenced(self, window: Window, finding: Finding) -> bool:
        span = finding.span
        return self._allow_comments and allowed(window.text, span.start - window.offset, span.end - window.offset)

    def _finding(self, document: Document, window: Window, row: Sequence[Field], hit: Hit) -> Finding:
        field, match = row[hit.column], hit.match
        start, end = original(field, match.start), original(field, match.end)
        span = ByteSpan(window.offset + start, window.offset + end)
        line, column = line_and_column(window.text, start)
        route = (*document.route, Step("cell", address(hit.row, hit.column)))
        if match.coding and match.coding != "escaped":
            route = (*route, Step("encoded", match.coding))
        location = Location(
            uri=document.uri, path=document.path, route=route, line=line + window.lines, column=column, span=span
        )
        return self._maker.make(match, span, location)


class Spans:
    """The places of findings, to tell what was found already."""

    def __init__(self, spans: Iterable[ByteSpan]) -> None:
        self._spans = sorted(spans)

    def has(self, span: ByteSpan) -> bool:
        """Whether a place overlaps one of them."""
        at = bisect_right(self._spans, span.start, key=attrgetter("start"))
        before = self._spans[at - 1] if at else None
        after = self._spans[at] if at < len(self._spans) else None
        return (before is not None and before.end > span.start) or (after is not None and after.start < span.end)


def _block(table: Named, first: int, found: Sequence[list[Field]]) -> Block:
    """The named columns of some rows."""
    columns = list(table.columns)
    cells = [Column.of([_text(value(row[column])) if column < len(row) else "" for row in found]) for column in columns]
    heads = tuple(table.columns[column][0] for column in columns)
    means = tuple(table.columns[column][1] for column in columns)
    return Block(range(first, first + len(found)), columns, cells, heads, means, {})


def _pieces(text: bytes) -> Iterator[bytes]:
    return (text[at : at + CHUNK] for at in range(0, len(text), CHUNK))


def _heading(value: bytes) -> str:
    """A heading as text: UTF-8, or what Windows writes in Western Europe."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


def _text(value: bytes) -> str:
    """A value as a cell; bytes that are no UTF-8 are kept as surrogates."""
    return value.decode("utf-8", "surrogateescape")


def with_cells(findings: Sequence[Finding], places: Sequence[ByteSpan], text: bytes, how: Dialect) -> list[Finding]:
    """Findings at some places of a table, each with its cell; `text` is the table from its beginning to the last of
    them or on. From where more than `CELLS_IN` must be taken apart they stay as they are.
    """
    told = list(findings)
    at, row = how.begin, 0
    for number in sorted(range(len(findings)), key=places.__getitem__):
        start = places[number].start
        at, row = _skipped(text, at, row, start)
        if start - at > CELLS_IN:
            break
        for fields in rows(text, how._replace(begin=at)):
            if place(fields[-1])[1] >= start:
                column = sum(place(field)[1] < start for field in fields)
                told[number] = _with_step(findings[number], Step("cell", address(row, column)))
                break
            at, row = fields[-1].end(), row + 1
    return told


def _skipped(text: bytes, at: int, row: int, start: int) -> tuple[int, int]:
    """A row's beginning and number, so near to `start` as lines without quotes reach: there a line is a row."""
    quote = text.find(b'"', at, start)
    line = text.rfind(b"\n", at, quote if quote >= 0 else start) + 1
    if line <= at or text.count(b"\r", at, line) != text.count(b"\r\n", at, line):
        return at, row
    return line, row + text.count(b"\n", at, line)


def _with_step(finding: Finding, step: Step) -> Finding:
    """A finding with a step in its route: before that of an encoding, which lies in the cell."""
    route = finding.location.route
    at = len(route) - sum(one.kind == "encoded" for one in route)
    location = msgspec.structs.replace(finding.location, route=(*route[:at], step, *route[at:]))
    return msgspec.structs.replace(finding, location=location)


def _places(findings: Sequence[Finding], text: bytes) -> list[ByteSpan]:
    """Where findings, in their order, are in a text that was turned into UTF-8: lines and columns are the same
    there.
    """
    found = []
    begin, line = 0, 1
    for finding in findings:
        while line < (finding.location.line or 1):
            begin, line = text.find(b"\n", begin) + 1, line + 1
        end = text.find(b"\n", begin)
        content = text[begin : end if end >= 0 else len(text)].decode("utf-8", "replace")
        start = begin + len(content[: (finding.location.column or 1) - 1].encode())
        found.append(ByteSpan(start, start + len(finding.secret)))
    return found


def _in_original(finding: Finding, document: Document, text: bytes) -> Finding:
    """A finding in a text that was turned into UTF-8, with its place in the file."""
    span = original_span(document.kind, text, finding.span)
    return msgspec.structs.replace(finding, span=span, location=msgspec.structs.replace(finding.location, span=span))


def _begin(finding: Finding) -> int:
    return finding.span.start
