"""One request that may change something in the Graph server of our own, and the table of what can be done."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.servers.graph import TOKEN
from tests.servers.graph_call import JSON, Call, Made, Trouble
from tests.servers.graph_state import Entry, Json

if TYPE_CHECKING:
    from tests.servers.graph_acting import ActingServer

_COVERS = {"Files.Read.All": "Files.ReadWrite.All", "Mail.Read": "Mail.ReadWrite"}
_IMMUTABLE = "ImmutableId"

Route = tuple[str, re.Pattern[str], str, tuple[str, ...], Callable[..., Made]]
ROUTES: list[Route] = []


class ActingCall(Call):
    """One request that may change something."""

    server: ActingServer

    def __init__(self, server: ActingServer, method: str, target: str, headers: Any, body: bytes) -> None:
        super().__init__(server, target, headers)
        self.method = method
        self.content = body

    @property
    def json(self) -> Json:
        try:
            found = json.loads(self.content)
        except ValueError:
            raise Trouble(400, "BadRequest", "Unable to read JSON request payload.") from None
        assert isinstance(found, dict)
        return found

    @property
    def immutable(self) -> bool:
        return _IMMUTABLE in str(self.headers.get("Prefer", ""))

    def answer(self) -> tuple[int, bytes, dict[str, str]]:
        if self.raw_path.startswith("/monitor/"):
            return self._monitor()
        reads = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        for method, pattern, permission, allowed, make in [] if reads else ROUTES:
            match = pattern.fullmatch(self.raw_path) if method == self.method else None
            if match:
                self._authorize(permission)
                unknown = set(self.query) - set(allowed)
                if unknown:
                    raise Trouble(400, "BadRequest", f"unknown query parameters {sorted(unknown)}")
                made = make(self, *(unquote(part) for part in match.groups()))
                return made if isinstance(made, tuple) else (200, json.dumps(made).encode(), JSON)
        if self.method != "GET":
            raise Trouble(405, "MethodNotAllowed", f"{self.method} {self.raw_path}")
        return super().answer()

    def _authorize(self, permission: str) -> None:
        token = self.headers.get("Authorization", "").partition(" ")[2]
        if _COVERS.get(permission) in self.server.permissions.get(token, ()):
            return
        super()._authorize(permission)

    def _monitor(self) -> tuple[int, bytes, dict[str, str]]:
        if self.headers.get("Authorization"):
            raise Trouble(401, "unauthenticated", "a monitor takes no token")
        status = self.server.monitors.get(self.raw_path.rpartition("/")[2])
        if status is None:
            raise Trouble(404, "itemNotFound")
        share = 100.0 if status == "completed" else 27.8
        return 202, json.dumps({"operation": "ItemCopy", "percentageComplete": share, "status": status}).encode(), JSON

    def matches(self, entry: Entry) -> None:
        wanted = self.headers.get("If-Match")
        if wanted and wanted not in (entry.body.get("eTag"), entry.body.get("cTag")):
            raise Trouble(412, "resourceModified", "ETag does not match current item's value")

    def done(self, name: str) -> None:
        self.server.effects[name] += 1


def acting(
    method: str, pattern: str, permission: str, *allowed: str
) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """As `graph_call.route`, for one method."""
    compiled = re.compile(re.escape(pattern).replace(r"\{\}", "([^/]+?)"))

    def register(make: Callable[..., Made]) -> Callable[..., Made]:
        ROUTES.append((method, compiled, permission, allowed, make))
        ROUTES.sort(key=lambda one: (one[1].groups, -len(one[1].pattern)))
        return make

    return register


def made(body: Json, status: int = 201, **headers: str) -> Made:
    return status, json.dumps(body).encode(), JSON | headers


NOTHING: Made = (204, b"", {})


def user_of(call: ActingCall, who: str) -> Json | None:
    """Somebody of the directory, by id or address."""
    names = ("id", "mail", "userPrincipalName")
    people = call.tenant.users.values()
    return next((one for one in people if who.lower() in [one[name].lower() for name in names]), None)
