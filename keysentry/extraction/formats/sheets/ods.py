"""Sheets, cells and comments as OpenDocument's XML has them: `content.xml` of an ods, or all of a fods.

Format: OpenDocument 1.3, part 3, chapter 9 (tables) and 14.1 (annotations),
https://docs.oasis-open.org/office/OpenDocument/v1.3/OpenDocument-v1.3-part3-schema.html

Algorithm. expat, streaming. Rows and cells that are repeated count as often as they are repeated, and are given a few
times at most: a sheet that is filled to its last row costs hardly more than what is written of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from keysentry.extraction.formats.sheets.xlsx import CELLS, LEAST_ROWS, Note, Rows

_VALUES = ("value", "date-value", "time-value", "boolean-value")
"""The attributes that say a value exactly, where the text shows it as it is formatted."""

_AGAIN = 32
"""How many times a cell or a row is given that is repeated."""


class Table(NamedTuple):
    """The beginning of a sheet."""

    name: str


def tables(pieces: Iterable[bytes], *, cells: bool = True) -> Iterator[Table | Rows | Note]:
    """The sheets, each followed by its rows (some at a time, without empty ones; none without `cells`) and comments.

    Raises `ValueError` where the XML is damaged, after what is good of it.
    """
    yield from _Tables(cells).of(pieces)


class _Tables:
    """Follows the elements of the document."""

    def __init__(self, cells: bool) -> None:
        self._wanted = cells
        self._found: list[Table | Rows | Note] = []
        self._rows: dict[int, dict[int, str]] = {}
        self._columns: set[int] = set()
        self._row = self._column = 0
        self._rows_again = self._columns_again = 1
        self._exact = ""
        self._text: list[str] = []
        self._note: list[str] | None = None
        self._author: list[str] = []
        self._inside: list[str] = []

    def of(self, pieces: Iterable[bytes]) -> Iterator[Table | Rows | Note]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        fault = None
        try:
            for piece in pieces:
                parser.Parse(piece, False)
                if len(self._rows) > LEAST_ROWS and len(self._rows) * len(self._columns) > CELLS:
                    self._give()
                yield from self._found
                self._found.clear()
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            fault = error
        self._give()
        yield from self._found
        if fault is not None:
            raise ValueError(str(fault)) from None

    def _give(self) -> None:
        """Hand over the rows that are complete."""
        rows, columns = sorted(self._rows), sorted(self._columns)
        if rows:
            cells = [[self._rows[row].get(column, "") for row in rows] for column in columns]
            self._found.append((rows, columns, cells))
        self._rows, self._columns = {}, set()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._inside.append(local)
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        if local == "table":
            self._found.append(Table(plain.get("name", "")))
            self._row = 0
        elif local == "table-row":
            self._column, self._rows_again = 0, _count(plain, "number-rows-repeated")
        elif local in ("table-cell", "covered-table-cell"):
            self._columns_again = _count(plain, "number-columns-repeated")
            self._exact = next((plain[key] for key in _VALUES if key in plain), "")
            self._text = []
        elif local == "annotation":
            self._note, self._author = [], []
        elif local in ("s", "tab", "line-break"):
            self._put({"s": " " * min(_count(plain, "c"), 64), "tab": "\t"}.get(local, "\n"))
        elif local == "p":
            into = self._text if self._note is None else self._note
            if into:
                into.append("\n")

    def _put(self, text: str) -> None:
        if self._note is not None:
            if "creator" in self._inside:
                self._author.append(text)
            elif "p" in self._inside:
                self._note.append(text)
        elif "p" in self._inside:
            self._text.append(text)

    def _characters(self, text: str) -> None:
        if self._inside and (self._note is not None or "p" in self._inside):
            self._put(text)

    def _end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        self._inside.pop()
        if local == "annotation" and self._note is not None:
            self._found.append(Note(self._row, self._column, "".join(self._author), "".join(self._note)))
            self._note = None
        elif local in ("table-cell", "covered-table-cell"):
            value = self._exact or "".join(self._text)
            if value and self._wanted:
                columns = range(self._column, self._column + min(self._columns_again, _AGAIN))
                self._rows.setdefault(self._row, {}).update(dict.fromkeys(columns, value))
                self._columns.update(columns)
            self._column += self._columns_again
        elif local == "table-row":
            if self._row in self._rows:
                following = range(self._row, self._row + min(self._rows_again, _AGAIN))
                self._rows.update(dict.fromkeys(following, self._rows[self._row]))
            self._row += self._rows_again
        elif local == "table":
            self._give()


def _count(attributes: dict[str, str], name: str) -> int:
    """How often something is repeated; once where nothing sensible is said."""
    said = attributes.get(name, "1")
    return int(said) if said.isdecimal() and len(said) < 9 and int(said) > 0 else 1


class OdsFile:
    """The cells of an ods, from its XML. Raises what `zipfile` raises, and `ValueError` for what is no ods."""

    def __init__(self, source: str | BinaryIO) -> None:
        import zipfile

        self._zip = zipfile.ZipFile(source)
        if "content.xml" not in self._zip.namelist():
            raise ValueError("it has no content.xml")

    def __enter__(self) -> OdsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """The names of the sheets."""
        return [one.name for one in tables(self._pieces(), cells=False) if isinstance(one, Table)]

    def rows(self, number: int) -> Iterator[Rows]:
        """The rows of a sheet, some at a time, without those that are empty."""
        at = -1
        for one in tables(self._pieces()):
            if isinstance(one, Table):
                at += 1
                if at > number:
                    return
            elif at == number and not isinstance(one, Note):
                yield one

    def _pieces(self) -> Iterator[bytes]:
        with self._zip.open("content.xml") as file:
            while piece := file.read(1 << 16):
                yield piece
