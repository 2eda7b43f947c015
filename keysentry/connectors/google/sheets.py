"""Spreadsheets of Google's own kind, cell by cell: values, formulas, notes and links, hidden sheets included.

A block of rows is one request, so that a spreadsheet of ten million cells is never in memory
(https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/get: `ranges`, and `fields` for the
parts of a cell that are asked for).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keysentry.connectors.google.client import Client
from keysentry.connectors.google.content import CHANGED, had
from keysentry.connectors.google.fields import Fields, flag, number, text, thing, things
from keysentry.connectors.google.workbook import Cell, Rows, Sheet, workbook
from keysentry.errors import InputError
from keysentry.extraction.formats.sheets.address import address
from keysentry.model.record import Part

CELLS: Final = 20_000
"""How many cells one request asks for, at most, unless a row has more."""
_SHEETS: Final = "sheets.properties(sheetId,title,hidden,sheetType,gridProperties(rowCount,columnCount))"
_GRID: Final = (
    "sheets.data(startRow,startColumn,"
    "rowData.values(effectiveValue,formattedValue,note,hyperlink,userEnteredValue.formulaValue))"
)
_SERIAL: Final = 10**11
"""A number from here on is no date: those of the year 9999 are below three million."""


def spreadsheet(client: Client, user: str, file: Fields) -> Part:
    """A spreadsheet as the content of a workbook, which asks for the cells while it is read."""
    id, name = text(file, "id"), text(file, "name") or text(file, "id")
    modified = text(file, "modifiedTime")

    def chunks() -> Iterator[bytes]:
        found = had(lambda: sheets(client, user, id))
        yield from workbook([(sheet, rows(client, user, id, sheet)) for sheet in found])
        told = had(
            lambda: client.call("drive", user, "files.get", fileId=id, supportsAllDrives=True, fields="modifiedTime")
        )
        if text(told, "modifiedTime") != modified:
            raise InputError(CHANGED)

    return Part(name=f"{name}.xlsx", open=chunks)


def sheets(client: Client, user: str, id: str) -> list[Sheet]:
    """The sheets of a spreadsheet that are made of cells. Raises `SourceError`."""
    told = client.call("sheets", user, "spreadsheets.get", spreadsheetId=id, fields=_SHEETS)
    found = []
    for one in things(told, "sheets"):
        properties = thing(one, "properties")
        grid = thing(properties, "gridProperties")
        rows, columns = number(grid, "rowCount") or 0, number(grid, "columnCount") or 0
        if text(properties, "title") and rows and columns:
            found.append(Sheet(text(properties, "title"), rows, columns, flag(properties, "hidden")))
    return found


def rows(client: Client, user: str, id: str, sheet: Sheet) -> Rows:
    """The rows of a sheet that are not empty, block by block. Raises `SourceError`, and `InputError` if it is gone."""
    block = max(1, CELLS // sheet.columns)
    for first in range(0, sheet.rows, block):
        last = min(first + block, sheet.rows)
        area = f"{quoted(sheet.title)}!A{first + 1}:{address(last - 1, sheet.columns - 1)}"
        told = had(
            lambda area=area: client.call(  # type: ignore[misc]
                "sheets", user, "spreadsheets.get", spreadsheetId=id, ranges=[area], fields=_GRID
            )
        )
        for one in things(told, "sheets"):
            for data in things(one, "data"):
                yield from _block(data)


def _block(data: Fields) -> Iterator[list[Cell]]:
    top, left = number(data, "startRow") or 0, number(data, "startColumn") or 0
    given = data.get("rowData")
    for down, row in enumerate(given if isinstance(given, list) else ()):
        values = row.get("values") if isinstance(row, dict) else None
        cells = []
        for right, value in enumerate(values if isinstance(values, list) else ()):
            cell = _cell(value, top + down, left + right) if isinstance(value, dict) else None
            if cell is not None:
                cells.append(cell)
        if cells:
            yield cells


def _cell(given: Fields, row: int, column: int) -> Cell | None:
    shown = text(given, "formattedValue")
    value = thing(given, "effectiveValue")
    numeric = value.get("numberValue")
    if isinstance(numeric, int | float) and not isinstance(numeric, bool):
        words = digits(numeric, shown)
    else:
        words = text(value, "stringValue") or shown
    link = text(given, "hyperlink")
    cell = Cell(
        row,
        column,
        words,
        text(given, "note"),
        text(given, "userEnteredValue", "formulaValue"),
        "" if link in words else link,
    )
    return cell if any(cell[2:]) else None


def digits(numeric: float, shown: str) -> str:
    """A number as a person would read it out: all digits of a long one (a card, an account), also where it is shown as
    4.1E+15; else as it is shown (a date, an amount).
    """
    if shown.isdigit():
        return shown
    if float(numeric).is_integer() and abs(numeric) >= _SERIAL:
        return str(int(numeric))
    return shown or (str(int(numeric)) if float(numeric).is_integer() else repr(numeric))


def quoted(title: str) -> str:
    """The name of a sheet as ranges have it (https://developers.google.com/workspace/sheets/api/guides/concepts)."""
    return "'" + title.replace("'", "''") + "'"
