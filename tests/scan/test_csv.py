"""Tables as text: findings have their cells, columns of secrets are read, and nothing is told twice."""

from __future__ import annotations

import csv
import io
import random
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from keysentry.model.finding import Finding
from keysentry.rules.forge import forge
from tests.engine.test_encodings import token
from tests.scan.place import secrets


def password(seed: object) -> str:
    return forge("{password:12-16}", random.Random(str(seed)))


def written(rows: Iterable[Sequence[object]], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def scan(scanner, folder: Path, content: bytes, name: str = "t.csv") -> list[Finding]:
    (folder / name).write_bytes(content)
    return list(scanner.scan_path(folder / name))


def cells(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(one.location.part, one.secret.reveal()) for one in findings]


def check_places(findings: Iterable[Finding], content: bytes, encoding: str = "utf-8") -> None:
    """Each finding's span holds its secret, and its line and column lead there."""
    text = content.decode(encoding)
    for one in findings:
        span = one.location.span
        assert content[span.start : span.end].decode(encoding).replace('""', '"') == one.secret.reveal()
        line = text.split("\n")[one.location.line - 1]
        assert line[one.location.column - 1 :].replace('""', '"').startswith(one.secret.reveal())


def test_what_is_found_in_the_text_has_its_cell(each_scanner, tmp_path):
    rows = [["Name", "Note"], ["a", "two\nlines"], ["b, c", f"use {token(1)} now"], ["", token(2)]]
    content = written(rows)
    found = scan(each_scanner, tmp_path, content)
    assert cells(found) == [("B3", token(1)), ("B4", token(2))]
    check_places(found, content)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_column_that_is_headed_so_holds_passwords(each_scanner, tmp_path, delimiter, quoting):
    values = ['Zq"7rtk,W9x', password(1), "n/a", "see vault", "", password(2)]
    rows = [["Name", "Passwort", "Notiz"], *([f"user {n}", value, "x\ny"] for n, value in enumerate(values))]
    content = written(rows, delimiter, quoting)
    found = scan(each_scanner, tmp_path, content)
    assert cells(found) == [("B2", values[0]), ("B3", values[1]), ("B7", values[5])]
    check_places(found, content)


def test_what_both_ways_find_is_told_once(scanner, tmp_path):
    """A token in a column of tokens: the text shows it, and the heading does."""
    rows = [["Service", "Token", "Password"], ["a", token(1), password(1)], ["b", f'say "{token(2)}"', password(2)]]
    content = written(rows)
    found = scan(scanner, tmp_path, content)
    assert cells(found) == [("B2", token(1)), ("C2", password(1)), ("B3", token(2)), ("C3", password(2))]
    assert found[0].rule == "github.pat-classic"
    check_places(found, content)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_encodings(scanner, tmp_path, encoding):
    text = f"Größe;Contraseña\r\nä;{password(1)}\r\nö;{token(2)}\r\n"
    content = text.encode(encoding)
    found = scan(scanner, tmp_path, content)
    assert cells(found) == [("B2", password(1)), ("B3", token(2))]
    for one in found:
        span = one.location.span
        raw = content[span.start : span.end]
        assert raw.decode("utf-16-le" if "16" in encoding else "latin-1") == one.secret.reveal()
        assert one.span == span
    assert [one.location.line for one in found] == [2, 3]


def test_a_table_without_such_a_column_is_text_as_ever(scanner, tmp_path):
    rows = [["Name", "Password expires"], *([f"user {n}", password(n)] for n in range(5))]
    assert scan(scanner, tmp_path, written(rows)) == []
    (tmp_path / "t.txt").write_bytes(written([["Name", "Password"], ["a", password(1)]]))
    assert list(scanner.scan_path(tmp_path / "t.txt")) == []


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_large_table_gives_what_a_small_one_does(scanner, tmp_path, quoting):
    """Larger than is read at once, on disk, in a zip and in a tar: every cell is the same, and none is told twice."""
    rng = random.Random(3)
    rows: list[list[str]] = [["Name", "Note", "Passwort"]]
    expected = []
    for number in range(1, 80_000):
        rows.append(
            [f"user {number}", "a line\nand one more, for long" if number % 7 == 0 else "x" * rng.randint(40, 90), ""]
        )
        if number % 9_000 == 0:
            rows[-1][1], rows[-1][2] = token(number), password(number)
            expected += [(f"B{number + 1}", token(number)), (f"C{number + 1}", password(number))]
    content = written(rows, quoting=quoting)
    assert len(content) > 5 << 20
    found = scan(scanner, tmp_path, content)
    assert sorted(cells(found)) == sorted(expected)
    check_places(found, content)
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("t.csv", content)
    (tmp_path / "t.csv").unlink()
    inside = list(scanner.scan_path(tmp_path / "t.zip"))
    assert sorted(cells(inside)) == sorted((f"t.csv » {cell}", secret) for cell, secret in expected)
    check_places(inside, content)


def test_tables_among_other_files_of_a_folder(scanner, tmp_path):
    """Findings come in the order of the files, whichever of them are tables."""
    files = {
        "a.txt": token(1).encode(),
        "b.csv": written([["Password"], [password(2)]]),
        "c.csv": b"",
        "d.CSV": written([["x", token(3)]]),
        "e.tsv": written([["Host", "Kennwort"], ["h", password(4)]], "\t"),
        "f.md": token(5).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert secrets(scanner.scan_path(tmp_path)) == [token(1), password(2), token(3), password(4), token(5)]


def test_a_comment_for_scanners_silences_a_password_of_its_row(scanner, tmp_path):
    rows = [["Name", "Password"], ["a # keysentry:allow", password(1)], ["b", password(2)]]
    assert cells(scan(scanner, tmp_path, written(rows))) == [("B3", password(2))]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b'"',
        b"Password",
        b'Password\n"',
        b"Password\r\r\n\r",
        b"Password,\n" * 3,
        b"\xff,Password\n\x00,\x01",
    ],
)
def test_odd_tables_raise_nothing(scanner, tmp_path, content):
    assert scan(scanner, tmp_path, content) == []
