"""Requests to services that are told things: one request, one answer, within a time limit, and never anywhere else.

Invariants. Redirects are not followed: an address that moved is a person's affair, and a signed body goes only where it
was meant to go. A request ends within `timeout` seconds whatever the other side does, also if it sends a byte now and
then. Plain HTTP is only for this machine unless allowed. Errors name the host, never the rest of an address, which may
be a secret itself. No proxy and no variable of the environment is looked at.

What an answer means, for every service: 2xx is done; 408, 425, 429 and 5xx are worth another try (`SourceError`),
after the time that Retry-After names, which is kept: until then nothing is sent there. 401 and 403 need a person
(`AccessError`). Everything else will not get better (`InputError`). A connection that breaks after the request was
begun leaves its outcome open (`UnclearError`), unless the service tells the same thing twice apart by its id: then it
is only worth another try.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from keysentry.errors import AccessError, ClosedError, ConfigError, InputError, SourceError, UnclearError

TIMEOUT: Final = 20.0
_ANSWER = 256 * 1024
"""How much of an answer is read, in bytes."""
_LONGEST_REST = 3600.0
_AGAIN = frozenset((408, 425, 429))


class Answer(NamedTuple):
    """An answer: its status, headers in small letters, and the beginning of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Endpoint:
    """One service. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        what: str,
        timeout: float = TIMEOUT,
        plain_http: bool = False,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`url` is where requests go, `what` names the service in errors. Raises `ConfigError`."""
        self._url = _checked(url, what, plain_http)
        self._what = what
        self._timeout = timeout
        self._tls = tls_context(ca_file, what) if self._url.scheme == "https" else None
        self._clock = clock
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._resting_until = 0.0

    @property
    def host(self) -> str:
        """The host, for receipts."""
        return self._url.hostname or ""

    def ask(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        path: str = "",
        again: bool,
        advice: str = "",
    ) -> Answer:
        """Send a request and judge its answer, which is a good one. `path` is added to the url; `again` says that the
        service tells a second one apart by its id; `advice` goes with an `AccessError`.
        """
        self._rested()
        connection = self._connect()
        with self._watched(connection) as expired:
            answer = self._exchange(connection, method, headers, body, path, again, expired)
        return self._judged(answer, again, advice)

    def close(self) -> None:
        """End what is under way with `ClosedError`, and begin nothing any more."""
        with self._lock:
            self._closed = True
            for one in self._open:
                _cut(one)

    def _rested(self) -> None:
        with self._lock:
            left = self._resting_until - self._clock()
        if left > 0:
            raise SourceError(f"asked to be left alone for another {left:,.0f} s", place=self._place)

    @property
    def _place(self) -> str:
        return f"{self._what} at {self.host}"

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        connection: http.client.HTTPConnection
        if self._tls is not None:
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            advice = "ca_file names the authority that issued it"
            raise AccessError(
                f"its certificate is not trusted: {error.verify_message}", place=self._place, advice=advice
            ) from None
        except (OSError, UnicodeError) as error:
            raise SourceError(f"cannot be reached: {_words(error)}", place=self._place) from None
        return connection

    @contextlib.contextmanager
    def _watched(self, connection: http.client.HTTPConnection) -> Iterator[threading.Event]:
        """Cut the connection when its time is over, or when all is closed. The event says that the time was over."""
        expired = threading.Event()
        # A second handle on the same connection: a TLS socket must not be touched by two threads.
        handle = socket.socket(fileno=os.dup(connection.sock.fileno()))

        def cut() -> None:
            expired.set()
            with self._lock:
                if handle in self._open:
                    _cut(handle)

        timer = threading.Timer(self._timeout, cut)
        timer.daemon = True
        with self._lock:
            closed = self._closed
            self._open.add(handle)
        try:
            if closed:
                raise ClosedError("closed", place=self._place)
            timer.start()
            yield expired
        finally:
            timer.cancel()
            with self._lock:
                self._open.discard(handle)
            handle.close()
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        path: str,
        again: bool,
        expired: threading.Event,
    ) -> Answer:
        try:
            connection.request(method, self._target(path), body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            with response:
                found = {name.lower(): value for name, value in response.getheaders()}
                answer = Answer(response.status, found, self._body(response))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._closed:
                raise ClosedError("closed while it waited", place=self._place) from None
            slow = f"no answer within {self._timeout:g} s"
            reason = slow if expired.is_set() or isinstance(error, TimeoutError) else _words(error)
            kind = SourceError if again else UnclearError
            raise kind(f"the connection ended before an answer: {reason}", place=self._place) from None
        return answer

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """The beginning of the body. The status is the answer: what breaks off after it takes nothing back."""
        try:
            return response.read(_ANSWER)
        except (OSError, http.client.HTTPException):
            return b""

    def _target(self, path: str) -> str:
        query = f"?{self._url.query}" if self._url.query and not path else ""
        return (self._url.path.rstrip("/") + path if path else self._url.path or "/") + query

    def _judged(self, answer: Answer, again: bool, advice: str) -> Answer:
        status = answer.status
        if 200 <= status < 300:
            return answer
        text = f"answers with {status}{_reason(status)}"
        if status >= 500 and status != 503 and not again:
            raise UnclearError(text, place=self._place)  # a gateway's answer says nothing of what is behind it
        if status in _AGAIN or status >= 500:
            raise SourceError(text + self._rest(answer.headers.get("retry-after", "")), place=self._place)
        if status in (401, 403):
            raise AccessError(text, place=self._place, advice=advice)
        if 300 <= status < 400:
            where = urlsplit(answer.headers.get("location", "")).hostname
            to = f" (to {where})" if where else ""
            advice = "redirects are not followed: set the address that it leads to"
            raise InputError(f"{text}{to}", place=self._place, advice=advice)
        said = words_of(answer.body)
        raise InputError(f"{text}: {said}" if said else text, place=self._place)

    def _rest(self, after: str) -> str:
        seconds = _seconds(after, self._clock())
        if not seconds:
            return ""
        with self._lock:
            self._resting_until = self._clock() + min(seconds, _LONGEST_REST)
        return f"; it asks to wait {seconds:,.0f} s"


def tls_context(ca_file: Path | None, what: str) -> ssl.SSLContext:
    """TLS that checks certificates, by the system's authorities or those of a file. Raises `ConfigError`."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file cannot be used: {_words(error)}", place=what) from None


def local(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def words_of(body: bytes, limit: int = 300) -> str:
    """What a service says, as one short line."""
    text = "".join(char if char.isprintable() else " " for char in body[: 4 * limit].decode("utf-8", "replace"))
    return " ".join(text.split())[:limit]


def _checked(url: str, what: str, plain_http: bool) -> SplitResult:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("https", "http") and bool(parts.hostname) and url.isascii() and " " not in url
        sound = sound and (parts.port is None or parts.port > 0) and "@" not in parts.netloc
    except ValueError:
        sound = False
    if not sound or any(ord(char) < 33 for char in url):
        raise ConfigError("the address must be like https://host/path", place=what)
    if parts.scheme == "http" and not plain_http and not local(parts.hostname or ""):
        advice = "https, or plain_http = true if nobody can listen on the way"
        raise ConfigError("the address is not encrypted", place=what, advice=advice)
    return parts


def _cut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)


def _seconds(after: str, now: float) -> float:
    """What Retry-After asks for: seconds, or a date."""
    if after.strip().isdigit():
        return float(after.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(after).timestamp() - now) if after else 0.0
    except ValueError:
        return 0.0


def _reason(status: int) -> str:
    name = http.client.responses.get(status, "")
    return f" {name}" if name else ""


def _words(error: BaseException) -> str:
    """What went wrong, without addresses."""
    if isinstance(error, socket.gaierror):
        return "the host is not known"
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return getattr(error, "strerror", None) or type(error).__name__
