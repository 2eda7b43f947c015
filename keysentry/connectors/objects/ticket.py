"""What a hold of an object is about: which states are taken, where their copies lie, and what is left.

It is kept twice: as the content of `Original`, and beside the copies in the quarantine, so that a hold that was
interrupted can be found there, and the quarantine explains itself. It holds no content of any object.
"""

from __future__ import annotations

import hashlib

import msgspec

from keysentry.connectors.objects.holding import State
from keysentry.errors import GoneError, InputError


class Item(msgspec.Struct, frozen=True):
    """One state that is taken, and the last step of its copy's key."""

    state: State
    copy: str


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One hold. `items` are the oldest first, the scanned state is the last. `versions`: what was replaced is deleted
    for good. `left` says in words what is not taken.
    """

    id: str
    bucket: str
    mode: str
    versions: bool
    items: tuple[Item, ...]
    left: str = ""

    @property
    def top(self) -> State:
        """The state that was scanned."""
        return self.items[-1].state


class Undo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What releasing needs beside the ticket: the copies as they are, and the placeholder."""

    copies: tuple[State, ...]
    stub: State | None = None


def parsed(record: str) -> tuple[str, str, str]:
    """Bucket, key and version that the id of a record stands for (`objects.source.record_id`).

    Raises `GoneError` for an id that is none.
    """
    name, _, query = record.partition("?")
    bucket, slash, key = name.partition("/")
    if not bucket or not slash or not key:
        raise GoneError("there is no such object", place=bucket)
    key = key.replace("%3F", "?").replace("%25", "%")
    return bucket, key, query.removeprefix("version=")


def record_hash(record: str) -> str:
    """What all holds of a record begin with in the quarantine. It tells nothing of the record's name."""
    return hashlib.sha256(record.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def hold_id(record: str, state: State) -> str:
    """The id of the hold of this state of a record: the same whoever asks."""
    return f"{record_hash(record)}-{hashlib.sha256(state.name.encode()).hexdigest()[:16]}"


def encoded(ticket: Ticket | Undo) -> bytes:
    """As it is stored."""
    return msgspec.json.encode(ticket)


def ticket_of(content: bytes) -> Ticket:
    """Raises `InputError` if it is none."""
    try:
        return msgspec.json.decode(content, type=Ticket)
    except msgspec.MsgspecError:
        raise InputError("what is kept of the original is not of an object") from None


def undo_of(content: bytes) -> Undo:
    """Raises `InputError` if it is none."""
    try:
        return msgspec.json.decode(content, type=Undo)
    except msgspec.MsgspecError:
        raise InputError("the receipt is not of a hold of an object") from None
