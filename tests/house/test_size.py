"""The size budget: what does not fit on a screen or in a head is taken apart."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(file for folder in ("keysentry", "benchmarks", "demo") for file in (ROOT / folder).rglob("*.py"))
FUNCTION_LINES = 60
FILE_LINES = 600
BANNED = {"utils", "util", "common", "core", "helpers", "misc"}


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """The functions and methods of a file, each with its number of lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_file_keeps_to_the_budget(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
    assert not [(name, size) for name, size in functions(file) if size > FUNCTION_LINES]
    assert file.stem not in BANNED


def test_functions_are_short_as_a_rule() -> None:
    sizes = sorted(size for file in FILES for _, size in functions(file))
    assert statistics.median(sizes) <= 10
    assert sizes[len(sizes) * 9 // 10] <= 30
