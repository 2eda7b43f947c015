"""Reads every cell of a workbook, as quickly as a library's own documentation says.

    python cells.py openpyxl|calamine BOOK.xlsx

Prints how many cells there were.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence


def openpyxl_rows(path: str) -> Iterable[Sequence[object]]:
    """openpyxl's read-only mode: https://openpyxl.readthedocs.io/en/stable/optimized.html"""
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True)
    for sheet in book:
        yield from sheet.iter_rows(values_only=True)
    book.close()


def calamine_rows(path: str) -> Iterable[Sequence[object]]:
    """python-calamine, row by row: https://github.com/dimastbk/python-calamine"""
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(path)
    for name in book.sheet_names:
        yield from book.get_sheet_by_name(name).iter_rows()


READERS: dict[str, Callable[[str], Iterable[Sequence[object]]]] = {
    "openpyxl": openpyxl_rows,
    "calamine": calamine_rows,
}

if __name__ == "__main__":
    print(sum(map(len, READERS[sys.argv[1]](sys.argv[2]))))
