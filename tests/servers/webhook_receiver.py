"""A receiver of HTTP requests of our own, that plays webhook receivers and services: it counts, and answers as told.

Each request is kept as it came, byte for byte, in `requests`. `answers` is what it does with the next ones, one each;
without any it answers 200. Besides answering it can be slow, send an answer byte by byte, break the connection before
or after it took the request, and redirect. Stricter than most: with `keys`, what is not rightly signed is answered
with 401, by the reference package `standardwebhooks`, not by our own code. `taken` has the ids of what it dealt with,
each once, as Standard Webhooks asks of receivers.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from standardwebhooks import Webhook, WebhookVerificationError


class Request(NamedTuple):
    """A request as it came; names of headers in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What to do with a request. `cut`: break the connection instead of answering; `drip`: seconds between the bytes of
    the answer; `wait`: until when nothing is answered.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b"{}"
    cut: bool = False
    drip: float = 0.0
    wait: threading.Event | None = None


class Receiver:
    """The state of the receiver."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.taken: list[str] = []
        self.repeated: list[str] = []
        self.answers: list[Reply] = []
        self.keys: list[str] = []
        self.respond: Callable[[Request], Reply] | None = None
        self.url = ""
        self.port = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self.requests.clear()
            self.taken.clear()
            self.repeated.clear()
            self.answers.clear()
            self.keys.clear()

    def handle(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            if self.answers:
                reply = self.answers.pop(0)
            else:
                reply = self.respond(request) if self.respond else Reply()
            if self.keys and not _signed(request, self.keys):
                reply = Reply(401)
            if 200 <= reply.status < 300:
                id = request.headers.get("webhook-id", "")
                (self.repeated if id in self.taken else self.taken).append(id)
            return reply


def _signed(request: Request, keys: list[str]) -> bool:
    for key in keys:
        try:
            Webhook(key).verify(request.body, dict(request.headers), json_parse=False)
        except WebhookVerificationError:
            continue
        return True
    return False


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(size))
        reply = self.receiver.handle(request)
        if reply.wait is not None:
            while not (reply.wait.wait(0.05) or self.receiver.stopping.is_set()):
                pass
        if reply.cut:
            self._reset()
            return
        head = f"HTTP/1.1 {reply.status} Told\r\n"
        fields = {"Content-Length": str(len(reply.body)), "Connection": "close", **reply.headers}
        answer = (
            head + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        ).encode() + reply.body
        self.close_connection = True
        try:
            if not reply.drip:
                self.wfile.write(answer)
                return
            for byte in answer:
                if self.receiver.stopping.wait(reply.drip):
                    return
                self.wfile.write(bytes([byte]))
        except OSError:
            return  # the other side had enough

    do_GET = do_POST = do_PUT = _any

    def _reset(self) -> None:
        """End the connection with a reset, as a process does that dies."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is written."""


@contextmanager
def receiving(
    tls: ssl.SSLContext | None = None, respond: Callable[[Request], Reply] | None = None
) -> Iterator[Receiver]:
    """A receiver on a port of the loopback interface."""
    receiver = Receiver()
    receiver.respond = respond
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{receiver.port}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
