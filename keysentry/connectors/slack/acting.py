"""Acting in Slack: calls that change something, what their errors mean, and the marks that they leave.

What a token may do is Slack's to say, a method each:

- https://docs.slack.dev/reference/methods/chat.update: only messages that the token's owner posted, and only as long as
  the workspace lets messages be edited; what was rich text must stay rich text (`block_mismatch`).
- https://docs.slack.dev/reference/methods/chat.delete: a bot deletes what it posted itself, a person what that person
  may delete in Slack: an owner's or admin's token everybody's messages, in conversations that this person is in.
- https://docs.slack.dev/reference/methods/files.delete: the same for files.

A call that changes something may have had its effect although no answer came (Slack says so of `internal_error` and
`fatal_error` as well). Updating and deleting can simply be done again. Posting cannot: `once` tells of it, and the
poster looks for its mark before it posts anew.

A mark is the metadata of a message (https://docs.slack.dev/messaging/message-metadata) and, since metadata may be kept
from a reader, the id of its first block as well. It counts only on a message of our own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from keysentry.connectors.pace import Pace, Refused
from keysentry.connectors.slack.client import Client, CodeError, Fields, retry_after
from keysentry.errors import AccessError, GoneError, UnclearError
from keysentry.model.sensitive import Sensitive

if TYPE_CHECKING:
    from slack_sdk.web.slack_response import SlackResponse

_PER_MINUTE: Final = {
    "chat.delete": 50.0,
    "chat.postEphemeral": 100.0,
    "chat.postMessage": 60.0,
    "chat.update": 50.0,
    "conversations.open": 50.0,
    "files.delete": 50.0,
    "files.completeUploadExternal": 100.0,
    "files.getUploadURLExternal": 100.0,
    "users.lookupByEmail": 50.0,
}
"""The limits of these methods; posting is allowed once a second in a channel, with short bursts
(https://docs.slack.dev/apis/web-api/rate-limits).
"""
_TIER_3: Final = 50.0
_UNLIMITED: Final = ("files", "upload")
_SETTLING: Final = 4
"""How often a post whose outcome is not known is looked for, and done anew."""
_LOOKED_AT: Final = 20_000
_PAGE: Final = 200

_NO_UPDATE: Final = frozenset(
    ("cant_update_message", "edit_window_closed", "block_mismatch", "streaming_state_conflict")
)
_MISSING: Final = frozenset(("message_not_found", "thread_not_found"))
_CONTENT: Final = frozenset(
    (
        *("invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "invalid_attachments"),
        *("too_many_attachments", "user_not_in_channel", "slack_connect_file_link_sharing_blocked"),
    )
)
_ADMIN: Final = (
    "give the token of a workspace owner or admin who is in the conversation (`admin_token`), with the scope"
)
_ADVICE: Final = {
    "cant_update_message": "a token changes only messages of its owner; others are deleted (`mode` auto or delete)",
    "edit_window_closed": "the workspace's settings (Permissions, Message Editing) no longer let it be edited",
    "block_mismatch": "rich text must stay rich text; others are deleted (`mode` auto or delete)",
    "streaming_state_conflict": "an app is still writing it",
    "cant_delete_message": f"{_ADMIN} chat:write",
    "compliance_exports_prevent_deletion": "the workspace's compliance exports keep messages from being deleted",
    "cant_delete_file": f"{_ADMIN} files:write",
    "file_deleting_disabled": "the workspace does not let files be deleted",
    "delete_not_allowed": "Slack does not let a file of this kind be deleted",
    "not_in_channel": "/invite the app into the channel, or add the scope chat:write.public for public channels",
    "metadata_must_be_sent_from_app": "use a token that a Slack app was given when it was installed",
}
"""Refusals that a person must act upon, and how."""


class Limited(Refused):
    """A call that Slack did not carry out, because there were too many."""


class MissingError(GoneError):
    """There is no such message (its conversation may well be there)."""


class NoUpdateError(AccessError):
    """A message may not be changed by this token, or not any more."""


class ContentError(CodeError):
    """Slack does not take what was to be posted. `code` is its word for why."""

    def __init__(self, code: str, method: str, place: str) -> None:
        super().__init__(f"Slack answers {code} to {method}", place=place)
        self.code = code


class Who(NamedTuple):
    """Whose a token is (https://docs.slack.dev/reference/methods/auth.test). `bot` is empty for a person's token;
    `scopes` are None where Slack does not tell.
    """

    user: str
    bot: str
    scopes: frozenset[str] | None

    def has(self, scope: str) -> bool:
        """Whether it has a scope, or at least is not known to lack it."""
        return self.scopes is None or scope in self.scopes

    def wrote(self, message: Fields) -> bool:
        """Whether a message is its own, so that it may change it. What a person's token writes has the `bot_id` of the
        app as well, and is not the bot's.
        """
        user = message.get("user")
        return user == self.user if user or not self.bot else message.get("bot_id") == self.bot


class Actor(Client):
    """One token that may act. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        token: Sensitive,
        *,
        setting: str = "token",
        base_url: str = "",
        per_minute: float = _TIER_3,
        pace: Callable[..., Pace] = Pace,
    ) -> None:
        """`setting` is what the token is called in the configuration; `per_minute` scales Slack's limits (50: as they
        are; 0: none of ours).
        """
        super().__init__(name, token, base_url=base_url, per_minute=per_minute, page=_PAGE, pace=pace)
        self._setting = setting
        self._who: Who | None = None

    def who(self) -> Who:
        """Whose the token is; asked once. Raises `SourceError`."""
        if self._who is None:
            told, scopes = self.scopes()
            self._who = Who(str(told.get("user_id") or ""), str(told.get("bot_id") or ""), scopes)
        return self._who

    def once(self, method: str, **arguments: object) -> Fields:
        """The answer of a method that must not be carried out twice: only what Slack surely did not do is tried again.

        Raises `UnclearError` if no answer came, as well as what `call` raises.
        """

        def attempt() -> Fields:
            try:
                return self._try(method, arguments, None)[0]
            except Limited:
                raise
            except Refused as refused:
                raise UnclearError(refused.reason, place=self.place) from None

        return self.pace(method).call(attempt)

    def settled(self, effect: Callable[[], Fields], look: Callable[[], Fields | None]) -> Fields:
        """What an effect by `once` gives; if its outcome is not known, what `look` finds of it.

        Raises `UnclearError` after some tries.
        """
        for attempt in range(1, _SETTLING + 1):
            try:
                return effect()
            except UnclearError:
                self.pace("settling").pause(0.5 * 2 ** (attempt - 1))
                found = look()
                if found is not None:
                    return found
                if attempt == _SETTLING:
                    raise
        raise AssertionError("unreachable")

    # -- reading ----------------------------------------------------------------------------------------------------

    def message(self, channel: str, ts: str) -> Fields | None:
        """A message, or a thread's reply, with its metadata; None where there is none any more.

        Raises `SourceError`; `GoneError` where the conversation is not there.
        """
        try:
            page = self.one_page(
                "conversations.replies",
                "messages",
                channel=channel,
                ts=ts,
                oldest=ts,
                latest=ts,
                inclusive=True,
                limit=_PAGE,
                include_all_metadata=True,
            )
        except MissingError:
            return None
        found = next((item for item in page.items if isinstance(item, dict) and item.get("ts") == ts), None)
        return None if found is None or found.get("subtype") == "tombstone" else found

    def latest(self, channel: str) -> str:
        """The `ts` of the newest message of a conversation: whatever is written from now on is after it."""
        page = self.one_page("conversations.history", "messages", channel=channel, limit=1)
        return str(page.items[0].get("ts") or "0") if page.items and isinstance(page.items[0], dict) else "0"

    def since(self, channel: str, after: str, thread: str = "") -> Iterator[Fields]:
        """The messages of a conversation (newest first, if `after` is empty), or of a thread in it, that are newer than
        a time, with their metadata.

        Raises `UnclearError` where there are more than can be looked at.
        """
        arguments: dict[str, object] = {"channel": channel, "oldest": after or None, "include_all_metadata": True}
        method = "conversations.history"
        if thread:
            method, arguments["ts"] = "conversations.replies", thread
        try:
            for number, message in enumerate(self.items(method, "messages", _PAGE, **arguments)):
                if number == _LOOKED_AT:
                    reason = f"more than {_LOOKED_AT:,} messages would have to be looked at"
                    raise UnclearError(reason, place=self.place)
                yield message
        except MissingError:
            return

    # -- what Slack's refusals mean ---------------------------------------------------------------------------------

    def _limit(self, method: str) -> float:
        if not self._per_minute or method in _UNLIMITED or method == "settling":
            return 0.0
        tier = _PER_MINUTE.get(method)
        return super()._limit(method) if tier is None else tier * self._per_minute / _TIER_3

    def _failure(self, method: str, response: SlackResponse) -> Exception:
        data = response.data if isinstance(response.data, dict) else {}
        code = data.get("error")
        code = code if isinstance(code, str) and response.status_code == 200 else ""
        if response.status_code == 429 or code in ("ratelimited", "rate_limited"):
            return Limited(f"too many calls of {method}", retry_after(response.headers))
        if code in _ADVICE:
            kind = NoUpdateError if code in _NO_UPDATE else AccessError
            return kind(f"Slack answers {code} to {method}", place=self.place, advice=_ADVICE[code])
        if code.startswith("restricted_action"):
            advice = "the settings of the workspace or the channel say who may post there: allow the app"
            return AccessError(f"Slack answers {code} to {method}", place=self.place, advice=advice)
        if code in _MISSING:
            return MissingError(f"Slack answers {code} to {method}", place=self.place)
        if code == "is_inactive":
            return GoneError("the conversation is frozen, archived or deleted", place=self.place)
        if code in _CONTENT:
            return ContentError(code, method, self.place)
        return super()._failure(method, response)

    def _refused(self, method: str, code: str) -> AccessError:
        return AccessError(
            f"Slack refuses the token: {code}", place=self.place, advice=f"set a valid `{self._setting}`"
        )


class Mark(NamedTuple):
    """What a message of ours says of itself to us: what it is, and what of."""

    event: str
    key: str

    def metadata(self, name: str) -> str:
        """It as metadata, the key under a name."""
        return msgspec.json.encode({"event_type": self.event, "event_payload": {name: self.key}}).decode()

    @property
    def block_id(self) -> str:
        """It as the id of a block: at most 255 characters."""
        return f"{self.event}.{hashlib.sha256(self.key.encode()).hexdigest()[:32]}"

    def on(self, message: Fields) -> bool:
        """Whether a message carries it."""
        metadata = message.get("metadata")
        if isinstance(metadata, dict) and metadata.get("event_type") == self.event:
            payload = metadata.get("event_payload")
            return isinstance(payload, dict) and self.key in payload.values()
        blocks = message.get("blocks")
        first = blocks[0] if isinstance(blocks, list) and blocks else None
        return isinstance(first, dict) and first.get("block_id") == self.block_id


def marked(messages: Iterator[Fields], who: Who, marks: Collection[Mark]) -> Fields | None:
    """The first message of our own that carries one of some marks."""
    return next((one for one in messages if who.wrote(one) and any(mark.on(one) for mark in marks)), None)


def check_has(actor: Actor, scope: str, what: str) -> None:
    """Raise `AccessError` where a token is known to lack a scope."""
    if not actor.who().has(scope):
        raise AccessError(
            f"the token lacks the scope {scope}: {what}",
            place=actor.place,
            advice="add the scope under OAuth & Permissions of the Slack app and install the app again",
        )
