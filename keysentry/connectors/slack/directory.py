"""Who is who and what is where: the names, kinds and audiences of a workspace's people and conversations.

Asked once and kept. The list of people is read when the first name is needed, as far as `_LISTED` goes; a person who is
not in it is asked for alone (https://docs.slack.dev/reference/methods/users.info). What is kept is bounded; whoever
falls out is asked for again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

from keysentry.connectors.slack.client import Client, CodeError, Fields
from keysentry.errors import AccessError, ClosedError, GoneError, SourceError
from keysentry.extraction.formats.slack import Channel, ChannelKind, Workspace

T = TypeVar("T")

_LISTED: Final = 20_000
_KEPT: Final = 50_000
_USERS_PAGE: Final = 1000
_MEMBERS_LOOKED_AT: Final = 10_000
_FRESH: Final = 6 * 3600.0
"""Seconds after which the list of people is read again."""
_DOMAIN: Final = re.compile(r"https://([a-z0-9][a-z0-9-]*(?:\.enterprise)?)\.slack(?:-gov)?\.com", re.IGNORECASE)
_PERSON: Final = re.compile(r"[UW][A-Z0-9]{2,}")


class Identity(NamedTuple):
    """Who the token is: the workspace's name, whether it is a bot's, and its scopes (None: Slack does not tell)."""

    domain: str
    bot: bool
    scopes: frozenset[str] | None

    def has(self, *scopes: str) -> bool:
        """Whether the token has these scopes, or at least is not known to lack one."""
        return self.scopes is None or self.scopes.issuperset(scopes)


class Conversation(NamedTuple):
    """A conversation as the workspace knows it. `member` says whether whoever the token is takes part; `canvases` are
    the ids of the canvases that are pinned to it as tabs.
    """

    channel: Channel
    member: bool
    canvases: tuple[str, ...]


class Directory:
    """The people and conversations of one workspace. Safe to use from several threads."""

    def __init__(self, client: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.RLock()
        self._identity: Identity | None = None
        self._listed_at: float | None = None
        self._users: dict[str, str] = {}
        self._guests: set[str] = set()
        self._channels: dict[str, Channel] = {}
        self._conversations: dict[str, Conversation] = {}
        self._with_guests: dict[str, tuple[int | None, bool]] = {}
        self._workspace = Workspace()

    @property
    def workspace(self) -> Workspace:
        """What is known so far; it grows."""
        return self._workspace

    def identity(self, *, fresh: bool = False) -> Identity:
        """Who the token is. `fresh` asks Slack again, and so tries the token. Raises `SourceError`."""
        with self._lock:
            if self._identity is None or fresh:
                who, scopes = self._client.scopes()
                match = _DOMAIN.match(str(who.get("url", "")))
                domain = match[1].lower() if match else ""
                self._identity = Identity(domain, bool(who.get("bot_id")), scopes)
                self._workspace = Workspace(domain=domain, users=self._users, channels=self._channels)
                if self._listed_at is not None and self._clock() - self._listed_at > _FRESH:
                    self._listed_at = None
            return self._identity

    # -- people -----------------------------------------------------------------------------------------------------

    def meet(self, message: Fields) -> None:
        """Learn the name of a message's author, so that `workspace` has it. Raises `SourceError`."""
        user = message.get("user")
        if isinstance(user, str) and not self._knows(user) and _PERSON.fullmatch(user):
            self.name(user)

    def _knows(self, user: str) -> bool:
        """Whether nothing needs to be asked for a person's name. Needs no lock: at worst it says no."""
        return user in self._users and self._listed_at is not None

    def name(self, user: str) -> str:
        """A person's name; the id where nobody tells. Raises `SourceError`."""
        with self._lock:
            self._know_people()
            if user not in self._users and _PERSON.fullmatch(user):
                self._note_user(self._asked("users.info", "user", user=user) or {"id": user})
            return self._users.get(user, user)

    def note_user(self, user: Fields) -> None:
        """Take in what an event says of a person."""
        with self._lock:
            self._note_user(user)

    def _know_people(self) -> None:
        if self._listed_at is not None:
            return
        try:
            for user in islice(self._client.items("users.list", "members", _USERS_PAGE), _LISTED):
                self._note_user(user)
        except (AccessError, CodeError):
            pass  # without users:read ids stand for names; `units` tells of it
        self._listed_at = self._clock()

    def _note_user(self, user: Fields) -> None:
        id = user.get("id")
        if not isinstance(id, str) or not id:
            return
        _bounded(self._users)[id] = _user_name(user) or id
        guest = any(user.get(key) is True for key in ("is_restricted", "is_ultra_restricted", "is_stranger"))
        if guest:
            self._guests.add(id)
        else:
            self._guests.discard(id)

    # -- conversations ----------------------------------------------------------------------------------------------

    def conversation(self, id: str) -> Conversation:
        """A conversation by its id. Raises `SourceError`; `GoneError` if there is none that the token can see."""
        with self._lock:
            self.identity()
            found = self._conversations.get(id)
            if found is None:
                answer = self._client.call("conversations.info", channel=id, include_num_members=True)
                told = answer.get("channel")
                found = self.note(told if isinstance(told, dict) else {"id": id})
            return found

    def note(self, told: Fields) -> Conversation:
        """Take in what Slack says of a conversation (https://docs.slack.dev/reference/objects/conversation-object)."""
        with self._lock:
            id = str(told.get("id") or "")
            kind = _kind(told)
            name = _text(told, "name")
            members = told.get("num_members")
            members = members if isinstance(members, int) and members > 0 else None
            other = _text(told, "user")
            if kind == "dm":
                title, members = f"@{self.name(other) if other else id}", 2
            elif kind == "mpim":
                title = ", ".join(f"@{person}" for person in _mpim_people(name)) or name or id
            else:
                title = f"#{name or id}"
            outside = told.get("is_ext_shared") is True or (
                told.get("is_shared") is True and told.get("is_org_shared") is not True
            )
            channel = Channel(id, name or id, kind, title, members, outside or other in self._guests)
            found = Conversation(channel, told.get("is_member") is not False, _canvases(told))
            _bounded(self._conversations)[id] = found
            _bounded(self._channels)[id] = channel
            return found

    def forget(self, id: str) -> None:
        """Ask for a conversation again when it is needed next: an event said that it changed."""
        with self._lock:
            self._conversations.pop(id, None)
            self._with_guests.pop(id, None)

    def exposed(self, conversation: Conversation) -> Channel:
        """A conversation with whether guests of the workspace are in it, as far as that is cheaply told."""
        channel = conversation.channel
        if channel.external or channel.kind == "dm":
            return channel
        with self._lock:
            self._know_people()
            known = self._with_guests.get(channel.id)
            if known is None or known[0] != channel.members:
                known = (channel.members, bool(self._guests) and self._has_guest(channel.id))
                _bounded(self._with_guests)[channel.id] = known
            if not known[1]:
                return channel
            return Channel(channel.id, channel.name, channel.kind, channel.title, channel.members, True)

    def _has_guest(self, channel: str) -> bool:
        """Whether a guest is among a conversation's members (https://docs.slack.dev/reference/methods/conversations.members)."""
        following, looked_at = "", 0
        try:
            while looked_at < _MEMBERS_LOOKED_AT:
                page = self._client.one_page(
                    "conversations.members", "members", channel=channel, limit=1000, cursor=following or None
                )
                if any(isinstance(member, str) and member in self._guests for member in page.items):
                    return True
                looked_at += len(page.items)
                if not page.following or page.following == following:
                    return False
                following = page.following
        except ClosedError:
            raise
        except SourceError:
            return False  # the exposure is then that of the channel's kind
        return False

    def _asked(self, method: str, key: str, **arguments: object) -> Fields | None:
        try:
            found = self._client.call(method, **arguments).get(key)
        except (AccessError, GoneError, CodeError):
            return None
        return found if isinstance(found, dict) else None


