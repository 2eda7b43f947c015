"""Cells of a spreadsheet, as they were entered: found, read and written.

https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/cells#CellData,
https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request#UpdateCellsRequest

Sheets are named by their ids, which stay when they are renamed. All that one call writes is written together or not at
all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.fields import Fields, number, text, thing, things
from keysentry.connectors.google.sealed import Cell
from keysentry.connectors.google.sheets import quoted, rows
from keysentry.connectors.google.workbook import Cell as ReadCell
from keysentry.connectors.google.workbook import Sheet
from keysentry.errors import ChangedError, InputError
from keysentry.extraction.formats.sheets.address import address

RANGES: Final = 40
"""How many cells are asked for at once."""
_SHEETS: Final = "sheets.properties(sheetId,title,hidden,sheetType,gridProperties(rowCount,columnCount))"
_CELLS: Final = (
    "sheets(properties.sheetId,data(startRow,startColumn,rowData.values(userEnteredValue,effectiveValue,formattedValue,"
    "note,hyperlink,textFormatRuns,chipRuns,userEnteredFormat.textFormat.link)))"
)


class Seen(NamedTuple):
    """A cell as it is now: what was entered, and all that it shows beside its note."""

    cell: Cell
    shows: str


class Found(NamedTuple):
    """A cell of a sheet, as the reader gives it."""

    sheet: int
    title: str
    cell: ReadCell

    @property
    def at(self) -> tuple[int, int, int]:
        """Sheet, row and column."""
        return self.sheet, self.cell.row, self.cell.column


class Grid:
    """One spreadsheet, for one user."""

    def __init__(self, actor: Actor, user: str, id: str) -> None:
        self._actor = actor
        self._user = user
        self._id = id

    def sheets(self) -> dict[int, Sheet]:
        """The sheets that are made of cells, by their ids. Raises `SourceError`."""
        told = self._actor.call("sheets", self._user, "spreadsheets.get", spreadsheetId=self._id, fields=_SHEETS)
        found = {}
        for one in things(told, "sheets"):
            properties = thing(one, "properties")
            grid = thing(properties, "gridProperties")
            down, right = number(grid, "rowCount") or 0, number(grid, "columnCount") or 0
            if text(properties, "title") and down and right:
                sheet = Sheet(text(properties, "title"), down, right)
                found[number(properties, "sheetId") or 0] = sheet
        return found

    def cells(self) -> Iterator[Found]:
        """Every cell that is not empty. Raises `SourceError`; `ChangedError` if a sheet went meanwhile."""
        for id, sheet in self.sheets().items():
            try:
                for row in rows(self._actor, self._user, self._id, sheet):
                    yield from (Found(id, sheet.title, cell) for cell in row)
            except InputError as error:
                raise ChangedError(f"a sheet cannot be read: {error.reason}", place=self._id) from None

    def read(self, places: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int, int], Seen]:
        """Cells as they are; those that are not there any more are left out. Raises `SourceError`."""
        sheets = self.sheets()
        there = [
            (id, row, column)
            for id, row, column in dict.fromkeys(places)
            if id in sheets and row < sheets[id].rows and column < sheets[id].columns
        ]
        found = {one: Seen(Cell(*one, {}), "") for one in there}
        for start in range(0, len(there), RANGES):
            ranges = []
            for id, row, column in there[start : start + RANGES]:
                name = address(row, column)
                ranges.append(f"{quoted(sheets[id].title)}!{name}:{name}")
            told = self._actor.call(
                "sheets", self._user, "spreadsheets.get", spreadsheetId=self._id, ranges=ranges, fields=_CELLS
            )
            for sheet in things(told, "sheets"):
                id = number(sheet, "properties", "sheetId") or 0
                found |= {one: seen for data in things(sheet, "data") for one, seen in _read(id, data) if one in found}
        return found

    def write(self, requests: Sequence[Fields], done: Callable[[], bool], advice: str) -> None:
        """Write cells, all together. Raises as `Actor.change` does."""
        self._actor.change(
            "sheets",
            self._user,
            "spreadsheets.batchUpdate",
            done,
            advice=advice,
            spreadsheetId=self._id,
            fields="spreadsheetId",
            body={"requests": list(requests)},
        )


def request(cell: Cell, data: Fields, fields: Sequence[str]) -> Fields:
    """What writes some fields of a cell; those that `data` does not have are cleared."""
    start = {"sheetId": cell.sheet, "rowIndex": cell.row, "columnIndex": cell.column}
    return {"updateCells": {"start": start, "rows": [{"values": [data]}], "fields": ",".join(fields)}}


def _read(sheet: int, data: Fields) -> Iterator[tuple[tuple[int, int, int], Seen]]:
    top, left = number(data, "startRow") or 0, number(data, "startColumn") or 0
    for down, row in enumerate(things(data, "rowData")):
        for right, given in enumerate(things(row, "values")):
            cell = Cell(
                sheet=sheet,
                row=top + down,
                column=left + right,
                value=thing(given, "userEnteredValue"),
                note=text(given, "note"),
                runs=tuple(things(given, "textFormatRuns")),
                chips=tuple(one for one in things(given, "chipRuns") if thing(one, "chip")),
                link=text(given, "userEnteredFormat", "textFormat", "link", "uri"),
            )
            shows = "\n".join(_strings({key: value for key, value in given.items() if key != "note"}))
            yield (sheet, top + down, left + right), Seen(cell, shows)


def _strings(root: object) -> Iterator[str]:
    """Every word and number of a cell's data."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
        elif isinstance(node, str):
            yield node
        elif isinstance(node, int | float) and not isinstance(node, bool):
            yield str(int(node)) if float(node).is_integer() else repr(node)
