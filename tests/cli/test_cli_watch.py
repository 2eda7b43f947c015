"""`keysentry watch` as a process: what it finds, how it ends, and the signals that it hears."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keysentry.rules.forge import forge


def token(seed: int) -> str:
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a drop directory and a configuration that watches it."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "keysentry.toml").write_text(
        '[store]\nurl = "sqlite:///keysentry.db"\n[watch]\nlog = "json"\ndeadline = 10.0\n'
        '[[source]]\nname = "inbox"\nplatform = "files"\npath = "inbox"\ndrop = true\nsettle = 0.0\npoll = 0.1\n'
    )
    return tmp_path


def keysentry(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keysentry", *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def daemon(place: Path) -> Iterator[subprocess.Popen[str]]:
    log = (place / "log").open("w")
    process = subprocess.Popen([sys.executable, "-m", "keysentry", "watch"], cwd=place, stderr=log, text=True)
    yield process
    process.kill()
    process.wait()
    log.close()


def events(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "log").read_text().splitlines()]


def until(condition: Callable[[], object], place: Path) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, events(place)
        time.sleep(0.02)


def told(place: Path, event: str) -> list[dict[str, Any]]:
    return [one for one in events(place) if one["event"] == event]


def test_once_finds_tells_and_leaves(place: Path) -> None:
    (place / "inbox" / "a.txt").write_text(f"use {token(1)}\n")
    first = keysentry(place, "watch", "--once", "--quiet")
    assert first.returncode == 1, first.stderr
    assert "1 incident: 1 critical" in first.stdout and "GitHub" in first.stdout
    assert token(1) not in first.stdout + first.stderr
    again = keysentry(place, "watch", "--once", "--quiet")
    assert (again.returncode, again.stdout) == (0, "no incidents\n")
    listed = json.loads(keysentry(place, "incidents", "list", "--format", "jsonl").stdout)
    assert listed["places"] == 1
    assert keysentry(place, "status").returncode == 0
    assert token(1).encode() not in b"".join(path.read_bytes() for path in place.glob("keysentry.db*"))


def test_a_source_that_cannot_be_read_is_told_by_the_exit_code(place: Path) -> None:
    (place / "inbox").rmdir()
    done = keysentry(place, "watch", "--once", "--log", "text")
    assert done.returncode == 3 and "inbox" in done.stderr and "Traceback" not in done.stderr


def test_it_reads_what_comes_and_ends_when_told(place: Path, daemon: subprocess.Popen[str]) -> None:
    until(lambda: told(place, "started"), place)
    (place / "inbox" / "a.txt").write_text(token(1))
    until(lambda: told(place, "new incident"), place)
    (place / "inbox" / "b.txt").write_text(token(2))
    until(lambda: len(told(place, "new incident")) == 2, place)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=20) == 0
    assert told(place, "ended")[0]["new_incidents"] == 2
    assert "ghp_" + token(1)[4:] not in (place / "log").read_text()


def test_hup_reads_the_configuration_again_and_keeps_the_old_one_if_it_is_faulty(
    place: Path, daemon: subprocess.Popen[str]
) -> None:
    config = place / "keysentry.toml"
    good = config.read_text()
    until(lambda: told(place, "started"), place)
    config.write_text(good.replace("drop = true", "dorp = true"))
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: told(place, "not reloaded: the old configuration stays"), place)
    assert "dorp" in told(place, "not reloaded: the old configuration stays")[0]["error"]
    (place / "other").mkdir()
    (place / "other" / "c.txt").write_text(token(3))
    config.write_text(good.replace('name = "inbox"', 'name = "other"').replace('path = "inbox"', 'path = "other"'))
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: told(place, "reloaded"), place)
    until(lambda: [one for one in told(place, "new incident") if one["source"] == "other"], place)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=20) == 0


def test_a_second_daemon_on_the_same_store_is_refused_by_name(place: Path, daemon: subprocess.Popen[str]) -> None:
    until(lambda: told(place, "started"), place)
    until(lambda: keysentry(place, "status", "--format", "json").stdout.find('"waiting"') >= 0, place)
    second = keysentry(place, "watch", "--once")
    assert second.returncode == 2
    assert str(daemon.pid) in second.stderr and "Traceback" not in second.stderr


def test_a_scan_reads_the_drop_directory_as_a_source(place: Path) -> None:
    (place / "inbox" / "a.txt").write_text(token(1))
    done = keysentry(place, "scan", "drop:inbox", "--format", "json", "--no-progress")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert len(report["findings"]) == 1 and report["summary"]["records"] == 1


def test_a_target_without_its_credential_is_a_usage_error(place: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLACK_")}
    command = [sys.executable, "-m", "keysentry", "scan", "slack:#general"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 2 and "SLACK_BOT_TOKEN" in done.stderr, done.stderr
