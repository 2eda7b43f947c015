"""Runs one command and says what it took: wall time, processor time, memory, and how busy the machine was otherwise."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import msgspec

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
BYTE_CODE = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED"}
"""Variables that would make Python compile every module anew in every run, as no installed program does."""


class Run(msgspec.Struct):
    """One timed run. `foreign` is the processor seconds that others took meanwhile: near zero on a quiet machine."""

    wall: float
    user: float
    system: float
    peak_rss: int
    foreign: float
    exit: int
    inside: dict[str, float] | None = None


class Failed(Exception):
    """A contestant that did not run as its definition says."""


def environment(byte_code: Path) -> dict[str, str]:
    """The surroundings of every contestant; byte code of Python files is kept in a folder of the benchmarks."""
    return {name: value for name, value in os.environ.items() if name not in BYTE_CODE} | {
        "PYTHONPYCACHEPREFIX": str(byte_code)
    }


def run(command: list[str], *, allowed: tuple[int, ...], inside: bool, log: Path, cwd: Path) -> Run:
    """Run a command to its end, its output going to `log`. Raises `Failed` on an exit code that is not `allowed`."""
    busy = machine_seconds()
    started = time.perf_counter()
    with log.open("wb") as out, log.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd=cwd, env=environment(cwd / "byte-code")
        )
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        tail = log.with_suffix(".err").read_text(errors="replace")[-2000:]
        raise Failed(f"{' '.join(command)}\nended with {process.returncode}; the end of its errors:\n{tail}")
    own = usage.ru_utime + usage.ru_stime
    foreign = max(machine_seconds() - busy - own, 0.0)
    figures = json.loads(log.read_bytes()) if inside else None
    return Run(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024, foreign, process.returncode, figures)


def peak_memory(command: list[str], *, log: Path, cwd: Path) -> int:
    """Run a command once more, untimed, and give the largest memory of its whole process tree together, in bytes."""
    peak = 0
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            cwd=cwd,
            env=environment(cwd / "byte-code"),
        )
        done = threading.Event()

        def sample() -> None:
            nonlocal peak
            while not done.wait(0.01):
                peak = max(peak, sum(map(_rss, _tree(process.pid))))

        sampler = threading.Thread(target=sample)
        sampler.start()
        process.wait()
        done.set()
        sampler.join()
    return peak


def _tree(pid: int) -> list[int]:
    """A process and all that it started and that still runs."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _rss(pid: int) -> int:
    """Resident bytes of a process, shared pages counted for each process that shares them."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def machine_seconds() -> float:
    """Processor seconds that this machine has been busy since it started, in all processes."""
    user, nice, system, _idle, _wait, irq, soft, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + soft) / TICK


def wait_for_quiet(limit: float, share: float = 0.1) -> None:
    """Wait until others leave the processors alone for half a second, but no longer than `limit` seconds."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        before = machine_seconds()
        time.sleep(0.5)
        if machine_seconds() - before <= share * 0.5 * (os.cpu_count() or 1):
            return


def machine() -> dict[str, object]:
    """What was measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.partition(":")[2].strip() for line in info.split("\n") if line.startswith("model name")), "unknown"
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    uname = os.uname()
    return {"cpu": model, "cores": os.cpu_count(), "memory": memory, "kernel": f"{uname.sysname} {uname.release}"}
