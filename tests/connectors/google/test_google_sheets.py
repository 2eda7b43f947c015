"""Spreadsheets cell by cell: addresses, digits, notes, formulas, links, hidden sheets, blocks of rows.

Sheets is played by a server of our own, held to Google's discovery document; what comes of it is read by openpyxl.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest

from keysentry.connectors.google.sheets import digits
from keysentry.errors import InputError, SourceError
from keysentry.model.record import Part
from tests.connectors.google.conftest import ANN, Open
from tests.connectors.google.worlds import SHEET, read, unit_of
from tests.servers.google import GoogleServer
from tests.servers.google_sheets import numeric, text

pytestmark = pytest.mark.xdist_group("google")


def part(google: GoogleServer, open_google: Open, **options: Any) -> Part:
    """The content of the only spreadsheet."""
    source = open_google(shared_drives=False, **options)
    (delivery, _) = read(source, unit_of(source, f"my:{ANN}"))
    assert delivery.record is not None
    (found,) = delivery.record.parts
    return found


def workbook(found: Part) -> openpyxl.Workbook:
    """The content, as openpyxl reads it."""
    assert found.open is not None
    return openpyxl.load_workbook(io.BytesIO(b"".join(found.open())))


def sparse(words: str) -> Callable[[int, int], dict[str, Any] | None]:
    """Cells in the first column only."""
    return lambda _row, column: None if column else text(words)


def test_cells_stand_where_they_stood(google: GoogleServer, open_google: Open) -> None:
    id = google.drive.add("Accounts", kind=SHEET, owner=ANN)
    cells = {
        (0, 0): text("Service"),
        (0, 1): text("Password"),
        (6, 1): text("open <sesame> & more", note="do not tell"),
        (7, 1): numeric(4111111111111111, "4.11E+15"),
        (8, 1): numeric(46082.0, "2026-03-01"),
        (9, 27): text("far out", hyperlink="https://example.com/hidden"),
        (10, 1): {
            "effectiveValue": {"stringValue": "sum"},
            "formattedValue": "sum",
            "userEnteredValue": {"formulaValue": '=CONCAT("s","um")'},
        },
        (11, 1): {"effectiveValue": {"boolValue": True}, "formattedValue": "TRUE"},
        (12, 1): text("bell\x07 and a\nline"),
        (13, 0): {"note": "a note without a value"},
        (14, 0): {},
        (15, 0): {"effectiveValue": {"errorValue": {"type": "N_A"}}, "formattedValue": "#N/A"},
    }
    google.sheets.add(id, "It's a sheet", cells, columns=30)
    google.sheets.add(id, "Secret", {(0, 0): text("hidden away")}, hidden=True)
    google.sheets.books[id].append(
        {"properties": {"sheetId": 9, "title": "Chart", "index": 2, "sheetType": "OBJECT"}, "cells": {}}
    )
    found = part(google, open_google)
    assert found.name == "Accounts.xlsx"
    book = workbook(found)
    assert book.sheetnames == ["It's a sheet", "Secret"]
    assert (book["Secret"].sheet_state, book["Secret"]["A1"].value) == ("hidden", "hidden away")
    sheet = book["It's a sheet"]
    values = {cell.coordinate: cell.value for row in sheet for cell in row if cell.value is not None}
    assert values == {
        "A1": "Service",
        "B1": "Password",
        "B7": "open <sesame> & more",
        "B8": "4111111111111111",
        "B9": "2026-03-01",
        "AB10": "far out",
        "B11": "sum",
        "B12": "TRUE",
        "B13": "bell\ufffd and a\nline",
        "A16": "#N/A",
    }
    notes = {cell.coordinate: cell.comment.text for row in sheet for cell in row if cell.comment}
    assert notes == {
        "B7": "do not tell",
        "AB10": "https://example.com/hidden",
        "B11": '=CONCAT("s","um")',
        "A14": "a note without a value",
    }


def test_a_large_sheet_comes_in_blocks(google: GoogleServer, open_google: Open) -> None:
    id = google.drive.add("Large", kind=SHEET, owner=ANN)
    google.sheets.add(
        id, "S", lambda row, column: None if column % 9 else text(f"{row}.{column}"), rows=5_001, columns=10
    )
    book = workbook(part(google, open_google))
    assert google.count("sheets.spreadsheets.get") == 1 + 3
    assert book["S"].max_row == 5_001
    assert (book["S"]["A1"].value, book["S"]["J2001"].value, book["S"]["A5001"].value) == ("0.0", "2000.9", "5000.0")


def test_an_edit_on_the_way_is_told_after_all_was_read(google: GoogleServer, open_google: Open) -> None:
    id = google.drive.add("Large", kind=SHEET, owner=ANN)
    google.sheets.add(id, "S", sparse("x" * 500), rows=4_000, columns=10)
    found = part(google, open_google)
    assert found.open is not None
    chunks = found.open()
    read_so_far = next(chunks)
    google.drive.edit(id)
    with pytest.raises(InputError, match="changed while it was read"):
        for chunk in chunks:
            read_so_far += chunk
    assert openpyxl.load_workbook(io.BytesIO(read_so_far))["S"].max_row == 4_000


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 404, "reason": ""}, InputError),
        ({"status": 403, "reason": "", "detail": ""}, InputError),
        ({"status": 403, "reason": "", "detail": "SERVICE_DISABLED"}, SourceError),
        ({"status": 429, "headers": {"Retry-After": "4000"}}, SourceError),
    ],
)
def test_an_error_on_the_way_leaves_what_came_before(
    fault: dict[str, Any], kind: type[Exception], google: GoogleServer, open_google: Open
) -> None:
    id = google.drive.add("Large", kind=SHEET, owner=ANN)
    google.sheets.add(id, "S", sparse("x" * 50), rows=6_000, columns=10)
    google.sheets.add(id, "T", {(0, 0): text("more")})
    found = part(google, open_google)
    google.fail("sheets.spreadsheets.get", skip=3, **fault)
    assert found.open is not None
    content = b""
    with pytest.raises(kind):
        for chunk in found.open():
            content += chunk
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert (book["S"].max_row, book["T"].max_row) == (4_000, 1)


def test_odd_answers_cost_their_cells(google: GoogleServer, open_google: Open) -> None:
    id = google.drive.add("Odd", kind=SHEET, owner=ANN)
    google.sheets.add(id, "S", {(0, 0): text("a"), (1, 0): text("b"), (2, 0): text("c")})

    def twist(answer: Any) -> Any:
        for sheet in answer["sheets"]:
            for data in sheet.get("data", ()):
                rows = data["rowData"]
                rows[1] = {"values": [None, {"effectiveValue": None, "formattedValue": None}, 7]}
                rows += [None, {"values": None}, {"values": [{"unknown": 1}]}]
        answer["sheets"] += [None, {"properties": None}, {"data": "?"}]
        return answer

    google.twists["sheets.spreadsheets.get"] = twist
    sheet = workbook(part(google, open_google))["S"]
    assert {cell.coordinate: cell.value for row in sheet for cell in row if cell.value} == {"A1": "a", "A3": "c"}


@pytest.mark.parametrize(
    ("value", "shown", "words"),
    [
        (4111111111111111, "4.11E+15", "4111111111111111"),
        (4111111111111111.0, "4111 1111 1111 1111", "4111111111111111"),
        (4111111111111111, "4,111,111,111,111,111", "4111111111111111"),
        (1234.5, "1,234.50", "1,234.50"),
        (7.0, "0007", "0007"),
        (46082.0, "2026-03-01", "2026-03-01"),
        (7.0, "", "7"),
        (0.25, "", "0.25"),
        (123456789012.0, "000123456789012", "000123456789012"),
    ],
)
def test_numbers_keep_their_digits(value: float, shown: str, words: str) -> None:
    assert digits(value, shown) == words
