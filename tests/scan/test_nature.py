"""What kind of place a file is, by its name and its beginning."""

from __future__ import annotations

import pytest

from keysentry.engine.score import Nature
from keysentry.scan.nature import is_lines_of_json, nature_of

NAMES = {
    "src/app.py": Nature(place="code"),
    "Main.JAVA": Nature(place="code"),
    ".env": Nature(place="config"),
    ".env.production": Nature(place="config"),
    "deploy/values.yaml": Nature(place="config"),
    "Dockerfile": Nature(place="config"),
    "data/users.csv": Nature(place="cell"),
    "README": Nature(),
    "a.json": Nature(json=True, place="config"),
    "a.jsonl": Nature(json=True),
    "book.ipynb": Nature(json=True),
    "tests/app.py": Nature(place="code", test=True),
    "app_test.go": Nature(place="code", test=True),
    "docs/setup.md": Nature(test=True),
    "latest.md": Nature(),
    "src\\fixtures\\a.rb": Nature(place="code", test=True),
    "contest/app.py": Nature(place="code"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert nature_of(name, b"hello") == NAMES[name]


@pytest.mark.parametrize(("head", "nature"), [
    (b' \n{"a": 1}', Nature(json=True)), (b"[1, 2]", Nature(json=True)), (b"hello {", Nature()), (b"", Nature()),
    (b"a\x00b", Nature(place="binary")),
])  # fmt: skip
def test_beginnings(head, nature):
    assert nature_of("notes", head) == nature


def test_code_is_not_json_whatever_it_begins_with():
    assert nature_of("a.js", b"[1, 2].map(x)") == Nature(place="code")


@pytest.mark.parametrize(
    ("name", "lines"), [("a.jsonl", True), ("x/b.NDJSON", True), ("a.json", False), ("jsonl", True)]
)
def test_lines_of_json(name, lines):
    assert is_lines_of_json(name) is lines
