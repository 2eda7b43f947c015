"""Tables as text: comma-separated values and their kin.

Format: RFC 4180, as spreadsheets really write it: any of four delimiters, a first line `sep=;` (Excel), a byte order
mark, quotes where they are needed, text after a closing quote.

Invariants. Fields keep their places in the text. A quote that nothing closes is a plain
character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

_DELIMITERS = b",;\t|"
_BOM = b"\xef\xbb\xbf"
_SEP = re.compile(rb"(?i)sep=(.)\r?\n")
_LOOK_AT = 20
"""How many rows tell the delimiter."""
ROW_MOST = 4 << 20
"""How many bytes a row may have; a longer one is no row of a table."""


Field = re.Match[bytes]
"""A field, as the match of it: group 1 is a quoted value, group 2 any other, group 3 the delimiter after it."""


def place(field: Field) -> tuple[int, int]:
    """Where the value of a field begins and ends."""
    return field.span(1 if field.start(1) >= 0 else 2)


def value(field: Field) -> bytes:
    """The value of a field, with doubled quotes undone."""
    quoted: bytes | None = field[1]
    return field[2] if quoted is None else quoted.replace(b'""', b'"')


def original(field: Field, at: int) -> int:
    """Where in the text a byte of the value of a field is."""
    quoted: bytes | None = field[1]
    if quoted is None or b'""' not in quoted:
        return place(field)[0] + at
    there = 0
    for _ in range(at):
        there += 2 if quoted[there : there + 2] == b'""' else 1
    return field.start(1) + there


class Dialect(NamedTuple):
    """How a table is written: its delimiter, and where its first row begins."""

    delimiter: bytes
    begin: int


def dialect(head: bytes, name: str = "") -> Dialect:
    """How a table is written, from its first bytes and its name."""
    begin = len(_BOM) if head.startswith(_BOM) else 0
    said = _SEP.match(head, begin)
    if said:
        return Dialect(said[1], said.end())
    if name.lower().endswith((".tsv", ".tab")):
        return Dialect(b"\t", begin)
    best = max(range(len(_DELIMITERS)), key=lambda number: (*_fits(head, begin, number), -number))
    return Dialect(_DELIMITERS[best : best + 1], begin)


def _fits(head: bytes, begin: int, number: int) -> tuple[int, int]:
    """How well a delimiter fits: how many rows in a row have as many fields as the first, and how many fields."""
    first = islice(rows(head, Dialect(_DELIMITERS[number : number + 1], begin)), _LOOK_AT)
    counts = [len(row) for row in first]
    if not counts or counts[0] < 2:
        return 0, 0
    return sum(count == counts[0] for count in counts), counts[0]


@lru_cache(8)
def _pattern(delimiter: bytes) -> re.Pattern[bytes]:
    not_end = rb"[^\r\n" + re.escape(delimiter) + rb"]*+"
    quoted = rb'"((?:[^"]++|"")*+)"' + not_end
    return re.compile(rb"(?:" + quoted + rb"|(" + not_end + rb"))(?:(" + re.escape(delimiter) + rb")|\r\n|\n|\r|\Z)")


def rows(text: bytes, dialect: Dialect, *, cut: bool = False) -> Iterator[list[Field]]:
    """The rows of a table, each as its fields; an empty line is a row with one empty field.

    A text that is `cut` goes on: its last row is left out, and all from a quote on that nothing closes.
    """
    match = _pattern(dialect.delimiter).match
    at, size = dialect.begin, len(text)
    row: list[Field] = []
    while at < size or row:
        found = match(text, at)
        if found is None:  # cannot be: the second form takes anything
            return
        if cut and (found.end() == size or (found.start(1) < 0 and text[at : at + 1] == b'"')):
            return
        row.append(found)
        at = found.end()
        if found.lastindex != 3:
            yield row
            row = []


class Window(NamedTuple):
    """Whole rows of a table that comes in chunks: their text, and how many bytes, rows and line ends come before."""

    text: bytes
    offset: int
    row: int
    lines: int


def windows(chunks: Iterable[bytes], dialect: Dialect) -> Iterator[tuple[Window, list[list[Field]]]]:
    """A table in pieces that begin and end with a row, each with its rows."""
    held = b""
    offset = row = lines = 0
    start = dialect.begin
    for chunk in chunks:
        held += chunk
        # A row that is so long is none: from a quote on that is closed too far off, each line is one.
        found = list(rows(held, dialect._replace(begin=start), cut=len(held) < ROW_MOST))
        if not found:
            continue
        end = found[-1][-1].end()
        yield Window(held[:end], offset, row, lines), found
        lines += held.count(b"\n", 0, end)
        row += len(found)
        offset += end
        held, start = held[end:], 0
    if held:
        yield Window(held, offset, row, lines), list(rows(held, dialect._replace(begin=start)))
