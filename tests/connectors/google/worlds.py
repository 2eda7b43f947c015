"""The units that the contract is held to: for each, how to fill it, and what can happen in it."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any, Protocol

from keysentry.connectors.base import Delivery
from keysentry.connectors.google.source import GoogleSource
from keysentry.model.cursor import Cursor
from keysentry.model.record import Unit
from tests.connectors.google.conftest import ANN
from tests.servers.google import GoogleServer
from tests.servers.google_sheets import text

FOLDER = "application/vnd.google-apps.folder"
SHEET = "application/vnd.google-apps.spreadsheet"


class World(Protocol):
    """One unit with things in it. `add`, `edit` and `delete` answer with the id of the record that they concern."""

    unit: str
    options: dict[str, Any]
    listing: str
    changes: str

    def __init__(self, google: GoogleServer) -> None: ...
    def add(self, words: str) -> str: ...
    def edit(self, id: str, words: str) -> None: ...
    def delete(self, id: str) -> None: ...


class MyDrive:
    """A user's own files."""

    unit = f"my:{ANN}"
    options: dict[str, Any] = {"shared_drives": False}
    listing, changes = "drive.files.list", "drive.changes.list"
    place: dict[str, Any] = {"owner": ANN}

    def __init__(self, google: GoogleServer) -> None:
        self._drive = google.drive

    def add(self, words: str) -> str:
        return f"{self.unit}/{self._drive.add(f'{words}.txt', words.encode(), **self.place)}"

    def edit(self, id: str, words: str) -> None:
        self._drive.edit(id.rpartition("/")[2], words.encode())

    def delete(self, id: str) -> None:
        self._drive.remove(id.rpartition("/")[2])


class SharedDrive(MyDrive):
    """The files of a shared drive."""

    unit = "shared:0Shared"
    options: dict[str, Any] = {"drive": False}
    place: dict[str, Any] = {"drive": "0Shared"}

    def __init__(self, google: GoogleServer) -> None:
        super().__init__(google)
        self._drive.shared("0Shared", "Projects", ANN)


class Folder(MyDrive):
    """What is below a folder, some of it in folders of its own."""

    unit = "folder:top"
    options: dict[str, Any] = {"folders": ("top",)}

    def __init__(self, google: GoogleServer) -> None:
        super().__init__(google)
        self._drive.add("Top", owner=ANN, kind=FOLDER, id="top")
        self._drive.add("Inner", owner=ANN, kind=FOLDER, id="inner", parent="top")
        self._drive.add("Innermost", owner=ANN, kind=FOLDER, id="innermost", parent="inner")
        self._count = 0

    def add(self, words: str) -> str:
        self._count += 1
        parent = ("top", "inner", "innermost")[self._count % 3]
        return f"{self.unit}/{self._drive.add(f'{words}.txt', words.encode(), owner=ANN, parent=parent)}"


class Spreadsheets(MyDrive):
    """Spreadsheets, cell by cell."""

    def __init__(self, google: GoogleServer) -> None:
        super().__init__(google)
        self._sheets = google.sheets

    def add(self, words: str) -> str:
        id = self._drive.add(words, kind=SHEET, owner=ANN)
        self._sheets.add(id, "Sheet 1", {(0, 0): text("Password"), (6, 1): text(words)})
        return f"{self.unit}/{id}"

    def edit(self, id: str, words: str) -> None:
        self._sheets.books[id.rpartition("/")[2]][0]["cells"][6, 1] = text(words)
        self._drive.edit(id.rpartition("/")[2])


class Mailbox:
    """A mailbox. Mails are not edited: one that is taken out of the trash comes again."""

    unit = f"mail:{ANN}"
    options: dict[str, Any] = {"drive": False, "shared_drives": False, "gmail": True}
    listing, changes = "gmail.users.messages.list", "gmail.users.history.list"

    def __init__(self, google: GoogleServer) -> None:
        self._gmail = google.gmail

    def add(self, words: str) -> str:
        return f"{self.unit}/{self._gmail.receive(ANN, mail(words))}"

    def edit(self, id: str, words: str) -> None:
        self._gmail.label(ANN, id.rpartition("/")[2], add=("TRASH",))
        self._gmail.label(ANN, id.rpartition("/")[2], remove=("TRASH",))
        self._gmail.together(ANN, 2)
        box = self._gmail.box(ANN)
        del box.history[-1]["labelsAdded"]

    def delete(self, id: str) -> None:
        self._gmail.delete(ANN, id.rpartition("/")[2])


class ChatSpace:
    """A space of Google Chat."""

    unit = "space:spaces/AAA"
    options: dict[str, Any] = {"drive": False, "shared_drives": False, "chat": True}
    listing, changes = "chat.spaces.messages.list", "chat.spaces.spaceEvents.list"

    def __init__(self, google: GoogleServer) -> None:
        self._chat = google.chat
        self._space = self._chat.space("AAA", "Operations", ANN)

    def add(self, words: str) -> str:
        return self._chat.post(self._space, words)

    def edit(self, id: str, words: str) -> None:
        self._chat.edit(id, words)

    def delete(self, id: str) -> None:
        self._chat.delete(id)


WORLDS: tuple[type[World], ...] = (MyDrive, SharedDrive, Folder, Spreadsheets, Mailbox, ChatSpace)


def mail(words: str, sender: str = "Bob <bob@corp.example>", to: str = ANN) -> EmailMessage:
    """A mail of one sentence."""
    message = EmailMessage()
    message["Subject"] = "About something"
    message["From"] = sender
    message["To"] = to
    message.set_content(words)
    return message


def unit_of(source: GoogleSource, id: str) -> Unit:
    """A unit by its id."""
    return next(one for one in source.units() if isinstance(one, Unit) and one.id == id)


def told(delivery: Delivery) -> tuple[Any, ...]:
    """All that a delivery says, but for its cursor, contents read to their end."""
    record = delivery.record
    if record is None:
        return (None, delivery.skipped)
    parts = tuple(
        (part.name, part.route, part.segment, part.content, b"".join(part.open()) if part.open else b"")
        for part in record.parts
    )
    rest = (record.author, record.author_id, record.time, record.container, record.uri, record.exposure)
    return (record.id, record.deleted, parts, rest, delivery.skipped)


def read(source: GoogleSource, unit: Unit, cursor: Cursor | None = None) -> list[Delivery]:
    """All deliveries."""
    return list(source.records(unit, cursor))


def said(deliveries: list[Delivery]) -> list[str]:
    """The ids of the records, with a minus before those that were deleted."""
    return [f"{'-' * one.record.deleted}{one.record.id}" for one in deliveries if one.record is not None]
