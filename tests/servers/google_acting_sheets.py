"""Sheets as it is acted upon: what is entered, and what follows from it (see `google_acting`)."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.servers.google_errors import GoogleError, denied
from tests.servers.google_sheets import SheetsState, number

Fields = dict[str, Any]


class ActingSheets(SheetsState):
    """Cells as they were entered; what they show follows from it.

    A cell with `spill` (row, column) shows another one, as the rest of an array formula does.
    """

    protected: set[tuple[str, int, int]]

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.protected = set()
        self.read_only_chips = False

    def enter(self, id: str, sheet: int, row: int, column: int, entered: Fields | None) -> None:
        """Somebody writes a cell."""
        cells = self.books[id][sheet]["cells"]
        if entered is None:
            cells.pop((row, column), None)
        else:
            cells[row, column] = entered
        self._server.drive.edit(id)

    def insert_row(self, id: str, sheet: int, row: int) -> None:
        """Somebody inserts a row."""
        book = self.books[id][sheet]
        book["cells"] = {(r + (r >= row), c): cell for (r, c), cell in book["cells"].items()}
        self._server.drive.edit(id)

    def shown(self, id: str, sheet: int, row: int, column: int) -> Fields:
        """A cell, as the interface tells it."""
        cells = self.books[id][sheet]["cells"]
        cell = dict(cells.get((row, column), {}))
        spill = cell.pop("spill", None)
        if spill:
            other = self.shown(id, sheet, *spill)
            return {key: other[key] for key in ("effectiveValue", "formattedValue") if key in other}
        entered = cell.get("userEnteredValue", {})
        effective = self._effective(id, sheet, entered)
        if effective:
            cell["effectiveValue"] = effective
            value = next(iter(effective.values()))
            shown = str(value).upper() if isinstance(value, bool) else value
            cell.setdefault("formattedValue", f"{shown:g}" if isinstance(shown, float) else str(shown))
        link = re.match(r'=HYPERLINK\("([^"]*)"', entered.get("formulaValue", ""))
        links = [run.get("format", {}).get("link", {}).get("uri") for run in cell.get("textFormatRuns", [])]
        links.append(cell.get("userEnteredFormat", {}).get("textFormat", {}).get("link", {}).get("uri"))
        target = link[1] if link else next(filter(None, links), None)
        return cell | ({"hyperlink": target} if target else {})

    def _effective(self, id: str, sheet: int, entered: Fields) -> Fields:
        formula = entered.get("formulaValue")
        if formula is None:
            return dict(entered)
        reference = re.fullmatch(r"=([A-Z]+)(\d+)", formula)
        if reference:
            at = int(reference[2]) - 1, number(reference[1])
            return dict(self.shown(id, sheet, *at).get("effectiveValue", {"numberValue": 0}))
        words = re.findall(r'"([^"]*)"', formula)
        if formula.startswith("=HYPERLINK("):
            return {"stringValue": words[-1]}
        if formula.startswith("=CONCATENATE("):
            return {"stringValue": "".join(words)}
        return {"errorValue": {"type": "NAME", "message": "unknown"}}

    def call(self, method: str, user: str, given: Fields, *, media: bool) -> Any:
        """Answer a method."""
        id = given["spreadsheetId"]
        if method == "spreadsheets.batchUpdate":
            return self._batch(id, user)
        kept = self.books.get(id)
        if kept is None:
            return super().call(method, user, given, media=media)
        view = [
            {
                "properties": one["properties"],
                "cells": {at: self.shown(id, sheet, *at) for at in one["cells"]},
            }
            for sheet, one in enumerate(kept)
        ]
        self.books[id] = view
        try:
            return super().call(method, user, given, media=media)
        finally:
            self.books[id] = kept

    def _batch(self, id: str, user: str) -> Any:
        drive = self._server.drive
        if id not in self.books or id not in drive.files or not drive._sees(user, drive.files[id]):
            raise GoogleError(404, "", "Requested entity was not found.", "NOT_FOUND")
        if drive._role(user, id) not in ("owner", "organizer", "fileOrganizer", "writer"):
            raise denied("", "The caller does not have permission")
        changes: list[tuple[Fields, tuple[int, int], Fields]] = []
        for one in self._server.body["requests"]:
            changes.append(self._cell(id, one["updateCells"]))
        for sheet, at, cell in changes:
            sheet["cells"][at] = cell
        drive.edit(id)
        return {"spreadsheetId": id, "replies": [{} for _ in changes]}

    def _cell(self, id: str, update: Fields) -> tuple[Fields, tuple[int, int], Fields]:
        start = update["start"]
        sheet = next((one for one in self.books[id] if one["properties"]["sheetId"] == start.get("sheetId", 0)), None)
        at = start.get("rowIndex", 0), start.get("columnIndex", 0)
        if sheet is None:
            raise GoogleError(400, "", "Invalid requests[0].updateCells: No grid with id", "INVALID_ARGUMENT")
        if (id, *at) in self.protected:
            message = (
                "Invalid requests[0].updateCells: You are trying to edit a protected cell or object. Please contact "
                "the spreadsheet owner to remove protection if you need to edit."
            )
            raise GoogleError(400, "", message, "INVALID_ARGUMENT")
        (row,) = update["rows"]
        (data,) = row["values"]
        cell = dict(sheet["cells"].get(at, {}))
        for name in update["fields"].split(","):
            if name == "chipRuns" and self.read_only_chips:
                raise GoogleError(400, "", f"Invalid requests[0].updateCells: chips {data}", "INVALID_ARGUMENT")
            if name == "userEnteredFormat.textFormat.link":
                form = json.loads(json.dumps(cell.get("userEnteredFormat", {"textFormat": {}})))
                form["textFormat"].pop("link", None)
                link = data.get("userEnteredFormat", {}).get("textFormat", {}).get("link")
                form["textFormat"] |= {"link": link} if link else {}
                cell["userEnteredFormat"] = form
                continue
            assert name in ("userEnteredValue", "note", "textFormatRuns", "chipRuns"), name
            cell.pop(name, None)
            if name == "userEnteredValue":
                for gone in ("textFormatRuns", "chipRuns", "formattedValue"):
                    if gone not in update["fields"]:
                        cell.pop(gone, None)
            if data.get(name):
                cell[name] = data[name]
        return sheet, at, cell
