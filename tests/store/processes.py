"""Other processes that use a store, started as a user's would be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from tests.store.making import *
from keysentry.store import open_store

store = open_store(sys.argv[1], key=KEY)
start = int((store.cursor("chat", "C1") or Cursor("-1")).value) + 1
with store.hold("chat"):
    for number in range(start, 100_000):
        seen = [sighting(f"M{number}.{i}", f"s{number}", found(i), found(number, start=60)) for i in range(5)]
        store.commit(batch(*seen, cursor=str(number), time=float(number)))
        print(number, flush=True)
"""
"""Commits batch after batch, from where the store was left, and tells the number of each once it is stored."""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python program that can import the tests' own modules."""
    return subprocess.Popen(
        [sys.executable, "-B", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def line(process: subprocess.Popen[str]) -> str:
    """The next line that it writes; what it complained of, if it ended before."""
    assert process.stdout is not None
    written = process.stdout.readline()
    if not written:
        output(process)
    return written.rstrip()


def output(process: subprocess.Popen[str]) -> str:
    """What it wrote, once it has ended well."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out
