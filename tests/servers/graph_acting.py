"""What changes something in Microsoft 365, added to the Graph server of our own (`graph.py`).

Everything here is ours, as the pages of the Graph reference have it, and where they leave room the stricter reading is
taken:

- `PATCH` of a message of Teams takes only `policyViolation` (.../api/chatmessage-update), with `model=A` or without;
  402 where the licence is missing, 403 for messages of another tenant. Each change moves `etag` and
  `lastModifiedDateTime`. Of a blocked message not even an app gets the body.
- `PATCH`, `DELETE` and copying of files, folders that are made, contents that are put: `If-Match` with `eTag` or
  `cTag` (412), names that are taken (409, whatever their case), no move to another drive (.../api/driveitem-update,
  -delete, -copy, -post-children, -put-content, https://learn.microsoft.com/en-us/graph/onedrive-addressing-driveitems).
- A copy is made some time after it was accepted (here: `copy_after` more calls), without the rights of the original;
  its monitor takes no token (https://learn.microsoft.com/en-us/graph/long-running-actions-overview). Office files are
  changed by it.
- Rights come from the folders above as well, and nothing says which; those cannot be deleted
  (.../api/permission-delete). An invitation works for people and groups of the directory, a link of a kind is made once
  (.../api/driveitem-invite, -createlink).
- A mail gets another id in another folder, except for those who ask for immutable ids, which only they may use
  (.../graph/outlook-immutable-id). Hidden folders are listed on request. A draft that was sent is a mail.
- An activity needs a type of the manifest, a link into Teams, and the app at the person's (`has_app`).

Whoever reads with the token for reading is answered by `graph.py` alone. Permissions are as there, but one to write
covers reading the same (Files.ReadWrite.All, Mail.ReadWrite).

Weaker than the platform: hashes are stand-ins, versions are not kept (`copies` tells whether they were asked for), no
recycle bin, no rates. Counters (`effects`) tell what was really changed; `stop` stops a client at a call that changes
something.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import tests.servers.graph_acting_mail
import tests.servers.graph_acting_teams  # noqa: F401  they fill the table of what can be done
from tests.servers.graph import GraphServer, _Handler
from tests.servers.graph_acting_call import ActingCall
from tests.servers.graph_acting_files import child, rights
from tests.servers.graph_call import JSON, Trouble
from tests.servers.graph_state import Entry, Json, Space, Tenant

ACTING = "local-acting-token"
ACTING_PERMISSIONS = frozenset(
    (
        *("ChannelMessage.Read.All", "ChannelMessage.UpdatePolicyViolation.All"),
        *("Chat.Read.All", "Chat.UpdatePolicyViolation.All", "Files.ReadWrite.All", "Mail.ReadWrite", "Mail.Send"),
        *("User.Read.All", "TeamsActivity.Send"),
    )
)


class ActingServer(GraphServer):
    """The server, with what was done to it."""

    def __init__(self, tenant: Tenant) -> None:
        self.effects: Counter[str] = Counter()
        super().__init__(tenant)
        self.http.RequestHandlerClass = _ActingHandler

    def reset(self, tenant: Tenant) -> None:
        super().reset(tenant)
        self.sizes = [50]
        self.permissions |= {ACTING: ACTING_PERMISSIONS}
        self.effects.clear()
        self.calls: list[tuple[str, str]] = []
        self.dlp_licensed = True
        self.hides_blocked = True
        self.foreign: set[str] = set()
        self.copy_after = 3
        self.copy_fails = False
        self.copies: list[Json] = []
        self.waiting: list[list[Any]] = []
        self.monitors: dict[str, str] = {}
        self.fixed_rights: set[str] = set()
        """Rights whose deletion is refused although they are the file's own."""
        self.no_links = False
        self.immutable: dict[int, str] = {}
        self.properties: dict[int, list[Json]] = {}
        self.sent: list[Json] = []
        self.activities: list[Json] = []
        self.activity_types = {"secretFound"}
        self.has_app: set[str] = set()
        self.number = 0
        self.meanwhile: list[tuple[str, Callable[[], None]]] = []
        """What happens just before the first call whose method and path match is answered."""
        self._stop: tuple[int, bool] | None = None
        self._stopped = False
        self._seen = 0

    @contextmanager
    def stop(self, number: int, *, before: bool) -> Iterator[None]:
        """See `Stoppable` (`tests/contract/quarantine_places.py`)."""
        self._stop, self._stopped, self._seen = (number, before), False, 0
        try:
            yield
        finally:
            self._stop, self._stopped = None, False

    def breaks(self, changing: bool) -> str:
        """Whether a connection is to break now: `before` the call is carried out, `after` it, or not (empty)."""
        if self._stop is None:
            return ""
        if self._stopped:
            return "before"
        self._seen += changing
        if not changing or self._seen != self._stop[0]:
            return ""
        self._stopped = True
        return "before" if self._stop[1] else "after"

    def later(self) -> None:
        """Time goes on: copies come to their end."""
        for one in list(self.waiting):
            one[0] -= 1
            if one[0] <= 0:
                self.waiting.remove(one)
                one[1]()

    def happen(self, call: str) -> None:
        """Others do something at the worst moment."""
        for pattern, deed in list(self.meanwhile):
            if re.search(pattern, call):
                self.meanwhile.remove((pattern, deed))
                deed()

    def next(self, kind: str) -> str:
        """A new id."""
        self.number += 1
        return f"{kind}{self.number:04d}"

    # What is to be seen

    def readable(self, drive: Space, item: str) -> bool:
        """Whether somebody but the owner can read a file."""
        entry = drive.entries.get(item)
        return entry is not None and not entry.gone and any("owner" not in one["roles"] for one in rights(drive, entry))

    def named(self, drive: Space, folder: str, name: str) -> Entry | None:
        """What a folder holds under a name."""
        return child(drive, folder, name)

    def paths(self, method: str) -> list[str]:
        """The paths that were called with a method."""
        return [path for called, path in self.calls if called == method]