def _bounded(kept: dict[str, T]) -> dict[str, T]:
    """The same, with room for one more: the first that came goes."""
    while len(kept) >= _KEPT:
        del kept[next(iter(kept))]
    return kept


def _text(fields: Fields, key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _user_name(user: Fields) -> str:
    profile = user.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    names = (profile.get("display_name"), user.get("name"), profile.get("real_name"), user.get("real_name"))
    return next((name for name in names if isinstance(name, str) and name), "")


def _kind(told: Fields) -> ChannelKind:
    if told.get("is_im") is True:
        return "dm"
    if told.get("is_mpim") is True:
        return "mpim"
    if told.get("is_private") is True or told.get("is_group") is True:
        return "private"
    return "public" if "name" in told else "unknown"


def _mpim_people(name: str) -> Iterator[str]:
    """The people that the name of a group conversation is made of: `mpdm-alice--bob--carol-1`."""
    if name.startswith("mpdm-"):
        yield from (person for person in name[5:].rpartition("-")[0].split("--") if person)


def _canvases(told: Fields) -> tuple[str, ...]:
    """The ids of the canvases of a conversation: its own, and those that are tabs."""
    properties: Any = told.get("properties")
    if not isinstance(properties, dict):
        return ()
    found: list[str] = []
    canvas = properties.get("canvas")
    if isinstance(canvas, dict) and isinstance(canvas.get("file_id"), str) and canvas.get("is_empty") is not True:
        found.append(canvas["file_id"])
    tabs = properties.get("tabs")
    for tab in tabs if isinstance(tabs, list) else ():
        data = tab.get("data") if isinstance(tab, dict) and tab.get("type") in ("canvas", "channel_canvas") else None
        if isinstance(data, dict) and isinstance(data.get("file_id"), str):
            found.append(data["file_id"])
    return tuple(dict.fromkeys(found))
