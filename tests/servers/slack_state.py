"""What is in a Slack workspace of our own: people, conversations, messages, threads, files.

Behaviour is Slack's as its documentation states it:

- messages are told apart by their `ts`; a message that has replies and is deleted stays as a tombstone
  (https://docs.slack.dev/reference/events/message), a reply that is deleted goes from its parent's counts;
- an edited message carries `edited` with the time (https://docs.slack.dev/reference/events/message/message_changed);
- a parent carries `reply_count`, `reply_users`, `latest_reply` (https://docs.slack.dev/messaging/retrieving-messages);
- a reply that was also sent to the channel is a `thread_broadcast` in both places
  (https://docs.slack.dev/reference/events/message/thread_broadcast).

A generated conversation holds nothing: message `i` is made when it is asked for, always the same.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any

from keysentry.rules.forge import forge

Fields = dict[str, Any]
TEMPLATE = "ghp_{base62:30}{crc32-base62:6}"


def ts_text(moment: int) -> str:
    return f"{moment // 1_000_000}.{moment % 1_000_000:06d}"


def ts_number(text: str) -> int:
    seconds, _dot, fraction = text.partition(".")
    return int(seconds) * 1_000_000 + int((fraction + "000000")[:6])


class Conversation:
    """One conversation, its messages by time, its threads by their parent's time."""

    def __init__(self, id: str, name: str | None, **told: Any) -> None:
        self.id = id
        self.told: Fields = {"id": id, "name": name, "is_channel": True, "is_member": True, "num_members": 3, **told}
        self.members: list[str] = []
        self._order: list[int] = []
        self._messages: dict[int, Fields] = {}
        self._threads: dict[int, list[int]] = {}

    def top(self, after: int, before: int) -> range | list[int]:
        """The times of what the channel shows between two times (both exclusive), ascending."""
        return self._order[bisect_right(self._order, after) : bisect_left(self._order, before)]

    def thread(self, parent: int) -> list[int]:
        """The times of a thread's replies, ascending."""
        return self._threads.get(parent, [])

    def message(self, moment: int) -> Fields | None:
        return self._messages.get(moment)

    def parent_of(self, moment: int) -> int:
        """The time of the first message of the thread that a message is in."""
        message = self._messages.get(moment, {})
        return ts_number(message["thread_ts"]) if "thread_ts" in message else moment

    # -- changes ----------------------------------------------------------------------------------------------------

    def put(self, moment: int, message: Fields) -> None:
        parent = ts_number(message["thread_ts"]) if "thread_ts" in message else moment
        self._messages[moment] = message
        if parent == moment or message.get("subtype") == "thread_broadcast":
            insort(self._order, moment)
        if parent != moment:
            insort(self._threads.setdefault(parent, []), moment)
            self._count(parent)

    def drop(self, moment: int) -> None:
        message = self._messages[moment]
        parent = self.parent_of(moment)
        if parent != moment:
            self._threads[parent].remove(moment)
            if moment in self._order:
                self._order.remove(moment)
            del self._messages[moment]
            self._count(parent)
        elif self.thread(moment):
            kept = ("ts", "thread_ts", "reply_count", "reply_users", "latest_reply")
            tombstone = {"type": "message", "subtype": "tombstone", "hidden": True, "user": "USLACKBOT"}
            tombstone["text"] = "This message was deleted."
            self._messages[moment] = {**tombstone, **{key: message[key] for key in kept if key in message}}
        else:
            self._order.remove(moment)
            del self._messages[moment]

    def _count(self, parent: int) -> None:
        message = self._messages.get(parent)
        if message is None:
            return
        replies = self._threads[parent]
        for key in ("reply_count", "reply_users", "latest_reply"):
            message.pop(key, None)
        message["thread_ts"] = ts_text(parent)
        if replies:
            users = dict.fromkeys(str(self._messages[reply].get("user")) for reply in replies)
            message.update(reply_count=len(replies), reply_users=list(users), latest_reply=ts_text(replies[-1]))


