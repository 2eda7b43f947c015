"""What a hold of a file is about, and the ways in which a file is held."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

import msgspec

from keysentry.connectors.files.spot import Spot, State
from keysentry.errors import ChangedError, GoneError, InputError

Step = Callable[[str], None]
"""Is told before anything is changed on the disk, and what."""


class Mask(msgspec.Struct, frozen=True, array_like=True):
    """What stood at an offset of the original content. It is (a form of) the secret: kept sealed, never on the disk."""

    at: int
    was: bytes


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One hold: of which state, in which way (`mode`), and into which folder a file is moved."""

    id: str
    mode: str
    state: State
    title: str
    folder: str = ""
    masks: tuple[Mask, ...] = ()


class Way(Protocol):
    """A way in which a file is held."""

    def hold(self, spot: Spot, ticket: Ticket, placeholder: str) -> None:
        """Do what is not done yet. Raises `GoneError` and `ChangedError` if it is not what was inspected."""
        ...

    def is_held(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """Whether all of it is done."""
        ...

    def release(self, spot: Spot, ticket: Ticket, placeholder: str) -> bool:
        """Undo what is not undone yet; whether there was anything to undo."""
        ...

    def is_released(self, spot: Spot, ticket: Ticket) -> bool:
        """Whether all of it is undone."""
        ...


def record_hash(source: str, record: str) -> str:
    """What the ids of all holds of a record begin with. It tells nothing of the record's name."""
    return hashlib.sha256(f"{source}\0{record}".encode("utf-8", "surrogatepass")).hexdigest()[:24]


def hold_id(source: str, record: str, state: State) -> str:
    """The id of the hold of this state of a record: the same whoever asks."""
    return f"{record_hash(source, record)}-{hashlib.sha256(state.name.encode()).hexdigest()[:16]}"


def ticket_of(content: bytes) -> Ticket:
    """Raises `InputError` if it is none."""
    try:
        return msgspec.json.decode(content, type=Ticket)
    except msgspec.MsgspecError:
        raise InputError("what is kept of the original is not of a file") from None


def must_be(ticket: Ticket, now: State | None) -> State:
    """What is there now, if it is what was inspected."""
    if now is None:
        raise GoneError("it is not there any more", place=ticket.title)
    if now.name != ticket.state.name:
        raise ChangedError("it was changed since it was looked at", place=ticket.title)
    return now
