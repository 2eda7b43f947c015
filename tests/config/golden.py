"""Holds what a person reads to a file of tests/golden."""

from __future__ import annotations

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden"


def hold(name: str, text: str) -> None:
    """To renew a file, delete it and run the test twice."""
    path = GOLDEN / f"{name}.txt"
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} was not there and is written now: read it, and run again")
    assert text == path.read_text(encoding="utf-8")
