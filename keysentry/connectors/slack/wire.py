"""The SDK's client for the Web API, with three things done differently below it: connections stay open from one call to
the next, an answer is decoded from its bytes at once, and whoever asks can be told when the question is sent.

The SDK keeps what it knows of the interface: arguments, authorisation, what is an error. Where a proxy stands in
between, where Slack leads elsewhere, and if a version of the SDK no longer comes by here, it does all of it.

Invariant. Where a connection that was kept turns out to be closed before any answer came, the call is sent again by
itself. So only calls that read go over a connection that was kept.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BytesIO
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, getproxies

import msgspec
from slack_sdk.web import WebClient

Sent = Callable[[], None]

_IDLE: Final = 10.0
"""Seconds after which a connection that nobody used is not trusted any more: what lies between may have dropped it."""
_KEPT: Final = 4
_READS: Final = (".history", ".info", ".list", ".members", ".replies", ".test")
"""How methods end that only read."""


class Web(WebClient):
    """Calls methods of the Web API. Safe to use from several threads."""

    def __init__(self, base_url: str, timeout: int, logger: logging.Logger) -> None:
        super().__init__(base_url=base_url or WebClient.BASE_URL, timeout=timeout, logger=logger, retry_handlers=[])
        self._asking = threading.local()
        self._connections = _Connections(self.base_url, timeout)
        self._direct = self.proxy is None and self.ssl is None and not getproxies()
        weakref.finalize(self, self._connections.close)

    def call(self, method: str, arguments: dict[str, object], sent: Sent | None = None) -> Any:
        """The SDK's answer of a method. Raises what the SDK raises. `sent` is called when the question is out."""
        self._asking.sent = sent
        return self.api_call(method, params=arguments)

    def close(self) -> None:
        """Close the connections that nobody uses, and each other one after its call."""
        self._connections.close()

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        """What the SDK does at this place. `parsed_body` is what it then does not decode."""
        if not self._direct or not url.startswith(self.base_url):
            return super()._perform_urllib_http_request_internal(url, req)
        reads = url.endswith(_READS)
        response, body = self._connections.exchange(req, getattr(self._asking, "sent", None), kept=reads)
        if 300 <= response.status < 400 and reads:
            return super()._perform_urllib_http_request_internal(url, req)
        if not 200 <= response.status < 300:
            raise HTTPError(url, response.status, response.reason, response.headers, BytesIO(body))
        answer: dict[str, Any] = {"status": response.status, "headers": response.headers}
        charset = response.headers.get_content_charset() or "utf-8"
        try:
            if charset == "utf-8":
                return answer | {"parsed_body": msgspec.json.decode(body)}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # no JSON, or such as only the SDK's decoder takes
        return answer | {"body": body.decode(charset)}


class _Connections:
    """Open connections to one host."""

    def __init__(self, base_url: str, timeout: int) -> None:
        parts = urlsplit(base_url)
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host = parts.netloc
        self._timeout = timeout
        self._idle: list[tuple[HTTPConnection, float]] = []
        self._closed = False

    def exchange(self, req: Request, sent: Sent | None, *, kept: bool) -> tuple[HTTPResponse, bytes]:
        """Send a request; the answer and its whole body. `kept`: a connection that was kept may be used.

        Raises `OSError` and `HTTPException`.
        """
        while True:
            connection = self._take() if kept else self._new()
            used = connection.sock is not None
            try:
                try:
                    connection.request("POST", req.selector, req.data, dict(req.header_items()))
                    if sent is not None:
                        sent()
                    response = connection.getresponse()
                except ConnectionError:  # also of a peer that says nothing and is gone
                    if not used:
                        raise
                    connection.close()
                    continue
                body = response.read()
            except BaseException:
                connection.close()
                raise
            self._give_back(connection, response)
            return response, body

    def close(self) -> None:
        """Close what nobody uses, and keep nothing from now on."""
        self._closed = True
        while self._idle:
            self._idle.pop()[0].close()

    def _take(self) -> HTTPConnection:
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - since < _IDLE:
                return connection
            connection.close()
        return self._new()

    def _new(self) -> HTTPConnection:
        return self._kind(self._host, timeout=self._timeout)

    def _give_back(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        if response.will_close or len(self._idle) >= _KEPT:
            connection.close()
            return
        self._idle.append((connection, time.monotonic()))
        if self._closed:
            self.close()
