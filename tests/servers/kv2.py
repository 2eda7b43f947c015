"""A key/value engine, version 2, of HashiCorp Vault, with the login of AppRole, as hvac asks for it.

Ours, on plain HTTP (loopback). It keeps versions, checks `cas` as Vault does (0: there must be no version, also where
all are deleted the current number counts), forgets a deleted version's data, and knows tokens with the paths that they
may use. Weaker than Vault: no leases, no policies but path prefixes, no namespaces but the one header.
Shapes: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Told = tuple[int, dict[str, Any]]
NOTHING: Told = (404, {"errors": []})


@dataclass
class Entry:
    """Versions of an entry, the first is number 1; None: deleted."""

    versions: list[dict[str, str] | None] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Kv2:
    """The engine. `tokens`: prefixes of paths that each may use. `after`: the next write is done and not answered."""

    mount: str = "secret"
    entries: dict[str, Entry] = field(default_factory=dict)
    tokens: dict[str, tuple[str, ...]] = field(default_factory=dict)
    approles: dict[tuple[str, str], str] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    sealed: bool = False
    cas_required: bool = True
    after: bool = False
    namespace: str = ""
    raced: dict[str, str] | None = None
    """What another writes just before the next write comes."""

    def answer(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> Told | None:
        """Status and answer; None: the connection breaks."""
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers.get("x-vault-namespace", "") != self.namespace:
            return NOTHING
        if path == "auth/approle/login":
            token = self.approles.get((body["role_id"], body["secret_id"]))
            return (
                (200, {"auth": {"client_token": token}}) if token else (400, {"errors": ["invalid role or secret ID"]})
            )
        allowed = self.tokens.get(headers.get("x-vault-token", ""))
        kind, _, name = path.removeprefix(f"{self.mount}/").partition("/")
        if allowed is None or not name.startswith(allowed):
            return 403, {"errors": ["permission denied"]}
        if not path.startswith(f"{self.mount}/") or kind not in ("data", "metadata"):
            return 404, {"errors": [f"no handler for route {path!r}"]}
        if kind == "metadata":
            return self._metadata(method, name, body)
        return self._read(name) if method == "GET" else self._write(name, body)

    def _read(self, name: str) -> Told:
        entry = self.entries.get(name)
        if entry is None or not entry.versions:
            return NOTHING
        data, number = entry.versions[-1], len(entry.versions)
        deleted = "" if data is not None else "2026-01-01T00:00:00Z"
        told = {
            "version": number,
            "deletion_time": deleted,
            "destroyed": False,
            "custom_metadata": entry.metadata or None,
        }
        return (200 if data is not None else 404), {"data": {"data": data, "metadata": told}}

    def _write(self, name: str, body: dict[str, Any]) -> Told | None:
        entry = self.entries.setdefault(name, Entry())
        if self.raced is not None:
            entry.versions.append(self.raced)
            self.raced = None
        cas = body.get("options", {}).get("cas")
        if cas is None and self.cas_required:
            return 400, {"errors": ["check-and-set parameter required for this call"]}
        if cas is not None and cas != len(entry.versions):
            return 400, {"errors": ["check-and-set parameter did not match the current version"]}
        entry.versions.append(dict(body["data"]))
        self.writes[name] += 1
        if self.after:
            self.after = False
            return None
        return 200, {"data": {"version": len(entry.versions), "deletion_time": "", "destroyed": False}}

    def _metadata(self, method: str, name: str, body: dict[str, Any]) -> Told:
        if name.startswith("closed/"):
            return 403, {"errors": ["permission denied"]}
        entry = self.entries.get(name)
        if entry is None:
            return NOTHING
        entry.metadata = dict(body.get("custom_metadata") or {})
        return 204, {}


@contextmanager
def kv2() -> Iterator[tuple[Kv2, str]]:
    """The engine and its address, as long as the context lasts."""
    engine = Kv2()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            told = engine.answer(self.command, self.path.removeprefix("/v1/"), headers, body)
            if told is None:
                self.close_connection = True
                self.connection.close()
                return
            status, answer = told
            data = b"" if status == 204 else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_LIST = do_DELETE = _any

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A connection that breaks is no event."""

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield engine, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
