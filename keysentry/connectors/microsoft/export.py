"""Messages of Teams by its export interface: all chats of a user, or all channels of a team, as one list.

Facts that decide the shape:

- The list holds every message that changed within a range of time, deleted ones too, in no order that is promised. A
  page's token is an offset into it, as the ones in the documentation show.
- A chat's messages come from the mailbox of whoever is asked for, so each member's list has them: the same message,
  with the same id, as often as the chat has members that are read.

Algorithm. A pass reads the list of what changed since a moment (the first pass: the whole list). When it has ended,
the next pass's moment is the time at which this one began, by the service's clock, less a margin; what this pass gave
of the time after that moment is remembered, so that it is not given again. What is in doubt is given again, under the
same id. The range has no end that a change could move a message behind: then all others would move up by one, and a
token that is an offset would skip one of them.

One message, one record. The id of a record is the address of the message in its chat or channel, not in the list: the
same for every member, and the same as without the export interface. A store that is given it once for each member
has one record, and each secret in it is one occurrence. Mailboxes may lag behind each other; a state of a message that
is older than one that was stored is left out, because it would undo what the newer one told.

Resuming. A place is (page, message in the page). A token that is not known any more starts the pass anew.

https://learn.microsoft.com/en-us/microsoftteams/export-teams-content
https://learn.microsoft.com/en-us/graph/api/chats-getallmessages
https://learn.microsoft.com/en-us/graph/api/channel-getallmessages
"""

from __future__ import annotations

import threading
from base64 import urlsafe_b64encode
from collections.abc import Generator, Iterator
from functools import partial
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.conversations import Conversations
from keysentry.connectors.microsoft.delta import answered_at, digest, following, load, page_of, save, start_in
from keysentry.connectors.microsoft.directory import User
from keysentry.connectors.microsoft.faults import LOSES_PLACE, LicenceError
from keysentry.connectors.microsoft.members import Patience
from keysentry.connectors.microsoft.message import Setting, changed_at, make
from keysentry.connectors.microsoft.teams import teams
from keysentry.connectors.microsoft.wire import Graph, Page, Raw, id_of, iso, read
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit

MARGIN = 900_000
"""How much later a message may become visible, at most, and how far mailboxes lag behind each other (milliseconds)."""
_TOP = 100
"""Messages a page. Microsoft advises not to ask for more than 250."""
_END = "2100-01-01T00:00:00Z"
"""The end of the range that is asked for: later than any change."""
_KEEP = 120
"""How many messages of the margin are remembered; this bounds the cursor."""
_MARK = 8
"""How many characters stand for a message in the cursor."""
_REMEMBERED = 10_000


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where in a list: the end of the page's address (empty: the first page), how many of its messages were dealt with,
    and a digest of the last one's id.

    `began` is when the pass began (UTC milliseconds; 0: not yet) and `floor` the moment from which on it reads. `old`
    holds marks of messages after the floor that the last pass gave, `new` those that the next pass will meet again.
    """

    tail: str = ""
    at: int = 0
    check: str = ""
    began: int = 0
    floor: int = 0
    old: str = ""
    new: str = ""


class ChannelIdentity(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/channelidentity"""

    team_id: str | None = None
    channel_id: str | None = None


class Whereabouts(Graph, frozen=True):
    """Where a message says that it stands."""

    chat_id: str | None = None
    reply_to_id: str | None = None
    channel_identity: ChannelIdentity | None = None


class Stood(NamedTuple):
    """Where a message stands: its address, the ids of its chat, or of its team and channel."""

    path: str
    chat: str = ""
    team: str = ""
    channel: str = ""


def export_of_users(users: Iterator[User | Skipped]) -> Iterator[Unit | Skipped]:
    """All chats of each user, as one unit."""
    for user in users:
        yield user if isinstance(user, Skipped) else Unit(f"users/{user.id or user.name}/chats", f"chats / {user.name}")


def export_of_teams(client: GraphClient) -> Iterator[Unit | Skipped]:
    """All channels of each team, as one unit."""
    for team in teams(client):
        yield team if isinstance(team, Skipped) else Unit(f"{team.id}/channels", f"{team.title} / all channels")


