"""GitHub's revocation interface with Prism in between, which holds every request to GitHub's own description of it.

HTTPS before Prism is ours, and so is the state behind it (`http_provider.py`). The slice of the description that lies
beside the checkout has the revocation, but not the questions whether a token lives: those pass Prism by.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.servers.http_provider import Provider
from tests.servers.https import Answer, Seen, forward
from tests.servers.process import NODE_MODULES, ROOT, free_port, node, serving

SLICE = ROOT.parent / "shared" / "specs" / "github-revoke-slice.json"
_DESCRIBED = ("/credentials/revoke", "/installation/token")


@contextmanager
def described(folder: Path, provider: Provider) -> Iterator[list[str]]:
    """Make a provider's GitHub answer through Prism as long as the context lasts. The list: what Prism refused."""
    if not SLICE.exists():
        pytest.skip(f"{SLICE} is not there: GitHub's description, which requests are held to")
    inner = provider.answer
    refused: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = inner(Seen(self.command, "api.github.com", self.path, headers, self.rfile.read(length)))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_DELETE = _any

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    port = free_port()
    program = NODE_MODULES / "@stoplight" / "prism-cli" / "dist" / "index.js"
    upstream = f"http://127.0.0.1:{server.server_address[1]}"
    command = [node(), str(program), "proxy", "--errors", "-h", "127.0.0.1", "-p", str(port), str(SLICE), upstream]

    def answer(seen: Seen) -> Answer:
        if seen.path not in _DESCRIBED:
            return inner(seen)
        told = forward(seen, port)
        if "sl-violations" in {name.lower() for name in told.headers} or b"stoplight.io/prism" in told.body:
            refused.append(told.body.decode())
        return told

    try:
        with serving(command, port, folder):
            provider.answer = answer  # type: ignore[method-assign]
            yield refused
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
