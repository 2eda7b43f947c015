"""Collectors of syslog: UDP (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425). Sockets of our own.

Each message is parsed as RFC 5424 has it, strictly: one that does not fit the grammar is kept in `wrong`.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_LINE = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)|-)"
    rb" ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) (-|\[.+\])(?: (.*))?",
    re.DOTALL,
)


class Line(NamedTuple):
    """A message by its fields."""

    priority: int
    time: str
    host: str
    app: str
    process: str
    id: str
    content: str


class Collector:
    """What came."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.wrong: list[bytes] = []
        self.raw: list[bytes] = []
        self.port = 0
        self.reset = False

    def take(self, message: bytes) -> None:
        self.raw.append(message)
        match = _LINE.fullmatch(message)
        if match is None:
            self.wrong.append(message)
            return
        priority, moment, host, app, process, id, _, content = match.groups()
        names = (one.decode() for one in (moment, host, app, process, id, content or b""))
        self.lines.append(Line(int(priority), *names))

    def wait(self, count: int, seconds: float = 5.0) -> list[Line]:
        """The lines, once there are so many."""
        until = time.monotonic() + seconds
        while len(self.lines) + len(self.wrong) < count and time.monotonic() < until:
            time.sleep(0.01)
        return self.lines


@contextmanager
def udp_collector() -> Iterator[Collector]:
    collector = Collector()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(0.1)
        collector.port = one.getsockname()[1]
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                try:
                    collector.take(one.recv(65536))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield collector
        finally:
            stop.set()
            thread.join()


@contextmanager
def stream_collector(tls: ssl.SSLContext | None = None) -> Iterator[Collector]:
    """TCP; with a context, TLS."""
    collector = Collector()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        collector.port = server.getsockname()[1]
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                try:
                    plain, _ = server.accept()
                except TimeoutError:
                    continue
                _serve(collector, plain, tls)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield collector
        finally:
            stop.set()
            thread.join()


def _serve(collector: Collector, plain: socket.socket, tls: ssl.SSLContext | None) -> None:
    plain.settimeout(5)
    try:
        if collector.reset:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            plain.recv(16)
            return
        connection = tls.wrap_socket(plain, server_side=True) if tls else plain
        with connection:
            data = b""
            while piece := connection.recv(65536):
                data += piece
            while data:
                size, _, rest = data.partition(b" ")
                collector.take(rest[: int(size)])
                data = rest[int(size) :]
    except (OSError, ValueError):
        return
    finally:
        plain.close()
