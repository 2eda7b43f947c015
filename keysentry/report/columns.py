"""Columns for people: each as wide as its widest cell, nothing cut, nothing wrapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from unicodedata import combining, east_asian_width

from keysentry.report.table import Line

Cell = tuple[str, str]
"""A text and its style."""
_WIDEST = 56
"""A longer cell pushes what follows it to the right, in its own line only."""


def width(text: str) -> int:
    """How many columns of a terminal a text takes: two for a wide character, none for a combining one."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def widths(rows: Sequence[Sequence[Cell]]) -> list[int]:
    """The width of each column."""
    return [min(max(width(text) for text, _ in column), _WIDEST) for column in zip(*rows, strict=True)]


def row_line(row: Sequence[Cell], sizes: Sequence[int], right: frozenset[int] = frozenset()) -> Line:
    """A row as a line; the columns whose numbers are in `right` have their cells to the right."""
    line: Line = []
    for number, ((text, style), size) in enumerate(zip(row, sizes, strict=True)):
        blank = " " * max(size - width(text), 0)
        before, after = (blank, "") if number in right else ("", blank)
        last = number == len(row) - 1
        line.append((("  " if number else "") + before, ""))
        line.append((text, style))
        line.append(("" if last else after, ""))
    return [piece for piece in line if piece[0]]


def table_lines(
    heads: Sequence[str], rows: Iterable[tuple[Sequence[Cell], Iterable[Cell]]], right: frozenset[int], indent: int
) -> Iterator[Line]:
    """A header, and the rows; each row comes with lines that stand below it, `indent` columns in."""
    known = list(rows)
    header = [(head, "dim") for head in heads]
    sizes = widths([header, *(row for row, _ in known)])
    yield row_line(header, sizes, right)
    for row, below in known:
        yield row_line(row, sizes, right)
        yield from ([(" " * indent + text, style)] for text, style in below)
