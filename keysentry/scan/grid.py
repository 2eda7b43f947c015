"""Rows of cells: what a rule finds in a cell that has its heading, its row and its neighbours for context.

Algorithm. Each cell is written as a line `heading: cell`. First all lines of many rows, column by column (which costs
no Python for a cell), go through the prefilter at once. A row with an event is then written as a person reads it, a
line a cell, and judged: so an id and its secret in two cells of a row pair up as they do on two lines. Under or beside
a name that means a secret the cell is written once more, as `password: "cell"`, which the rules for named values take.
A rule that wants a companion and has none in the row is judged twice more: with the row as one line, and with the
cells above and below and the names beside them (`Access key ID` over `Secret access key`).

Invariants. What is found lies in one cell, and is told with its place in that; nothing of a heading is reported. It
depends on the rows within `MARGIN` of it and on the headings, not on how rows come in frames.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from keysentry.engine.arena import by_segment
from keysentry.engine.engine import Engine, Match, resolve
from keysentry.engine.prefilter.base import Event
from keysentry.engine.score import Nature
from keysentry.extraction.formats.headings import meaning
from keysentry.scan.allow import says_allowed
from keysentry.scan.headed import Block, like_a_name

WITHIN = 5
"""How many rows above and below a cell its companion may stand."""
MARGIN = 2 * WITHIN
"""How many rows above and below some rows must be known to judge them."""
_PLAIN = bytes(ord("!") if byte in b"\"'`\\&" else byte for byte in range(256))
"""What would end a quoted value, or be undone in it: a cell is its value, whatever it holds."""
_BESIDE = 8
"""How many cells of its row a name speaks for."""


class Hit(NamedTuple):
    """A match in a cell: `match.start` and `match.end` are bytes of the cell's UTF-8."""

    row: int
    column: int
    match: Match


class Judged(NamedTuple):
    """What some rows gave: matches by their cells, how many were below the threshold or silenced by a comment in their
    row, and the rules that were slow.
    """

    hits: list[Hit]
    below: int = 0
    allowed: int = 0
    slow: Sequence[int] = ()


class Line(NamedTuple):
    """A cell's text in a stretch, from `start` to `end`; a cell may have several lines. `value` is the text where it
    stands there changed.
    """

    start: int
    end: int
    row: int
    column: int
    value: bytes = b""


class Stretch:
    """Cells as text, a line each."""

    def __init__(self, joint: bytes = b"\n") -> None:
        self._joint = joint
        self._parts: list[bytes] = []
        self._size = 0
        self.lines: list[Line] = []

    def add(self, before: str, value: str, after: str, cell: tuple[int, int], really: str = "") -> None:
        """Write a cell (row and column), with what stands before and after it on its line; `really` is what it holds,
        where that is written otherwise in as many bytes.
        """
        head, text = encoded(before), encoded(value)
        start = self._size + len(head)
        self.lines.append(Line(start, start + len(text), *cell, encoded(really) if really != value else b""))
        part = head + text + encoded(after)
        self._parts.append(part)
        self._size += len(part) + len(self._joint)

    def text(self) -> bytes:
        """The whole text."""
        return self._joint.join(self._parts)

    def line(self, start: int, end: int) -> Line | None:
        """The line whose cell some of the text lies in, if it lies in one."""
        place = bisect_right(self.lines, start, key=itemgetter(0)) - 1
        return self.lines[place] if place >= 0 and end <= self.lines[place].end else None


def plain(text: str) -> str:
    """A cell without what means something inside quotes; as many bytes as it had."""
    return encoded(text).translate(_PLAIN).decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """A cell as UTF-8; bytes of a file that are none come back as they were."""
    return text.encode("utf-8", "surrogateescape")


