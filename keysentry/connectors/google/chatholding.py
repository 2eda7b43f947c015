"""Messages of Google Chat: changed into the placeholder by their author, or deleted by who may, and put back.

Ways of a hold. `replaced`: somebody whom we act for wrote the message; it is changed into the placeholder, and its
thread, time and reactions stay. `deleted`: it was somebody else; it is deleted by its author's or a space manager's
right, and a placeholder is written in the thread (in the space, if it began one), which a release makes say again what
the message said.

What Chat allows (https://developers.google.com/workspace/chat/delete-messages,
https://developers.google.com/workspace/chat/update-messages): users change only what they wrote, and delete that and,
as managers of a space, what others wrote; an app changes and deletes only what it wrote. There is no administrator's
access to messages (`useAdminAccess` is one of spaces and members). A message with replies is not deleted without them.

Invariants. A placeholder that is a message of its own has a name that is made of the held one's (`messageId`), so that
it is written once and found again; it is written before anything is deleted. One that replaces a message ends in a line
with the hold's mark. A message is touched only in the state that was looked at; Chat has no conditional calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.address import Address, shown
from keysentry.connectors.google.chatmessage import read
from keysentry.connectors.google.failures import Denied
from keysentry.connectors.google.fields import Fields, flag, text, thing, things
from keysentry.connectors.google.sealed import SealedMessage, Undo, digest, seal, undo_of
from keysentry.connectors.google.traces import Traces
from keysentry.errors import AccessError, ChangedError, GoneError, InputError, SourceError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

_MAY_DELETE: Final = (
    "act for the author of the message (`users`), or for a manager of the space (`manager`) whom the space lets delete "
    "what others wrote"
)
_REPLIES: Final = "it has replies, which Chat would delete with it"
_REPLIES_ADVICE: Final = "act for its author (`users`), who can change it, or have it taken away by hand"
_MAY_WRITE: Final = "let a user who is acted for be a member of the space"
_NOTES: Final = {
    "replaced": "the message was changed into a placeholder, by its author's right",
    "deleted": "the message was deleted; a placeholder stands in the thread, or in the space",
}
_BACK: Final = {
    "replaced": "the message has its own words again; Chat shows that it was edited",
    "deleted": (
        "a message that names the author and the time says again what the message said; Chat lets nobody write in "
        "another's name or at an earlier time, and its link, its reactions and what quoted it are gone"
    ),
}


class ChatHolding:
    """Holds and releases messages."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._people: dict[str, str] = {}

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, where: Address, secrets: Sequence[Sensitive]) -> Original:
        """The message's words. Raises `InputError` for one whose files would be lost."""
        name = shown(place)
        user, message = self._found(where.id, name)
        traces = Traces(secrets)
        if _is_marked(message, where.mark()):
            raise ChangedError("the message is held already", place=name)
        parts, _ = read(self._actor, user, message, 0, drive=False)
        said = [part.segment.text.decode("utf-8", "replace") for part in parts if part.segment is not None]
        worded = bool(traces.seen(*said, "\n".join(said), text(message, "formattedText")))
        files = [one for one in things(message, "attachment") if thing(one, "attachmentDataRef")]
        edited = bool(text(message, "lastUpdateTime"))
        if not worded and edited:
            raise ChangedError("it was edited, and the secret is not in it any more", place=name)
        in_file = bool(files) and (not worded or _from_file(place))
        writer = self._writer(message, place)
        if in_file or (files and writer is None):
            raise InputError(
                "it has uploaded files, which Chat does not give back once they are deleted",
                place=name,
                advice="let its author take the file away, and release or close the incident then",
            )
        reply = flag(message, "threadReply")
        if writer is None and not reply and self._has_replies(user, message):
            raise InputError(_REPLIES, place=name, advice=_REPLIES_ADVICE)
        sealed = SealedMessage(
            name=where.id,
            mark=where.mark(),
            user=user,
            writer=writer,
            author=place.author or text(message, "sender", "displayName") or text(message, "sender", "name"),
            created=text(message, "createTime"),
            thread=text(message, "thread", "name") if reply else "",
            text=text(message, "text"),
            said=text(message, "text") or "\n".join(said),
            losses=_losses(message),
        )
        return seal(sealed, _version(message), f"message of {sealed.created} in {place.container or _space(where.id)}")

    def _found(self, name: str, shown: str) -> tuple[str, Fields]:
        """A message, and the first user who sees it."""
        for user in self._actor.responsible():
            try:
                message = self._message(user, name)
            except Denied:
                continue
            if message is not None:
                return user, message
        raise GoneError("the message is not there any more, or none of the users is in the space", place=shown)

    def _message(self, user: str, name: str) -> Fields | None:
        found = self._actor.look("chat", user, "spaces.messages.get", name=name)
        return None if found is None or text(found, "deleteTime") else found

    def _has_replies(self, user: str, message: Fields) -> bool:
        """Whether others stand in the thread that a message began."""
        thread = text(message, "thread", "name")
        if not thread:
            return False
        told = self._actor.call(
            "chat",
            user,
            "spaces.messages.list",
            parent=_space(text(message, "name")),
            filter=f"thread.name = {thread}",
            pageSize=2,
            fields="messages(name)",
        )
        return any(text(one, "name") != text(message, "name") for one in things(told, "messages"))

    def _writer(self, message: Fields, place: Place) -> str | None:
        """The user of ours who wrote a message; None if it was somebody else."""
        sender = thing(message, "sender")
        if text(sender, "type") == "BOT":
            return None
        for address in (text(sender, "email"), place.author_id):
            if "@" in address and self._actor.known(address):
                return address.lower()
        space = _space(text(message, "name"))
        for user in self._actor.users:
            if user and self._person(user, space) == text(sender, "name"):
                return user
        return None

    def _person(self, user: str, space: str) -> str:
        """What Chat calls a user of ours (`users/1`), asked once of each who is a member of the space."""
        if user not in self._people:
            try:
                told = self._actor.look("chat", user, "spaces.members.get", name=f"{space}/members/{user}")
            except Denied:
                told = None
            found = text(told, "member", "name")
            if not found:
                return ""
            self._people[user] = found
        return self._people[user]

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(
        self, place: Place, sealed: SealedMessage, original: Original, secrets: Sequence[Sensitive], placeholder: str
    ) -> Receipt:
        """Replace the message, or delete it."""
        name = shown(place)
        message, standing = self._now(sealed)
        if message is None and standing is None:
            raise GoneError("the message is not there any more", place=name)
        if message is not None and not _is_marked(message, sealed.mark):
            if _version(message) != original.version:
                raise ChangedError("the message was edited since it was looked at", place=name)
            if sealed.writer is not None:
                self._patch(sealed.writer, sealed.name, _marked(placeholder, sealed.mark), name)
            else:
                self._set_aside(sealed, standing, placeholder, name)
        return self._held(sealed, secrets, name)

    def _now(self, sealed: SealedMessage) -> tuple[Fields | None, Fields | None]:
        """The message, and the placeholder that is a message of its own, as far as they are there."""
        message = self._message(sealed.user, sealed.name)
        return message, None if sealed.writer is not None else self._message(sealed.user, _standing(sealed))

    def _patch(self, user: str, message: str, said: str, name: str) -> None:
        def done() -> bool:
            return text(self._message(user, message), "text") == said

        self._actor.change(
            "chat",
            user,
            "spaces.messages.patch",
            done,
            advice=_MAY_DELETE,
            name=message,
            updateMask="text",
            body={"text": said},
        )

    def _set_aside(self, sealed: SealedMessage, standing: Fields | None, placeholder: str, name: str) -> None:
        """Write the placeholder, and delete the message."""
        if standing is None:
            self._write(sealed, _standing(sealed), placeholder)
        try:
            self._delete(sealed)
        except (AccessError, InputError):
            self._take_back(sealed)
            raise

    def _write(self, sealed: SealedMessage, standing: str, said: str) -> None:
        """Write a message under a name of ours, once."""
        body: Fields = {"text": said}
        if sealed.thread:
            body["thread"] = {"name": sealed.thread}
        try:
            self._actor.change(
                "chat",
                sealed.user,
                "spaces.messages.create",
                lambda: self._message(sealed.user, standing) is not None,
                advice=_MAY_WRITE,
                parent=_space(sealed.name),
                messageId=standing.rpartition("/")[2],
                messageReplyOption="REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD",
                body=body,
            )
        except InputError:  # the name is taken: by an attempt before this one
            if self._message(sealed.user, standing) is None:
                raise

    def _delete(self, sealed: SealedMessage) -> None:
        """Delete the message, by the first user who may."""
        refused: AccessError | None = None
        for user in self._actor.responsible():
            try:
                self._remove(user, sealed.name)
                return
            except GoneError:
                if self._message(sealed.user, sealed.name) is None:
                    return
            except AccessError as error:
                refused = refused or error
        raise AccessError(
            "none of the users may delete the message of another", place=sealed.name, advice=_MAY_DELETE
        ) from refused

    def _remove(self, user: str, name: str) -> None:
        try:
            self._actor.change(
                "chat",
                user,
                "spaces.messages.delete",
                lambda: self._message(user, name) is None,
                advice=_MAY_DELETE,
                name=name,
            )
        except InputError:
            raise InputError(_REPLIES, place=name, advice=_REPLIES_ADVICE) from None

    def _take_back(self, sealed: SealedMessage) -> None:
        """Delete a placeholder of which nothing came."""
        standing = self._message(sealed.user, _standing(sealed))
        if standing is not None:
            self._remove(sealed.user, _standing(sealed))

    # -- what came of it --------------------------------------------------------------------------------------------

    def held(self, place: Place, sealed: SealedMessage, original: Original, placeholder: str) -> Receipt | None:
        """The receipt; a message whose placeholder stands is deleted first, unless it was edited: then the placeholder
        is taken back, and nothing was touched.
        """
        name = shown(place)
        message, standing = self._now(sealed)
        if sealed.writer is not None:
            return self._held(sealed, (), name) if message is not None and _is_marked(message, sealed.mark) else None
        if standing is None:
            return None
        if message is not None:
            if _version(message) != original.version:
                self._take_back(sealed)
                return None
            self._set_aside(sealed, standing, placeholder, name)
        return self._held(sealed, (), name)

    def _held(self, sealed: SealedMessage, secrets: Sequence[Sensitive], name: str) -> Receipt:
        """The receipt, once it is to be seen. Raises `SourceError`."""
        message, standing = self._now(sealed)
        way = "replaced" if sealed.writer is not None else "deleted"
        there = message if way == "replaced" else standing
        if there is None:
            raise SourceError("Chat does not show the placeholder yet", place=name)
        if way == "deleted" and message is not None:
            raise SourceError("Chat still shows the message", place=name)
        if Traces(secrets).seen(text(there, "text"), text(there, "formattedText")):
            raise SourceError("the secret still is in the message", place=name)
        note = _NOTES[way]
        if way == "deleted" and sealed.losses:
            note += f"; lost with it: {', '.join(sealed.losses)}"
        standing_name = sealed.name if way == "replaced" else text(there, "name")
        evidence = {"way": way, "message": sealed.name, "placeholder": standing_name}
        undo = Undo(way, sealed.writer or sealed.user, standing_name)
        return Receipt(outcome="done", note=note, evidence=evidence, undo=msgspec.json.encode(undo))

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, sealed: SealedMessage, original: Original, receipt: Receipt) -> Receipt:
        """Let the placeholder say what the message said."""
        name, undo = shown(place), undo_of(receipt)
        said = sealed.text if undo.way == "replaced" else _quoted(sealed)
        standing = self._message(undo.user, undo.standing)
        if standing is None and undo.way == "deleted":
            self._write(sealed, _standing(sealed, "back"), said)
        elif standing is None:
            raise GoneError("the message was deleted while it was held", place=name)
        elif text(standing, "text") != said:
            if undo.way == "replaced" and not _is_marked(standing, sealed.mark):
                raise ChangedError("what stood in its place was changed by somebody else", place=name)
            self._patch(undo.user, undo.standing, said, name)
        done = self.released(place, sealed, original, receipt)
        if done is None:
            raise SourceError("Chat does not show yet what was put back", place=name)
        return done

    def released(self, place: Place, sealed: SealedMessage, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if the words are back."""
        undo = undo_of(receipt)
        said = sealed.text if undo.way == "replaced" else _quoted(sealed)
        names = [undo.standing] if undo.way == "replaced" else [undo.standing, _standing(sealed, "back")]
        for one in names:
            message = self._message(undo.user, one)
            if message is not None and text(message, "text") == said:
                note = _BACK[undo.way]
                if undo.way == "deleted" and sealed.losses:
                    note += f"; not restored: {', '.join(sealed.losses)}"
                evidence = {"way": undo.way, "message": text(message, "name"), "record": text(message, "name")}
                return Receipt(outcome="done", note=note, evidence=evidence)
        return None


def _space(name: str) -> str:
    return name.partition("/messages/")[0]


def _standing(sealed: SealedMessage, kind: str = "held") -> str:
    """The name of a message of ours: at most 63 small letters, digits and hyphens after `client-`."""
    return f"{_space(sealed.name)}/messages/client-keysentry-{kind}-{sealed.mark}"


def _marked(placeholder: str, mark: str) -> str:
    return f"{placeholder}\n{_line(mark)}"


def _line(mark: str) -> str:
    return f"(held: {mark[:16]})"


def _is_marked(message: Fields, mark: str) -> bool:
    return text(message, "text").endswith(_line(mark))


def _quoted(sealed: SealedMessage) -> str:
    moment = sealed.created[:16].replace("T", " ")
    return f"{sealed.author} wrote on {moment} UTC:\n{sealed.said}"


def _version(message: Fields) -> str:
    """Names the state of a message: when it was last edited, and a digest of what it says."""
    kept = ("text", "formattedText", "cardsV2", "cards", "accessoryWidgets", "fallbackText")
    says = [message.get(key) for key in kept]
    files = [text(one, "name") for one in things(message, "attachment")]
    return f"{text(message, 'lastUpdateTime') or text(message, 'createTime')}/{digest([says, files])}"


def _losses(message: Fields) -> tuple[str, ...]:
    """What a message has that nobody but its author, or an app, could write again."""
    told: dict[str, Callable[[], bool]] = {
        "its cards, of which only the words stay": lambda: bool(things(message, "cardsV2") or things(message, "cards")),
        "the quoted message": lambda: bool(thing(message, "quotedMessageMetadata")),
        "its files of Drive": lambda: any(thing(one, "driveDataRef") for one in things(message, "attachment")),
        "its pictures": lambda: bool(things(message, "attachedGifs")),
    }
    return tuple(words for words, there in told.items() if there())


def _from_file(place: Place) -> bool:
    return bool(place.route) and place.route[0].kind == "file"
