"""A Google Workspace of our own: Drive, Sheets, Gmail, Chat and the token endpoint, with state, on loopback.

Who plays whom: everything here is ours. Stricter than Google: requests and answers are held to the discovery documents
(`google_discovery`), only the terms of queries that are documented are understood, page tokens are only taken with the
parameters that they were given for, only asked-for fields are answered, and what a token's scopes do not cover is
refused. Weaker: quotas, eventual consistency and the inheritance of permissions are not played; changes are visible at
once; who may see what follows from owners, members and permissions alone.

Time is the server's own: it begins at a fixed instant, goes on by a second with each thing that happens, and stands in
the `Date` of each answer.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.servers.google_chat import ChatState
from tests.servers.google_discovery import BadRequestError, Method, find, masked
from tests.servers.google_drive import DriveState
from tests.servers.google_errors import GoogleError, error_body
from tests.servers.google_gmail import GmailState
from tests.servers.google_paging import Media
from tests.servers.google_sheets import SheetsState

BEGINNING = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
DEFAULT_FIELDS = {
    "drive.files.list": "kind,nextPageToken,incompleteSearch,files(kind,id,name,mimeType)",
    "drive.files.get": "kind,id,name,mimeType",
    "drive.permissions.list": "kind,nextPageToken,permissions(kind,id,type,role)",
    "drive.drives.get": "kind,id,name",
    "drive.drives.list": "kind,nextPageToken,drives(kind,id,name)",
    "drive.changes.list": "kind,nextPageToken,newStartPageToken,changes(kind,changeType,time,removed,fileId,driveId,"
    "file(kind,id,name,mimeType))",
}
"""What Drive answers where `fields` is not given."""


@dataclass
class Grant:
    """What a token stands for."""

    user: str
    scopes: frozenset[str]
    alive: bool = True


@dataclass
class Fault:
    """A refusal that is answered to the next `times` calls of a method, instead of or during the answer."""

    method: str
    times: int
    status: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    detail: str = ""
    skip: int = 0


class GoogleServer:
    """The state, and the door to it. Use as a context manager."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.google = self

    def reset(self) -> None:
        """Forget everything: a new world, at its beginning."""
        self._now = BEGINNING
        self.drive = DriveState(self)
        self.sheets = SheetsState(self)
        self.gmail = GmailState(self)
        self.chat = ChatState(self)
        self.grants: dict[str, Grant] = {}
        self.delegated: dict[str, frozenset[str]] = {}
        """For each user whom a service account may act for: the scopes."""
        self.public_key: Any = None
        self.faults: list[Fault] = []
        self.twists: dict[str, Callable[[Any], Any]] = {}
        """For a method: what to make of an answer after it was checked (null and unknown fields)."""
        self.calls: list[str] = []
        self.wrong: list[str] = []
        """What no client of Google may do, and what Google would never answer."""
        self.gate: threading.Event | None = None
        """If set, answers wait for it."""
        self.arrived: Callable[[], None] = lambda: None
        """Called when a request has come and waits for the gate."""
        self.page = 3
        """How many things are on a page at most."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> GoogleServer:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # -- for tests --------------------------------------------------------------------------------------------------

    def tick(self) -> str:
        """Let a second pass; the time after it."""
        return self.advance(seconds=1)

    def advance(self, **parts: float) -> str:
        """Let time pass; the time after it."""
        with self.lock:
            self._now += timedelta(**parts)
            return self.stamp()

    def now(self) -> datetime:
        """What time it is here."""
        return self._now

    def stamp(self) -> str:
        """What time it is here, as Google writes it."""
        return f"{self._now:%Y-%m-%dT%H:%M:%S}.{self._now.microsecond // 1000:03d}Z"

    def grant(self, token: str, user: str, *scopes: str) -> None:
        """Give out a token."""
        self.grants[token] = Grant(user, frozenset(scopes))

    def fail(self, method: str, times: int = 1, **what: Any) -> None:
        """Refuse the next calls of a method."""
        self.faults.append(Fault(method, times, **what))

    def count(self, method: str) -> int:
        """How often a method was called."""
        return self.calls.count(method)

    # -- answering --------------------------------------------------------------------------------------------------

    def fault(self, method: str) -> Fault | None:
        """The refusal that is due, if one is."""
        with self.lock:
            for fault in self.faults:
                if fault.method in (method, "*") and fault.times:
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None

    def user(self, header: str, method: Method) -> str:
        """Who asks, if they may."""
        grant = self.grants.get(header.removeprefix("Bearer "))
        if grant is None or not grant.alive:
            message = (
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
                "other valid authentication credential."
            )
            raise GoogleError(401, "authError", message, "UNAUTHENTICATED")
        if not grant.scopes & method.scopes:
            message = "Request had insufficient authentication scopes."
            detail = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
            raise GoogleError(403, "insufficientPermissions", message, "PERMISSION_DENIED", detail)
        return grant.user

    def answer(self, http: str, target: str, authorization: str) -> tuple[Method, Any]:
        """The answer to a request: an object, or `Media`."""
        url = urlsplit(target)
        found = find(http, unquote(url.path))
        if found is None:
            raise GoogleError(404, "notFound", f"Not Found: {http} {url.path}")
        method, given = found
        self.calls.append(method.id)
        query = parse_qs(url.query, keep_blank_values=True)
        try:
            given |= method.read(query)
            mask = method.mask(given.pop("fields")) if "fields" in given else None
        except BadRequestError as error:
            self.wrong.append(f"{method.id}: {error}")
            raise GoogleError(400, "badRequest", str(error), "INVALID_ARGUMENT") from None
        missing = method.missing(given)
        if missing:
            self.wrong.append(f"{method.id}: without {missing}")
            raise GoogleError(400, "required", f"Required parameter: {missing[0]}", "INVALID_ARGUMENT")
        user = self.user(authorization, method)
        fault = self.fault(method.id)
        if fault is not None and fault.status:
            raise GoogleError(
                fault.status, fault.reason, f"It says {fault.reason}", "", fault.detail, headers=fault.headers
            )
        if fault is not None and fault.reset:
            raise ConnectionResetError
        alt = given.pop("alt", "json")
        if method.id == "drive.about.get" and mask is None:
            raise GoogleError(400, "required", "The 'fields' parameter is required for this method.")
        with self.lock:
            answer = self._state(method).call(method.id.partition(".")[2], user, given, media=alt == "media")
        if isinstance(answer, Media):
            return method, answer
        method.check(answer)
        if mask is None and method.id in DEFAULT_FIELDS:
            mask = method.mask(DEFAULT_FIELDS[method.id])
        answer = masked(answer, mask or {})
        twist = self.twists.get(method.id)
        return method, twist(json.loads(json.dumps(answer))) if twist else answer

    def _state(self, method: Method) -> Any:
        return getattr(self, method.id.partition(".")[0])

    def token(self, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """The token endpoint: a signed assertion for an access token (https://www.rfc-editor.org/rfc/rfc7523)."""
        head, claims, signature = (_unpacked(one) for one in form["assertion"][0].split("."))
        signed = form["assertion"][0].rpartition(".")[0].encode()
        self.public_key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        assert json.loads(head)["alg"] == "RS256"
        asked = json.loads(claims)
        assert asked["aud"] == "https://oauth2.googleapis.com/token" and asked["exp"] > time.time()
        user = asked.get("sub", asked["iss"])
        scopes = frozenset(one.rpartition("/")[2] for one in asked["scope"].split())
        if user not in self.delegated:
            return 400, {"error": "invalid_grant", "error_description": "Invalid email or User ID"}
        if not scopes <= self.delegated[user]:
            told = "Client is unauthorized to retrieve access tokens using this method."
            return 401, {"error": "unauthorized_client", "error_description": told}
        token = f"local-test-{len(self.grants)}"
        self.grant(token, user, *scopes)
        return 200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    google: GoogleServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away as they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        google = self.server.google
        if self.path == "/token":
            try:
                status, told = google.token(parse_qs(body))
            except Exception as error:
                google.wrong.append(f"a token was asked for wrongly: {type(error).__name__}: {error}")
                status, told = 400, {"error": "invalid_request"}
            self._send(status, json.dumps(told).encode())
            return
        method = self.headers.get("X-HTTP-Method-Override", "POST")  # how long queries are sent
        self.path = f"{self.path}?{body}" if method == "GET" else self.path
        self._serve(method)

    def _serve(self, http: str) -> None:
        google = self.server.google
        if google.gate is not None:
            google.arrived()
            google.gate.wait(20)
        try:
            method, answer = google.answer(http, self.path, self.headers.get("Authorization", ""))
        except GoogleError as error:
            self._send(error.status, error_body(error), error.headers)
            return
        except ConnectionResetError:
            self._reset()
            return
        except Exception as error:
            google.wrong.append(f"{self.path}: {type(error).__name__}: {error}")
            self._send(500, b"{}")
            return
        if isinstance(answer, Media):
            self._media(method, answer)
        else:
            self._send(200, json.dumps(answer).encode(), cut=self._cut(method))

    def _media(self, method: Method, media: Media) -> None:
        asked = self.headers.get("Range", "")
        first, last, status = 0, media.size - 1, 200
        headers = {}
        if asked and media.ranged:
            first, last = (int(one) for one in asked.removeprefix("bytes=").split("-"))
            if first >= media.size:
                self._send(416, b"Request range not satisfiable", {"Content-Range": f"bytes */{media.size}"})
                return
            last, status = min(last, media.size - 1), 206
            headers["Content-Range"] = f"bytes {first}-{last}/{media.size}"
        content = media.pick(first, last)
        self._send(status, content, headers, "application/octet-stream", cut=self._cut(method))

    def _cut(self, method: Method) -> bool:
        fault = self.server.google.fault(f"{method.id}#body")
        return fault is not None

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        kind: str = "application/json; charset=UTF-8",
        *,
        cut: bool = False,
    ) -> None:
        self.send_response_only(status)
        self.send_header("Date", format_datetime(self.server.google.now(), usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._reset()

    def _reset(self) -> None:
        """End the connection as a broken one ends."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
