"""Channels of Teams and their messages, replies included.

Algorithm. The delta function of a channel reaches back eight months and tells of reply chains: a root message comes,
with all its replies, when anything in the chain is new or has changed. So a channel is read in two phases: first its
history (the plain list, newest chain first), then changes (the delta function) from the moment at which the history was
begun. A watermark keeps what has not changed from coming again with its chain. In the first round of changes it only
knows the messages of the last minute: a chain that changed while the history was read may have moved past the reader.

Resuming. A place is (page, chain in it, message in the chain); a chain of more than 1,000 replies has pages of its own.

Facts:
https://learn.microsoft.com/en-us/graph/api/chatmessage-delta
https://learn.microsoft.com/en-us/graph/api/channel-list-messages
https://learn.microsoft.com/en-us/graph/api/resources/channel
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from urllib.parse import quote

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.conversations import Channel, Team, channel_path, channel_readers
from keysentry.connectors.microsoft.delta import (
    Made,
    answered_at,
    digest,
    following,
    load,
    page_of,
    rows,
    save,
    tail_of,
)
from keysentry.connectors.microsoft.faults import LOSES_PLACE, ForbiddenError
from keysentry.connectors.microsoft.members import Patience, Readers
from keysentry.connectors.microsoft.message import Setting, changed_at, make
from keysentry.connectors.microsoft.watermark import MARGIN, Watermark
from keysentry.connectors.microsoft.wire import Page, Raw, id_of, iso, read
from keysentry.errors import GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Unit

_TOP = 25
"""Chains a page. Up to 50 are allowed; each may bring 1,000 replies."""
_REPLIES = "replies?$top=50"
"""The first page of all replies to a message."""
_LOST = "the service does not know the last place any more: what has changed since is read by its time instead"
_REACH = 210 * 86_400_000
"""How far back changes can be asked for: less than the eight months of the service (milliseconds)."""


class Chain(msgspec.Struct, frozen=True):
    """The replies that come with a root message, and the link to the rest of them."""

    replies: tuple[Raw, ...] | None = None
    next_link: str | None = msgspec.field(default=None, name="replies@odata.nextLink")


class Spot(msgspec.Struct, frozen=True, array_like=True):
    """Where in a page: chains dealt with, and messages dealt with in the next one. With `more` these are of a page of
    replies, at that end of an address, to the message `thread`. `check` is a digest of the id just before.
    """

    chain: int = 0
    at: int = 0
    check: str = ""
    more: str = ""
    thread: str = ""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where in a channel: the phase, the end of the page's address (empty: its first), the spot in the page, and the
    moment from which on changes are asked for (UTC milliseconds). `old` is the watermark of the rounds before, `new`
    that of this one.
    """

    changes: bool = False
    tail: str = ""
    spot: Spot = Spot()
    began: int = 0
    old: Watermark = Watermark()
    new: Watermark = Watermark()


def channels(client: GraphClient) -> Iterator[Unit | Skipped]:
    """The channels of every team."""
    patience = Patience()
    for team in teams(client):
        if isinstance(team, Skipped):
            yield team
            continue
        try:
            yield from _of_team(client, team)
            patience.worked()
        except SourceError as error:
            yield patience.failed(team.title, error)


def teams(client: GraphClient) -> Iterator[Unit | Skipped]:
    """Every team, under its address."""
    for raw in rows(client, "/", "teams?$select=id,displayName"):
        team = read(raw, Team)
        if team is None or not team.id:
            yield Skipped("Teams", "a team that cannot be understood is not read")
        else:
            yield Unit(f"teams/{team.id}", team.display_name or team.id)


def _of_team(client: GraphClient, team: Unit) -> Iterator[Unit]:
    under = f"/teams/{quote(team.id.partition('/')[2], safe='')}/"
    for raw in rows(client, under, "channels?$select=id,displayName,membershipType"):
        channel = read(raw, Channel) or Channel(id_of(raw))
        if channel.id:
            yield Unit(f"{team.id}/channels/{channel.id}", f"{team.title} / #{channel.display_name or channel.id}")


