"""The Google Workspace of our own, as one that can be acted upon: permissions, moves, cells, labels, messages.

Who plays whom: everything is ours, on top of `tests/servers/google.py`, and held to the same documents; bodies of
requests as well. As at Google, and unlike there, permissions are inherited from folders and shared drives, and what is
inherited cannot be taken from a file. Stricter: only the owner may share a file, and every update of a file changes the
time of its last change unless it says otherwise; a permission does not take the time of its end when it is made; what
is shared tells people by mail, unless it is told not to, and it must not be told so for others than users and groups.
Weaker: formulas are references, `HYPERLINK` and `CONCATENATE`; labels of threads, roles of shared drives other than
managers and writers, and what an organisation's policies forbid are not played.

Every call that changed something is counted in `effects`. `stop` cuts a client off at one of them.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers.google import GoogleServer, _Handler, _Http
from tests.servers.google_acting_drive import ActingDrive
from tests.servers.google_acting_sheets import ActingSheets
from tests.servers.google_acting_talk import ActingChat, ActingGmail
from tests.servers.google_discovery import BadRequestError, find
from tests.servers.google_errors import GoogleError, error_body
from tests.servers.google_paging import Media

Fields = dict[str, Any]


class ActingGoogle(GoogleServer):
    """The state, with what changes it. Use as a context manager."""

    drive: ActingDrive
    sheets: ActingSheets
    gmail: ActingGmail
    chat: ActingChat

    def __init__(self) -> None:
        super().__init__()
        self._http.server_close()
        self._http = _Http(("127.0.0.1", 0), _ActingHandler)
        self._http.google = self

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self.drive, self.sheets = ActingDrive(self), ActingSheets(self)
        self.gmail, self.chat = ActingGmail(self), ActingChat(self)
        self.effects: Counter[str] = Counter()
        self.bodies = threading.local()
        self._cut: Iterator[int] | None = None
        self._before = False
        self._dead = False
        self.silent = False
        """Cut off with an orderly end of the connection and no answer, instead of a reset."""

    @property
    def body(self) -> Fields:
        """The body of the request that this thread answers."""
        return getattr(self.bodies, "body", None) or {}

    @contextmanager
    def stop(self, number: int, *, before: bool) -> Iterator[None]:
        """While it lasts: the changing call of this number does not arrive (`before`) or is not answered; nor is any
        later call."""
        self._cut, self._before, self._dead = itertools.count(1 - number), before, False
        try:
            yield
        finally:
            self._cut, self._dead = None, False

    def act(self, http: str, target: str, authorization: str, body: Any) -> tuple[Any, Any]:
        """The answer to a request with a body. Raises `ConnectionResetError` where it is cut off."""
        if self._dead:
            raise ConnectionResetError
        changing = http != "GET"
        cut = changing and self._cut is not None and next(self._cut) == 0
        if cut and self._before:
            self._dead = True
            raise ConnectionResetError
        self.bodies.body = body
        found = find(http, re.sub(r"\?.*", "", target))
        if found is not None and changing:
            try:
                found[0].check_request(body)
            except BadRequestError as error:
                self.wrong.append(f"{found[0].id}: {error}")
                raise GoogleError(400, "badRequest", str(error), "INVALID_ARGUMENT") from None
        method, answer = self.answer(http, target, authorization)
        if changing:
            self.effects[method.id.partition(".")[2]] += 1
        lost = self.fault(f"{method.id}#lost")  # it had its effect, and nobody is told
        if cut:
            self._dead = True
        if cut or lost is not None:
            raise ConnectionResetError
        return method, answer


class _ActingHandler(_Handler):
    server: _Http

    def do_GET(self) -> None:
        self._act("GET", None)

    def do_PATCH(self) -> None:
        self._act("PATCH", self._json())

    def do_DELETE(self) -> None:
        self._act("DELETE", None)

    def do_POST(self) -> None:
        if self.path == "/token" or self.headers.get("X-HTTP-Method-Override"):
            super().do_POST()
            return
        self._act("POST", self._json())

    def _json(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")

    def _act(self, http: str, body: Any) -> None:
        google = self.server.google
        assert isinstance(google, ActingGoogle)
        if google.gate is not None:
            google.arrived()
            google.gate.wait(20)
        try:
            method, answer = google.act(http, self.path, self.headers.get("Authorization", ""), body)
        except GoogleError as error:
            self._send(error.status, error_body(error), error.headers)
        except ConnectionResetError:
            if google.silent:
                self.close_connection = True
            else:
                self._reset()
        except Exception as error:
            google.wrong.append(f"{self.path}: {type(error).__name__}: {error}")
            self._send(500, b"{}")
        else:
            if isinstance(answer, Media):
                self._media(method, answer)
            elif answer is None:
                self._send(204, b"")
            else:
                self._send(200, json.dumps(answer).encode())
