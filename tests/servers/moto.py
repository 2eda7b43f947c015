"""S3, SQS and STS as moto plays them, in a process of its own.

Moto really keeps objects, versions, queues, notifications and public-access settings, pages and answers ranges. It does
not check signatures or permissions, sends no notification of a removal, makes up the time at which an upload in parts
began, and keeps every object in memory. What needs one of these is played by `tests/servers/sparse_s3.py`, by
`tests/servers/objectfaults.py`, or by the test itself, which then says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import free_port, serving


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """The address of a moto that runs as long as the context lasts."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with serving(command, port, folder):
        yield f"http://127.0.0.1:{port}"