class Generated(Conversation):
    """A conversation of `count` messages, of which every `count / plants`-th holds a forged credential."""

    FIRST = 1_500_000_000_000_000
    STEP = 7_000_123

    def __init__(self, id: str, name: str, count: int, plants: int = 0, seed: int = 1, **told: Any) -> None:
        super().__init__(id, name, **told)
        self.count = count
        self.plants = plants
        self.seed = seed
        self._words = [f"word{number % 977}" for number in range(4000)]

    def planted(self) -> Iterator[tuple[int, str]]:
        """Where credentials are, and which: (index, credential)."""
        for number in range(self.plants):
            index = (2 * number + 1) * self.count // (2 * self.plants)
            yield index, self._credential(index)

    def _credential(self, index: int) -> str:
        return forge(TEMPLATE, random.Random(f"{self.seed}/{self.id}/{index}"))

    def _has_credential(self, index: int) -> bool:
        if not self.plants:
            return False
        number = index * self.plants // self.count
        return any(index == (2 * near + 1) * self.count // (2 * self.plants) for near in (number - 1, number))

    def top(self, after: int, before: int) -> range | list[int]:
        first = max(0, -(-(after + 1 - self.FIRST) // self.STEP))
        end = min(self.count, max(0, -(-(before - self.FIRST) // self.STEP)))
        return range(self.FIRST + first * self.STEP, self.FIRST + end * self.STEP, self.STEP) if end > first else []

    def message(self, moment: int) -> Fields | None:
        index, rest = divmod(moment - self.FIRST, self.STEP)
        if rest or not 0 <= index < self.count:
            return None
        start = index * 31 % 3900
        text = " ".join(self._words[start : start + 12 + index % 60])
        if self._has_credential(index):
            text = f"{text} the token is {self._credential(index)} as agreed"
        return {"type": "message", "user": f"U{index % 7:08d}", "ts": ts_text(moment), "text": text, "team": "T0000001"}


class Stored:
    """A file: its object and its bytes, which may be made as they are read."""

    def __init__(self, told: Fields, size: int, read: Callable[[int, int], bytes], etag: str = '"1"') -> None:
        self.told = told
        self.size = size
        self.read = read
        self.etag = etag
        self.breaks: list[int] = []
        """At which offsets the connection breaks, each once."""
        self.ranges = True


class Token:
    """A token: whose, with which scopes, and what is wrong with it ("" : nothing)."""

    def __init__(self, scopes: set[str], bot: bool = True) -> None:
        self.scopes = scopes
        self.bot = bot
        self.fault = ""


ALL_SCOPES = {
    f"{family}:{right}" for family in ("channels", "groups", "im", "mpim") for right in ("read", "history")
} | {"users:read", "files:read"}


class State:
    """A workspace. Changes are told to `listeners` as the events that Slack sends."""

    def __init__(self, domain: str = "acme") -> None:
        self.domain = domain
        self.conversations: dict[str, Conversation] = {}
        self.users: dict[str, Fields] = {}
        self.files: dict[str, Stored] = {}
        self.tokens: dict[str, Token] = {}
        self.listeners: list[Callable[[Fields], None]] = []
        self._last = 0
        self._events = 0

    def now(self) -> int:
        """A time that no message has yet."""
        self._last = max(self._last + 1, int(time.time() * 1_000_000))
        return self._last

    # -- what people do ---------------------------------------------------------------------------------------------

    def add_user(self, id: str, name: str, **told: Any) -> None:
        profile = {"display_name": name, "real_name": name.title()}
        self.users[id] = {"id": id, "name": name, "profile": profile, "is_bot": False, "deleted": False, **told}

    def add_conversation(self, conversation: Conversation) -> Conversation:
        self.conversations[conversation.id] = conversation
        return conversation

    def post(self, channel: str, text: str, user: str = "U00000001", *, at: int | None = None, **more: Any) -> str:
        """Write a message (with `thread_ts`: a reply); its ts."""
        moment = self.now() if at is None else at
        message = {"type": "message", "user": user, "text": text, "ts": ts_text(moment), "team": "T0000001", **more}
        self.conversations[channel].put(moment, message)
        self.tell({**message, "channel": channel, "event_ts": ts_text(moment)})
        return ts_text(moment)

    def edit(self, channel: str, ts: str, text: str) -> None:
        message = self.conversations[channel].message(ts_number(ts))
        assert message is not None
        before, now = dict(message), ts_text(self.now())
        message.update(text=text, edited={"user": message.get("user"), "ts": now})
        changed = {"type": "message", "subtype": "message_changed", "hidden": True, "channel": channel, "ts": now}
        self.tell({**changed, "event_ts": now, "message": dict(message), "previous_message": before})

    def delete(self, channel: str, ts: str) -> None:
        conversation = self.conversations[channel]
        before = dict(conversation.message(ts_number(ts)) or {})
        conversation.drop(ts_number(ts))
        event: Fields = {"type": "message", "hidden": True, "channel": channel, "ts": ts_text(self.now())}
        after = conversation.message(ts_number(ts))
        if after is None:
            event.update(subtype="message_deleted", deleted_ts=ts, previous_message=before)
        else:
            event.update(subtype="message_changed", message=dict(after), previous_message=before)
        self.tell({**event, "event_ts": event["ts"]})

    def share(self, channel: str, name: str, content: bytes, **more: Any) -> str:
        """Write a message with a file; its ts. `base` is filled in by the server."""
        id = f"F{len(self.files) + 1:08d}"
        path = f"/files-pri/T0000001-{id}/download/{name}"
        told = {"id": id, "name": name, "mode": "hosted", "size": len(content), "url_private_download": path}
        told |= {"mimetype": "text/plain", "permalink": f"https://{self.domain}.slack.com/files/U1/{id}/{name}"}
        self.files[id] = Stored(told, len(content), lambda start, end: content[start:end])
        ts = self.post(channel, f"see {name}", subtype="file_share", files=[told], **more)
        told["shares"] = {"public": {channel: [{"ts": ts}]}}
        self.tell({"type": "file_shared", "file_id": id, "channel_id": channel, "event_ts": ts})
        return ts

    def tell(self, event: Fields) -> None:
        """Send an event as the Events API wraps it (https://docs.slack.dev/apis/events-api#callback-field)."""
        self._events += 1
        payload = {"type": "event_callback", "team_id": "T0000001", "event_id": f"Ev{self._events:08d}"}
        for listener in list(self.listeners):
            listener({**payload, "event_time": int(time.time()), "event": event})
