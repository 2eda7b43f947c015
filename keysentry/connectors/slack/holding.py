"""A quarantine in Slack: messages replaced or deleted, files deleted, and all of it put back.

Ways of a hold. `replaced`: a message of a token's owner is changed into the placeholder; its `ts`, its thread and its
reactions stay. `deleted`: anybody else's message is deleted, by a token that may; the placeholder is a message of its
own, in the same thread, or in the conversation if there is none. `files`: only files of a message hold a secret; they
are deleted, and the placeholder is a reply to the message.

Invariants.

- A placeholder carries a mark (`acting.Mark`) that names the held message. It is written before anything is deleted,
  and files are deleted last. So a hold that was interrupted is recognised, and carried to its end: nothing is posted
  twice, and what is deleted was sealed.
- Placeholders are not deleted by a release but become what is put back. So that can be done again as well.
- A message is touched only in the state that `inspect` saw (`sealed.version`). Slack has no conditional calls: an edit
  within the moment between the look and the call is not noticed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from keysentry.connectors.slack import wording
from keysentry.connectors.slack.acting import Actor, MissingError, NoUpdateError
from keysentry.connectors.slack.address import Address, address
from keysentry.connectors.slack.attached import Search
from keysentry.connectors.slack.client import Fields
from keysentry.connectors.slack.presence import Traces
from keysentry.connectors.slack.putback import PutBack
from keysentry.connectors.slack.sealed import SealedMessage, Undo, same_files, seal, unseal, version
from keysentry.connectors.slack.tokens import Found, Tokens, held_mark
from keysentry.errors import AccessError, ChangedError, GoneError, SourceError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

_NOTES: Final = {
    "replaced": "the message was changed into a placeholder",
    "deleted": "the message was deleted; a placeholder stands in its place",
    "files": "the message stays; a reply tells that files were taken away",
}


class SlackQuarantine:
    """Holds and releases messages of one workspace."""

    def __init__(self, tokens: Tokens, *, mode: str = "auto", max_file: int = 32 << 20) -> None:
        """`mode` and `max_file` as in the options."""
        self._tokens = tokens
        self._mode = mode
        self._max_file = max_file
        self._put_back = PutBack(tokens)

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        """The message with what it needs to be put back. Raises as `Quarantine.inspect` does."""
        where = address(place)
        return self._tokens.reading(lambda actor: self._inspected(actor, place, where, secrets))

    def _inspected(self, actor: Actor, place: Place, where: Address, secrets: Sequence[Sensitive]) -> Original:
        message = actor.message(*where)
        name = _name(place)
        if message is None:
            raise GoneError("the message is not there any more", place=name)
        if self._tokens.owner(message) and held_mark(where).on(message):
            raise ChangedError("the message is held already", place=name)
        held = Search(actor, place, secrets, self._max_file).held(message)
        sealed = SealedMessage(
            channel=where.channel,
            ts=where.ts,
            message=message,
            author=place.author or str(message.get("username") or message.get("user") or "somebody"),
            worded=held.worded,
            after=actor.latest(where.channel),
            files=held.files,
        )
        return seal(sealed, place.container)

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        """Take the message, or its files, out of readers' hands. Raises as `Quarantine.hold` does."""
        sealed = unseal(original)
        found = self._look(sealed)
        way = self._way(sealed, original, found, place)
        if way == "replaced" and found.standing is None:
            way = self._replace(sealed, found, placeholder)
        if way != "replaced":
            self._set_aside(sealed, found, way, placeholder)
        try:
            self._delete_files(sealed)
        except AccessError:
            if way == "files" and all(self._there(file.id) for file in sealed.files):
                self._take_back(sealed)
            raise
        return self._read_back(sealed, secrets)

    def _way(self, sealed: SealedMessage, original: Original, found: Found, place: Place) -> str:
        """In which way it is to be held, or was begun to be. Raises `GoneError`, `ChangedError`, `AccessError`."""
        message, standing = found
        if message is not None and message is standing:
            return "replaced"
        if message is None and standing is None:
            raise GoneError("the message is not there any more", place=_name(place))
        if message is not None and (version(message) != original.version or not same_files(sealed.message, message)):
            raise ChangedError("the message was edited since it was looked at", place=_name(place))
        if not sealed.worded:
            return "files"
        if message is None or standing is not None or self._mode == "delete":
            return "deleted"
        if self._tokens.owner(message) is not None:
            return "replaced"
        if self._mode == "replace":
            raise AccessError(
                "it was not written by the owner of a token, and Slack lets nobody change what others wrote",
                place=_name(place),
                advice="set `mode` to auto or delete, with an `admin_token`",
            )
        return "deleted"

    def _replace(self, sealed: SealedMessage, found: Found, placeholder: str) -> str:
        """Change the message into the placeholder. The way in which it is to be held if that may not be done."""
        assert found.message is not None
        owner = self._tokens.owner(found.message)
        assert owner is not None
        mark = held_mark(sealed.address)
        body = wording.placeholder(placeholder, mark.block_id, rich=wording.is_rich(found.message))
        arguments = body.arguments() | {"metadata": mark.metadata("hold")}
        try:
            owner.call("chat.update", channel=sealed.channel, ts=sealed.ts, **arguments)
        except NoUpdateError:
            if self._mode == "replace":
                raise
            return "deleted"
        except MissingError:
            raise GoneError("the message is not there any more", place=sealed.address.record) from None
        return "replaced"

    def _set_aside(self, sealed: SealedMessage, found: Found, way: str, placeholder: str) -> None:
        """Write the placeholder, and delete the message if it must go."""
        remover = self._remover(found.message) if way == "deleted" and found.message is not None else None
        if found.standing is None:
            self._post(sealed, found, way, placeholder)
        if remover is None:
            return
        try:
            remover.call("chat.delete", channel=sealed.channel, ts=sealed.ts)
        except MissingError:
            return  # a try before this one had its effect, or the author was quicker
        except AccessError:
            self._take_back(sealed)
            raise

    def _take_back(self, sealed: SealedMessage) -> None:
        """Delete a placeholder of which nothing came."""
        with contextlib.suppress(SourceError):
            standing = self._look(sealed).standing
            if standing is not None:
                self._tokens.speaker.call("chat.delete", channel=sealed.channel, ts=str(standing.get("ts")))

    def _remover(self, message: Fields) -> Actor:
        """Who deletes a message. Raises `AccessError` where it is known that nobody may."""
        remover = self._tokens.owner(message) or self._tokens.admin
        if remover.who().bot and not remover.who().wrote(message):
            raise AccessError(
                "somebody else wrote the message, and a bot deletes only what it wrote itself",
                place=remover.place,
                advice="set `admin_token`: that of a workspace owner or admin, with the scope chat:write",
            )
        return remover

    def _post(self, sealed: SealedMessage, found: Found, way: str, placeholder: str) -> None:
        """Write the placeholder, once."""
        thread = _thread(sealed, found.message, way)
        mark, speaker = held_mark(sealed.address), self._tokens.speaker
        body = wording.placeholder(placeholder, mark.block_id, rich=False)
        arguments = body.arguments() | {"metadata": mark.metadata("hold"), "thread_ts": thread or None}
        speaker.settled(
            lambda: speaker.once("chat.postMessage", channel=sealed.channel, unfurl_links=False, **arguments),
            lambda: self._tokens.written(sealed, thread, (mark,)),
        )

    def _delete_files(self, sealed: SealedMessage) -> None:
        for file in sealed.files:
            if self._there(file.id):
                self._delete_file(file.id)

    def _delete_file(self, id: str) -> None:
        refused: AccessError | None = None
        for actor in dict.fromkeys((self._tokens.admin, self._tokens.speaker)):
            try:
                actor.call("files.delete", file=id)
                return
            except GoneError:
                continue  # gone, or only not to be seen by this token: it is looked for afterwards
            except AccessError as error:
                refused = error
        if refused is not None:
            raise refused

    # -- what came of it --------------------------------------------------------------------------------------------

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        """The receipt of a hold that had its effect; one that was begun is carried to its end first. None where
        nothing was touched. If the message was edited before it was deleted, the placeholder is taken back, and nothing
        was touched.
        """
        sealed = unseal(original)
        found = self._look(sealed)
        if found.standing is None:
            return None
        way = _way_of(sealed, found)
        if way == "deleted" and found.message is not None:
            if version(found.message) != original.version:
                self._take_back(sealed)
                return None
            self._set_aside(sealed, found, way, placeholder)
        self._delete_files(sealed)
        return self._read_back(sealed, ())

    def _look(self, sealed: SealedMessage) -> Found:
        return self._tokens.found(sealed, (held_mark(sealed.address),))

    def _read_back(self, sealed: SealedMessage, secrets: Sequence[Sensitive]) -> Receipt:
        """The receipt, once all of it is to be seen. Raises `SourceError`."""
        found = self._look(sealed)
        message, standing = found
        name = sealed.address.record
        if standing is None:
            raise SourceError("Slack does not show the placeholder yet", place=name)
        way = _way_of(sealed, found)
        if way == "deleted" and message is not None:
            raise SourceError("Slack still shows the message", place=name)
        if any(self._there(file.id) for file in sealed.files):
            raise SourceError("Slack still has a file of the message", place=name)
        if way == "replaced" and message is not None and Traces(secrets).in_message(message):
            raise SourceError("the secret still is in the message", place=name)
        ts = str(standing.get("ts") or "")
        evidence = {"way": way, "conversation": sealed.channel, "message": sealed.ts, "placeholder": ts}
        note = _NOTES[way]
        if sealed.files:
            evidence["files"] = ", ".join(file.id for file in sealed.files)
            note = f"{note}; files deleted: {len(sealed.files)}"
        return Receipt(outcome="done", note=note, evidence=evidence, undo=msgspec.json.encode(Undo(way, ts)))

    def _there(self, file: str) -> bool:
        """Whether a file still can be had (https://docs.slack.dev/reference/methods/files.info)."""
        try:
            told = self._tokens.reading(lambda actor: actor.call("files.info", file=file)).get("file")
        except GoneError:
            return False
        return not (isinstance(told, dict) and told.get("mode") == "tombstone")

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        """Put the message and its files back. Raises as `Quarantine.release` does."""
        return self._put_back.release(unseal(original), receipt)

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt of a release that was carried out to its end; None for one that may begin or go on."""
        return self._put_back.released(unseal(original), receipt)

    def close(self) -> None:
        """Whatever waits raises `ClosedError`."""
        self._tokens.close()


def _way_of(sealed: SealedMessage, found: Found) -> str:
    """In which way a message is held, or was begun to be, of which a placeholder stands."""
    if found.message is found.standing:
        return "replaced"
    return "deleted" if sealed.worded else "files"


def _name(place: Place) -> str:
    return place.uri or place.record


def _thread(sealed: SealedMessage, message: Fields | None, way: str) -> str:
    """The thread that a placeholder is written into; empty: into the conversation, as the message was."""
    if sealed.thread or way == "files":
        return sealed.thread or sealed.ts
    replies = message.get("reply_count") if message is not None else 0
    return sealed.ts if isinstance(replies, int) and replies > 0 else ""
