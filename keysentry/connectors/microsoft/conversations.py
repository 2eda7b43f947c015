"""Chats and channels of Teams: what people call them, and who can read them.

Facts:
https://learn.microsoft.com/en-us/graph/api/chat-get
https://learn.microsoft.com/en-us/graph/api/channel-get
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.faults import ForbiddenError
from keysentry.connectors.microsoft.members import Member, Readers, readers
from keysentry.connectors.microsoft.message import Setting
from keysentry.connectors.microsoft.wire import Graph, read
from keysentry.errors import GoneError
from keysentry.model.finding import Skipped
from keysentry.model.location import Audience, Exposure
from keysentry.model.record import Unit

_KINDS = {"oneOnOne": "chat", "group": "group chat", "meeting": "meeting chat"}
_NAMES = 4
"""How many members a title names."""
_REMEMBERED = 500
"""How many conversations of one unit are remembered; those beyond are asked for again."""


class Chat(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/chat"""

    id: str | None = None
    topic: str | None = None
    chat_type: str | None = None
    tenant_id: str | None = None
    members: tuple[Member | None, ...] | None = None


class Team(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/team"""

    id: str | None = None
    display_name: str | None = None
    visibility: str | None = None
    tenant_id: str | None = None


class Channel(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/channel"""

    id: str | None = None
    display_name: str | None = None
    membership_type: str | None = None
    tenant_id: str | None = None


class Told(NamedTuple):
    """Where messages stand, and what of that could not be found out."""

    setting: Setting
    skipped: tuple[Skipped, ...] = ()


def title(chat: Chat) -> str:
    """What a person calls the chat: its topic, or who is in it."""
    kind = _KINDS.get(chat.chat_type or "", "chat")
    names = sorted(member.display_name for member in chat.members or () if member and member.display_name)
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"{kind} / {chat.topic or ', '.join(names[:_NAMES]) + more or chat.id}"


def chat_path(chat: str) -> str:
    """A chat's address in Graph."""
    return f"/chats/{quote(chat, safe='')}"


def channel_path(team: str, channel: str) -> str:
    """A channel's address in Graph."""
    return f"/teams/{quote(team, safe='')}/channels/{quote(channel, safe='')}"


def chat_readers(client: GraphClient, chat: Chat, path: str, name: str) -> Readers:
    """Who can read a chat."""
    return readers(client, f"{path}/", "private", chat.tenant_id or "", name)


def channel_readers(client: GraphClient, team: str, path: str, channel: Channel, name: str) -> Readers:
    """Who can read a channel of a team, by their addresses."""
    tenant = channel.tenant_id or ""
    if channel.membership_type in (None, "standard"):
        found_team = read(client.get(team).body, Team) or Team()
        audience: Audience = "internal" if (found_team.visibility or "").lower() == "public" else "private"
        return readers(client, f"{team}/", audience, tenant or found_team.tenant_id or "", name)
    found = readers(client, f"{path}/", "private", tenant, name)
    if channel.membership_type == "shared":  # teams that it is shared with bring readers who are no members
        return Readers(Exposure(found.exposure.audience), found.skipped)
    return found


class Conversations:
    """Where messages stand that come from many chats or channels: each is asked for when it is first met.

    A conversation that may not be asked for, or is not there any more, costs its messages nothing but the knowledge of
    who can read them, which is told once.
    """

    def __init__(self, client: GraphClient, unit: Unit, team: str, since: float) -> None:
        """`team` is what people call the team whose channels these are."""
        self._client = client
        self._unit = unit
        self._team = team
        self._since = since
        self._known: dict[str, Setting] = {}

    def chat(self, id_: str) -> Told:
        """A chat by its id."""
        return self._of(id_, f"chat / {id_}", lambda: self._chat(id_))

    def channel(self, team: str, id_: str) -> Told:
        """A channel by the ids of its team and its own."""
        return self._of(f"{team} {id_}", f"{self._team} / {id_}", lambda: self._channel(team, id_))

    def unknown(self) -> Told:
        """Of a message that does not say where it stands."""
        return Told(Setting(self._unit.id, self._unit.title, Exposure(), since=self._since))

    def _of(self, key: str, name: str, ask: Callable[[], Told]) -> Told:
        setting = self._known.get(key)
        if setting is not None:
            return Told(setting)
        try:
            told = ask()
        except (ForbiddenError, GoneError) as error:
            note = Skipped(name, f"what it is called and who could read it is not known: {error}", partial=True)
            told = Told(Setting(self._unit.id, name, Exposure(), since=self._since), (note,))
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = told.setting
        return told

    def _chat(self, id_: str) -> Told:
        path = chat_path(id_)
        chat = read(self._client.get(f"{path}?$expand=members").body, Chat) or Chat(id_)
        name = title(chat)
        found = chat_readers(self._client, chat, path, name)
        return Told(Setting(self._unit.id, name, found.exposure, chat.tenant_id or "", self._since), found.skipped)

    def _channel(self, team: str, id_: str) -> Told:
        path = channel_path(team, id_)
        channel = read(self._client.get(path).body, Channel) or Channel(id_)
        name = f"{self._team} / #{channel.display_name or id_}"
        found = channel_readers(self._client, f"/teams/{quote(team, safe='')}", path, channel, name)
        return Told(Setting(self._unit.id, name, found.exposure, since=self._since), found.skipped)