class Grid:
    """Judges rows of tables."""

    def __init__(
        self, engine: Engine, *, test: bool = False, only_named: bool = False, allow_comments: bool = True
    ) -> None:
        """`test` says that the file is a test or an example; with `only_named` only what a name of a secret speaks for
        is looked at (the rest of the text was scanned in another way); `allow_comments` that a comment in a cell
        silences what is found in its row.
        """
        self._allow_comments = allow_comments
        self._engine = engine
        self._nature = Nature(place="cell", test=test)
        self._only_named = only_named
        rules = engine.program.rules
        self._composite = frozenset(number for number, rule in enumerate(rules) if rule.rule.requires)
        self._ids = [rule for rule in rules if any(one.role == "secret" for one in rule.rule.requires)]

    def judge(self, blocks: Sequence[Block], first: int, last: int) -> Judged:
        """The matches in the rows from number `first` to `last`; the others of the blocks are their neighbours."""
        wanted = self._events(blocks)
        for number, block in enumerate(blocks):
            for place in block.names:
                wanted.setdefault((number, place), set())
        if not wanted:
            return Judged([])
        found = _Found(self._engine, self._nature, first, last)
        order = sorted(wanted)
        rows = [row_of(blocks[number], place) for number, place in order]
        found.judge(rows)
        if self._composite:
            again = self._with_neighbours(blocks, wanted, found)
            for rule, stretches in again.items():
                found.judge(stretches, rule)
        judged = found.resolved(self._is_id)
        return self._without_allowed(blocks, judged) if self._allow_comments and judged.hits else judged

    def _is_id(self, match: Match) -> bool:
        """Whether a value that only its name gives away is the public half of a pair."""
        generic = self._engine.program.rules[match.rule].rule.generic
        return generic and any(rule.expression.fullmatch(match.secret) for rule in self._ids)

    def _without_allowed(self, blocks: Sequence[Block], judged: Judged) -> Judged:
        """What no comment in its row silences."""
        silenced: set[int] = set()
        for row in {hit.row for hit in judged.hits}:
            for block in blocks:
                at = bisect_left(block.rows, row)
                if at < len(block.rows) and block.rows[at] == row and any(map(says_allowed, block.values(at))):
                    silenced.add(row)
        kept = [hit for hit in judged.hits if hit.row not in silenced]
        return judged._replace(hits=kept, allowed=len(judged.hits) - len(kept))

    def _events(self, blocks: Sequence[Block]) -> dict[tuple[int, int], set[tuple[int, int]]]:
        """The rows, by block and place, in which the prefilter sees something: the rules and their columns."""
        parts: list[bytes] = []
        columns: list[tuple[int, int, int, int]] = []
        for number, block in enumerate(blocks):
            for column, cells in enumerate(block.cells):
                if cells.empty:
                    continue
                head, name = block.heads[column], block.means[column]
                if not self._only_named:
                    before = encoded(f"{head}: ") if head else b""
                    parts.append(cells.lines(before))
                    columns.append((number, column, len(before), 0))
                if name:
                    before = encoded(f'{name}: "')
                    parts.append(cells.lines(before, b'"', _PLAIN))
                    columns.append((number, column, len(before), 1))
        wanted: dict[tuple[int, int], set[tuple[int, int]]] = {}
        ends = list(accumulate(len(part) + 1 for part in parts))
        starts = [end - len(part) - 1 for end, part in zip(ends, parts, strict=True)]
        events = self._engine.events(b"\n".join(parts)) if parts else []
        for at, inside in by_segment(events, starts, [end - 1 for end in ends]):
            number, column, before_size, after_size = columns[at]
            values = blocks[number].cells[column].cells
            lines = list(accumulate(before_size + len(encoded(cell)) + after_size + 1 for cell in values))
            for target, offset in inside:
                place = bisect_left(lines, offset - starts[at] + 1)
                if place < len(lines) and values[place]:
                    wanted.setdefault((number, place), set()).add((target, column))
        return wanted

    def _with_neighbours(
        self, blocks: Sequence[Block], wanted: dict[tuple[int, int], set[tuple[int, int]]], found: _Found
    ) -> dict[int, list[Stretch]]:
        """Stretches in which a companion may be that a row alone does not give, by the rule that wants it."""
        again: dict[int, list[Stretch]] = {}
        for (number, place), targets in wanted.items():
            block = blocks[number]
            row = block.rows[place]
            for rule, column in targets:
                if rule in self._composite and not found.has(row, rule):
                    near = again.setdefault(rule, [])
                    near.append(row_of(block, place, flat=True))
                    near.append(_column_of(blocks, row, block.columns[column]))
        return again


def row_of(block: Block, place: int, *, flat: bool = False) -> Stretch:
    """A row, a line a cell and a line for each name that speaks for it; or all `flat`, on one line."""
    stretch = Stretch(b"\r" if flat else b"\n")
    row, values, names = block.rows[place], block.values(place), block.names.get(place, ())
    label, left = -1, 0
    for column, value in enumerate(values):
        if not value:
            continue
        cell = (row, block.columns[column])
        head = block.heads[column]
        stretch.add(f"{head}: " if head else "", value, "", cell)
        if flat:
            continue
        if block.means[column]:
            stretch.add(f'{block.means[column]}: "', plain(value), '"', cell, value)
        if left and label >= 0:
            left -= 1
            name = " ".join(values[label].split()).rstrip(" :=")
            stretch.add(f"{name}: ", value, "", cell)
            if meant := meaning(name):
                stretch.add(f'{meant}: "', plain(value), '"', cell, value)
        if column in names and like_a_name(value):
            label, left = column, _BESIDE
    return stretch


