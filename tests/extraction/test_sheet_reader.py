"""The process that reads cells, and what it does with workbooks that are large, damaged, hostile or merely odd."""

from __future__ import annotations

import datetime
import io
import os
import random
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keysentry.extraction.budget import Budget
from keysentry.extraction.formats.sheets.address import address, position
from keysentry.extraction.formats.sheets.book import Book
from keysentry.extraction.formats.sheets.ods import OdsFile
from keysentry.extraction.formats.sheets.ole import Compound
from keysentry.extraction.formats.sheets.process import Cells, Fault, Sheet, SheetReader, Told
from keysentry.extraction.formats.sheets.strings import unpacked_iwa, wide_runs
from keysentry.extraction.formats.sheets.vba import modules, unpacked
from keysentry.extraction.formats.sheets.xlsx import XlsxFile
from tests.extraction.workbooks import by_hand, far_apart, inline, xlsx

SHARED = Path(__file__).parents[3] / "shared" / "data" / "spreadsheets"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real spreadsheets of ../shared are not here")

Table = dict[str, str]


@pytest.fixture(scope="module")
def reader() -> Iterator[SheetReader]:
    made = SheetReader()
    yield made
    made.close()


def read(reader: SheetReader, book: bytes | Path) -> list[Told]:
    asked = Book(str(book)) if isinstance(book, Path) else Book("", book)
    with reader.read(asked) as told:
        return list(told)


def cells(told: list[Told]) -> dict[str, Table]:
    """The cells that hold something, by sheet and address."""
    found: dict[str, Table] = {}
    sheet = ""
    for one in told:
        if isinstance(one, Sheet):
            sheet = one.name
            found[sheet] = {}
        elif isinstance(one, Cells):
            for column, values in zip(one.columns, one.cells, strict=True):
                values = values.cells
                assert len(values) == len(one.rows)
                found[sheet] |= {address(r, column): value for r, value in zip(one.rows, values, strict=True) if value}
    return found


def faults(told: list[Told]) -> list[tuple[str, str]]:
    return [(one.sheet, one.reason) for one in told if isinstance(one, Fault)]


def test_addresses_are_those_of_spreadsheets() -> None:
    assert [address(*at) for at in ((0, 0), (6, 1), (0, 25), (0, 26), (0, 701), (0, 702), (1048575, 16383))] == [
        "A1",
        "B7",
        "Z1",
        "AA1",
        "ZZ1",
        "AAA1",
        "XFD1048576",
    ]
    for row, column in ((0, 0), (6, 1), (99, 701), (1048575, 16383)):
        assert position(address(row, column)) == (row, column)


def test_values_are_written_as_a_person_reads_them(reader: SheetReader) -> None:
    day = datetime.datetime(2024, 2, 29, 13, 5, 7)
    values = [
        4111111111111111,
        7,
        -3,
        0.1,
        1e21,
        12.5,
        True,
        day,
        datetime.date(2024, 2, 29),
        "text",
        "tab\tline\nend",
        None,
    ]
    rows = [[value] for value in values] + [["\u001fé\u20ac"]]
    table = cells(read(reader, by_hand({"s": ""})))
    assert table == {"s": {}}
    made = xlsx({"s": rows[:-1]})
    found = cells(read(reader, made))["s"]
    assert [found.get(address(row, 0), "") for row in range(len(values))] == [
        "4111111111111111", "7", "-3", "0.1", "1e21", "12.5", "TRUE", "2024-02-29T13:05:07", "2024-02-29", "text",
        "tab\tline\nend", "",
    ]  # fmt: skip


def test_columns_of_every_kind_survive_the_way_through_the_pipe(reader: SheetReader) -> None:
    """Numbers travel apart from text: where both are in one column, each must come back to its own row."""
    rng = random.Random(4)
    pick = [lambda: rng.randint(0, 10**15), lambda: rng.random(), lambda: rng.choice("abc"), lambda: None, lambda: True]
    rows = [
        [row, rng.random(), f"t{row}", *(rng.choice(pick)() for _ in range(4)), "x" if row % 2 else row + 0.5]
        for row in range(5000)
    ]
    found = cells(read(reader, xlsx({"s": rows})))["s"]
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            got = found.get(address(number, column), "")
            if isinstance(value, bool):
                assert got == "TRUE"
            elif isinstance(value, int | float):
                assert float(got) == pytest.approx(value)
                assert isinstance(value, float) or got == str(value)
            else:
                assert got == (value or "")


def test_signs_of_the_pipe_in_a_cell_move_nothing(reader: SheetReader) -> None:
    rows = "".join(
        f'<row r="{n}">{inline(f"A{n}", "a_x001E_b" if n == 2 else "_x001F_")}<c r="B{n}"><v>{n}</v></c></row>'
        for n in (1, 2, 3)
    )
    found = cells(read(reader, by_hand({"s": rows})))["s"]
    assert [found[f"B{n}"] for n in (1, 2, 3)] == ["1", "2", "3"]
    assert found["A2"][0], found["A2"][-1] == ("a", "b")


