"""Comments that silence a finding: in files, by those who own them, and never in chat, where anybody may type."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from keysentry.model.record import Part, Record, Segment
from keysentry.scan import pieces, reader
from keysentry.scan.options import FileOptions
from tests.engine.test_encodings import token
from tests.scan.place import secrets

SAME_LINE = (
    "keysentry:allow", "gitleaks:allow", "betterleaks:allow", "trufflehog:ignore", "kingfisher:ignore",
    "pragma: allowlist secret", "pragma: whitelist secret", "KEYSENTRY:ALLOW",
)  # fmt: skip


def scan(scanner, path: Path, **options):
    found = scanner.scan_path(path, FileOptions(**options))
    return secrets(found), found.summary.allowed


@pytest.mark.parametrize("comment", SAME_LINE)
def test_a_comment_on_the_line(scanner, tmp_path, comment):
    path = tmp_path / "a.py"
    path.write_text(f'A = "{token(1)}"  # {comment}\nB = "{token(2)}"\n# {comment}\nC = "{token(3)}"\n')
    assert scan(scanner, path) == ([token(2), token(3)], 1)
    assert scan(scanner, path, allow_comments=False) == ([token(1), token(2), token(3)], 0)


def test_a_comment_before_the_value(scanner, tmp_path):
    (tmp_path / "a.py").write_text(f'/* keysentry:allow */ A = "{token(1)}"')
    assert scan(scanner, tmp_path) == ([], 1)


@pytest.mark.parametrize("comment", ["pragma: allowlist nextline secret", "pragma:whitelist nextline secret"])
def test_a_comment_for_the_next_line(scanner, tmp_path, comment):
    path = tmp_path / "a.py"
    path.write_text(f'# {comment}\nA = "{token(1)}"\nB = "{token(2)}"\n')
    assert scan(scanner, path) == ([token(2)], 1)
    path.write_text(f'A = "{token(1)}"  # {comment}\n\nB = "{token(2)}"\n')
    assert scan(scanner, path) == ([token(1), token(2)], 0)


def test_a_comment_does_not_speak_for_a_whole_file_of_one_line(scanner, tmp_path):
    (tmp_path / "a.js").write_text(f'a="{token(1)}"/*keysentry:allow*/;{"x=1;" * 2000}b="{token(2)}"')
    assert scan(scanner, tmp_path) == ([token(2)], 1)


def test_comments_in_pieces(scanner, tmp_path, monkeypatch):
    path = tmp_path / "a.py"
    line = '{} = "{}"{}\n'
    path.write_text(
        "".join(line.format("x" * 900, token(n), "  # keysentry:allow" if n % 3 == 0 else "") for n in range(900))
    )
    expected = scan(scanner, path)
    assert expected == ([token(n) for n in range(900) if n % 3], 300)
    monkeypatch.setattr(pieces, "CORE", 100_003)
    monkeypatch.setattr(reader, "LARGE", 1 << 16)
    assert scan(scanner, path) == expected


def message(number: int, text: str) -> dict[str, object]:
    return {"type": "message", "user": "U01", "text": text, "ts": f"17000000{number:02}.000100"}


def export(days: list[dict[str, object]]) -> dict[str, str]:
    return {
        "users.json": json.dumps([{"id": "U01", "name": "ann", "profile": {}}]),
        "channels.json": json.dumps([{"id": "C01", "name": "ops", "members": ["U01"]}]),
        "ops/2024-01-01.json": json.dumps(days),
    }


def comments(count: int) -> list[dict[str, object]]:
    return [message(n, f"use {token(n)} # {SAME_LINE[n % len(SAME_LINE)]}") for n in range(count)]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def test_not_in_a_chat_export(scanner, tmp_path):
    write(tmp_path, export(comments(8)))
    assert scan(scanner, tmp_path) == ([token(n) for n in range(8)], 0)


def test_not_in_a_chat_export_in_a_zip(scanner, tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in export(comments(8)).items():
            packed.writestr(name, content)
    (tmp_path / "export.zip").write_bytes(out.getvalue())
    assert scan(scanner, tmp_path) == ([token(n) for n in range(8)], 0)


def test_not_in_a_large_day_of_a_chat_export(scanner, tmp_path):
    """A day that is larger than what is read at once is chat all the same."""
    padding = [message(n, "word " * 4000) for n in range(300)]
    write(tmp_path, export([*padding, *comments(8)]))
    assert (tmp_path / "ops" / "2024-01-01.json").stat().st_size > 5_000_000
    assert scan(scanner, tmp_path) == ([token(n) for n in range(8)], 0)


def test_not_in_messages(scanner):
    for text in (f"use {token()} # keysentry:allow", f"# pragma: allowlist nextline secret\n{token()}"):
        record = Record(id="1", chat=True, parts=(Part(segment=Segment(text.encode())),))
        assert secrets(finding for _, finding in scanner.scan_records([record])) == [token()]
        assert secrets(scanner.scan_text(text)) == [token()]
