"""A workspace in which something is held and released: who is in it, and what its source says of what they write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from keysentry.connectors.pace import Pace
from keysentry.connectors.slack.acting import Actor
from keysentry.connectors.slack.holding import SlackQuarantine
from keysentry.connectors.slack.source import SlackSource
from keysentry.connectors.slack.telling import SlackNotifier
from keysentry.connectors.slack.tokens import Tokens
from keysentry.model.action import Place
from keysentry.model.location import Step
from keysentry.model.record import Record, Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.slack.backends import open_client
from tests.servers.slack_acting import ActingServer, ActingToken
from tests.servers.slack_state import Conversation, Fields, ts_number

BOT, ADMIN, PERSON = "local-bot-token", "local-admin-token", "local-person-token"
_NUMBERS = count(1)


class Workspace:
    """A workspace with two people, an app and an admin who gave it a token. `alice` has one as well."""

    def __init__(self, server: ActingServer) -> None:
        self.server = server
        self.state = server.state
        self.base_url = server.base_url
        self.token = BOT
        self.waits: list[float] = []
        self.bot = ActingToken("U0KEYSENTRY", bot="B00000001")
        self.admin = ActingToken("U0ADMIN", admin=True)
        self.person = ActingToken("U00000001")
        self.state.tokens |= {BOT: self.bot, ADMIN: self.admin, PERSON: self.person}
        for id, name in (("U00000001", "alice"), ("U00000002", "bob"), ("U0ADMIN", "root")):
            self.state.add_user(id, name)
            self.state.users[id]["profile"]["email"] = f"{name}@example.com"
        self.state.add_user("U0KEYSENTRY", "keysentry", is_bot=True)

    # -- what people do ---------------------------------------------------------------------------------------------

    def channel(self, **told: Any) -> str:
        number = next(_NUMBERS)
        made = Conversation(f"C{number:08d}", f"room-{number}", **told)
        made.members = ["U00000001", "U00000002", "U0KEYSENTRY"]
        return self.state.add_conversation(made).id

    def says(self, channel: str, text: str, user: str = "U00000001", **more: Any) -> str:
        """A person's message, which is rich text."""
        elements = [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}]
        blocks = [{"type": "rich_text", "block_id": f"b{next(_NUMBERS)}", "elements": elements}]
        markup = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return self.state.post(channel, markup, user, **{"blocks": blocks, **more})

    def app_says(self, channel: str, text: str, **more: Any) -> str:
        """A message of our own app."""
        return self.state.post(channel, text, "U0KEYSENTRY", **{"bot_id": "B00000001", **more})

    def shares(self, channel: str, name: str, content: bytes, text: str = "", **more: Any) -> str:
        """A person's message with a file."""
        ts = self.state.share(channel, name, content, **more)
        message = self.message(channel, ts)
        message["text"] = text
        message["files"][0].update(user="U00000001", title=name)
        return ts

    # -- what is to be seen -----------------------------------------------------------------------------------------

    def message(self, channel: str, ts: str) -> Fields:
        found = self.state.conversations[channel].message(ts_number(ts))
        assert found is not None
        return found

    def there(self, channel: str, ts: str) -> bool:
        found = self.state.conversations[channel].message(ts_number(ts))
        return found is not None and found.get("subtype") != "tombstone"

    def top(self, channel: str) -> list[Fields]:
        """What the channel shows."""
        conversation = self.state.conversations[channel]
        return [one for moment in conversation.top(0, 1 << 60) if (one := conversation.message(moment)) is not None]

    def thread(self, channel: str, ts: str) -> list[Fields]:
        conversation = self.state.conversations[channel]
        found = (conversation.message(moment) for moment in conversation.thread(ts_number(ts)))
        return [one for one in found if one is not None]

    def seen(self, channel: str) -> str:
        """All that people see in a channel and its threads: words, blocks, and the content of files."""
        conversation = self.state.conversations[channel]
        said = [json.dumps(one, ensure_ascii=False) for one in conversation._messages.values()]
        ids = {file["id"] for one in conversation._messages.values() for file in one.get("files") or ()}
        files = [self.state.files[id] for id in ids if id in self.state.files]
        return "\n".join([*said, *(file.read(0, file.size).decode("utf-8", "replace") for file in files)])

    def contents(self, channel: str) -> list[bytes]:
        """The contents of the files that are there."""
        messages = self.state.conversations[channel]._messages.values()
        ids = [file["id"] for one in messages for file in one.get("files") or ()]
        stored = [self.state.files[id] for id in ids if id in self.state.files]
        return [file.read(0, file.size) for file in stored]

    # -- what keysentry does ----------------------------------------------------------------------------------------

    def record(self, channel: str, ts: str) -> Record:
        """The record that the source makes of a message."""
        source = SlackSource(open_client(self))  # type: ignore[arg-type]
        try:
            given = [one.record for one in source.records(Unit(channel, "#it"), None) if one.record is not None]
        finally:
            source.close()
        return next(one for one in given if one.id == f"{channel}/{ts}")

    def place(self, channel: str, ts: str, file: str = "") -> Place:
        """Where something is in a message, as its source says."""
        return place_of(self.record(channel, ts), file)

    def actor(self, token: str, **options: Any) -> Actor:
        options = {"base_url": self.base_url, "per_minute": 0.0, "pace": self._pace, **options}
        return Actor("acme", Sensitive(token), **options)

    def _pace(self, place: str, **more: Any) -> Pace:
        def wait(seconds: float) -> bool:
            self.waits.append(seconds)
            return False

        return Pace(place, wait=wait, **more)

    @contextmanager
    def quarantine(self, token: str = BOT, admin: str = ADMIN, **options: Any) -> Iterator[SlackQuarantine]:
        speaker = self.actor(token)
        found = SlackQuarantine(Tokens(speaker, self.actor(admin) if admin else speaker), **options)
        try:
            yield found
        finally:
            found.close()

    @contextmanager
    def notifier(self, token: str = BOT, **options: Any) -> Iterator[SlackNotifier]:
        found = SlackNotifier(self.actor(token), **options)
        try:
            yield found
        finally:
            found.close()

    @property
    def effects(self) -> dict[str, int]:
        """How often something was really changed, by method."""
        return {method: number for method, number in self.server.effects.items() if number}


def place_of(record: Record, file: str = "") -> Place:
    return Place(
        source="acme",
        platform="slack",
        unit=record.unit,
        record=record.id,
        uri=record.uri,
        path=record.path,
        route=(Step("file", file),) if file else (Step("field", "text"),),
        container=record.container,
        author=record.author,
        author_id=record.author_id,
    )
