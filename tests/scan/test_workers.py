"""Worker processes change nothing but the time, and one that dies takes nothing along in silence.

Each test runs in a process of its own: workers are only forked where there is no other thread.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from keysentry.rules.forge import forge

FILES = 900


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small files, a credential in every thirtieth, and some that must be read in other ways."""
    root = tmp_path_factory.mktemp("many")
    rng = random.Random(11)
    for number in range(FILES):
        folder = root / f"d{number % 7}"
        folder.mkdir(exist_ok=True)
        text = f"line one of {number}\nand another\n"
        if number % 30 == 0:
            text += f'token = "{forge("ghp_{base62:30}{crc32-base62:6}", rng)}"\n'
        (folder / f"f{number:04}.txt").write_text(text)
    token = forge("ghp_{base62:30}{crc32-base62:6}", rng)
    (root / "wide.txt").write_bytes(f"use {token}\n".encode("utf-16"))
    (root / "empty").touch()
    with zipfile.ZipFile(root / "d3" / "inner.zip", "w") as archive:
        archive.writestr("a.env", f"KEY={token}\n")
    return root


def scan(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keysentry", "scan", *arguments, "--format", "json", "--no-progress"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_processes_find_what_one_thread_finds(tree: Path) -> None:
    alone = json.loads(scan(str(tree), "--jobs", "1").stdout)
    together = json.loads(scan(str(tree), "--jobs", "3").stdout)
    assert len(alone["findings"]) == FILES // 30 + 2
    assert together["findings"] == alone["findings"]
    assert together["summary"]["files"] == alone["summary"]["files"] >= FILES + 3


def test_names_that_are_not_utf8_are_scanned_with_the_others(tmp_path: Path) -> None:
    rng = random.Random(3)
    for number in range(600):
        name = f"{tmp_path}/f{number}\udcff" if number % 50 == 0 else f"{tmp_path}/f{number}"
        text = f"KEY={forge('ghp_{base62:30}{crc32-base62:6}', rng)}\n" if number % 100 == 0 else "nothing\n"
        Path(name).write_text(text)
    done = scan(str(tmp_path), "--jobs", "2")
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert len(report["findings"]) == 6
    assert report["summary"]["files"] == 600


DYING = """
import os, signal
from keysentry.scan.document import Outcome
from keysentry.scan.reader import Batch
from keysentry.scan.pipes import can_fork
from keysentry.scan.workers import Workers

def work(paths):
    if "bad" in paths:
        os.kill(os.getpid(), signal.SIGKILL)
    return Batch([], len(paths), 10)

assert can_fork()
workers = Workers(work, 2)
workers.start()
batches = [["a", "b"], ["bad", "c"], ["d"], ["e"], ["f"], ["g"]]
results = list(workers.ordered(iter(batches)))
workers.close()
lost = {one.place for batch in results for outcome in batch.outcomes for one in outcome.skipped}
print(len(results), sum(batch.files for batch in results), sorted(lost)[:2])
assert {"bad", "c"} <= lost and "a" not in lost
assert all("ended unexpectedly" in one.reason for b in results for o in b.outcomes for one in o.skipped)
"""


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DYING], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 8 ")


ALL_DYING = DYING.replace('if "bad" in paths:', "if True:").split("results =")[0] + (
    "results = list(workers.ordered(iter(batches)))\n"
    "assert len(results) == 6 and all(batch.outcomes[0].skipped for batch in results)\n"
)


def test_when_all_workers_die_everything_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", ALL_DYING], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_ends_the_workers(tree: Path) -> None:
    """Ctrl-C reaches the whole group; afterwards nobody of it is there, and what was found is reported."""
    targets = [str(tree)] * 60
    # Python hears Ctrl-C only where its parent does not ignore it, as a shell does for what it runs in the background.
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from keysentry.cli import run; run()"
    )
    command = [sys.executable, "-c", heard, "scan", *targets, "--jobs", "2", "--no-progress"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    deadline = time.monotonic() + 30
    while not (workers := children.read_text().split()):
        assert time.monotonic() < deadline, "no worker was forked"
        time.sleep(0.001)
    os.kill(int(workers[0]), signal.SIGSTOP)  # the scan cannot end by itself now
    os.killpg(running.pid, signal.SIGINT)
    _out, err = running.communicate(timeout=30)
    assert "Traceback" not in err
    assert running.returncode == 130
    # One that was forked at the very moment ends by itself: its pipe is closed.
    while left := [worker for worker in workers if Path(f"/proc/{worker}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
