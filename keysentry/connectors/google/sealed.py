"""Things as they were before they were touched: what is sealed of each kind, and what a hold leaves."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from keysentry.errors import InputError
from keysentry.model.action import Original, Receipt

Fields = dict[str, Any]


class SealedFile(msgspec.Struct, frozen=True, tag="file"):
    """A file of Drive: whose it is and in which shared drive, where it lay, and who could read it.

    `permissions` are those given to the file itself; `move` says that it must go from where it lies, because it
    inherits others there, or is to be moved anyway. `user` is whom we act for, `mark` names the hold.
    """

    user: str
    id: str
    mark: str
    parents: tuple[str, ...]
    permissions: tuple[Fields, ...]
    drive: str = ""
    move: bool = False


class Cell(msgspec.Struct, frozen=True):
    """A cell, as the user entered it: `value` (a string, a number, a formula), `note`, `runs` and `chips` of rich text,
    `link` of the whole cell.

    `valued`, `noted` and `linked` say where in it a secret is.
    """

    sheet: int
    row: int
    column: int
    value: Fields
    note: str = ""
    runs: tuple[Fields, ...] = ()
    chips: tuple[Fields, ...] = ()
    link: str = ""
    valued: bool = True
    noted: bool = False
    linked: bool = False


class SealedCells(msgspec.Struct, frozen=True, tag="cells"):
    """Cells of a spreadsheet. `shown` are cells (sheet, row, column) that only show what is in others."""

    user: str
    id: str
    mark: str
    cells: tuple[Cell, ...]
    shown: tuple[tuple[int, int, int], ...] = ()


class SealedMail(msgspec.Struct, frozen=True, tag="mail"):
    """A mail: its labels."""

    user: str
    id: str
    labels: tuple[str, ...]


class SealedMessage(msgspec.Struct, frozen=True, tag="message"):
    """A message of Chat. `writer` is the user of ours who wrote it (None: somebody else), `author` what people call the
    author, `said` all of its words, of which `text` is the message's own.
    """

    name: str
    mark: str
    user: str
    writer: str | None
    author: str
    created: str
    thread: str
    text: str
    said: str
    losses: tuple[str, ...] = ()


Sealed = SealedFile | SealedCells | SealedMail | SealedMessage


_DECODER: msgspec.msgpack.Decoder[Sealed] = msgspec.msgpack.Decoder(Sealed)


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a hold left: the way in which it was done, who did it, and what stands in the place."""

    way: str
    user: str = ""
    standing: str = ""


def seal(sealed: Sealed, version: str, note: str) -> Original:
    """What is kept of a thing."""
    return Original(content=msgspec.msgpack.encode(sealed), version=version, note=note)


def unseal(original: Original) -> Sealed:
    """The thing again. Raises `InputError`."""
    try:
        return _DECODER.decode(original.content)
    except msgspec.DecodeError:
        raise InputError("what was sealed is no thing of Google Workspace") from None


def undo_of(receipt: Receipt) -> Undo:
    """What a hold left. Raises `InputError`."""
    try:
        return msgspec.json.decode(receipt.undo, type=Undo)
    except msgspec.DecodeError:
        raise InputError("the receipt is none of a hold in Google Workspace") from None


def digest(value: object) -> str:
    """Names a value of JSON: 128 bits in hex."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