@contextmanager
def acting_graph(tenant: Tenant | None = None) -> Iterator[ActingServer]:
    """A server over a tenant, as long as the context lasts."""
    server = ActingServer(tenant or Tenant())
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        for fault in server.faults:
            fault.release.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


class _ActingHandler(_Handler):
    def do_GET(self) -> None:
        self._act("GET")

    def do_POST(self) -> None:
        self._act("POST")

    def do_PATCH(self) -> None:
        self._act("PATCH")

    def do_PUT(self) -> None:
        self._act("PUT")

    def do_DELETE(self) -> None:
        self._act("DELETE")

    def _act(self, method: str) -> None:
        server = self.server.graph
        assert isinstance(server, ActingServer)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        broken = server.breaks(method != "GET")
        fault = server.due(f"{method} {unquote(self.path)}") if not broken else None
        if broken == "before" or (fault and fault.kind == "reset" and not fault.after):
            self._break()
            return
        try:
            if fault and fault.kind == "status":
                raise fault.trouble
            if fault and fault.kind == "hang":
                fault.release.wait(30)
                return
            if fault and fault.kind == "garbage":
                self._send(200, b"<html>busy</html>", {"Content-Type": "text/html"})
                return
            with server.tenant.lock:
                server.calls.append((method, unquote(self.path)))
                server.later()
                server.happen(f"{method} {unquote(self.path)}")
                status, data, headers = ActingCall(server, method, self.path, self.headers, body).answer()
        except Trouble as trouble:
            error = {"error": {"code": trouble.code, "message": trouble.message}}
            status, data, headers = trouble.status, json.dumps(error).encode(), JSON | trouble.headers
        if broken or (fault and fault.kind == "reset"):
            self._break()
            return
        self._send(status, data, headers)

    def _break(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.connection.close()
        self.close_connection = True


_FILE = "/drives/{drive-id}/items/{driveItem-id}"
_STATUSES = (
    (f"{_FILE}/children", "post", "201"),
    (f"{_FILE}/createLink", "post", "201"),
    ("/users/{user-id}/messages/{message-id}/move", "post", "201"),
    ("/users/{user-id}/mailFolders", "post", "201"),
    ("/users/{user-id}/messages", "post", "201"),
)
"""With what calls are answered by their pages; the slice knows only 200."""
_CHANNEL = "/teams/{team-id}/channels/{channel-id}/messages/{chatMessage-id}"
_MESSAGES = (_CHANNEL, f"{_CHANNEL}/replies/{{chatMessage-id1}}", "/chats/{chat-id}/messages/{chatMessage-id}")
"""By their page, what changes these is answered with 200 and nothing."""


def describe(description: Json) -> None:
    """What the slice of Microsoft's description lacks of what is played here, as the pages of the reference say it:
    what a folder holds under a name, sending drafts, activities, extended properties, and what is done about names
    that are taken.
    """
    paths, schemas = description["paths"], description["components"]["schemas"]
    item = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/microsoft.graph.driveItem"}}}}
    named = [{"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in ("d", "f", "n")]
    put = {"requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    paths["/drives/{d}/items/{f}:/{n}"] = {
        "parameters": named,
        "get": {"responses": {"200": {"description": "x", **item}}},
    }
    paths["/drives/{d}/items/{f}:/{n}:/content"] = {
        "parameters": named,
        "put": {**put, "responses": {"201": {"description": "x", **item}}},
    }
    user = {"in": "path", "name": "u", "required": True, "schema": {"type": "string"}}
    mail = {"in": "path", "name": "m", "required": True, "schema": {"type": "string"}}
    paths["/users/{u}/messages/{m}/send"] = {
        "parameters": [user, mail],
        "post": {"responses": {"202": {"description": "x"}}},
    }
    paths["/users/{u}/teamwork/sendActivityNotification"] = {
        "parameters": [user],
        "post": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ACTIVITY}}},
            "responses": {"204": {"description": "x"}},
        },
    }
    for path, method, status in _STATUSES:
        paths[path][method]["responses"][status] = paths[path][method]["responses"]["200"]
    paths[f"{_FILE}/copy"]["post"]["responses"]["202"] = {"description": "x"}
    for path in _MESSAGES:
        paths[path]["patch"]["responses"]["200"] = {"description": "x"}
    _property(schemas, "microsoft.graph.driveItem", "@microsoft.graph.conflictBehavior", {"type": "string"})
    extended = {"type": "array", "items": {"type": "object", "required": ["id", "value"]}}
    _property(schemas, "microsoft.graph.message", "singleValueExtendedProperties", extended)


def _property(schemas: Json, name: str, added: str, schema: Json) -> None:
    schema_of = schemas[name]
    own = next((one for one in schema_of.get("allOf", []) if "properties" in one), schema_of)
    own["properties"].setdefault(added, schema)


_ACTIVITY: Json = {
    "type": "object",
    "additionalProperties": False,
    "required": ["topic", "activityType", "previewText"],
    "properties": {
        "topic": {"type": "object", "required": ["source", "value"]},
        "activityType": {"type": "string"},
        "chainId": {"type": "integer"},
        "previewText": {"$ref": "#/components/schemas/microsoft.graph.itemBody"},
        "templateParameters": {"type": "array", "items": {"type": "object"}},
    },
}
"""https://learn.microsoft.com/en-us/graph/api/userteamwork-sendactivitynotification"""
