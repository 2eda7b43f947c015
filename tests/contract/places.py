"""One place of each platform in which the contract of sources is tried: how to open it, and what can happen in it.

`add`, `edit` and `delete` do what a person does on the platform, by its own interface or on the server that plays it,
and answer with the id of the record that this concerns.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Protocol

from keysentry.connectors.base import Source
from keysentry.connectors.files import Options as FilesOptions
from keysentry.connectors.files import open_source as open_files
from keysentry.connectors.microsoft.source import MicrosoftSource
from keysentry.connectors.slack.source import Choice, SlackSource
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit
from tests.connectors.google.conftest import Open
from tests.connectors.google.worlds import SharedDrive, World
from tests.connectors.microsoft.world import Waits, options
from tests.connectors.objects.bench import Bench
from tests.connectors.slack.backends import Backend, open_client
from tests.servers.graph import GraphServer
from tests.servers.graph_state import Space


class Place(Protocol):
    """A unit of a platform. `deletions`: the platform tells of what was deleted. `people`: it tells who wrote."""

    deletions: bool
    people: bool
    unit: str

    def open(self) -> Source: ...
    def add(self, words: str) -> str: ...
    def edit(self, id: str, words: str) -> None: ...
    def delete(self, id: str) -> None: ...


def unit_of(source: Source, place: Place) -> Unit:
    """The place's unit, as its source lists it."""
    for one in source.units():
        if not isinstance(one, Skipped) and one.id == place.unit:
            return one
    raise AssertionError(f"{place.unit} is not listed")


class SlackChannel:
    """A channel of Slack."""

    deletions = people = True

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.unit = backend.channel()

    def open(self) -> Source:
        return SlackSource(open_client(self._backend), choice=Choice())

    def add(self, words: str) -> str:
        return f"{self.unit}/{self._backend.post(self.unit, words)}"

    def edit(self, id: str, words: str) -> None:
        self._backend.edit(self.unit, id.rpartition("/")[2], words)

    def delete(self, id: str) -> None:
        self._backend.delete(self.unit, id.rpartition("/")[2])


class TeamsChannel:
    """A channel of Teams, behind Microsoft's interface."""

    deletions = people = True

    def __init__(self, server: GraphServer) -> None:
        self._server, self._tenant = server, server.tenant
        self._ann = self._tenant.user("ann@contoso.com", "Ann")
        self._channel: Space = self._tenant.channel(self._tenant.team("Engineering", self._ann), "General")
        self._path = f"teams/team-1/channels/{self._channel.id}/messages"
        source = self.open()
        self.unit = next(one.id for one in source.units() if isinstance(one, Unit))
        source.close()

    def open(self) -> Source:
        return MicrosoftSource(options(self._server.url, teams=True), Waits().pace)

    def add(self, words: str) -> str:
        return f"{self._path}/{self._tenant.post(self._channel, words, self._ann)}"

    def edit(self, id: str, words: str) -> None:
        self._tenant.edit(self._channel, id.rpartition("/")[2], words)

    def delete(self, id: str) -> None:
        self._tenant.remove(self._channel, id.rpartition("/")[2])


class TeamsExport:
    """A chat of Teams in the list of one of its members, by the export interface."""

    deletions = people = True

    def __init__(self, server: GraphServer) -> None:
        self._server, self._tenant = server, server.tenant
        self._ann = self._tenant.user("ann@contoso.com", "Ann")
        bob = self._tenant.user("bob@contoso.com", "Bob")
        self._chat: Space = self._tenant.chat("oneOnOne", self._tenant.member(self._ann), self._tenant.member(bob))
        self.unit = f"users/{bob}/chats"

    def open(self) -> Source:
        return MicrosoftSource(options(self._server.url, chats=True, teams_export="A"), Waits().pace)

    def add(self, words: str) -> str:
        return f"chats/{self._chat.id}/messages/{self._tenant.post(self._chat, words, self._ann)}"

    def edit(self, id: str, words: str) -> None:
        self._tenant.edit(self._chat, id.rpartition("/")[2], words)

    def delete(self, id: str) -> None:
        self._tenant.remove(self._chat, id.rpartition("/")[2])


class GooglePlace:
    """One of Google's: a drive, a folder, spreadsheets, a mailbox, a chat space."""

    deletions = True

    def __init__(self, world: World, open_google: Open) -> None:
        self._world, self._open_google = world, open_google
        self.unit = world.unit
        # Our server does not say who changed a file of a shared drive last, which Google does.
        self.people = not isinstance(world, SharedDrive)

    def open(self) -> Source:
        return self._open_google(**self._world.options)

    def add(self, words: str) -> str:
        return self._world.add(words)

    def edit(self, id: str, words: str) -> None:
        self._world.edit(id, words)

    def delete(self, id: str) -> None:
        self._world.delete(id)


class Bucket:
    """A prefix of a bucket. Without notifications or versions nobody tells what was deleted, or by whom it was put."""

    deletions = people = False

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._numbers = itertools.count()
        self.unit = f"tree:{bench.bucket}/docs/"

    def open(self) -> Source:
        return self._bench.source()

    def add(self, words: str) -> str:
        key = f"docs/{next(self._numbers):04}.txt"
        self._bench.put(key, words.encode())
        return f"{self._bench.bucket}/{key}"

    def edit(self, id: str, words: str) -> None:
        self._bench.put(id.partition("/")[2], words.encode())

    def delete(self, id: str) -> None:
        self._bench.delete(id.partition("/")[2])


class DropDirectory:
    """A drop directory. Files tell no author; a file that is gone is not told of."""

    deletions = people = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self.unit = next(one.id for one in self.open().units() if isinstance(one, Unit))

    def open(self) -> Source:
        options: dict[str, Any] = {"path": str(self._folder), "drop": True, "settle": 0.0}
        return open_files(FilesOptions(name="inbox", **options))

    def add(self, words: str) -> str:
        name = f"{next(self._numbers):04}.txt"
        (self._folder / name).write_text(words)
        return name

    def edit(self, id: str, words: str) -> None:
        path = self._folder / id
        draft = self._folder / f".{id}"
        draft.write_text(words)
        draft.replace(path)

    def delete(self, id: str) -> None:
        (self._folder / id).unlink()
