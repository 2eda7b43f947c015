"""Slack's Socket Mode, played by a WebSocket server of our own (the emulator has none).

As https://docs.slack.dev/apis/events-api/using-socket-mode has it: the address comes from apps.connections.open and
works once; `hello` opens the connection; an envelope that is not acknowledged comes again, on the connection that is
then open; `disconnect` asks to connect anew. Stricter than the platform: what is not acknowledged comes again on every
new connection, however soon.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.servers.slack import SlackServer


class SocketServer:
    """Pushes the events of a workspace to whoever is connected."""

    def __init__(self, slack: SlackServer) -> None:
        self._slack = slack
        self._lock = threading.RLock()
        self._tickets: set[str] = set()
        self._connection: ServerConnection | None = None
        self._envelopes = 0
        self.unacknowledged: dict[str, dict[str, Any]] = {}
        self.acknowledged: list[str] = []
        self.connections = 0
        self._server: Server = serve(self._serve, "127.0.0.1", 0)
        self.port = self._server.socket.getsockname()[1]
        slack.sockets = self._address
        slack.state.listeners.append(self.push)

    def run(self) -> None:
        self._server.serve_forever()

    def close(self) -> None:
        self._slack.state.listeners.remove(self.push)
        self.drop()
        self._server.shutdown()

    def push(self, payload: dict[str, Any]) -> None:
        """Send an event, now or once somebody connects."""
        with self._lock:
            self._envelopes += 1
            envelope = f"envelope-{self._envelopes}"
            self.unacknowledged[envelope] = payload
            self._send(envelope)

    def again(self) -> None:
        """Send what is not acknowledged once more, in new envelopes, as Slack does after a while."""
        with self._lock:
            for envelope, payload in list(self.unacknowledged.items()):
                del self.unacknowledged[envelope]
                self.push(payload)

    def drop(self) -> None:
        """Break the connection."""
        with self._lock:
            connection = self._connection
        if connection is not None:
            connection.close()

    def ask_to_reconnect(self) -> None:
        """Say that this connection is about to end."""
        with self._lock:
            if self._connection is not None:
                self._connection.send(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))

    def wait(self, condition: Any, seconds: float = 10.0) -> None:
        """Wait until a condition holds."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it did not happen"
            time.sleep(0.01)

    def _address(self) -> str:
        with self._lock:
            ticket = f"ticket-{len(self._tickets)}-{self.connections}"
            self._tickets.add(ticket)
            return f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}"

    def _serve(self, connection: ServerConnection) -> None:
        request = connection.request
        ticket = parse_qs(urlsplit(request.path if request else "").query).get("ticket", [""])[0]
        with self._lock:
            if ticket not in self._tickets:
                connection.close(4401, "no such ticket")
                return
            self._tickets.discard(ticket)
            self._connection = connection
            self.connections += 1
            connection.send(json.dumps({"type": "hello", "num_connections": 1}))
            for envelope in list(self.unacknowledged):
                self._send(envelope)
        try:
            for message in connection:
                envelope = json.loads(message).get("envelope_id")
                with self._lock:
                    if self.unacknowledged.pop(envelope, None) is not None:
                        self.acknowledged.append(envelope)
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                if self._connection is connection:
                    self._connection = None

    def _send(self, envelope: str) -> None:
        if self._connection is None:
            return
        payload = json.loads(
            json.dumps(self.unacknowledged[envelope]).replace('"/files-pri/', f'"{self._slack.url}/files-pri/')
        )
        try:
            self._connection.send(
                json.dumps(
                    {
                        "envelope_id": envelope,
                        "type": "events_api",
                        "payload": payload,
                        "accepts_response_payload": False,
                    }
                )
            )
        except ConnectionClosed:
            self._connection = None


@contextmanager
def sockets(slack: SlackServer) -> Iterator[SocketServer]:
    """A Socket Mode server beside a workspace, as long as the context lasts."""
    server = SocketServer(slack)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
