"""Text in other encodings, with and without a byte order mark: found, and at the right bytes of the file."""

from __future__ import annotations

import codecs

import pytest

from keysentry.extraction.sniff import Kind
from tests.engine.test_encodings import token

MARKS = {
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
    "utf-8": codecs.BOM_UTF8,
}
TEXT = "first line\r\nnaïve 你好 🔑 key: {}, ok\nlast {}\n"


@pytest.mark.parametrize(
    ("kind", "marked"),
    # UTF-32 without a mark is told only where all of its beginning is Latin.
    [(kind, marked) for kind in MARKS for marked in (True, False) if marked or "32" not in kind],
)
def test_the_span_is_that_of_the_file(scanner, tmp_path, kind: Kind, marked):
    text = TEXT.format(token(1), token(2))
    content = (MARKS[kind] if marked else b"") + text.encode(kind)
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    scan = scanner.scan_path(path)
    found = list(scan)
    assert [finding.secret.reveal() for finding in found] == [token(1), token(2)]
    for finding in found:
        assert content[finding.location.span.start : finding.location.span.end].decode(kind) == finding.secret.reveal()
    line = text.split("\n")[1]
    assert [(finding.location.line, finding.location.column) for finding in found] == [
        (2, line.index("ghp_") + 1),
        (3, 6),
    ]
    assert scan.summary.complete
    assert scan.summary.files == 1


def test_a_mark_on_the_first_line_is_not_a_column_too_many(scanner, tmp_path):
    for name, content in (("a", codecs.BOM_UTF8 + token().encode()), ("b", token().encode("utf-16"))):
        (tmp_path / name).write_bytes(content)
        [finding] = scanner.scan_path(tmp_path / name)
        assert finding.location.line == 1
        assert finding.location.column in (1, 2)


@pytest.mark.parametrize("kind", ["utf-16-le", "utf-16-be"])
def test_an_odd_end(scanner, tmp_path, kind):
    (tmp_path / "a").write_bytes(MARKS[kind] + f"x {token()} y".encode(kind) + b"\xd8")
    [finding] = scanner.scan_path(tmp_path)
    assert finding.secret.reveal() == token()


def test_json_in_a_wide_encoding(scanner, tmp_path):
    (tmp_path / "a.json").write_bytes(('\ufeff{"a": [{"b": "x\\n' + token() + '"}]}').encode("utf-16-le"))
    [finding] = scanner.scan_path(tmp_path)
    assert finding.location.part == "a[0].b"
