"""What the tests of Slack do on a workspace, the same on both backends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Protocol

from slack_sdk import WebClient

from keysentry.connectors.base import Delivery
from keysentry.connectors.pace import Pace
from keysentry.connectors.slack.client import Client
from keysentry.connectors.slack.source import Choice, SlackSource
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record, Unit
from keysentry.model.sensitive import Sensitive
from tests.servers.slack import SlackServer
from tests.servers.slack_emulate import Emulated
from tests.servers.slack_state import ALL_SCOPES, Conversation, Token

_NUMBERS = count(1)


class Backend(Protocol):
    """A workspace in which a test has a channel of its own."""

    base_url: str
    token: str
    author: str

    def channel(self) -> str: ...
    def post(self, channel: str, text: str) -> str: ...
    def reply(self, channel: str, parent: str, text: str) -> str: ...
    def edit(self, channel: str, ts: str, text: str) -> None: ...
    def delete(self, channel: str, ts: str) -> None: ...
    def share(self, channel: str, name: str, content: bytes) -> str: ...


class Ours:
    """Our own server."""

    def __init__(self, server: SlackServer) -> None:
        self.server = server
        self.state = server.state
        self.base_url = server.base_url
        self.token = "local-test-token"
        self.author = "alice"
        self.state.tokens[self.token] = Token(set(ALL_SCOPES))
        self.state.add_user("U00000001", "alice")
        self.state.add_user("U00000002", "bob")

    def channel(self, **told: Any) -> str:
        number = next(_NUMBERS)
        name = told.pop("name", f"room-{number}")
        return self.state.add_conversation(Conversation(f"C{number:08d}", name, **told)).id

    def post(self, channel: str, text: str, user: str = "U00000001", **more: Any) -> str:
        return self.state.post(channel, text, user, **more)

    def reply(self, channel: str, parent: str, text: str, **more: Any) -> str:
        return self.state.post(channel, text, "U00000002", thread_ts=parent, **more)

    def edit(self, channel: str, ts: str, text: str) -> None:
        self.state.edit(channel, ts, text)

    def delete(self, channel: str, ts: str) -> None:
        self.state.delete(channel, ts)

    def share(self, channel: str, name: str, content: bytes) -> str:
        return self.state.share(channel, name, content)


class Emulator:
    """The third party's emulator, by Slack's own SDK."""

    def __init__(self, emulated: Emulated) -> None:
        self.base_url, self.token = emulated
        self.author = "alice"
        self.web = WebClient(token=self.token, base_url=self.base_url)

    def channel(self) -> str:
        answer = self.web.conversations_create(name=f"room-{next(_NUMBERS)}")
        return str(answer["channel"]["id"])

    def post(self, channel: str, text: str) -> str:
        return str(self.web.chat_postMessage(channel=channel, text=text)["ts"])

    def reply(self, channel: str, parent: str, text: str) -> str:
        return str(self.web.chat_postMessage(channel=channel, text=text, thread_ts=parent)["ts"])

    def edit(self, channel: str, ts: str, text: str) -> None:
        self.web.chat_update(channel=channel, ts=ts, text=text)

    def delete(self, channel: str, ts: str) -> None:
        self.web.chat_delete(channel=channel, ts=ts)

    def share(self, channel: str, name: str, content: bytes) -> str:
        self.web.files_upload_v2(channel=channel, filename=name, content=content, initial_comment=f"see {name}")
        return str(self.web.conversations_history(channel=channel, limit=1)["messages"][0]["ts"])


def open_client(backend: Backend, waits: list[float] | None = None, **options: Any) -> Client:
    """A client without limits of its own, whose waits are noted and not waited."""

    def pace(place: str, **more: Any) -> Pace:
        def wait(seconds: float) -> bool:
            if waits is not None:
                waits.append(seconds)
            return False

        return Pace(place, wait=wait, **more)

    options = {"base_url": backend.base_url, "per_minute": 0.0, "page": 3, "pace": pace, **options}
    return Client("test", Sensitive(backend.token), **options)


@contextlib.contextmanager
def opened(
    backend: Backend, waits: list[float] | None = None, client: dict[str, Any] | None = None, **options: Any
) -> Iterator[SlackSource]:
    """A source on a backend."""
    source = SlackSource(open_client(backend, waits, **(client or {})), **{"choice": Choice(), **options})
    try:
        yield source
    finally:
        source.close()


def unit(channel: str) -> Unit:
    return Unit(channel, "#it")


def read(source: SlackSource, channel: str, cursor: Cursor | None = None) -> list[Delivery]:
    return list(source.records(unit(channel), cursor))


def texts(deliveries: Iterable[Delivery]) -> list[str]:
    """What was given, in order: the texts of records, and `-` with the time of what is gone."""
    found = []
    for delivery in deliveries:
        if delivery.record is not None:
            found.append(f"-{delivery.record.id}" if delivery.record.deleted else text(delivery.record))
    return found


def text(record: Record) -> str:
    return " | ".join(part.segment.text.decode() for part in record.parts if part.segment is not None)


def skips(deliveries: Iterable[Delivery]) -> list[Skipped]:
    return [one for delivery in deliveries for one in delivery.skipped]


def last(deliveries: list[Delivery], before: Cursor | None = None) -> Cursor | None:
    return deliveries[-1].cursor if deliveries else before


def content(record: Record) -> dict[str, bytes]:
    """The files of a record."""
    return {part.name: b"".join(part.open()) for part in record.parts if part.open is not None}
