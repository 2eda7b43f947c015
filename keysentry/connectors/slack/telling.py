"""A notifier in Slack.

A notice that stays (in a direct message, in a channel) carries its id as a mark (`acting.Mark`), so that it is found
again: nothing is told twice. An ephemeral message (https://docs.slack.dev/reference/methods/chat.postEphemeral) is
nowhere to be found; whether it was sent by a process that died nobody can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from keysentry.connectors.base import Notice, Recipient
from keysentry.connectors.slack import wording
from keysentry.connectors.slack.acting import Actor, ContentError, Mark, marked
from keysentry.connectors.slack.client import Fields
from keysentry.connectors.slack.place import micros
from keysentry.errors import AccessError, GoneError, InputError, UnclearError
from keysentry.model.action import Place, Receipt

_NOTICE: Final = "keysentry_notice"
_PERSON: Final = re.compile(r"[UW][A-Z0-9]{2,}")
_CONVERSATION: Final = re.compile(r"[CGD][A-Z0-9]{2,}")
_LOOKED_AT: Final = 1000
"""How many of the newest messages are looked at in any case when a notice is looked for."""
_EARLIER: Final = 86_400
"""How long before its own time a notice may have been told, in seconds: an attempt before made it anew."""
_LIST_PAGE: Final = 1000


class _Ephemeral(NamedTuple):
    """Where somebody sees a message that nobody else sees."""

    channel: str
    user: str
    thread: str


class SlackNotifier:
    """Tells people in one workspace."""

    def __init__(self, actor: Actor, *, channel: str = "", ephemeral: bool = False) -> None:
        """`channel` and `ephemeral` as in the options."""
        self._actor = actor
        self._channel = channel
        self._ephemeral = ephemeral
        self._channel_id = ""

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """Tell it, once. Raises as `Notifier.tell` does."""
        alone = self._alone(recipient)
        if alone is not None:
            try:
                return self._whisper(notice, alone)
            except ContentError as error:
                if error.code != "user_not_in_channel":
                    raise
        channel = self._conversation(recipient)
        mark, actor = Mark(_NOTICE, notice.id), self._actor
        body = wording.notice(notice.subject, notice.text, notice.links, mark.block_id)
        arguments = body.arguments() | {"metadata": mark.metadata("id"), "channel": channel}
        answer = actor.settled(
            lambda: actor.once("chat.postMessage", unfurl_links=False, unfurl_media=False, **arguments),
            lambda: self._found(notice, channel),
        )
        return self._receipt(channel, str(answer.get("ts") or ""), recipient)

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """The receipt of a notice that is to be found; None if it was not told.

        Raises `UnclearError` for one that only its reader can have seen.
        """
        if self._alone(recipient) is not None:
            raise UnclearError(
                "whether an ephemeral message was sent cannot be asked",
                place=self._actor.place,
                advice='tell the author by hand, or reject this notice; `author = "dm"` can be asked',
            )
        channel = self._conversation(recipient)
        found = self._found(notice, channel)
        return None if found is None else self._receipt(channel, str(found.get("ts") or ""), recipient)

    def close(self) -> None:
        """Whatever waits raises `ClosedError`."""
        self._actor.close()

    # -- whom -------------------------------------------------------------------------------------------------------

    def _alone(self, recipient: Recipient) -> _Ephemeral | None:
        """Where an author is told so that only they see it, if that is wished for and possible."""
        place = recipient.place
        if not self._ephemeral or place is None or not _of_slack(place):
            return None
        channel = place.record.partition("/")[0]
        if not _PERSON.fullmatch(recipient.author_id) or not _CONVERSATION.fullmatch(channel):
            return None
        thread = re.search(r"[?&]thread_ts=(\d+\.\d+)", place.uri)
        return _Ephemeral(channel, recipient.author_id, thread[1] if thread else "")

    def _conversation(self, recipient: Recipient) -> str:
        """The id of the conversation that a notice is written into. Raises `SourceError` and `InputError`."""
        if not recipient.author_id and not recipient.email:
            return self._own_channel()
        opened = self._actor.call("conversations.open", users=self._person(recipient)).get("channel")
        id = opened.get("id") if isinstance(opened, dict) else None
        if not isinstance(id, str) or not id:
            raise GoneError("Slack opens no direct message to the author", place=self._actor.place)
        return id

    def _person(self, recipient: Recipient) -> str:
        """The id of a person in this workspace: the author's own, else that of their address."""
        ours = recipient.place is None or _of_slack(recipient.place)
        if ours and _PERSON.fullmatch(recipient.author_id):
            return recipient.author_id
        if not recipient.email:
            raise InputError(
                f"{recipient.author or recipient.author_id or 'the author'} is nobody who could be told in Slack",
                place=self._actor.place,
                advice="a bot has no direct messages; for authors elsewhere an e-mail address is needed",
            )
        user = self._actor.call("users.lookupByEmail", email=recipient.email).get("user")
        id = user.get("id") if isinstance(user, dict) else None
        if not isinstance(id, str) or not id:
            raise GoneError("nobody in the workspace has this e-mail address", place=self._actor.place)
        return id

    def _own_channel(self) -> str:
        if not self._channel:
            raise InputError(
                "there is no channel for notices that are for nobody in particular",
                place=self._actor.place,
                advice="set `channel` of the notifier",
            )
        if _CONVERSATION.fullmatch(self._channel):
            return self._channel
        if not self._channel_id:
            self._channel_id = self._looked_up(self._channel.removeprefix("#"))
        return self._channel_id

    def _looked_up(self, name: str) -> str:
        """The id of a channel by its name (https://docs.slack.dev/reference/methods/conversations.list)."""
        types = "public_channel,private_channel" if self._actor.who().has("groups:read") else "public_channel"
        listed = self._actor.items("conversations.list", "channels", _LIST_PAGE, types=types, exclude_archived=True)
        for told in listed:
            if told.get("name") == name and isinstance(told.get("id"), str):
                return str(told["id"])
        raise AccessError(
            f"there is no channel #{name} that the app can see",
            place=self._actor.place,
            advice="/invite the app there, or give the channel's id",
        )

    # -- telling ----------------------------------------------------------------------------------------------------

    def _whisper(self, notice: Notice, alone: _Ephemeral) -> Receipt:
        body = wording.notice(notice.subject, notice.text, notice.links, Mark(_NOTICE, notice.id).block_id)
        arguments = body.arguments() | {"thread_ts": alone.thread or None}
        self._actor.once("chat.postEphemeral", channel=alone.channel, user=alone.user, **arguments)
        evidence = {"conversation": alone.channel, "person": alone.user, "way": "ephemeral"}
        return Receipt(outcome="done", note="the author was told, by a message that only they see", evidence=evidence)

    def _found(self, notice: Notice, channel: str) -> Fields | None:
        """A notice that was written before. Raises `UnclearError` if too much was written since."""
        mark = Mark(_NOTICE, notice.id)
        return marked(self._latest(channel, notice.time - _EARLIER), self._actor.who(), (mark,))

    def _latest(self, channel: str, earliest: float) -> Iterator[Fields]:
        for number, message in enumerate(self._actor.since(channel, "")):
            if number >= _LOOKED_AT and (earliest <= 0 or micros(message.get("ts")) < earliest * 1_000_000):
                return
            yield message

    def _receipt(self, channel: str, ts: str, recipient: Recipient) -> Receipt:
        person = bool(recipient.author_id or recipient.email)
        note = "the author was told, by a direct message" if person else "it was told in the channel"
        evidence = {"conversation": channel, "message": ts, "way": "direct message" if person else "channel"}
        return Receipt(outcome="done", note=note, evidence=evidence)


def _of_slack(place: Place) -> bool:
    """Whether a place is in Slack: of a source that is, as far as is known, or named as Slack names messages."""
    return place.platform == "slack" or (not place.platform and bool(micros(place.record.rpartition("/")[2])))
