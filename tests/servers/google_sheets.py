"""The state of Sheets: spreadsheets of sheets of cells, answered for the ranges that are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.servers.google_errors import GoogleError, denied

Cells = dict[tuple[int, int], dict[str, Any]] | Callable[[int, int], dict[str, Any] | None]
_RANGE = re.compile(r"'((?:[^']|'')+)'!([A-Z]{1,3})(\d+):([A-Z]{1,3})(\d+)")


class SheetsState:
    """Spreadsheets by the id that their file has in Drive."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.books: dict[str, list[dict[str, Any]]] = {}

    def add(self, id: str, title: str, cells: Cells, rows: int = 100, columns: int = 26, **properties: Any) -> None:
        """A sheet; cells by row and column, from 0, or a function that tells each."""
        book = self.books.setdefault(id, [])
        grid = {"rowCount": rows, "columnCount": columns}
        told = {"sheetId": len(book), "title": title, "index": len(book), "sheetType": "GRID", "gridProperties": grid}
        book.append({"properties": told | properties, "cells": cells})

    def call(self, method: str, user: str, given: dict[str, Any], *, media: bool) -> Any:
        """Answer a method."""
        assert method == "spreadsheets.get" and not media
        id = given["spreadsheetId"]
        drive = self._server.drive
        if id not in self.books or id not in drive.files:
            raise GoogleError(404, "", "Requested entity was not found.", "NOT_FOUND")
        if not drive._sees(user, drive.files[id]):
            raise denied("", "The caller does not have permission")
        sheets = self.books[id]
        ranges = given.get("ranges", [])
        if not ranges:
            found = [{"properties": one["properties"]} for one in sheets]
        else:
            found = [self._data(sheets, one) for one in ranges]
        return {"spreadsheetId": id, "properties": {"title": drive.files[id]["name"]}, "sheets": found}

    def _data(self, sheets: list[dict[str, Any]], area: str) -> dict[str, Any]:
        match = _RANGE.fullmatch(area)
        title = match[1].replace("''", "'") if match else ""
        sheet = next((one for one in sheets if one["properties"]["title"] == title), None)
        if match is None or sheet is None:
            raise GoogleError(400, "", f"Unable to parse range: {area}", "INVALID_ARGUMENT")
        grid = sheet["properties"]["gridProperties"]
        top, left, bottom, right = int(match[3]) - 1, number(match[2]), int(match[5]), number(match[4]) + 1
        if bottom > grid["rowCount"] or right > grid["columnCount"]:
            raise GoogleError(400, "", f"Range ({area}) exceeds grid limits.", "INVALID_ARGUMENT")
        cells = sheet["cells"]
        if isinstance(cells, dict):
            held = cells
            rows = [[held.get((row, column), {}) for column in range(left, right)] for row in range(top, bottom)]
        else:
            rows = [[cells(row, column) or {} for column in range(left, right)] for row in range(top, bottom)]
        row_data = [{"values": _trimmed(row)} if any(row) else {} for row in _trimmed(rows, any)]
        data: dict[str, Any] = {"rowData": row_data} if row_data else {}
        if top:
            data["startRow"] = top
        if left:
            data["startColumn"] = left
        return {"properties": sheet["properties"], "data": [data]}


def _trimmed(values: list[Any], there: Callable[[Any], bool] = bool) -> list[Any]:
    end = len(values)
    while end and not there(values[end - 1]):
        end -= 1
    return values[:end]


def number(letters: str) -> int:
    """A column's number, from 0."""
    found = 0
    for letter in letters:
        found = found * 26 + ord(letter) - 64
    return found - 1


def text(value: str, **more: Any) -> dict[str, Any]:
    """A cell of text."""
    return {"effectiveValue": {"stringValue": value}, "formattedValue": value} | more


def numeric(value: float, shown: str, **more: Any) -> dict[str, Any]:
    """A cell with a number, and how it is shown."""
    return {"effectiveValue": {"numberValue": value}, "formattedValue": shown} | more
