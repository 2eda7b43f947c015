"""Microsoft 365's places for the contract of quarantines: messages, files (each way of a hold) and mails.

Microsoft is played by our own server (`tests/servers/graph_acting.py`). Nobody can edit a mail; where the contract
wants it edited, its body is exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from keysentry.connectors.base import Quarantine
from keysentry.model.action import Place
from tests.connectors.microsoft.acting_bench import Corp
from tests.contract.quarantine_places import HeldPlace, World
from tests.servers.graph_acting import acting_graph
from tests.servers.graph_acting_teams import blocked
from tests.servers.graph_state import Entry, Space


class _Held:
    """What all places of Microsoft 365 have in common."""

    restores: Literal["same", "reposted"] = "same"
    options: dict[str, Any] = {}

    def __init__(self, name: str, corp: Corp) -> None:
        self.name = name
        self._corp = corp
        self.prepare()

    def prepare(self) -> None:
        """What is there before anything is held."""

    def open(self) -> Quarantine:
        return self._corp.open(**self.options)

    def effects(self) -> int:
        return sum(self._corp.effects.values())

    def stop(self, number: int, *, before: bool) -> AbstractContextManager[None]:
        return self._corp.server.stop(number, before=before)

    def _id(self, place: Place) -> str:
        return place.record.rpartition("/")[2]


class ChannelMessage(_Held):
    """A message in a channel."""

    def where(self) -> Space:
        return self._corp.channel

    def add(self, text: str) -> Place:
        return self._corp.place(self._corp.tenant.post(self.where(), f"<p>{text}</p>", self._corp.ann))

    def text(self, place: Place) -> str | None:
        body = self._corp.message(self._id(place), self.where())
        return None if body["deletedDateTime"] or blocked(body) else body["body"]["content"]

    def edit(self, place: Place, text: str) -> None:
        self._corp.tenant.edit(self.where(), self._id(place), f"<p>{text}</p>")

    def delete(self, place: Place) -> None:
        self._corp.tenant.remove(self.where(), self._id(place))


class Reply(ChannelMessage):
    """A reply in a channel."""

    def prepare(self) -> None:
        self._root = self._corp.tenant.post(self._corp.channel, "so?", self._corp.bob)

    def add(self, text: str) -> Place:
        id_ = self._corp.tenant.post(self.where(), f"<p>{text}</p>", self._corp.ann, reply_to=self._root)
        return self._corp.place(id_)


class ChatMessage(ChannelMessage):
    """A message in a chat."""

    def where(self) -> Space:
        return self._corp.chat


class CopiedFile(_Held):
    """A file that Bob may write and the organisation may read, held in another drive."""

    restores: Literal["same", "reposted"] = "reposted"

    def prepare(self) -> None:
        self._corp.folder("keysentry quarantine", self._corp.vault)

    def add(self, text: str) -> Place:
        return self._corp.place(self._corp.shares(text.encode()))

    def _entry(self, place: Place) -> Entry | None:
        entry = self._corp.entry(self._id(place))
        if entry.gone and self.restores == "reposted":
            return self._corp.server.named(self._corp.drive, "root-item", entry.body["name"])
        return entry

    def text(self, place: Place) -> str | None:
        entry = self._entry(place)
        if entry is None or not self._corp.server.readable(self._corp.drive, entry.body["id"]):
            return None
        return entry.content.decode()

    def edit(self, place: Place, text: str) -> None:
        self._corp.tenant.write(self._corp.drive, self._id(place), text.encode())

    def delete(self, place: Place) -> None:
        self._corp.tenant.discard(self._corp.drive, self._id(place))


class StubbedFile(CopiedFile):
    """The same, with a text file in its place."""

    options = {"stub": True}


class MovedFile(CopiedFile):
    """The same, held in its own drive."""

    restores: Literal["same", "reposted"] = "same"
    options = {"quarantine_drive": "own"}

    def prepare(self) -> None:
        self._corp.folder("keysentry quarantine")


class MailInBox(_Held):
    """A mail in Ann's inbox."""

    restores: Literal["same", "reposted"] = "reposted"

    def prepare(self) -> None:
        self._corp.tenant.folder(self._corp.ann, "keysentry quarantine").body["isHidden"] = True
        self._mails: dict[str, Entry] = {}

    def add(self, text: str) -> Place:
        id_ = self._corp.mails(f"<p>{text}</p>")
        place = self._corp.place(id_)
        self._mails[place.record] = self._corp.inbox.entries[id_]
        return place

    def text(self, place: Place) -> str | None:
        entry = self._mails[place.record]
        away = entry.gone or self._corp.inbox.entries.get(entry.body["id"]) is not entry
        return None if away else entry.body["body"]["content"]

    def edit(self, place: Place, text: str) -> None:
        body = {"contentType": "html", "content": f"<p>{text}</p>"}
        self._corp.tenant.change_mail(self._corp.inbox, self._id(place), body=body)

    def delete(self, place: Place) -> None:
        self._corp.tenant.discard(self._corp.inbox, self._id(place))


def _world(name: str, make: Callable[[str, Corp], HeldPlace]) -> World:
    @contextmanager
    def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[HeldPlace]:
        with acting_graph() as server:
            yield make(name, Corp(server))

    return World(name, "graph acting", opened)


WORLDS = (
    _world("teams channel", ChannelMessage),
    _world("teams reply", Reply),
    _world("teams chat", ChatMessage),
    _world("onedrive (copied)", CopiedFile),
    _world("onedrive (stub)", StubbedFile),
    _world("onedrive (moved)", MovedFile),
    _world("outlook", MailInBox),
)
