"""A proxy that spoils what goes through it: refusals, broken connections, answers that end too soon.

It stands in front of an emulator that never fails by itself. Everything that is not to be spoilt passes unchanged, both
ways. It plays only the fault; the statuses and bodies are those that the tests give it, taken from the platform's
documentation.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

CHANGING = frozenset({"PUT", "POST", "DELETE", "PATCH"})
"""Methods that change something. `effects` are the requests of these that were answered with success."""
_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "host", "content-length"})


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]


class Fault(NamedTuple):
    """What to do with the next requests that `when` says yes to, so many times (-1: always).

    `reset`: break the connection instead of an answer. `lose`: pass the request on, and break the connection then.
    `cut`: break it after so many bytes of the body. Otherwise answer with `status`, `headers` and `body`.
    """

    when: Callable[[Request], bool]
    status: int = 503
    headers: dict[str, str] = {}
    body: bytes = b""
    reset: bool = False
    lose: bool = False
    cut: int = -1
    times: int = 1


class FaultProxy:
    """In front of one server, on a port of its own."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.standing: list[Fault] = []
        self.seen: list[Request] = []
        self.effects: list[Request] = []
        self._stops: tuple[int, bool] | None = None
        self._stopped = False
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it is; with the upstream's own path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self._upstream.path}"

    def spoil(self, fault: Fault) -> None:
        """Add a fault; the one added first comes first."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget all faults and all requests; but not `standing`, what the platform itself refuses."""
        with self._lock:
            self._faults.clear()
            self.seen.clear()

    @contextmanager
    def stop(self, number: int, *, before: bool) -> Iterator[None]:
        """As long as the context lasts: the changing request of this number (1: the next) does not reach the server
        (`before`), or does so and its answer is lost; after that nothing gets through, as if the asking process had
        been killed.
        """
        with self._lock:
            self._stops, self._stopped = (number, before), False
        try:
            yield
        finally:
            with self._lock:
                self._stops, self._stopped = None, False

    def reaches(self, request: Request) -> bool:
        """Whether a request reaches the server, as far as `stop` is concerned."""
        with self._lock:
            if self._stops is None or self._stopped or request.method not in CHANGING:
                return not self._stopped
            number, before = self._stops
            self._stops = (number - 1, before)
            self._stopped = number == 1
            return not (before and self._stopped)

    def answers(self, request: Request, status: int) -> bool:
        """Note an effect; and whether the answer gets back."""
        with self._lock:
            if request.method in CHANGING and status < 300:
                self.effects.append(request)
            return not self._stopped

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def take(self, request: Request) -> Fault | None:
        """The fault for a request, if there is one."""
        with self._lock:
            self.seen.append(request)
            for number, fault in enumerate(self._faults):
                if fault.when(request):
                    if fault.times == 1:
                        del self._faults[number]
                    elif fault.times > 1:
                        self._faults[number] = fault._replace(times=fault.times - 1)
                    return fault
        return next((fault for fault in self.standing if fault.when(request)), None)

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the server behind."""
        assert self._upstream.hostname and self._upstream.port
        return http.client.HTTPConnection(self._upstream.hostname, self._upstream.port, timeout=60)


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            super().handle()

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come: the SDK of AWS waits for that a whole second."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        fault = self.owner.take(request)
        if not self.owner.reaches(request) or (fault is not None and fault.reset):
            self._break()
        elif fault is not None and fault.cut < 0 and not fault.lose:
            self._answer(fault.status, dict(fault.headers), fault.body)
        else:
            self._pass_on(request, body, fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _any

    def _pass_on(self, request: Request, body: bytes, fault: Fault | None) -> None:
        upstream = self.owner.connect()
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            headers["Host"] = self.headers["Host"]
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            data = answer.read()
            if not self.owner.answers(request, answer.status) or (fault is not None and fault.lose):
                self._break()
                return
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
            if self.command == "HEAD" and answer.getheader("Content-Length"):
                kept["Content-Length"] = str(answer.getheader("Content-Length"))
            self._answer(answer.status, kept, data, fault.cut if fault else -1)
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], data: bytes, cut: int = -1) -> None:
        self.send_response_only(status)
        headers.setdefault("Content-Length", str(len(data)))
        headers.setdefault("Date", self.date_time_string())
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data if cut < 0 else data[:cut])
        self.wfile.flush()
        if cut >= 0:
            self._break()

    def _break(self) -> None:
        """Close the connection the hard way: the other side sees a reset."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy as long as the context lasts."""
    proxy = FaultProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