def _column_of(blocks: Sequence[Block], row: int, column: int) -> Stretch:
    """A cell with those above and below it, each with the name at the left of it."""
    stretch = Stretch()
    for block in blocks:
        if column not in block.columns:
            continue
        at = block.columns.index(column)
        begin, end = bisect_left(block.rows, row - WITHIN), bisect_right(block.rows, row + WITHIN)
        for place in range(begin, end):
            values = block.values(place)
            if values[at]:
                name = next((value for value in values[:at] if value), "")
                before = f"{' '.join(name.split())}: " if name and like_a_name(name) else ""
                stretch.add(before, values[at], "", (block.rows[place], column))
    return stretch


class _Found:
    """Gathers matches by the cells that they lie in."""

    def __init__(self, engine: Engine, nature: Nature, first: int, last: int) -> None:
        self._engine = engine
        self._nature = nature
        self._first = first
        self._last = last
        self._cells: dict[tuple[int, int], list[Match]] = {}
        self._complete: set[tuple[int, int]] = set()
        self._below: set[tuple[int, int, int]] = set()
        self._slow: set[int] = set()

    def has(self, row: int, rule: int) -> bool:
        """Whether a rule has found all that it wants in a row."""
        return (row, rule) in self._complete

    def judge(self, stretches: Sequence[Stretch], rule: int | None = None) -> None:
        """Judge stretches: by all rules, or by one for what it finds with a companion."""
        texts = [stretch.text() for stretch in stretches]
        following = list(accumulate(len(text) + 1 for text in texts))
        starts = [0, *following[:-1]]
        ends = [end - 1 for end in following]
        buffer = b"\n".join(texts)
        for number, events in by_segment(self._engine.events(buffer), starts, ends):
            if rule is not None:
                events = [event for event in events if event[0] == rule]
            self._stretch(buffer, (starts[number], ends[number]), events, stretches[number], rule)

    def _stretch(
        self, buffer: bytes, bounds: tuple[int, int], events: list[Event], stretch: Stretch, rule: int | None
    ) -> None:
        result = self._engine.judge(buffer, bounds, events, self._nature)
        self._slow.update(slow.rule for slow in result.slow)
        across = False
        for match in result.matches:
            line = stretch.line(match.start - bounds[0], match.end - bounds[0])
            if line is None:
                across = True
            elif rule is None or match.companions:
                self._add(match, line, bounds[0])
        for at in result.below if rule is None else ():
            line = stretch.line(at - bounds[0], at - bounds[0])
            if line is not None:
                self._below.add((line.row, line.column, at - bounds[0] - line.start))
        if across and rule is None:
            self._apart(buffer, bounds[0], events, stretch)

    def _apart(self, buffer: bytes, base: int, events: list[Event], stretch: Stretch) -> None:
        """Judge the cells of a stretch one by one, where a match that reached over two hid what lies in one."""
        starts = [base + line.start for line in stretch.lines]
        ends = [base + line.end for line in stretch.lines]
        for number, inside in by_segment(events, starts, ends):
            for match in self._engine.judge(buffer, (starts[number], ends[number]), inside, self._nature).matches:
                self._add(match, stretch.lines[number], base)

    def _add(self, match: Match, line: Line, base: int) -> None:
        start, end = (at - base - line.start for at in (match.start, match.end))
        secret = line.value[start:end] if line.value else match.secret
        self._cells.setdefault((line.row, line.column), []).append(match._replace(start=start, end=end, secret=secret))
        if match.companions:
            self._complete.add((line.row, match.rule))

    def resolved(self, without: Callable[[Match], bool]) -> Judged:
        """Of matches that overlap the best, in the rows that are asked for, by place, `without` some."""
        hits = []
        for (row, column), matches in sorted(self._cells.items(), key=itemgetter(0)):
            if self._first <= row <= self._last:
                good, _below = resolve(matches, self._engine.min_confidence)
                hits += [Hit(row, column, match) for match in good if not without(match)]
        found = {(hit.row, hit.column) for hit in hits}
        below = sum(self._first <= row <= self._last and (row, column) not in found for row, column, _ in self._below)
        return Judged(hits, below, slow=sorted(self._slow))
