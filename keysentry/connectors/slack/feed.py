"""Events by Socket Mode: a connection that Slack pushes events through (https://docs.slack.dev/apis/events-api/using-socket-mode).

Invariants. An event is acknowledged after what it gave was stored, not before; one that is not acknowledged Slack sends
again, and it is told from a new one by its `event_id`. An event that was handed out and not stored is handed out
again. What is held is bounded: what does not fit is left to Slack, which still has it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from typing import Final

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack.client import Client, Fields, Socket
from keysentry.connectors.slack.events import Interpreter, deliveries
from keysentry.errors import ClosedError

_HELD: Final = 10_000
_REMEMBERED: Final = 10_000
_LOOK: Final = 1.0
"""Seconds between two looks at whether the connection still stands."""


class Feed:
    """The events of one app in one workspace."""

    def __init__(
        self, client: Client, interpreter: Interpreter, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._interpreter = interpreter
        self._clock = clock
        self._lock = threading.Lock()
        self._socket: Socket | None = None
        self._closed = False
        self._arrived: Queue[str] = Queue(_HELD)
        self._payloads: dict[str, Fields] = {}
        self._envelopes: dict[str, list[str]] = {}
        self._handed: dict[str, None] = {}
        self._stored: dict[str, None] = {}

    def deliveries(self, quiet: float) -> Iterator[Delivery]:
        """Events as they come, until none came for `quiet` seconds.

        Raises `AccessError` for a wrong app-level token, `SourceError`, `ClosedError`.
        """
        self._connect()
        for event in list(self._handed):
            yield from self._give(event)
        until = self._clock() + quiet
        while True:
            if self._closed:
                raise ClosedError("closed while it waited for events", place=self._client.place)
            wait = until - self._clock()
            try:
                event = (
                    self._arrived.get(timeout=max(0.0, min(_LOOK, wait))) if wait > 0 else self._arrived.get_nowait()
                )
            except Empty:
                if wait <= 0:
                    return
                self._connect()
                continue
            if event:
                self._handed[event] = None
                yield from self._give(event)
                until = self._clock() + quiet

    def close(self) -> None:
        """End the connection, and wake whoever waits."""
        self._closed = True
        with contextlib.suppress(Full):  # then nobody waits
            self._arrived.put_nowait("")
        with self._lock:
            socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _give(self, event: str) -> Iterator[Delivery]:
        payload = self._payloads.get(event)
        if payload is not None:
            yield from deliveries(self._interpreter, payload, lambda: self._store(event))

    def _store(self, event: str) -> None:
        """What an event gave is stored: Slack need not send it again."""
        with self._lock:
            self._handed.pop(event, None)
            self._payloads.pop(event, None)
            envelopes = self._envelopes.pop(event, [])
            while len(self._stored) >= _REMEMBERED:
                del self._stored[next(iter(self._stored))]
            self._stored[event] = None
        for envelope in envelopes:
            self._acknowledge(envelope)

    def _acknowledge(self, envelope: str) -> None:
        socket = self._socket
        if socket is not None:
            socket.acknowledge(envelope)

    def _connect(self) -> None:
        """See to it that the connection stands."""
        with self._lock:
            if self._closed:
                return
            if self._socket is None:
                self._socket = self._client.socket(self._receive)
            socket = self._socket
        if not socket.connected:
            self._client.pace("socket").call(socket.connect)

    def _receive(self, envelope: str, kind: str, payload: object) -> None:
        """Take in an envelope."""
        if kind != "events_api" or not isinstance(payload, dict):
            self._acknowledge(envelope)
            return
        event = str(payload.get("event_id") or envelope)
        with self._lock:
            known = event in self._stored
            if not known and event in self._payloads:
                self._envelopes[event] = [*self._envelopes[event][-9:], envelope]
                return
            if not known:
                self._payloads[event] = payload
                self._envelopes[event] = [envelope]
                try:
                    self._arrived.put_nowait(event)
                except Full:  # not acknowledged: it comes again
                    del self._payloads[event], self._envelopes[event]
        if known:
            self._acknowledge(envelope)
