"""Addresses of cells, as spreadsheets write them."""

from __future__ import annotations

import re

_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")


def column_name(column: int) -> str:
    """The letters of a column: A for 0, AA for 26."""
    name = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        name = chr(65 + letter) + name
    return name


def address(row: int, column: int) -> str:
    """The address of a cell in its sheet, as spreadsheets write it: B7 for row 6, column 1."""
    return f"{column_name(column)}{row + 1}"


def position(reference: str) -> tuple[int, int] | None:
    """Row and column, from 0, of an address; None if it is none."""
    match = _REFERENCE.match(reference)
    if match is None:
        return None
    column = 0
    for letter in match[1]:
        column = 26 * column + ord(letter) - 64
    return int(match[2]) - 1, column - 1
