"""Things of Microsoft 365 as they were before they were touched: what is sealed of each, and what a hold leaves."""

from __future__ import annotations

import hashlib

import msgspec

from keysentry.connectors.microsoft.acting import Fields
from keysentry.errors import InputError
from keysentry.model.action import Original, Receipt


class SealedMessage(msgspec.Struct, frozen=True, tag="message"):
    """A message of Teams as Graph gave it; `violation` is what another app said of it (None: nothing)."""

    record: str
    message: Fields
    violation: Fields | None = None


class SealedFile(msgspec.Struct, frozen=True, tag="file"):
    """A file's description, and the rights that it has of its own: not those that it has from its folder."""

    record: str
    drive: str
    item: Fields
    rights: tuple[Fields, ...] = ()


class SealedMail(msgspec.Struct, frozen=True, tag="mail"):
    """A mail's immutable id, and the folder that it is in."""

    record: str
    user: str
    id: str
    folder: str


Sealed = SealedMessage | SealedFile | SealedMail


class Undo(msgspec.Struct, frozen=True):
    """What a hold left: in which way it was done, where the thing is now (an id), and the id of its folder."""

    way: str
    standing: str = ""
    folder: str = ""


def seal(sealed: Sealed, version: str, note: str) -> Original:
    """What is kept of a thing."""
    return Original(content=msgspec.msgpack.encode(sealed), version=version, note=note)


def unseal(original: Original) -> Sealed:
    """The thing again. Raises `InputError`."""
    try:
        sealed: Sealed = msgspec.msgpack.decode(original.content, type=Sealed)
    except msgspec.DecodeError:
        raise InputError("what was sealed is nothing of Microsoft 365") from None
    return sealed


def undo_of(receipt: Receipt) -> Undo:
    """What a hold left. Raises `InputError`."""
    try:
        return msgspec.json.decode(receipt.undo, type=Undo)
    except msgspec.DecodeError:
        raise InputError("the receipt is none of a hold in Microsoft 365") from None


def as_undo(undo: Undo) -> bytes:
    """It, as a receipt keeps it."""
    return msgspec.json.encode(undo)


def digest(value: object) -> str:
    """Names a value of JSON without telling it."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
