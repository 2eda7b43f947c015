"""What the XML parts of an xlsx say: its sheets, their comments, and, where nothing else will read them, their cells.

Formats: ECMA-376 (Office Open XML), part 1, SpreadsheetML, https://ecma-international.org/publications-and-standards/standards/ecma-376/,
transitional and strict (names are compared without their namespace); threaded comments: [MS-XLSX] 2.4.

Algorithm. expat, streaming: the rows of a sheet are given as they come, only the cells that are there, so that
memory depends on the rows that are given together and not on how far apart the cells are.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from keysentry.extraction.formats.sheets.address import position

CELLS, BYTES, LEAST_ROWS = 1 << 15, 2 << 20, 32
"""As in `child`: about how many cells and bytes, and at least how many rows, are given together."""
_PIECE = 1 << 16

Read = Callable[[str], bytes | None]
"""Gives a part of the package by its name; None where there is none."""
Rows = tuple[list[int], list[int], list[list[str]]]
"""Numbers of rows, numbers of columns, and the cells, column by column."""


class Note(NamedTuple):
    """A comment on a cell: its column and row from 0, who wrote it, and what."""

    row: int
    column: int
    author: str
    text: str


class SheetPart(NamedTuple):
    """A sheet: what it is called, and its part of the package."""

    name: str
    part: str


class Element(NamedTuple):
    """The beginning of an XML element: its name and attributes, without namespaces."""

    name: str
    attributes: dict[str, str]


def elements(xml: bytes) -> list[Element]:
    """The elements of a small XML part, in order. What follows a fault is left out."""
    found: list[Element] = []
    parser = expat.ParserCreate(namespace_separator=" ")

    def start(name: str, attributes: dict[str, str]) -> None:
        found.append(Element(_local(name), {_local(key): value for key, value in attributes.items()}))

    parser.StartElementHandler = start
    with contextlib.suppress(expat.ExpatError):
        parser.Parse(xml, True)
    return found


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


class Relations(NamedTuple):
    """What a part refers to: parts by id, and (kind, part) of all."""

    by_id: dict[str, str]
    kinds: list[tuple[str, str]]


def relations(read: Read, part: str) -> Relations:
    """The relationships of a part; a kind is the last word of its type (`worksheet`, `comments`)."""
    folder, _, name = part.rpartition("/")
    xml = read(posixpath.join(folder, "_rels", f"{name}.rels"))
    by_id: dict[str, str] = {}
    kinds: list[tuple[str, str]] = []
    for element in elements(xml) if xml else ():
        target = element.attributes.get("Target", "")
        if element.name != "Relationship" or element.attributes.get("TargetMode") == "External" or not target:
            continue
        there = posixpath.normpath(posixpath.join("/", folder, target.replace("\\", "/"))).lstrip("/")
        by_id[element.attributes.get("Id", "")] = there
        kinds.append((element.attributes.get("Type", "").rpartition("/")[2], there))
    return Relations(by_id, kinds)


def workbook_part(read: Read) -> str:
    """The part that lists the sheets: where the package says, or where it usually is."""
    found = [part for kind, part in relations(read, "").kinds if kind == "officeDocument"]
    return found[0] if found else "xl/workbook.xml"


def sheet_parts(read: Read) -> list[SheetPart]:
    """The sheets of a workbook, in its order; of an xlsb, whose parts are no XML, none."""
    workbook = workbook_part(read)
    xml = read(workbook)
    if xml is None:
        return []
    by_id = relations(read, workbook).by_id
    sheets = [one.attributes for one in elements(xml) if one.name == "sheet"]
    return [SheetPart(sheet.get("name", ""), by_id.get(sheet.get("id", ""), "")) for sheet in sheets]


def notes(read: Read, sheet: SheetPart) -> Iterator[Note]:
    """The comments on a sheet's cells, old notes and threads both."""
    people = _people(read)
    for kind, part in relations(read, sheet.part).kinds:
        xml = read(part) if kind in ("comments", "threadedComment") else None
        if xml is not None:
            yield from _Notes(people).of(xml)


def _people(read: Read) -> dict[str, str]:
    """The names of those who wrote threads, by their ids."""
    found: dict[str, str] = {}
    for kind, part in relations(read, workbook_part(read)).kinds:
        if kind == "person":
            for one in elements(read(part) or b""):
                found[one.attributes.get("id", "")] = one.attributes.get("displayName", "")
    return found


class _Notes:
    """Reads a part of comments: `comment` elements with runs, or `threadedComment` elements with one text."""

    def __init__(self, people: dict[str, str]) -> None:
        self._people = people
        self._authors: list[str] = []
        self._found: list[Note] = []
        self._text: list[str] | None = None
        self._at = self._author = ""
        self._inside = ""

    def of(self, xml: bytes) -> list[Note]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        with contextlib.suppress(expat.ExpatError):
            parser.Parse(xml, True)
        return self._found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if local == "author":
            self._authors.append("")
        elif local == "comment":
            number = int(attributes.get("authorId") or 0)
            self._author = self._authors[number] if number < len(self._authors) else ""
            self._text, self._at = [], attributes.get("ref", "")
        elif local == "threadedComment":
            self._author = self._people.get(attributes.get("personId", ""), "")
            self._text, self._at = [], attributes.get("ref", "")
        self._inside = local

    def _characters(self, text: str) -> None:
        if self._inside == "author":
            self._authors[-1] += text
        elif self._inside in ("t", "text") and self._text is not None:
            self._text.append(text)

    def _end(self, name: str) -> None:
        if _local(name) in ("comment", "threadedComment") and self._text is not None:
            row, column = position(self._at) or (0, 0)
            self._found.append(Note(row, column, self._author, "".join(self._text)))
            self._text = None
        self._inside = ""


