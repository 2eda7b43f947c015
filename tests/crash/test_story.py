"""Killed at every point of an incident's story, and started again: the same end, nothing lost, nothing twice.

By default at every 25th point; with KEYSENTRY_LONG_TESTS=1 at each. The stores: SQLite, and PostgreSQL itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.postgres import Postgres
from tests.servers.process import ROOT

LONG = bool(os.environ.get("KEYSENTRY_LONG_TESTS"))
STEP = 1 if LONG else 25
LEAST = 100 if LONG else 8


def tell(url: str, folder: Path, *more: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.story", url, str(folder), "1", str(STEP), *more],
        capture_output=True,
        text=True,
        timeout=1800,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_killed_anywhere_on_sqlite(tmp_path: Path) -> None:
    told = tell(f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "outside")
    assert told["wrong"] == []
    assert told["points"] >= LEAST, told


@pytest.mark.xdist_group("postgres")
def test_killed_anywhere_on_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    told = tell(postgres.database(), tmp_path / "outside")
    assert told["wrong"] == []
    assert told["points"] >= LEAST, told


@pytest.mark.xdist_group("postgres")
def test_the_database_goes_away_anywhere(tmp_path: Path, postgres: Postgres) -> None:
    """All its connections end, as when the server restarts; the process lives on."""
    told = tell(postgres.database(), tmp_path / "outside", "cut")
    assert told["wrong"] == []
    assert told["points"] >= LEAST, told
