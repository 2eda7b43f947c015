"""Google Workspace's places for the contract of quarantines: files, cells, mails and messages, each way of a hold.

Google is played by our own server (`tests/servers/google_acting.py`). Nobody can edit a mail; where the contract wants
it edited, its content is exchanged.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from keysentry.connectors.base import Quarantine
from keysentry.model.action import Place
from keysentry.model.location import Step
from tests.connectors.google.acting_bench import ANN, BOB, CAROL, Organisation
from tests.connectors.google.worlds import SHEET, mail
from tests.contract.quarantine_places import HeldPlace, World
from tests.servers.google_acting import ActingGoogle


class _Held:
    """What all places of Google have in common."""

    restores: Literal["same", "reposted"] = "same"
    options: dict[str, Any] = {}
    actor = ANN

    def __init__(self, name: str, organisation: Organisation) -> None:
        self.name = name
        self._corp = organisation
        self._numbers = itertools.count()
        self.prepare()

    def prepare(self) -> None:
        """What is there before anything is held."""

    def open(self) -> Quarantine:
        return self._corp.open(self.actor, **self.options)

    def effects(self) -> int:
        return sum(self._corp.effects.values())

    def stop(self, number: int, *, before: bool) -> AbstractContextManager[None]:
        return self._corp.server.stop(number, before=before)


class SharedFile(_Held):
    """A file of Ann's that she has shared with Bob, with the organisation and by its link."""

    def add(self, text: str) -> Place:
        id = self._corp.file(text.encode(), f"{next(self._numbers):04}.txt")
        self._corp.drive.give(id, "user", BOB, "writer")
        self._corp.drive.give(id, "domain", "corp.example", "reader")
        self._corp.drive.give(id, "anyone", role="commenter")
        return self._corp.file_place(id)

    def text(self, place: Place) -> str | None:
        file = self._corp.drive.files.get(self._id(place))
        if file is None or not self._corp.drive._sees(BOB, file):
            return None
        content = self._corp.drive.contents[file["id"]]
        assert isinstance(content, bytes)
        return content.decode()

    def edit(self, place: Place, text: str) -> None:
        self._corp.drive.edit(self._id(place), text.encode())

    def delete(self, place: Place) -> None:
        self._corp.drive.remove(self._id(place))

    def _id(self, place: Place) -> str:
        return place.record.rpartition("/")[2]


class MovedFile(SharedFile):
    """A file in a folder of Ann's that she has shared with Bob."""

    def prepare(self) -> None:
        self._corp.own_folder()
        self._folder = self._corp.folder()
        self._corp.drive.give(self._folder, "user", BOB, "reader")

    def add(self, text: str) -> Place:
        id = self._corp.file(text.encode(), f"{next(self._numbers):04}.txt", parent=self._folder)
        self._corp.drive.give(id, "anyone")
        return self._corp.file_place(id)


class DriveFile(SharedFile):
    """A file of a shared drive that Bob reads, and that was shared with others as well."""

    options = {"folder": "0Quarantine"}
    actor = CAROL

    def prepare(self) -> None:
        self._corp.shared_drives()

    def add(self, text: str) -> Place:
        id = self._corp.drive.add(f"{next(self._numbers):04}.txt", text.encode(), drive="0Projects")
        self._corp.drive.give(id, "user", "eve@else.example")
        return self._corp.file_place(id, "shared:0Projects")


class SheetCells(SharedFile):
    """A cell of a spreadsheet that Bob reads, and what follows from it in another."""

    def add(self, text: str) -> Place:
        id = self._corp.file(b"", f"Accounts {next(self._numbers)}", kind=SHEET)
        self._corp.drive.give(id, "user", BOB, "reader")
        cells: dict[tuple[int, int], dict[str, Any]] = {
            (0, 1): {"userEnteredValue": {"stringValue": "Password"}},
            (6, 1): {"userEnteredValue": {"stringValue": text}, "note": f"since May: {text}"},
            (7, 1): {"userEnteredValue": {"formulaValue": "=B7"}},
        }
        self._corp.sheets.add(id, "It's a sheet!", cells, hidden=True)
        route = (Step("file", "Accounts.xlsx"), Step("cell", "It's a sheet!!B7"))
        return self._corp.file_place(id, route=route)

    def text(self, place: Place) -> str | None:
        id = self._id(place)
        if id not in self._corp.drive.files or not self._corp.drive._sees(BOB, self._corp.drive.files[id]):
            return None
        cells = [self._corp.sheets.shown(id, 0, *at) for at in sorted(self._corp.sheets.books[id][0]["cells"])]
        return "\n".join(f"{one.get('formattedValue', '')} {one.get('note', '')}" for one in cells)

    def edit(self, place: Place, text: str) -> None:
        self._corp.sheets.enter(self._id(place), 0, 6, 1, {"userEnteredValue": {"stringValue": text}})