class XlsxFile:
    """The cells of an xlsx, from its XML. Raises what `zipfile` raises, and `ValueError` for what is no xlsx."""

    def __init__(self, source: str | BinaryIO) -> None:
        import zipfile

        self._zip = zipfile.ZipFile(source)
        self._sheets = sheet_parts(self._part)
        self._strings: list[str] | None = None
        if not self._sheets:
            raise ValueError("it has no sheets")

    def __enter__(self) -> XlsxFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """The names of the sheets."""
        return [sheet.name for sheet in self._sheets]

    def _part(self, name: str) -> bytes | None:
        try:
            return self._zip.read(name)
        except KeyError:
            return None

    def rows(self, number: int) -> Iterator[Rows]:
        """The rows of a sheet, some at a time, without those that are empty."""
        if self._strings is None:
            shared = [
                part for kind, part in relations(self._part, workbook_part(self._part)).kinds if kind == "sharedStrings"
            ]
            self._strings = list(_Strings().of(self._pieces(shared[0]))) if shared else []
        yield from _Cells(self._strings).of(self._pieces(self._sheets[number].part))

    def _pieces(self, part: str) -> Iterator[bytes]:
        with self._zip.open(part) as file:
            while piece := file.read(_PIECE):
                yield piece


class _Strings:
    """Reads the table of shared strings: the runs of each joined, without the readings of Japanese words."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._text: list[str] = []
        self._taking = False
        self._reading = False

    def of(self, pieces: Iterable[bytes]) -> Iterator[str]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        for piece in pieces:
            parser.Parse(piece, False)
            yield from self._done
            self._done.clear()
        parser.Parse(b"", True)
        yield from self._done

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        local = _local(name)
        if local == "rPh":
            self._reading = True
        self._taking = local == "t" and not self._reading

    def _characters(self, text: str) -> None:
        if self._taking:
            self._text.append(text)

    def _end(self, name: str) -> None:
        local = _local(name)
        self._taking = False
        if local == "rPh":
            self._reading = False
        elif local == "si":
            self._done.append("".join(self._text))
            self._text = []


class _Cells:
    """Reads the cells of a sheet."""

    def __init__(self, strings: list[str]) -> None:
        self._strings = strings
        self._rows: dict[int, dict[int, str]] = {}
        self._columns: set[int] = set()
        self._size = 0
        self._row = self._column = -1
        self._kind = ""
        self._text: list[str] = []
        self._taking = self._reading = False

    def of(self, pieces: Iterable[bytes]) -> Iterator[Rows]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        fault: Exception | None = None
        stream = iter(pieces)
        while True:
            try:
                piece = next(stream, b"")
                parser.Parse(piece, not piece)
            except Exception as error:  # what came before is given all the same
                fault = error
                break
            if not piece:
                break
            full = len(self._rows) * len(self._columns) > CELLS or self._size > BYTES
            if full and len(self._rows) > LEAST_ROWS:
                yield self._taken(last=False)
        if self._rows:
            yield self._taken(last=True)
        if fault is not None:
            raise fault

    def _taken(self, *, last: bool) -> Rows:
        """The rows so far; the one that is not complete yet stays."""
        open_row = {} if last else {self._row: self._rows.pop(self._row)} if self._row in self._rows else {}
        rows, columns = sorted(self._rows), sorted(self._columns)
        cells = [[self._rows[row].get(column, "") for row in rows] for column in columns]
        self._rows, self._size = open_row, 0
        self._columns = {column for cells_of in open_row.values() for column in cells_of}
        return rows, columns, cells

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if local == "c":
            place = position(attributes.get("r", ""))
            self._row, self._column = place or (max(self._row, 0), self._column + 1)
            self._kind, self._text = attributes.get("t", "n"), []
        elif local == "row":
            self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = -1
        elif local == "rPh":
            self._reading = True
        self._taking = local in ("v", "t") and not self._reading

    def _characters(self, text: str) -> None:
        if self._taking:
            self._text.append(text)

    def _end(self, name: str) -> None:
        local = _local(name)
        self._taking = False
        if local == "rPh":
            self._reading = False
        elif local == "c" and self._text:
            value = self._value("".join(self._text))
            self._size += len(value)
            self._rows.setdefault(self._row, {})[self._column] = value
            self._columns.add(self._column)

    def _value(self, text: str) -> str:
        if self._kind == "s":
            number = int(text) if text.isdecimal() else -1
            return self._strings[number] if 0 <= number < len(self._strings) else ""
        if self._kind == "b":
            return "TRUE" if text == "1" else "FALSE"
        return text
