"""Tables as blocks of rows that share their headings.

Algorithm. The first row of a sheet that reads like names of columns (two or more short texts, all different, none of
which looks like data) is its heading row, if it is among the first rows. Further down a row of that kind begins a new
table if one of its cells is the name of a secret and the row above it is empty or a title. A heading row with one
cell only speaks for a list: for as long as its column is the only one that is filled.

Invariants. What a row's headings are depends on the rows above it and not on how rows come in frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from keysentry.extraction.formats.headings import LONGEST, Meaning, meanings
from keysentry.extraction.formats.sheets.column import Column

_LOOK_AT = 20
"""How many rows that are not empty may come before the heading row."""
_WORDS = 8
_DATA = re.compile(
    r"[\d\s.,:;/+%€$£()-]+|.*(?:://|@[\w-]+\.).*|\d{4}-\d\d-\d\d.*|.*[A-Za-z]\d+[A-Za-z]+\d.*|.*\d[A-Za-z]+\d+[A-Za-z].*|\S{33,}",
    re.DOTALL,
)
"""What no name of a column looks like: numbers, dates, addresses, words in which letters and digits take turns."""


class Block(NamedTuple):
    """Rows with the same headings, their cells column by column.

    `heads` and `means` are those of the columns, empty for none; `names` tells the columns of a row (by its place in
    `rows`) whose cells may be names of the values beside them.
    """

    rows: Sequence[int]
    columns: Sequence[int]
    cells: list[Column]
    heads: tuple[str, ...]
    means: tuple[Meaning, ...]
    names: dict[int, list[int]]

    def values(self, place: int) -> list[str]:
        """The cells of a row."""
        return [column[place] for column in self.cells]

    def part(self, begin: int, end: int) -> Block:
        """Some of the rows."""
        if begin == 0 and end == len(self.rows):
            return self
        names = {place - begin: columns for place, columns in self.names.items() if begin <= place < end}
        if begin == 0:
            cells = [column.first(end) for column in self.cells]
        elif end == len(self.rows):
            cells = [column.last(end - begin) for column in self.cells]
        else:
            cells = [column.part(begin, end) for column in self.cells]
        return self._replace(rows=self.rows[begin:end], cells=cells, names=names)


def like_a_name(text: str) -> bool:
    """Whether a cell reads like the name of something: short, with words, and not like data."""
    if len(text) > LONGEST or _DATA.fullmatch(text):
        return False
    return len(text.split()) <= _WORDS and any(map(str.isalpha, text))


def like_names(values: Sequence[str]) -> bool:
    """Whether the cells of a row read like names of columns; empty ones do not count."""
    filled = [value.strip() for value in values if value]
    return len(set(filled)) == len(filled) and all(map(like_a_name, filled)) and bool(filled)


class _State(NamedTuple):
    """The headings by the number of the column; `lonely` is the only column that a list has."""

    heads: dict[int, str]
    means: dict[int, Meaning]
    lonely: int | None = None


_NOTHING = _State({}, {})
_NO_MEANING: tuple[Meaning, ...] = ("",)


class Headings:
    """Follows the rows of one sheet, and tells which headings each has."""

    def __init__(self) -> None:
        self._state = _NOTHING
        self._ahead = _LOOK_AT
        """Among how many more rows the heading row is looked for."""
        self._above: Block | None = None
        """The last row."""

    def blocks(
        self, rows: Sequence[int], columns: Sequence[int], cells: list[Column], names: dict[int, list[int]]
    ) -> Iterator[Block]:
        """The rows of a frame, in blocks; `names` tells which columns of which rows may be names, by their places."""
        width = len(columns)
        whole = Block(rows, columns, cells, (), (), names)
        begin = 0
        for place in self._candidates(whole):
            state = self._turn(whole, place)
            if state is None:
                continue
            if place > begin:
                yield self._block(whole, begin, place)
            begin, self._state = place, state
            if state is not _NOTHING:
                yield whole.part(place, place + 1)._replace(heads=("",) * width, means=_NO_MEANING * width)
                begin, self._ahead = place + 1, 0
        if begin < len(rows):
            yield self._block(whole, begin, len(rows))
        self._above = whole.part(len(rows) - 1, len(rows))

    def _candidates(self, whole: Block) -> Iterator[int]:
        """The places of the rows at which the headings may change, ascending."""
        place = -1
        named = sorted(whole.names, reverse=True)
        while place < len(whole.rows) - 1:
            if self._ahead or self._state.lonely is not None:
                place += 1
            else:
                while named and named[-1] <= place:
                    named.pop()
                if not named:
                    return
                place = named.pop()
            yield place

    def _block(self, whole: Block, begin: int, end: int) -> Block:
        heads = tuple(self._state.heads.get(column, "") for column in whole.columns)
        means: list[Meaning] = [self._state.means.get(column, "") for column in whole.columns]
        return whole.part(begin, end)._replace(heads=heads, means=tuple(means))

    def _turn(self, whole: Block, place: int) -> _State | None:
        """The headings that begin at a row, or end there; None where they stay."""
        values = whole.values(place)
        filled = _filled(values)
        if filled and self._ahead:
            self._ahead -= 1
            if like_names(values):
                state = self._headed(whole.columns, values)
                if filled > 1 or len(values) == 1 or state.means:
                    return state
        elif place in whole.names and like_names(values) and self._is_top(whole, place):
            state = self._headed(whole.columns, values)
            if state.means:
                return state
        lonely = self._state.lonely
        if lonely is not None and any(
            value for value, column in zip(values, whole.columns, strict=True) if column != lonely
        ):
            return self._headed(whole.columns, values) if filled > 1 and like_names(values) else _NOTHING
        return None

    def _is_top(self, whole: Block, place: int) -> bool:
        """Whether a table can begin at a row: the one above it is empty, or a title."""
        above = whole.part(place - 1, place) if place else self._above
        return above is None or above.rows[0] != whole.rows[place] - 1 or _filled(above.values(0)) < 2

    def _headed(self, columns: Sequence[int], values: list[str]) -> _State:
        heads = {
            column: " ".join(value.split()) for column, value in zip(columns, values, strict=True) if value.strip()
        }
        means = dict(zip(heads, meanings(heads.values()), strict=True))
        means = {column: found for column, found in means.items() if found}
        return _State(heads, means, next(iter(heads)) if len(heads) == 1 and means else None)


def _filled(values: Sequence[str]) -> int:
    """How many cells hold something."""
    return sum(map(bool, values))