def test_hidden_sheets_are_read(reader: SheetReader) -> None:
    def hide(book) -> None:
        book["b"].sheet_state, book["c"].sheet_state = "hidden", "veryHidden"

    told = read(reader, xlsx({"a": [["1x"]], "b": [["2x"]], "c": [["3x"]]}, hide))
    assert [(one.name, one.visibility) for one in told if isinstance(one, Sheet)] == [
        ("a", "Visible"), ("b", "Hidden"), ("c", "VeryHidden"),
    ]  # fmt: skip
    assert cells(told) == {"a": {"A1": "1x"}, "b": {"A1": "2x"}, "c": {"A1": "3x"}}


def test_a_sheet_whose_cells_are_far_apart_is_read_all_the_same(reader: SheetReader) -> None:
    """Dense, its range would be 17 thousand million cells, for which the reader's process is ended by the system."""
    made = by_hand(
        {
            "a": f'<row r="1">{inline("A1", "before")}</row>',
            "b": far_apart("first", "last"),
            "c": f'<row r="2">{inline("C2", "after")}</row>',
        }
    )
    assert len(made) < 5000
    began = time.monotonic()
    told = read(reader, made)
    assert time.monotonic() - began < 10
    assert cells(told) == {"a": {"A1": "before"}, "b": {"A1": "first", "XFD1048576": "last"}, "c": {"C2": "after"}}
    assert faults(told) == []


def test_a_sheet_that_takes_too_much_memory_is_read_from_its_xml() -> None:
    long = "".join(f'<row r="{n}">{inline(f"A{n}", "x" * 4000 + str(n))}</row>' for n in range(1, 40001))
    small = SheetReader(Budget(sheet_memory=150 << 20))
    told = read(small, by_hand({"a": long}))
    small.close()
    assert faults(told) == []
    assert len(cells(told)["a"]) == 40000


def test_a_sheet_that_takes_too_much_memory_either_way_is_named() -> None:
    sheets = {
        name: f'<row r="1">{inline("A1", text)}</row>'
        for name, text in (("a", "one"), ("b", "x" * (70 << 20)), ("c", "two"))
    }
    small = SheetReader(Budget(sheet_memory=150 << 20))
    told = read(small, by_hand(sheets))
    small.close()
    assert faults(told) == [("b", "reading it takes more than 157,286,400 bytes of memory")]
    assert cells(told) == {"a": {"A1": "one"}, "b": {}, "c": {"A1": "two"}}


def test_a_process_that_is_silent_for_too_long_is_ended() -> None:
    hasty = SheetReader(Budget(sheet_seconds=0.001))
    told = read(hasty, xlsx({"a": [["x"]]}))
    hasty.close()
    assert faults(told) == [("", "reading it takes longer than 0.001 seconds")]


def test_a_process_that_is_killed_costs_a_second_try_and_no_cell() -> None:
    reader = SheetReader()
    rows = [[f"{row}-{column}" for column in range(8)] for row in range(9000)]
    made = xlsx({"a": rows, "b": [["b"]]})
    with reader.read(Book("", made)) as told:
        assert told._process is not None
        os.kill(told._process._child.pid, signal.SIGKILL)
        found = list(told)
    reader.close()
    assert faults(found) == []
    assert len(cells(found)["a"]) == 72_000
    assert cells(found)["b"] == {"A1": "b"}


def test_no_process_is_left_behind() -> None:
    reader = SheetReader()
    made = xlsx({"a": [[f"{row}"] * 20 for row in range(5000)]})
    left = reader.read(Book("", made))
    assert left._process is not None
    first = left._process._child
    left.close()
    assert first.poll() is not None
    read(reader, made)
    second = reader._idle[0]._child
    assert second.poll() is None
    del left, reader
    assert second.poll() is not None


def test_one_process_serves_many_workbooks(reader: SheetReader) -> None:
    for number in range(3):
        assert cells(read(reader, xlsx({"s": [[f"n{number}"]]}))) == {"s": {"A1": f"n{number}"}}
        assert len(reader._idle) == 1