class Newest:
    """The newest state of recent messages that was stored, whichever member's list it came from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, int] = {}

    def stale(self, path: str, changed: int) -> bool:
        """Whether a newer state of a message was stored."""
        return 0 < changed < self._changed.get(digest(path), 0)

    def stored(self, path: str, changed: int) -> None:
        """A state was stored."""
        with self._lock:
            if len(self._changed) >= _REMEMBERED:
                del self._changed[next(iter(self._changed))]
            key = digest(path)
            self._changed[key] = max(changed, self._changed.pop(key, 0))


class ExportReader:
    """Reads one list; made for one pass."""

    def __init__(
        self, client: GraphClient, unit: Unit, *, model: str, since: float, newest: Newest, licences: Patience
    ) -> None:
        """`model` is the licensing model that is asked for, if any. `licences` is shared by all units of a source: it
        tells users without a licence from an organisation without one.
        """
        self._client = client
        self._unit = unit
        self._model = model
        self._since = since
        self._newest = newest
        self._licences = licences
        self._notes: tuple[Skipped, ...] = ()
        self._given = Place()
        kind, self._owner, list_ = unit.id.split("/", 2)
        self._under = f"/{kind}/{quote(self._owner, safe='')}/{list_}/"
        self._conversations = Conversations(client, unit, unit.title.rpartition(" / ")[0], since)

    def deliveries(self, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is new, edited or deleted from a cursor on. A pass that was begun before is finished first."""
        place = load(cursor, Place) or Place()
        after = yield from self._pass(place)
        if place.began and after is not None:
            yield from self._pass(after)

    def _pass(self, place: Place) -> Generator[Delivery, None, Place | None]:
        """One list from a place on; gives the place of the next pass, or None if there is no licence to go on."""
        anew, self._given = False, place
        while True:
            try:
                answer = self._client.get(self._path(place))
            except LicenceError as error:
                yield Delivery(None, save(place), (self._licences.failed(self._unit.title, error),))
                return None
            except LOSES_PLACE:
                if anew or not place.tail:
                    raise
                anew, place = True, Place(floor=place.floor, old=place.old)
                continue
            self._licences.worked()
            found = page_of(answer, self._under)
            more = following(found, place.tail)
            if not (found.value or more or place.began):
                return place
            if not place.began:
                place = msgspec.structs.replace(place, began=answered_at(answer))
            place = yield from self._page(place, found, more)
            if not more:
                break
        if place != self._given:
            yield Delivery(None, save(place))
        return place

    def _path(self, place: Place) -> str:
        model = f"model={self._model}" if self._model else ""
        if place.tail:  # the documentation's links do not show a model: without it the page would count as a trial
            asked = not model or "model=" in place.tail
            return f"{self._under}{place.tail}" if asked else f"{self._under}{place.tail}&{model}"
        floor = max(place.floor, round(self._since * 1000) - 1)
        limits = f"lastModifiedDateTime%20gt%20{iso(floor)}%20and%20lastModifiedDateTime%20lt%20{_END}"
        query = filter(None, (f"$top={_TOP}", f"$filter={limits}" if floor > 0 else "", model))
        return f"{self._under}getAllMessages?{'&'.join(query)}"

    def _page(self, place: Place, found: Page, more: str) -> Generator[Delivery, None, Place]:
        """The messages of one page; gives the place after it."""
        values = found.value or ()
        known = _marks(place.old)
        for at in range(start_in(values, place.at, place.check), len(values)):
            raw = values[at]
            stood, changed = self._stood(raw), changed_at(raw)
            mark = _mark(changed, stood.path)
            place = _after(place, changed, mark, at + 1, digest(id_of(raw)))
            given_before = changed and (changed <= place.floor or mark in known)
            if given_before or self._newest.stale(stood.path, changed):
                continue
            setting = self._setting(stood)
            made = make(raw, stood.path, setting, stood.chat)
            if made.record is None and not made.skipped:
                continue
            self._given = place if at + 1 < len(values) else _turned(place, more)
            notes, self._notes = self._notes, ()
            recent = changed > place.began - MARGIN
            done = partial(self._newest.stored, stood.path, changed) if recent else None
            yield Delivery(made.record, save(self._given), notes + made.skipped, done)
        return _turned(place, more)

    def _setting(self, stood: Stood) -> Setting:
        if stood.chat:
            told = self._conversations.chat(stood.chat)
        elif stood.channel:
            told = self._conversations.channel(stood.team, stood.channel)
        else:
            told = self._conversations.unknown()
        self._notes += told.skipped
        return told.setting

    def _stood(self, raw: Raw) -> Stood:
        """Where a message stands. One that does not say so stands in the list alone."""
        id_, where = id_of(raw), read(raw, Whereabouts) or Whereabouts()
        if where.chat_id:
            return Stood(f"chats/{where.chat_id}/messages/{id_}", chat=where.chat_id)
        identity = where.channel_identity or ChannelIdentity()
        if not identity.channel_id:
            return Stood(f"{self._unit.id}/messages/{id_}")
        team = identity.team_id or self._owner
        thread = f"{where.reply_to_id}/replies/" if where.reply_to_id else ""
        path = f"teams/{team}/channels/{identity.channel_id}/messages/{thread}{id_}"
        return Stood(path, team=team, channel=identity.channel_id)


def _after(place: Place, changed: int, mark: str, at: int, check: str) -> Place:
    """The place after one more message, given or not."""
    new = place.new
    recent = changed > place.began - MARGIN and len(new) < _KEEP * _MARK
    if recent and mark not in _marks(new):
        new += mark
    return msgspec.structs.replace(place, at=at, check=check, new=new)


def _turned(place: Place, more: str) -> Place:
    """The place after the last message of a page: the next page, or the next pass."""
    if more:
        return msgspec.structs.replace(place, tail=more, at=0, check="")
    return Place(floor=max(place.floor, place.began - MARGIN), old=place.new)


def _mark(changed: int, path: str) -> str:
    """A short stand-in for a state of a message."""
    state = f"{changed} {path}".encode("utf-8", "surrogatepass")
    return urlsafe_b64encode(blake2b(state, digest_size=6).digest()).decode()


def _marks(packed: str) -> frozenset[str]:
    return frozenset(packed[at : at + _MARK] for at in range(0, len(packed), _MARK))
