"""A Slack workspace as a source: its conversations are the units, and its events another one if they are listened to.

Which conversations there are depends on the token: a bot's sees those that it takes part in, a person's also all
public ones (https://docs.slack.dev/reference/methods/conversations.history).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack.canvases import Canvases
from keysentry.connectors.slack.client import Client, Fields
from keysentry.connectors.slack.directory import Conversation, Directory, Identity
from keysentry.connectors.slack.download import Downloads
from keysentry.connectors.slack.events import EventsEndpoint, Interpreter
from keysentry.connectors.slack.feed import Feed
from keysentry.connectors.slack.files import Files
from keysentry.connectors.slack.place import State, read_state
from keysentry.connectors.slack.reader import ChannelReader
from keysentry.connectors.slack.sweep import Sweep
from keysentry.errors import AccessError, ConfigError, GoneError
from keysentry.extraction.formats.slack import Channel
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive

EVENTS: Final = "events"
"""The id of the live unit."""
_LIST_PAGE: Final = 1000


class _Kind(NamedTuple):
    """A kind of conversation: its name for `conversations.list`, the family of its scopes, and what people call it."""

    type: str
    family: str
    title: str

    @property
    def scopes(self) -> tuple[str, str]:
        return f"{self.family}:read", f"{self.family}:history"


_CHANNELS: Final = (
    _Kind("public_channel", "channels", "public channels"),
    _Kind("private_channel", "groups", "private channels"),
)
_DIRECT: Final = (_Kind("im", "im", "direct messages"), _Kind("mpim", "mpim", "group conversations"))


class Choice(NamedTuple):
    """Which conversations are wanted: ids and names (none: all), globs on titles, and whether direct ones at all."""

    channels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    direct: bool = False

    def wants(self, conversation: Conversation) -> bool:
        """Whether a conversation is wanted."""
        channel = conversation.channel
        if channel.kind in ("dm", "mpim") and not self.direct:
            return False
        if self.channels and not self.named(channel):
            return False
        if self.include and not any(_fits(glob, channel.title) for glob in self.include):
            return False
        return not any(_fits(glob, channel.title) for glob in self.exclude)

    def named(self, channel: Channel) -> list[str]:
        """By which of the wanted ids and names a conversation is meant."""
        known = (channel.id, channel.title, channel.title.lstrip("#"))
        return [one for one in self.channels if one in known]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, if nothing but ids was asked for: then nothing needs to be listed."""
        return self.channels if all(is_id(one) for one in self.channels) else ()


def is_id(text: str) -> bool:
    """Whether this is the id of a conversation and no name (names have no capitals)."""
    return text[:1] in ("C", "G", "D") and len(text) >= 9 and text.isascii() and text.isalnum() and text.isupper()


def _fits(glob: str, title: str) -> bool:
    return fnmatchcase(title, glob) or fnmatchcase(title.lstrip("#@"), glob)


