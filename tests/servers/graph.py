"""Microsoft Graph as a server of our own, over the tenant of `graph_state.py`.

Behind Prism (`prism.py`) its answers and our requests are held to the official description.

Played as the documentation says:

- Delta functions give what changed since a token, in the order of the changes, in pages of odd sizes (empty ones among
  them) with `@odata.nextLink`, at last `@odata.deltaLink`; what changes meanwhile comes at the end. Tokens end with
  410 when the test says so, in the words of each service, for drives with a `Location`
  (https://learn.microsoft.com/en-us/graph/delta-query-overview, .../api/driveitem-delta).
- Links are those of the real host and in the forms that the pages show: `mailfolders('id')/messages/delta?$skiptoken=`,
  `root/delta(token='...')`. A client that follows them as they are leaves the test.
- A channel's delta and list give reply chains, newest chain first in the list, with `$expand=replies` and
  `replies@odata.nextLink`; deleted messages stay, emptied (.../api/chatmessage-delta, .../api/channel-list-messages).
- A chat's messages come newest first; `$filter` counts only with `$orderby` on the same property, ascending order is
  refused, `$top` ends at 50 (.../api/chat-list-messages).
- The export interface of Teams, with its licences: `graph_export.py`.
- Downloads are pre-authenticated, on another path, with ranges; they refuse a token. `/content` redirects there
  (.../api/driveitem-get-content).
- 401, 403, 404, 410, 429 and 5xx carry the error JSON (https://learn.microsoft.com/en-us/graph/errors).

Stricter than Graph: unknown query parameters are refused (Graph ignores some); permissions are exact, no permission
covers another; a download refuses `Authorization`. Weaker: no rates of its own (the test orders 429), no eight months'
end of channel deltas, no search, one region, `$select` is obeyed at the top level only, tokens of users do not exist.
"""

from __future__ import annotations

import copy
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import tests.servers.graph_routes  # noqa: F401  fills the table of what can be asked
from tests.servers.graph_call import Call, Trouble
from tests.servers.graph_export import mailbox_of
from tests.servers.graph_state import Entry, Tenant

TOKEN = "local-test-token"
EVERYTHING = frozenset(
    (
        *("Team.ReadBasic.All", "Channel.ReadBasic.All", "ChannelMessage.Read.All", "ChannelMember.Read.All"),
        *("TeamMember.Read.All", "Chat.Read.All", "Files.Read.All", "Sites.Read.All", "Mail.Read", "User.Read.All"),
        "Organization.Read.All",
    )
)


class Fault:
    """Something that goes wrong with the next calls whose path matches: a status, or what `kind` says.

    Kinds: `status`, `reset` (the connection breaks after `after` bytes of the body), `garbage` (200 without JSON),
    `hang` (no answer until `release`). With `hold` a reset waits for `release`.
    """

    def __init__(
        self, path: str, kind: str = "status", *, times: int = 1, after: int = 0, hold: bool = False, **trouble: Any
    ) -> None:
        self.path = re.compile(path)
        self.kind = kind
        self.times = times
        self.after = after
        self.hold = hold
        self.trouble = Trouble(trouble.pop("status", 503), trouble.pop("code", "serviceNotAvailable"), **trouble)
        self.met = threading.Event()
        self.release = threading.Event()


class GraphServer:
    """The server, and what a test may do to it."""

    def __init__(self, tenant: Tenant) -> None:
        self.http = _Server(("127.0.0.1", 0), _Handler)
        self.http.graph = self
        self.generation = 0
        self.reset(tenant)

    def reset(self, tenant: Tenant) -> None:
        """Another tenant, and nothing wrong with the server."""
        self.tenant = tenant
        self.sizes = [2, 1, 3, 0, 2]
        """How many records the pages of a list hold, in turn; `$top` and the like may make it less."""
        self.inline_replies = 1000
        self.permissions = {TOKEN: EVERYTHING}
        self.generation += 1
        self.download_generation = 1
        self.unlicensed: set[str] | None = set()
        """Users whose messages may not be exported with `model=A`; None: all."""
        self.trial = 500
        """How many messages may be exported without a model before the month ends."""
        self.lagging: dict[str, list[Entry]] = {}
        """Mailboxes that have not caught up with what happened since."""
        self.ranges = True
        self.tell_downloads = True
        self.faults: list[Fault] = []
        self.requests: list[str] = []

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def expire(self) -> None:
        """No token of a place given so far is known any more."""
        self.generation += 1

    def licensed(self, users: set[str]) -> set[str]:
        """Those of the users who have a licence for exports."""
        return set() if self.unlicensed is None else users - self.unlicensed

    def lag(self, user: str) -> None:
        """From now on the user's mailbox is as it was now, until it is taken out of `lagging`."""
        self.lagging[user] = copy.deepcopy(mailbox_of(self.tenant.chats.values(), user))

    def fault(self, path: str, kind: str = "status", **how: Any) -> Fault:
        fault = Fault(path, kind, **how)
        self.faults.append(fault)
        return fault

    def due(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.path.search(path):
                fault.times -= 1
                fault.met.set()
                return fault
        return None


@contextmanager
def graph(tenant: Tenant) -> Iterator[GraphServer]:
    """A server over a tenant, as long as the context lasts."""
    server = GraphServer(tenant)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        for fault in server.faults:
            fault.release.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    graph: GraphServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """The test looks at `requests`."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.graph.tenant.clock.timestamp() if timestamp is None else timestamp)

    def do_GET(self) -> None:
        server = self.server.graph
        server.requests.append(self.path)
        fault = server.due(unquote(self.path))
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
                status, body, headers = Call(server, self.path, self.headers).answer()
            self._send(status, body, headers, fault)
        except Trouble as trouble:
            error = {"error": {"code": trouble.code, "message": trouble.message, "innerError": {"date": "2026"}}}
            self._send(
                trouble.status, json.dumps(error).encode(), {"Content-Type": "application/json", **trouble.headers}
            )

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if cut is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[: cut.after])
        self.wfile.flush()
        if cut.hold:
            cut.release.wait(30)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.connection.close()
        self.close_connection = True