class MailInBox(_Held):
    """A mail in Ann's inbox."""

    def prepare(self) -> None:
        self._corp.gmail.new_label(ANN, "Quarantine")

    def add(self, text: str) -> Place:
        id = self._corp.gmail.receive(ANN, mail(text), labels=("INBOX", "UNREAD", "IMPORTANT"))
        return self._corp.place(f"mail:{ANN}", f"mail:{ANN}/{id}", (Step("field", "text/plain"),))

    def text(self, place: Place) -> str | None:
        message = self._corp.gmail.box(ANN).messages.get(place.record.rpartition("/")[2])
        if message is None or "INBOX" not in message["labelIds"]:
            return None
        body = base64.urlsafe_b64decode(message["payload"]["body"]["data"]).decode()
        return f"{body} {sorted(message['labelIds'])}"

    def edit(self, place: Place, text: str) -> None:
        box = self._corp.gmail.box(ANN)
        id = place.record.rpartition("/")[2]
        box.messages[id]["payload"] = self._corp.gmail._part(box, id, mail(text), "")

    def delete(self, place: Place) -> None:
        self._corp.gmail.delete(ANN, place.record.rpartition("/")[2])


class TrashedMail(MailInBox):
    """The same, put into the trash."""

    options = {"mail": "trash"}


class OwnMessage(_Held):
    """A message that Ann wrote, for whom we act."""

    author = ANN

    def prepare(self) -> None:
        self._space = self._corp.chat.space("AAA", "Operations", ANN, BOB, CAROL)
        self._corp.chat.managers[self._space] = {CAROL}

    def add(self, text: str) -> Place:
        name = self._corp.chat.says(self._space, self.author, text)
        return self._corp.place(f"space:{self._space}", name, (Step("field", "text"),))

    def text(self, place: Place) -> str | None:
        message = self._message(place)
        return message["text"] if "deleteTime" not in message else self._said_since(place)

    def _message(self, place: Place) -> dict[str, Any]:
        return self._corp.chat.messages[self._space][place.record]

    def _said_since(self, place: Place) -> str | None:
        names = list(self._corp.chat.messages[self._space])
        after = names[names.index(place.record) + 1 :]
        found = [self._corp.chat.messages[self._space][one] for one in after]
        ours = [one for one in found if one["sender"]["name"] == self._corp.chat.person(self.actor)]
        return "\n".join(one["text"] for one in ours if "deleteTime" not in one) if ours else None

    def edit(self, place: Place, text: str) -> None:
        self._corp.chat.edit(place.record, text)

    def delete(self, place: Place) -> None:
        self._corp.chat.delete(place.record)


class OthersMessage(OwnMessage):
    """A message that Bob wrote, in a space that Carol manages, for whom we act."""

    restores: Literal["same", "reposted"] = "reposted"
    author, actor = BOB, CAROL


def _world(name: str, make: Callable[[str, Organisation], HeldPlace]) -> World:
    @contextmanager
    def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[HeldPlace]:
        with ActingGoogle() as server:
            yield make(name, Organisation(server))
            assert not server.wrong and not server.drive.mails

    return World(name, "google", opened)


WORLDS = (
    _world("google drive", SharedFile),
    _world("google drive (moved)", MovedFile),
    _world("google shared drive", DriveFile),
    _world("google sheets", SheetCells),
    _world("google gmail", MailInBox),
    _world("google gmail (trash)", TrashedMail),
    _world("google chat (own message)", OwnMessage),
    _world("google chat (others' message)", OthersMessage),
)
