"""How many findings a contestant's output holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def jsonl(path: Path) -> int:
    """keysentry's: a line a finding."""
    return sum(1 for line in path.read_bytes().splitlines() if line.startswith(b"{"))


def kingfisher(path: Path) -> int:
    """Kingfisher's JSON report."""
    return len(json.loads(path.read_bytes())["findings"])


def detect_secrets(path: Path) -> int:
    """detect-secrets' baseline."""
    return sum(map(len, json.loads(path.read_bytes())["results"].values()))


def inside(path: Path) -> int:
    """The figure that a contestant prints which measures inside itself."""
    return int(json.loads(path.read_bytes())["findings"])


COUNTS: dict[str, Callable[[Path], int]] = {
    "jsonl": jsonl,
    "kingfisher": kingfisher,
    "detect-secrets": detect_secrets,
    "inside": inside,
}