class ChannelReader:
    """Reads one channel; made for one pass."""

    def __init__(self, client: GraphClient, unit: Unit, since: float) -> None:
        self._client = client
        self._unit = unit
        self._since = since
        _, team, _, channel = unit.id.split("/", 3)
        self._team = f"/teams/{quote(team, safe='')}"
        self._channel = channel_path(team, channel)
        self._setting: Setting | None = None
        self._notes: tuple[Skipped, ...] = ()

    def deliveries(self, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is new, edited or deleted from a cursor on."""
        place = load(cursor, Place) or self._start()
        lost = False
        while True:
            path = self._path(place)
            try:
                answer = self._client.get(path, messages=True)
            except LOSES_PLACE:
                if lost or not place.tail:
                    raise
                lost, place = True, _anew(place)
                yield Delivery(None, save(place), (Skipped(self._unit.title, _LOST, partial=True),))
                continue
            if not place.began:
                place = msgspec.structs.replace(place, began=answered_at(answer) - MARGIN)
            found = page_of(answer, path)
            over = not following(found, place.tail) and place.changes
            place = yield from self._page(place, found)
            if over:
                return

    def _start(self) -> Place:
        since = round(self._since * 1000)
        return Place(changes=True, began=since) if since > _earliest() else Place()

    def _path(self, place: Place) -> str:
        under = f"{self._channel}/messages/" if place.changes else f"{self._channel}/"
        if place.tail:
            return under + place.tail
        query = f"$top={_TOP}&$expand=replies"
        if not place.changes:
            return f"{under}messages?{query}"
        return f"{under}delta()?{query}&$filter=lastModifiedDateTime%20gt%20{iso(place.began)}"

    def _page(self, place: Place, found: Page) -> Generator[Delivery, None, Place]:
        """The messages of one page; gives the place after it."""
        values = found.value or ()
        if not _still(values, place.spot):
            place = msgspec.structs.replace(place, spot=Spot())
        given = place
        for raw, thread, spot in self._messages(values, place.spot):
            here = msgspec.structs.replace(place, spot=spot)
            made, place = self._message(raw, thread, here)
            if made.record is None and not made.skipped:
                continue
            given = _after(place, found) if spot.chain == len(values) else place
            notes, self._notes = self._notes, ()
            yield Delivery(made.record, save(given), notes + made.skipped)
        end = _after(place, found)
        if given != end:
            yield Delivery(None, save(end))
        return end

    def _message(self, raw: Raw, thread: str, place: Place) -> tuple[Made, Place]:
        """A record from one message, unless it was given already, and the place after it."""
        id_, changed = id_of(raw), changed_at(raw)
        if not place.old.fresh(changed, id_):
            return Made(), place
        place = msgspec.structs.replace(place, new=place.new.seen(changed, id_))
        path = f"{self._unit.id}/messages/{thread}/replies/{id_}" if thread else f"{self._unit.id}/messages/{id_}"
        return make(raw, path, self._place_of_messages()), place

    def _messages(self, values: tuple[Raw, ...], spot: Spot) -> Iterator[tuple[Raw, str, Spot]]:
        """The messages of a page from a spot on: (message, id of the root if it is a reply, the spot after it)."""
        for chain in range(spot.chain, len(values)):
            yield from self._chain(values[chain], spot if chain == spot.chain else Spot(chain))

    def _chain(self, root: Raw, spot: Spot) -> Iterator[tuple[Raw, str, Spot]]:
        thread, chain = id_of(root), read(root, Chain) or Chain()
        after = Spot(spot.chain + 1, 0, digest(thread))
        more = tail_of(chain.next_link) if chain.next_link else ""
        if not spot.more:
            messages = (root, *(chain.replies or ()))
            for at in range(spot.at, len(messages)):
                id_ = id_of(messages[at])
                last = at + 1 == len(messages)
                rest = Spot(spot.chain, 0, "", more, thread) if more else after
                yield messages[at], thread if at else "", rest if last else Spot(spot.chain, at + 1, digest(id_))
            spot = Spot(spot.chain, 0, "", more, thread)
        while spot.more:
            spot = yield from self._replies(spot, after)

    def _replies(self, spot: Spot, after: Spot) -> Generator[tuple[Raw, str, Spot], None, Spot]:
        """One more page of replies to a message; gives the spot after it."""
        under = f"{self._channel}/messages/{quote(spot.thread, safe='')}/"
        try:
            found = page_of(self._client.get(under + spot.more, messages=True), under)
        except LOSES_PLACE:
            if spot.more == _REPLIES:
                raise
            return Spot(spot.chain, 0, "", _REPLIES, spot.thread)
        values = found.value or ()
        rest = msgspec.structs.replace(spot, at=0, check="", more=following(found, spot.more))
        end = rest if rest.more else after
        begin = spot.at if 0 < spot.at <= len(values) and digest(id_of(values[spot.at - 1])) == spot.check else 0
        for at in range(begin, len(values)):
            here = msgspec.structs.replace(spot, at=at + 1, check=digest(id_of(values[at])))
            yield values[at], spot.thread, end if at + 1 == len(values) else here
        return rest

    def _place_of_messages(self) -> Setting:
        """The name and the readers of the channel; asked for once a pass, and only when there is something to tell."""
        if self._setting is None:
            found = self._readers()
            self._notes += found.skipped
            self._setting = Setting(self._unit.id, self._unit.title, found.exposure, since=self._since)
        return self._setting

    def _readers(self) -> Readers:
        try:
            return self._known_readers()
        except (ForbiddenError, GoneError) as error:
            reason = f"who could read it is not known: {error}"
            return Readers(Exposure(), (Skipped(self._unit.title, reason, partial=True),))

    def _known_readers(self) -> Readers:
        channel = read(self._client.get(self._channel).body, Channel) or Channel()
        return channel_readers(self._client, self._team, self._channel, channel, self._unit.title)


def _still(values: tuple[Raw, ...], spot: Spot) -> bool:
    """Whether a page that was read again is what it was before the spot."""
    if spot.more:
        return spot.chain < len(values) and id_of(values[spot.chain]) == spot.thread
    if spot.at:
        if spot.chain >= len(values):
            return False
        messages = (values[spot.chain], *((read(values[spot.chain], Chain) or Chain()).replies or ()))
        return spot.at <= len(messages) and digest(id_of(messages[spot.at - 1])) == spot.check
    return not spot.chain or (spot.chain <= len(values) and digest(id_of(values[spot.chain - 1])) == spot.check)


def _after(place: Place, found: Page) -> Place:
    """The place after the last message of a page."""
    if found.next_link:
        return msgspec.structs.replace(place, tail=tail_of(found.next_link), spot=Spot())
    if not place.changes:  # the history is over: what changed since it was begun comes next, given or not
        return Place(changes=True, began=place.began, old=Watermark(0, place.new.recent), new=place.new)
    tail = tail_of(found.delta_link) if found.delta_link else place.tail
    return msgspec.structs.replace(place, tail=tail, spot=Spot(), old=place.new)


def _anew(place: Place) -> Place:
    """Where to begin again once a token is lost: with what changed since the last round, as far back as that goes."""
    began = place.old.floor or place.began
    if not place.changes or began < _earliest():
        return Place()
    return Place(changes=True, began=began, old=place.old, new=place.new)


def _earliest() -> int:
    return round(time.time() * 1000) - _REACH
