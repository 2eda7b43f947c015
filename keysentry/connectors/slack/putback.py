"""Putting back what was held: a message's own words into it, or a message of ours that says what another said.

Slack has no way to write in somebody else's name at an earlier time. Where the message itself was deleted, the
placeholder becomes a message that names the author and the time; what else cannot be had back is told in the receipt.
Files are uploaded anew, into the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from keysentry.connectors.slack import wording
from keysentry.connectors.slack.acting import Actor, ContentError, MissingError
from keysentry.connectors.slack.client import CodeError, Fields
from keysentry.connectors.slack.place import micros
from keysentry.connectors.slack.sealed import SealedMessage, Undo, file_objects, read_undo, says_the_same
from keysentry.connectors.slack.tokens import Tokens, marks_of
from keysentry.connectors.slack.upload import share
from keysentry.connectors.slack.wording import Body
from keysentry.errors import ChangedError, SourceError
from keysentry.model.action import Receipt

_NOTES: Final = {
    "replaced": "the message has its own words again",
    "deleted": (
        "a message of the app that names the author and the time says again what the message said; Slack lets nobody "
        "write in another's name or at an earlier time, and the reactions, pins and link of the message are gone"
    ),
    "files": "the files are back",
}
_FILES: Final = "files were uploaded anew, by the app, as replies in the thread"
_FILES_BACK: Final = "What was taken out of this message is back, below."


class PutBack:
    """Releases messages of one workspace."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def release(self, sealed: SealedMessage, receipt: Receipt) -> Receipt:
        """Put a message and its files back. What was done before is not done again."""
        undo = read_undo(receipt)
        standing = self._standing(sealed, undo)
        if standing is None:
            standing = self._written_anew(sealed, undo)
        elif not self._is_back(sealed, undo, standing):
            if not marks_of(sealed).held.on(standing):
                raise ChangedError("what stood in its place was changed by somebody else", place=sealed.address.record)
            self._changed(sealed, undo, standing)
        thread = _thread(sealed, standing)
        for file in sealed.files:
            if not self._shown(sealed, thread, file.name, len(file.content)):
                looking = self._looking(sealed, thread, file.name, len(file.content))
                share(self._tokens.speaker, file, sealed.channel, thread, looking)
        done = self.released(sealed, receipt)
        if done is None:
            raise SourceError("Slack does not show yet what was put back", place=sealed.address.record)
        return done

    def released(self, sealed: SealedMessage, receipt: Receipt) -> Receipt | None:
        """The receipt of a release that was carried out to its end."""
        undo = read_undo(receipt)
        standing = self._standing(sealed, undo)
        if standing is None or not self._is_back(sealed, undo, standing):
            return None
        thread = _thread(sealed, standing)
        if not all(self._shown(sealed, thread, file.name, len(file.content)) for file in sealed.files):
            return None
        ts = str(standing.get("ts") or "")
        evidence = {"way": undo.way, "conversation": sealed.channel, "message": ts, "record": f"{sealed.channel}/{ts}"}
        if undo.way == "files":
            evidence["record"] = sealed.address.record
        note = f"{_NOTES[undo.way]}; {_FILES}" if sealed.files else _NOTES[undo.way]
        return Receipt(outcome="done", note=note, evidence=evidence)

    # -- the message ------------------------------------------------------------------------------------------------

    def _standing(self, sealed: SealedMessage, undo: Undo) -> Fields | None:
        """What stands in the place of the message now: the placeholder, or what was put back."""
        there = self._tokens.message(sealed.channel, undo.standing)
        if there is not None:
            return there
        return self._tokens.found(sealed, marks_of(sealed)).standing

    def _is_back(self, sealed: SealedMessage, undo: Undo, standing: Fields) -> bool:
        if marks_of(sealed).back.on(standing):
            return True
        return undo.way == "replaced" and says_the_same(standing, sealed.message)

    def _changed(self, sealed: SealedMessage, undo: Undo, standing: Fields) -> None:
        """Make the placeholder what is put back."""
        owner = self._tokens.owner(standing) or self._tokens.speaker
        metadata = self._metadata(sealed, undo)
        ts = str(standing.get("ts") or "")

        def change(body: Body) -> Fields:
            arguments = body.arguments() | {"metadata": metadata}
            return owner.call("chat.update", channel=sealed.channel, ts=ts, **arguments)

        _first_taken(self._bodies(sealed, undo), change)

    def _written_anew(self, sealed: SealedMessage, undo: Undo) -> Fields:
        """Write what is put back as a message of its own: somebody took away what stood in its place."""
        anew = Undo("deleted" if undo.way == "replaced" else undo.way, "")
        speaker, mark = self._tokens.speaker, marks_of(sealed).back
        threads = dict.fromkeys((sealed.thread or (sealed.ts if undo.way == "files" else ""), ""))
        for thread in threads:

            def post(body: Body, thread: str = thread) -> Fields:
                arguments = body.arguments() | {"metadata": mark.metadata("hold"), "thread_ts": thread or None}
                return speaker.settled(
                    lambda: speaker.once("chat.postMessage", channel=sealed.channel, unfurl_links=False, **arguments),
                    lambda: self._tokens.written(sealed, thread, (mark,)),
                )

            try:
                answer = _first_taken(self._bodies(sealed, anew), post)
            except MissingError:
                continue  # the thread is gone as well: in the conversation, then
            found = self._tokens.message(sealed.channel, str(answer.get("ts") or ""))
            if found is not None:
                return found
        raise SourceError("Slack does not show yet what was put back", place=sealed.address.record)

    def _bodies(self, sealed: SealedMessage, undo: Undo) -> Iterable[Body]:
        mark = marks_of(sealed).back
        if undo.way == "replaced":
            return wording.as_it_was(sealed.message, mark.block_id)
        if undo.way == "files":
            return (wording.placeholder(_FILES_BACK, mark.block_id, rich=False),)
        gone = {file.id for file in sealed.files}
        others = [file for file in file_objects(sealed.message) if file.get("id") not in gone]
        line = wording.credit(sealed.author, micros(sealed.ts) // 1_000_000, wording.file_links(others))
        return wording.quoted(sealed.message, line, mark.block_id)

    @staticmethod
    def _metadata(sealed: SealedMessage, undo: Undo) -> str:
        """The metadata of what is put back: its own if it had any, else the mark."""
        own = sealed.message.get("metadata")
        if undo.way == "replaced" and isinstance(own, dict) and own:
            return wording.as_json(own)
        return marks_of(sealed).back.metadata("hold")

    # -- files ------------------------------------------------------------------------------------------------------

    def _shown(self, sealed: SealedMessage, thread: str, name: str, size: int) -> bool:
        """Whether a file that we uploaded since is to be seen in a thread."""

        def look(actor: Actor) -> bool:
            for message in actor.since(sealed.channel, sealed.after, thread):
                if self._tokens.owner(message) and any(_is_file(one, name, size) for one in file_objects(message)):
                    return True
            return False

        return self._tokens.reading(look)

    def _looking(self, sealed: SealedMessage, thread: str, name: str, size: int) -> Callable[[], bool]:
        return lambda: self._shown(sealed, thread, name, size)


def _thread(sealed: SealedMessage, standing: Fields) -> str:
    """The thread that files are put into: that of the message, else the one below what stands in its place."""
    root = standing.get("thread_ts")
    return sealed.thread or (root if isinstance(root, str) and root else str(standing.get("ts") or ""))


def _is_file(file: Fields, name: str, size: int) -> bool:
    return file.get("name") == name and file.get("size") == size and file.get("mode") != "tombstone"


def _first_taken(bodies: Iterable[Body], send: Callable[[Body], Fields]) -> Fields:
    """What Slack answers to the first of some contents that it takes. Raises what it says to the last."""
    refused: CodeError | None = None
    for body in bodies:
        try:
            return send(body)
        except ContentError as error:
            refused = error
    assert refused is not None
    raise refused