class SlackSource:
    """One workspace, by one token."""

    def __init__(
        self,
        client: Client,
        *,
        choice: Choice | None = None,
        files: bool = True,
        max_file: int = 100 << 20,
        since: float = 0.0,
        edits_for: float = 1.0,
        poll: float = 60.0,
        signing_secret: Sensitive | None = None,
    ) -> None:
        """`since` is in UTC seconds, `edits_for` in days, `poll` in seconds, `max_file` in bytes."""
        self._client = client
        self._choice = choice or Choice()
        self._since = int(since * 1_000_000)
        self._edits_for = edits_for
        self._poll = poll
        self._signing_secret = signing_secret
        self._directory = Directory(client)
        self._files = Files(client, Downloads(client), wanted=files, largest=max_file)
        self._canvases = Canvases(self._directory, self._files)
        self._interpreter = Interpreter(client, self._directory, self._files, self._choice.wants)
        self._feed = Feed(client, self._interpreter) if client.listens else None

    def units(self) -> Iterator[Unit | Skipped]:
        """The conversations that the token can read, and why others cannot be read."""
        identity = self._directory.identity(fresh=True)
        if self._feed is not None:
            yield Unit(EVENTS, "events", live=True)
        missing = dict.fromkeys(self._choice.channels)
        for told in self._listed(identity):
            if isinstance(told, Skipped):
                yield told
                continue
            conversation = self._directory.note(told)
            if self._choice.wants(conversation):
                for name in self._choice.named(conversation.channel):
                    missing.pop(name, None)
                yield _unit(identity, conversation)
        for name in missing:
            yield Skipped(name, "there is no such conversation, or the token cannot see it")

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """A conversation's messages: a pass each time, newest first; what is new, edited or gone since the last one."""
        if unit.id == EVENTS:
            if self._feed is None:
                raise AccessError(
                    "there is no app-level token to listen with", place=self._client.place, advice="set `app_token`"
                )
            yield from self._feed.deliveries(self._poll)
            return
        conversation = self._directory.conversation(unit.id)
        channel = self._directory.exposed(conversation)
        state = read_state(cursor, self._since)
        if state is None:
            state = State(floor=self._since)
            reason = "how far it was read cannot be understood any more: it is read from its beginning"
            yield Delivery(None, Cursor(), (Skipped(channel.title, reason, partial=True),))
        reader = ChannelReader(channel, self._directory, self._files)
        yield from Sweep(self._client, reader, state, edits_for=self._edits_for).deliveries()
        if self._files.wanted:
            yield from self._canvases.deliveries(conversation, channel, state)

    def endpoint(self) -> EventsEndpoint:
        """What takes the requests of the Events API. Raises `ConfigError` without a signing secret."""
        if self._signing_secret is None:
            raise ConfigError(
                "requests of the Events API cannot be believed without the app's signing secret",
                place=self._client.place,
                advice="set `signing_secret`, or the variable SLACK_SIGNING_SECRET",
            )
        return EventsEndpoint(self._interpreter, self._signing_secret)

    def close(self) -> None:
        """Let go of connections; whoever waits gets `ClosedError`."""
        self._client.close()
        if self._feed is not None:
            self._feed.close()

    # -- which conversations there are ------------------------------------------------------------------------------

    def _listed(self, identity: Identity) -> Iterator[Fields | Skipped]:
        """What Slack tells of the conversations, and which kinds it does not tell of to this token."""
        yield from self._gaps(identity)
        if self._choice.ids:
            for id in self._choice.ids:
                with contextlib.suppress(GoneError):
                    told = self._client.call("conversations.info", channel=id, include_num_members=True).get("channel")
                    if isinstance(told, dict):
                        yield told
            return
        refused: list[AccessError] = []
        kinds = [kind for kind in self._kinds() if identity.has(*kind.scopes)]
        groups = [[kind] for kind in kinds] if identity.scopes is None else [kinds]
        for group in groups:
            types = ",".join(kind.type for kind in group)
            try:
                yield from self._client.items("conversations.list", "channels", _LIST_PAGE, types=types)
            except AccessError as error:
                refused.append(error)
                yield Skipped(" and ".join(kind.title for kind in group), str(error))
        if refused and len(refused) == len(groups):
            raise refused[0]

    def _kinds(self) -> tuple[_Kind, ...]:
        return (*_CHANNELS, *_DIRECT) if self._choice.direct else _CHANNELS

    def _gaps(self, identity: Identity) -> Iterator[Skipped]:
        """What the token's scopes do not let it read. Raises `AccessError` if that is everything."""
        lacking = [kind for kind in self._kinds() if not identity.has(*kind.scopes)]
        if len(lacking) == len(self._kinds()):
            wanted = ", ".join(scope for kind in lacking for scope in kind.scopes)
            has = ", ".join(sorted(identity.scopes or ())) or "no scopes"
            raise AccessError(
                f"the token may not read any conversation: it has {has}",
                place=self._client.place,
                advice=f"add some of the scopes {wanted} to the Slack app and install it again",
            )
        for kind in lacking:
            missing = " and ".join(scope for scope in kind.scopes if not identity.has(scope))
            yield Skipped(kind.title, f"the token lacks {missing}")
        if not identity.has("users:read"):
            yield Skipped("names", "the token lacks users:read: ids stand for people's names", partial=True)
        if self._files.wanted and not identity.has("files:read"):
            yield Skipped("files", "the token lacks files:read: no file can be read", partial=True)


def _unit(identity: Identity, conversation: Conversation) -> Unit | Skipped:
    channel = conversation.channel
    if identity.bot and not conversation.member and channel.kind in ("public", "private"):
        return Skipped(channel.title, "the app is no member of it, and may not read it (/invite it there)")
    return Unit(channel.id, channel.title)