def test_nothing_is_imported_from_where_a_person_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is scanned may hold anything, a `python_calamine.py` too."""
    for name in ("python_calamine", "struct", "datetime", "keysentry"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    reader = SheetReader()
    told = read(reader, xlsx({"a": [["x"]]}))
    reader.close()
    assert cells(told) == {"a": {"A1": "x"}}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"no workbook at all", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 100]
)
def test_what_is_no_workbook_is_told(reader: SheetReader, content: bytes) -> None:
    assert [sheet for sheet, _reason in faults(read(reader, content))] == [""]


def test_damage_anywhere_never_ends_in_an_exception(reader: SheetReader) -> None:
    """Bytes of a workbook changed at random: cells or a reason, and the next workbook is read as if nothing was."""
    rng = random.Random(5)
    made = xlsx({"a": [[f"{row}", row, None, "x"] for row in range(50)], "b": [["b"]]})
    plain = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made)) as old, zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    for _ in range(40):
        bad = bytearray(plain.getvalue())
        for _ in range(rng.randint(1, 30)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        read(reader, bytes(bad))
    assert cells(read(reader, made))["b"] == {"A1": "b"}


def shared(*suffixes: str) -> list[Path]:
    return sorted(path for path in SHARED.glob("*") if path.name.lower().endswith(suffixes))


@real
@pytest.mark.parametrize("path", shared(".xlsx", ".xlsm", ".ods"), ids=lambda path: path.name)
def test_both_ways_of_reading_agree(reader: SheetReader, path: Path) -> None:
    """What the library reads and what the XML says, on every real workbook: the same cells hold something, and texts
    are the same. (Numbers are shown by the library, and stored by the file.)
    """
    told = read(reader, path)
    library = cells(told)
    assert faults(told) == []
    with OdsFile(str(path)) if path.suffix == ".ods" else XlsxFile(str(path)) as book:
        for number, name in enumerate(book.names):
            if name not in library:
                continue
            found = {}
            for rows, columns, values in book.rows(number):
                for column, cell in zip(columns, values, strict=True):
                    found |= {address(row, column): text for row, text in zip(rows, cell, strict=True) if text.strip()}
            mine = {at: text for at, text in library[name].items() if text.strip()}
            assert set(mine) - set(found) == set(), name
            words = {at: text for at, text in mine.items() if text.isalpha() and text not in ("TRUE", "FALSE")}
            assert {at: found[at] for at in words} == words


@real
def test_encrypted_workbooks_are_known_without_the_library() -> None:
    locked = [path.name for path in shared(".xls", ".xls5", ".biff5") if Compound(path.read_bytes()).encrypted]
    assert sorted(locked) == sorted(path.name for path in shared(".xls") if "password" in path.name)


@real
def test_damaged_compound_files_never_raise() -> None:
    rng = random.Random(6)
    for path in shared(".xls", ".qpw")[::6]:
        content = path.read_bytes()
        for _ in range(30):
            bad = bytearray(content[: rng.choice((len(content), rng.randrange(len(content))))])
            for _ in range(rng.randint(1, 40)):
                bad[rng.randrange(len(bad))] = rng.randrange(256)
            one = Compound(bytes(bad))
            assert isinstance(one.is_workbook, bool)
            assert isinstance(one.encrypted, bool)


def test_packed_source_code_of_macros() -> None:
    """The example of the format's description, and a chunk that is not packed; damage ends it without an error."""
    packed = bytes.fromhex(  # [MS-OVBA] 3.2.2
        "01 2F B0 00 23 61 61 61 62 63 64 65 82 66 00 70 61 67 68 69 6A 01 38 08 61 6B 6C 00 30 6D 6E 6F 70 06 71 02"
        "70 04 10 72 73 74 75 76 10 77 78 79 7A 00 3C"
    )
    assert unpacked(packed) == b"#aaabcdefaaaaghijaaaaaklaaamnopqaaaaaaaaaaaarstuvwxyzaaa"
    plain = bytes(range(256)) * 16
    assert unpacked(b"\x01\xff\x3f" + plain + packed[1:]) == plain + unpacked(packed)
    rng = random.Random(7)
    for _ in range(2000):
        bad = bytearray(packed[: rng.randint(1, len(packed))])
        bad[rng.randrange(len(bad))] = rng.randrange(256)
        assert len(unpacked(bytes(bad))) < 10_000


@real
def test_macros_of_real_workbooks() -> None:
    compound = Compound((SHARED / "number_format.xls").read_bytes())
    found = dict(modules(compound))
    assert set(found) == {"ThisWorkbook", "Module1"}
    assert b"Public Function NumFmt(cell As" in found["Module1"]
    assert found["Module1"].endswith(b"Call doit_(3, 29)\nEnd Sub\n")


def test_text_in_binary_parts() -> None:
    assert (
        wide_runs(b"\x01\x02" + "first run".encode("utf-16-le") + b"\x00\x07" + "four".encode("utf-16-le"))
        == b"first run"
    )
    literal = bytes([4 << 2]) + b"abcde"
    block = bytes([15]) + literal + bytes([(10 - 1) << 2 | 2, 5, 0])  # five letters, and ten from five back
    assert unpacked_iwa(b"\x00" + len(block).to_bytes(3, "little") + block) == b"abcde" * 3
    assert unpacked_iwa(b"\x01\x02") is None
    assert unpacked_iwa(b"\x00\x04\x00\x00\x05\x02\x09\x00") is None


@real
def test_every_archive_of_a_real_iwork_document_is_unpacked() -> None:
    unpacked = {}
    with zipfile.ZipFile(SHARED / "minimal_112.numbers") as book:
        for name in book.namelist():
            if name.endswith(".iwa"):
                unpacked[name] = unpacked_iwa(book.read(name))
    assert None not in unpacked.values()
    assert b"Sheet 1" in b"".join(filter(None, unpacked.values()))
