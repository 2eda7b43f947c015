"""Chats of Teams (one-to-one, group, of meetings) and their messages.

Algorithm. There is no delta function for one chat, but its messages can be listed by their last change, newest first,
above or below a moment. So a pass goes from the newest message down to the watermark of the pass before. What changes
meanwhile comes up above the pass's newest, and is of the next pass.

Resuming. A place is the time of change of the message that was given last, and which messages of just that time were
given: no token, so no place is ever lost.

Facts:
https://learn.microsoft.com/en-us/graph/api/chat-list-messages
https://learn.microsoft.com/en-us/graph/api/chat-list
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.conversations import Chat, chat_path, chat_readers, title
from keysentry.connectors.microsoft.delta import digest, following, load, page_of, rows, save
from keysentry.connectors.microsoft.directory import User, units_of_users
from keysentry.connectors.microsoft.faults import LOSES_PLACE
from keysentry.connectors.microsoft.message import Setting, changed_at, make
from keysentry.connectors.microsoft.watermark import Watermark
from keysentry.connectors.microsoft.wire import Raw, id_of, iso, read
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit

_TOP = 50


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where in a chat: the time of change of the last message given in this pass (0: none yet) and digests of the ids
    given with just that time; the watermark of the passes before and that of this one.
    """

    before: int = 0
    same: tuple[str, ...] = ()
    old: Watermark = Watermark()
    new: Watermark = Watermark()


def chats(client: GraphClient, users: Iterator[User | Skipped]) -> Iterator[Unit | Skipped]:
    """The chats of the users, each once. Of each a digest is kept while they are listed."""
    known: set[str] = set()

    def of_user(user: User) -> Iterator[Unit]:
        for raw in rows(client, f"{user.path}/", f"chats?$top={_TOP}&$expand=members"):
            chat = read(raw, Chat) or Chat(id_of(raw))
            if chat.id and digest(chat.id) not in known:
                known.add(digest(chat.id))
                yield Unit(f"chats/{chat.id}", title(chat))

    return units_of_users(users, "chats", of_user)


class ChatReader:
    """Reads one chat; made for one pass."""

    def __init__(self, client: GraphClient, unit: Unit, since: float) -> None:
        self._client = client
        self._unit = unit
        self._since = since
        self._chat = unit.id.partition("/")[2]
        self._path = chat_path(self._chat)
        self._setting: Setting | None = None
        self._notes: tuple[Skipped, ...] = ()

    def deliveries(self, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is new, edited or deleted from a cursor on, the newest first. A pass that was begun before is finished
        first.
        """
        place = load(cursor, Place) or Place()
        begun = place.before > 0
        place = yield from self._pass(place)
        if begun:
            yield from self._pass(place)

    def _pass(self, place: Place) -> Generator[Delivery, None, Place]:
        """What lies between a place and the watermark; gives the place of the next pass."""
        start = place
        for raw in self._messages(place):
            id_, changed = id_of(raw), changed_at(raw)
            if not self._wanted(place, id_, changed):
                continue
            place = _given(place, id_, changed)
            made = make(raw, f"{self._unit.id}/messages/{id_}", self._place_of_messages(), self._chat)
            if made.record is not None or made.skipped:
                notes, self._notes = self._notes, ()
                yield Delivery(made.record, save(place), notes + made.skipped)
        end = Place(old=place.new if place.new.newest else place.old)
        if end != start:
            yield Delivery(None, save(end))
        return end

    def _wanted(self, place: Place, id_: str, changed: int) -> bool:
        given = changed == place.before and digest(id_) in place.same
        return not given and place.old.fresh(changed, id_)

    def _messages(self, place: Place) -> Iterator[Raw]:
        """The messages between the watermark and the place, newest first.

        If the token of a page is lost on the way, the list is asked for anew from the last message on.
        """
        under, before = f"{self._path}/", place.before
        tail = self._first(place.old.floor, before)
        begun = ""
        while tail:
            try:
                found = page_of(self._client.get(under + tail, messages=True), self._path)
            except LOSES_PLACE:
                again = self._first(place.old.floor, before)
                if again in (tail, begun):
                    raise
                tail = begun = again
                continue
            for raw in found.value or ():
                before = changed_at(raw) or before
                yield raw
            tail = following(found, tail)

    def _first(self, floor: int, before: int) -> str:
        """The end of the address of a list that begins with what changed at `before`, or with the newest."""
        floor = max(floor, round(self._since * 1000) - 1)
        limits = [f"lastModifiedDateTime%20gt%20{iso(floor)}"] if floor > 0 else []
        limits += [f"lastModifiedDateTime%20lt%20{iso(before + 1)}"] if before else []
        chosen = f"&$filter={'%20and%20'.join(limits)}" if limits else ""
        return f"messages?$top={_TOP}&$orderby=lastModifiedDateTime%20desc{chosen}"

    def _place_of_messages(self) -> Setting:
        """The readers of the chat; asked for once a pass, and only when there is something to tell."""
        if self._setting is None:
            chat = read(self._client.get(self._path).body, Chat) or Chat()
            found = chat_readers(self._client, chat, self._path, self._unit.title)
            self._notes += found.skipped
            tenant = chat.tenant_id or ""
            self._setting = Setting(self._unit.id, self._unit.title, found.exposure, tenant, self._since)
        return self._setting


def _given(place: Place, id_: str, changed: int) -> Place:
    """The place after one more message."""
    same = (*place.same, digest(id_)) if changed == place.before else (digest(id_),)
    known = place.new if place.new.newest else place.old
    return Place(changed or place.before, same, place.old, known.seen(changed, id_))
