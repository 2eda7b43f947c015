"""Gmail, played by `emulate` 0.12.2 (npm), behind a door of our own.

`emulate` plays lists (paging), messages, attachments, labels, deletion and the history. Ours: `users.getProfile`, which
it has not, answered from its own history, and the door that leads to both. It is weaker than Gmail: page tokens are
plain offsets and never expire, the history is kept for ever, unknown tokens and scopes are not looked at, `fields` is
not heeded, ids of the history do not fit into 64 bits; its answers are not held to the discovery document.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers.process import NODE_MODULES, free_port, node, serving


class EmulatedGmail:
    """The emulator, and one user's mailbox in it."""

    def __init__(self, port: int, door: int, token: str, user: str) -> None:
        self.url = f"http://127.0.0.1:{door}"
        self._port = port
        self._token = token
        self._user = user

    def receive(self, mail: EmailMessage) -> str:
        """A mail arrives; its id."""
        raw = base64.urlsafe_b64encode(mail.as_bytes()).decode()
        told = self.ask("POST", "messages/import", {"raw": raw, "labelIds": ["INBOX"]})
        return str(told["id"])

    def delete(self, id: str) -> None:
        """A mail is deleted for good."""
        self.ask("DELETE", f"messages/{id}")

    def trash(self, id: str) -> None:
        """A mail is put into the trash."""
        self.ask("POST", f"messages/{id}/trash")

    def restore(self, id: str) -> None:
        """A mail is taken out of the trash."""
        self.ask("POST", f"messages/{id}/untrash")

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the emulator itself."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/gmail/v1/users/me/{path}",
            method=method,
            data=json.dumps(body or {}).encode() if method == "POST" else None,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else {}

    def profile(self) -> dict[str, Any]:
        """What Gmail tells of a mailbox, from what the emulator tells of its history."""
        place = self.ask("GET", "history?startHistoryId=1&maxResults=1")["historyId"]
        return {"emailAddress": self._user, "messagesTotal": 0, "threadsTotal": 0, "historyId": str(place)}


@contextmanager
def emulated_gmail(folder: Path, token: str, user: str) -> Iterator[EmulatedGmail]:
    """Run the emulator and the door until the context ends. `token` is taken for `user`."""
    port = free_port()
    seed = folder / "google.json"
    seed.write_text(
        json.dumps(
            {
                "tokens": {token: {"login": user, "scopes": []}},
                "google": {"users": [{"email": user, "name": "Ann Ames"}]},
            }
        )
    )
    command = [
        node(),
        str(NODE_MODULES / "emulate" / "dist" / "index.js"),
        *("start", "-p", str(port), "--host", "127.0.0.1", "-s", "google", "--seed", str(seed)),
    ]
    with serving(command, port, folder):
        door = _Door(("127.0.0.1", 0), _Handler)
        gmail = EmulatedGmail(port, door.server_address[1], token, user)
        door.gmail, door.upstream = gmail, port
        thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield gmail
        finally:
            door.shutdown()
            door.server_close()
            thread.join()


class _Door(ThreadingHTTPServer):
    daemon_threads = True
    gmail: EmulatedGmail
    upstream: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Door

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/profile"):
            self._send(200, json.dumps(self.server.gmail.profile()).encode())
            return
        self._forward("GET", None)

    def do_POST(self) -> None:
        self._forward("POST", self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _forward(self, method: str, body: bytes | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        try:
            kept = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            connection.request(method, self.path, body, kept)
            answer = connection.getresponse()
            self._send(answer.status, answer.read())
        finally:
            connection.close()

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
