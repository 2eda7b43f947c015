"""The cells and comments of workbooks: judged as a grid, and told with their addresses.

Algorithm. The cells come from a process of their own (`keysentry.extraction.formats.sheets.process`), a few thousand
rows at a time, and are judged by the pool's threads while that process reads on. A frame of rows waits until the next
one is there, whose first rows are its neighbours.

Invariants. A sheet that cannot be read costs only itself, and is told. Memory depends on a frame, not on a sheet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import NamedTuple

from keysentry.engine.engine import Engine
from keysentry.engine.score import Nature
from keysentry.extraction.formats.sheets.address import address
from keysentry.extraction.formats.sheets.child import SEPARATOR
from keysentry.extraction.formats.sheets.process import Cells, Fault, Sheet, Told
from keysentry.extraction.formats.sheets.xlsx import Note
from keysentry.extraction.member import place_in
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan, Location, Step
from keysentry.scan.document import Document, Outcome
from keysentry.scan.findings import FindingMaker
from keysentry.scan.grid import MARGIN, Grid, Hit, Judged
from keysentry.scan.headed import Block, Headings
from keysentry.scan.names import Names
from keysentry.scan.nature import nature_of
from keysentry.scan.pool import Pool, Task

_MARK = SEPARATOR.encode()


class Scanned(NamedTuple):
    """What some rows gave, and how many bytes of text they were."""

    outcome: Outcome
    size: int


class _Frame(NamedTuple):
    """Rows of a sheet in blocks, with the number of the first and the last, and how many bytes they are."""

    blocks: list[Block]
    first: int
    last: int
    size: int


class WorkbookScanner:
    """Scans the cells and comments of workbooks."""

    def __init__(self, engine: Engine, maker: FindingMaker, *, allow_comments: bool = True) -> None:
        self._engine = engine
        self._maker = maker
        self._allow_comments = allow_comments

    def prepare(self) -> None:
        """Make what the first rows need, while the process is busy that reads them."""
        assert self.names is not None

    @cached_property
    def names(self) -> Names:
        """What finds names among cells."""
        return Names(self._engine)

    def cells(self, document: Document, told: Iterable[Told], pool: Pool) -> Iterator[Scanned]:
        """Scan the cells of a workbook, sheet by sheet; what was not read of it is among the outcomes."""
        yield from pool.ordered(self.tasks(document, told))

    def tasks(self, document: Document, told: Iterable[Told]) -> Iterator[Task[Scanned]]:
        """The tasks that scan the cells of a workbook, in their order."""
        test = nature_of(document.name or document.path, b"").test
        grid = Grid(self._engine, test=test, allow_comments=self._allow_comments)
        sheet, frames = "", Frames(self.names)
        for one in told:
            if isinstance(one, Cells):
                for frame, blocks in frames.add(one):
                    yield partial(self._scan, document, sheet, grid, frame, blocks)
                continue
            for frame, blocks in frames.rest():
                yield partial(self._scan, document, sheet, grid, frame, blocks)
            frames = Frames(self.names)
            if isinstance(one, Sheet):
                sheet = one.name
            else:
                yield partial(_fault, document, one)
        for frame, blocks in frames.rest():
            yield partial(self._scan, document, sheet, grid, frame, blocks)

    def _scan(self, document: Document, sheet: str, grid: Grid, frame: _Frame, blocks: list[Block]) -> Scanned:
        judged = grid.judge(blocks, frame.first, frame.last)
        findings = [self._finding(document, sheet, hit) for hit in judged.hits]
        return Scanned(Outcome(findings, self._slow(document, sheet, judged), judged.below, judged.allowed), frame.size)

    def _finding(self, document: Document, sheet: str, hit: Hit) -> Finding:
        match = hit.match
        span = ByteSpan(match.start, match.end)
        route = (*document.route, Step("cell", f"{sheet}!{address(hit.row, hit.column)}"))
        if match.coding and match.coding != "escaped":
            route = (*route, Step("encoded", match.coding))
        return self._maker.make(match, span, Location(uri=document.uri, path=document.path, route=route, span=span))

    def _slow(self, document: Document, sheet: str, judged: Judged) -> list[Skipped]:
        rules = [self._engine.program.rules[number].rule.id for number in judged.slow]
        return [
            Skipped(place_in(document.place, sheet), f"the rule {rule} took too long and was stopped", partial=True)
            for rule in rules
        ]

    def notes(self, document: Document, sheet: str, notes: Iterable[Note]) -> Iterator[Finding]:
        """Scan the comments on a sheet's cells."""
        nature = Nature(test=nature_of(document.name or document.path, b"").test)
        told: set[tuple[int, int, str]] = set()
        for note in notes:
            where = Step("cell", f"{sheet}!{address(note.row, note.column)}")
            route = (*document.route, where, Step("comment", note.author or "comment"))
            for match in self._engine.scan(note.text.encode("utf-8", "surrogatepass"), nature).matches:
                span = ByteSpan(match.start, match.end)
                location = Location(uri=document.uri, path=document.path, route=route, span=span, author=note.author)
                finding = self._maker.make(match, span, location)
                known = (note.row, note.column, finding.fingerprint)
                if known not in told:  # a thread is in the file twice, once for older programs
                    told.add(known)
                    yield finding


def _fault(document: Document, fault: Fault) -> Scanned:
    place = place_in(document.place, fault.sheet) if fault.sheet else document.place
    what = "the sheet was not read" if fault.sheet else "its cells were not read"
    how = f"{what}{' to the end' if fault.partial else ''}: {fault.reason}"
    return Scanned(Outcome([], [Skipped(place, how, partial=True)]), 0)


class Frames:
    """The rows of one sheet as they come, each frame given with the rows around it."""

    def __init__(self, names: Names, headings: Headings | None = None) -> None:
        self._names = names
        self._headings = headings or Headings()
        self._held: deque[_Frame] = deque()
        self._before: list[Block] = []

    def add(self, cells: Cells) -> Iterator[tuple[_Frame, list[Block]]]:
        """Take some rows; gives the frame before them, whose neighbours are known now, with these around it."""
        names = self._names.cells(cells.text, _MARK, len(cells.rows), cells.worded)
        blocks = list(self._headings.blocks(cells.rows, cells.columns, cells.cells, names))
        self._held.append(_Frame(blocks, cells.rows[0], cells.rows[-1], len(cells.text)))
        if len(self._held) > 1:
            yield self._given(blocks)

    def rest(self) -> Iterator[tuple[_Frame, list[Block]]]:
        """The last frame."""
        if self._held:
            yield self._given([])

    def _given(self, after: list[Block]) -> tuple[_Frame, list[Block]]:
        frame = self._held.popleft()
        blocks = [*self._before, *frame.blocks, *_first(after)]
        self._before = _last(frame.blocks)
        return frame, blocks


def _first(blocks: Sequence[Block]) -> list[Block]:
    """The first rows of some blocks, as many as the margin has."""
    found: list[Block] = []
    left = MARGIN
    for block in blocks:
        if left <= 0:
            break
        found.append(block.part(0, min(left, len(block.rows))))
        left -= len(block.rows)
    return found


def _last(blocks: Sequence[Block]) -> list[Block]:
    """The last rows of some blocks, as many as the margin has."""
    found: list[Block] = []
    left = MARGIN
    for block in reversed(blocks):
        if left <= 0:
            break
        found.append(block.part(max(0, len(block.rows) - left), len(block.rows)))
        left -= len(block.rows)
    return found[::-1]
