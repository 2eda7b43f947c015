"""Memory is flat: a drive of ten thousand files, a mailbox, a space and a large spreadsheet, each read in a process of
its own, which needs no more at the end than after the first pages.

Google is played by a server of our own, in the process of the test.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.connectors.google.conftest import ANN, TOKEN
from tests.connectors.google.worlds import SHEET, ChatSpace, Mailbox
from tests.servers.google import GoogleServer
from tests.servers.google_sheets import text

pytestmark = pytest.mark.xdist_group("google")
ROOT = Path(__file__).resolve().parents[3]

READER = """
import gc, resource, sys
from keysentry.connectors.google import Options
from keysentry.connectors.google.source import GoogleSource
from keysentry.model.sensitive import Sensitive

url, token, kind, id = sys.argv[1:]
on = {"drive": kind == "drive", "shared_drives": False, "gmail": kind == "gmail", "chat": kind == "chat"}
rates = {f"{api}_per_second": 0.0 for api in ("drive", "sheets", "gmail", "chat")}
source = GoogleSource(Options(name="g", token=Sensitive(token), base_url=url, **on, **rates))
unit = next(one for one in source.units() if one.id == id)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
count = size = early = 0
for delivery in source.records(unit, None):
    count += delivery.record is not None
    for part in delivery.record.parts if delivery.record else ():
        if part.open and (count % 500 == 1):
            for chunk in part.open():
                size += len(chunk)
                early = early or (peak() if size > 3 << 20 else 0)
    if count == 600:
        early = peak()
source.close()
print(count, size, early, peak())
"""


def grown(google: GoogleServer, kind: str, unit: str) -> tuple[int, int, int]:
    """How many records and bytes there were, and by how many MiB memory grew after the beginning."""
    command = [sys.executable, "-W", "error", "-c", READER, google.url, TOKEN, kind, unit]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert not done.returncode, done.stderr
    count, size, early, late = map(int, done.stdout.split())
    assert early
    return count, size, late - early


def test_a_drive_of_ten_thousand_files(google: GoogleServer) -> None:
    google.page = 500
    for number in range(10_000):
        google.drive.add(f"{number}.txt", b"x" * 100, owner=ANN)
    count, size, growth = grown(google, "drive", f"my:{ANN}")
    assert (count, size) == (10_000, 2_000)
    assert growth < 8


def test_a_spreadsheet_of_a_quarter_of_a_million_cells(google: GoogleServer) -> None:
    id = google.drive.add("Large", kind=SHEET, owner=ANN)
    words = text("some words in a cell")
    google.sheets.add(id, "S", lambda _row, column: words if column % 4 else None, rows=12_500, columns=20)
    count, size, growth = grown(google, "drive", f"my:{ANN}")
    assert count == 1
    assert size > 14 << 20
    assert growth < 8


@pytest.mark.parametrize(("kind", "world"), [("gmail", Mailbox), ("chat", ChatSpace)])
def test_a_mailbox_and_a_space_of_fifteen_hundred(
    kind: str, world: type[Mailbox] | type[ChatSpace], google: GoogleServer
) -> None:
    made = world(google)
    google.page = 500
    for number in range(1_500):
        made.add(f"words {number}")
    count, _, growth = grown(google, kind, world.unit)
    assert count == 1_500
    assert growth < 8
