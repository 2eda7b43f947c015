"""Rows of cells as an xlsx, written while it is read: so a spreadsheet of Google's takes the way of any other.

The parts that a workbook needs at least are in ECMA-376 (Office Open XML), part 1, 8 and 18
(https://ecma-international.org/publications-and-standards/standards/ecma-376/). All cells are written as text, so that
no digit is lost. What a cell has besides its value (a note, a formula, the address behind it) is a comment on it.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Final, NamedTuple, cast
from xml.sax.saxutils import escape, quoteattr

from keysentry.connectors.google.content import CHUNK
from keysentry.extraction.formats.sheets.address import address

_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_KIND: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot hold."""
_OPENXML: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HIDDEN: Final = ' state="hidden"'
_COMMENTS: Final = ("note", "formula", "link")
"""What a comment says of its cell: the name stands where a comment's author does."""


class Cell(NamedTuple):
    """A cell that is not empty. `row` and `column` count from 0."""

    row: int
    column: int
    value: str
    note: str = ""
    formula: str = ""
    link: str = ""


class Sheet(NamedTuple):
    """A sheet that is made of cells, and how many of them there are room for."""

    title: str
    rows: int
    columns: int
    hidden: bool = False


Rows = Iterable[list[Cell]]


def workbook(sheets: list[tuple[Sheet, Rows]]) -> Iterator[bytes]:
    """The bytes of a workbook in pieces, the same for the same rows.

    It is complete also where the rows of a sheet end in an error, which passes on after it.
    """
    sink = _Sink()
    fault: Exception | None = None
    with zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_STORED) as book:
        for name, part in _frame([sheet for sheet, _ in sheets]):
            book.writestr(zipfile.ZipInfo(name), _XML + part)
        for number, (_, rows) in enumerate(sheets, 1):
            with tempfile.TemporaryFile() as comments:
                with book.open(zipfile.ZipInfo(f"xl/worksheets/sheet{number}.xml"), "w") as part_file:
                    part_file.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
                    try:
                        for row in () if fault else rows:
                            part_file.write(_row(row))
                            comments.write(_comments(row))
                            yield from sink.pieces()
                    except Exception as error:
                        fault = error
                    part_file.write(b"</sheetData></worksheet>")
                _write_comments(book, number, comments)
            yield from sink.pieces()
    yield from sink.pieces(last=True)
    if fault is not None:
        raise fault


class _Sink:
    """Where the archive is written to, and taken from."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes of the archive."""
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def pieces(self, *, last: bool = False) -> Iterator[bytes]:
        """Give what is there, as soon as it fills a piece."""
        while len(self._held) >= CHUNK or (last and self._held):
            yield bytes(self._held[:CHUNK])
            del self._held[:CHUNK]


def _frame(sheets: list[Sheet]) -> Iterator[tuple[str, str]]:
    """The parts around the sheets: (name, XML)."""
    numbers = range(1, len(sheets) + 1)
    yield (
        "[Content_Types].xml",
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_OPENXML}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_OPENXML}.worksheet+xml"/>'
            f'<Override PartName="/xl/comments{n}.xml" ContentType="{_OPENXML}.comments+xml"/>'
            for n in numbers
        )
        + "</Types>",
    )
    yield "_rels/.rels", _relations([("rId1", "officeDocument", "xl/workbook.xml")])
    listed = "".join(
        f'<sheet name={quoteattr(_text(sheet.title))} sheetId="{n}" r:id="rId{n}"{_HIDDEN * sheet.hidden}/>'
        for n, sheet in zip(numbers, sheets, strict=True)
    )
    yield "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_KIND}"><sheets>{listed}</sheets></workbook>'
    parts = [(f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
    yield "xl/_rels/workbook.xml.rels", _relations(parts)
    for n in numbers:
        yield f"xl/worksheets/_rels/sheet{n}.xml.rels", _relations([("rId1", "comments", f"../comments{n}.xml")])


def _relations(parts: list[tuple[str, str, str]]) -> str:
    inner = "".join(f'<Relationship Id="{id}" Type="{_KIND}/{kind}" Target="{part}"/>' for id, kind, part in parts)
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def _row(cells: list[Cell]) -> bytes:
    inner = "".join(
        f'<c r="{address(cell.row, cell.column)}" t="inlineStr">'
        f'<is><t xml:space="preserve">{escape(_text(cell.value))}</t></is></c>'
        for cell in cells
        if cell.value
    )
    return f'<row r="{cells[0].row + 1}">{inner}</row>'.encode() if inner else b""


def _comments(cells: list[Cell]) -> bytes:
    return "".join(
        f'<comment ref="{address(cell.row, cell.column)}" authorId="{author}">'
        f'<text><t xml:space="preserve">{escape(_text(said))}</t>'
        "</text></comment>"
        for cell in cells
        for author, said in enumerate((cell.note, cell.formula, cell.link))
        if said
    ).encode()


def _write_comments(book: zipfile.ZipFile, number: int, comments: IO[bytes]) -> None:
    authors = "".join(f"<author>{name}</author>" for name in _COMMENTS)
    comments.seek(0)
    with book.open(zipfile.ZipInfo(f"xl/comments{number}.xml"), "w") as part:
        part.write(f'{_XML}<comments xmlns="{_MAIN}"><authors>{authors}</authors><commentList>'.encode())
        while piece := comments.read(CHUNK):
            part.write(piece)
        part.write(b"</commentList></comments>")


def _text(said: str) -> str:
    return _NO_XML.sub("\ufffd", said)
