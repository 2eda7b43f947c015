"""One request to the Graph server of our own on its way to an answer, and the table of what can be asked."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.servers.graph_state import Entry, Json, Space

if TYPE_CHECKING:
    from tests.servers.graph import GraphServer

T = TypeVar("T")
HOST = "https://graph.microsoft.com/v1.0"


class Trouble(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str = "", **headers: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Call:
    """One request on its way to an answer."""

    def __init__(self, server: GraphServer, target: str, headers: Any) -> None:
        self.server = server
        self.tenant = server.tenant
        self.headers = headers
        parts = urlsplit(target)
        self.raw_path = _plain(parts.path.removeprefix("/v1.0"))
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))

    def answer(self) -> tuple[int, bytes, dict[str, str]]:
        if self.raw_path.startswith("/download/"):
            return self._download()
        for pattern, permission, allowed, make in ROUTES:
            match = pattern.fullmatch(self.raw_path)
            if match:
                self._authorize(permission)
                unknown = set(self.query) - set(allowed)
                if unknown:
                    raise Trouble(400, "BadRequest", f"unknown query parameters {sorted(unknown)}")
                made = make(self, *(unquote(part) if part else "" for part in match.groups()))
                return made if isinstance(made, tuple) else (200, json.dumps(made).encode(), JSON)
        raise Trouble(404, "ResourceNotFound", f"no such resource: {self.raw_path}")

    def _authorize(self, permission: str) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        granted = self.server.permissions.get(token)
        if scheme != "Bearer" or granted is None:
            raise Trouble(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
        if permission not in granted:
            raise Trouble(403, "Forbidden", f"Missing role permissions on the request. API requires '{permission}'.")

    # Lists

    def page(self, values: list[T], at: int, number: int, limit: int) -> tuple[list[T], bool]:
        """Some of the values from a number on, and whether there are more."""
        sizes = self.server.sizes
        size = min(sizes[number % len(sizes)], limit)
        return values[at : at + size], at + size < len(values)

    def token(self, **state: Any) -> str:
        state["g"] = self.server.generation
        return base64.urlsafe_b64encode(json.dumps(state).encode()).decode()

    def state(self, token: str, code: str, **headers: str) -> Json:
        try:
            state: Json = json.loads(base64.urlsafe_b64decode(token))
        except ValueError:
            raise Trouble(400, "BadRequest", "Badly formed token.") from None
        if state["g"] != self.server.generation:
            raise Trouble(410, code, "The sync state generation is not found.", **headers)
        return state

    def top(self, most: int, default: int) -> int:
        top = int(self.query.get("$top", default))
        if not 0 < top <= most:
            raise Trouble(400, "BadRequest", f"$top must be from 1 to {most}")
        return top

    def listed(self, values: list[Json], link: str) -> Json:
        """A plain list in pages: all but the last link to the next."""
        state = self.state(self.query["$skiptoken"], "ResyncRequired") if "$skiptoken" in self.query else {}
        at, number = state.get("at", 0), state.get("n", 0)
        limit = int(self.query.get("$top", state.get("top", 100)))
        some, more = self.page(values, at, number, limit)
        chosen = [name for name in self.query.get("$select", "").split(",") if name] or state.get("select", [])
        answer: Json = {"@odata.context": f"{HOST}/$metadata", "value": [selected(one, chosen) for one in some]}
        if more:
            token = self.token(at=at + len(some), n=number + 1, select=chosen, top=limit)
            answer["@odata.nextLink"] = f"{HOST}/{link}?$skiptoken={token}"
        return answer

    def delta(
        self, entries: list[tuple[int, Entry]], show: Callable[[Entry], Json], token: str, code: str, limit: int
    ) -> Json:
        """What changed after a token, from (number of the change, entry). Gives the value, as it is to be shown, and
        the next token under `next` or `delta`.
        """
        state = self.state(token, code) if token else {}
        after, number = state.get("after", 0), state.get("n", 0)
        entries = sorted((one for one in entries if one[0] > after), key=lambda one: one[0])
        some, more = self.page(entries, 0, number, limit)
        last = entries[len(some) - 1][0] if some else after
        carried = state.get("carried") or {key: value for key, value in self.query.items() if key != "token"}
        following = self.token(after=last, n=number + 1 if more else 0, carried=carried)
        return {
            "value": [show(one) for _, one in some],
            "next" if more else "delta": following,
            "carried": carried,
            "first": not token,
        }

    # Files

    def _download(self) -> tuple[int, bytes, dict[str, str]]:
        if self.headers.get("Authorization"):
            raise Trouble(401, "unauthenticated", "a pre-authenticated address takes no token")
        _, _, generation, drive, item = self.raw_path.split("/")
        if int(generation) != self.server.download_generation:
            raise Trouble(401, "unauthenticated", "the address has outlived its time")
        entry = self.tenant.drives[unquote(drive)].entries[unquote(item)]
        if entry.gone:
            raise Trouble(404, "itemNotFound")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        kind = {"Content-Type": "application/octet-stream"}
        if not wanted or not self.server.ranges:
            return 200, entry.content, kind
        start = int(wanted[1])
        if start >= len(entry.content):
            raise Trouble(416, "invalidRange")
        whole = len(entry.content)
        return 206, entry.content[start:], kind | {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"}

    def address(self, drive: Space, entry: Entry) -> str:
        generation, item = self.server.download_generation, quote(entry.body["id"])
        return f"{self.server.url}/download/{generation}/{quote(drive.id, safe='')}/{item}"


def _plain(path: str) -> str:
    """A path whose harmless signs stand as they are, as proxies may have quoted them."""
    for sign in "'()$!:":
        path = path.replace(f"%{ord(sign):02X}", sign)
    return path


JSON = {"Content-Type": "application/json;odata.metadata=minimal"}
Made = Json | tuple[int, bytes, dict[str, str]]
ROUTES: list[tuple[re.Pattern[str], str, tuple[str, ...], Callable[..., Made]]] = []


def route(pattern: str, permission: str, *allowed: str) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """A path (`{}` is one part of it), the permission it needs, and its query parameters."""
    compiled = re.compile(re.escape(pattern).replace(r"\{\}", "([^/]+)"))

    def register(make: Callable[..., Made]) -> Callable[..., Made]:
        ROUTES.append((compiled, permission, allowed, make))
        ROUTES.sort(key=lambda one: one[0].groups)  # a word of a path weighs more than what may be anything
        return make

    return register


def selected(one: Json, names: list[str]) -> Json:
    return {key: value for key, value in one.items() if not names or key in names or key.startswith("@")} | (
        {"id": one["id"]} if "id" in one else {}
    )


def of(found: dict[str, Space], id_: str) -> Space:
    space = found.get(id_)
    if space is None or space.gone:
        raise Trouble(404, "NotFound", f"{id_} is not there")
    return space
