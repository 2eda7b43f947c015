"""The tokens that a quarantine acts with, and what each is used for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, NamedTuple, TypeVar

from keysentry.connectors.slack.acting import Actor, Mark, marked
from keysentry.connectors.slack.address import Address
from keysentry.connectors.slack.client import Fields
from keysentry.connectors.slack.sealed import SealedMessage
from keysentry.errors import AccessError, GoneError

T = TypeVar("T")

_HELD: Final = "keysentry_hold"
_BACK: Final = "keysentry_release"


class Marks(NamedTuple):
    """What stands in the place of a held message, and what was put back there."""

    held: Mark
    back: Mark


def held_mark(address: Address) -> Mark:
    """The mark of what stands in the place of a message that is held."""
    return Mark(_HELD, address.digest)


def marks_of(sealed: SealedMessage) -> Marks:
    """The marks of a message that is held, and released."""
    return Marks(held_mark(sealed.address), Mark(_BACK, sealed.address.digest))


class Found(NamedTuple):
    """How a held message stands now: itself if it is there, and what we wrote in its place, which may be the same."""

    message: Fields | None
    standing: Fields | None


class Tokens:
    """`speaker` writes, and changes what it wrote; `admin` deletes what others wrote. They may be the same."""

    def __init__(self, speaker: Actor, admin: Actor) -> None:
        self.speaker = speaker
        self.admin = admin
        self.all = (speaker,) if speaker is admin else (speaker, admin)

    def reading(self, look: Callable[[Actor], T]) -> T:
        """What a look gives, by the first token that may take it: a bot sees less than a person, or other places."""
        for actor in self.all[:-1]:
            try:
                return look(actor)
            except (AccessError, GoneError):
                continue
        return look(self.all[-1])

    def owner(self, message: Fields) -> Actor | None:
        """Whose message it is, if it is one of ours."""
        return next((actor for actor in self.all if actor.who().wrote(message)), None)

    def message(self, channel: str, ts: str) -> Fields | None:
        """A message with its metadata; None if it is not there any more."""
        return self.reading(lambda actor: actor.message(channel, ts))

    def found(self, sealed: SealedMessage, marks: Collection[Mark]) -> Found:
        """How a message stands now, and what we wrote in its place with one of some marks."""
        where = sealed.address
        message = self.message(*where)
        if message is not None and self.owner(message) and any(mark.on(message) for mark in marks):
            return Found(message, message)
        for thread in _threads(sealed, message):
            standing = self.written(sealed, thread, marks)
            if standing is not None:
                return Found(message, standing)
        return Found(message, None)

    def written(self, sealed: SealedMessage, thread: str, marks: Collection[Mark]) -> Fields | None:
        """The message that we wrote since a message was looked at and that carries one of some marks: in a thread, or
        in the conversation.
        """
        who = self.speaker.who()
        return self.reading(lambda actor: marked(actor.since(sealed.channel, sealed.after, thread), who, marks))

    def close(self) -> None:
        """Whatever waits raises `ClosedError`."""
        for actor in self.all:
            actor.close()


def _threads(sealed: SealedMessage, message: Fields | None) -> tuple[str, ...]:
    """Where what we wrote may be: in the thread of the message, or (empty) in the conversation; the likelier first."""
    if sealed.thread and sealed.thread != sealed.ts:
        return (sealed.thread,)
    if sealed.thread or not sealed.worded:
        return (sealed.ts, "")
    if message is not None and not message.get("reply_count"):
        return ("",)  # nobody has answered it, we neither
    return ("", sealed.ts)
