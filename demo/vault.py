"""A vault for the demo: as much of HashiCorp Vault's key/value engine, version 2, as keeping a secret takes.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2: read, write with check-and-set, metadata. In memory, on
loopback, for as long as the demo lasts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class _Handler(BaseHTTPRequestHandler):
    entries: ClassVar[dict[str, list[dict[str, Any]]]] = {}
    facts: ClassVar[dict[str, dict[str, str]]] = {}
    lock = threading.Lock()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        with self.lock:
            if path.startswith("/v1/secret/data/") and (
                found := self.entries.get(path.removeprefix("/v1/secret/data/"))
            ):
                data = {"data": found[-1], "metadata": self._metadata(len(found))}
                return self._answer(HTTPStatus.OK, {"data": data})
            if path.startswith("/v1/secret/metadata/") and (
                found := self.entries.get(path.removeprefix("/v1/secret/metadata/"))
            ):
                return self._answer(HTTPStatus.OK, {"data": {"current_version": len(found), "versions": {}}})
        return self._answer(HTTPStatus.NOT_FOUND, {"errors": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        with self.lock:
            if self.path.startswith("/v1/secret/metadata/"):
                name = self.path.removeprefix("/v1/secret/metadata/")
                self.facts[name] = body.get("custom_metadata", {})
                return self._answer(HTTPStatus.NO_CONTENT, None)
            versions = self.entries.setdefault(self.path.removeprefix("/v1/secret/data/"), [])
            expected = body.get("options", {}).get("cas")
            if expected is not None and expected != len(versions):
                errors = ["check-and-set parameter did not match the current version"]
                return self._answer(HTTPStatus.BAD_REQUEST, {"errors": errors})
            versions.append(body["data"])
            return self._answer(HTTPStatus.OK, {"data": self._metadata(len(versions))})

    do_PUT = do_POST

    def _metadata(self, version: int) -> dict[str, Any]:
        return {"version": version, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False}

    def _answer(self, status: HTTPStatus, content: object) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextmanager
def vault() -> Iterator[str]:
    """A vault that is there while the context lasts; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
