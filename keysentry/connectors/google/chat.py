"""Google Chat: spaces, group chats and direct messages.

Algorithm. The latest event of the space is noted first; then all messages are listed, oldest first; then the events
after the noted one are followed (new, edited and deleted messages), and in every later pass from where they were left
(https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.spaceEvents/list).

Invariants. Cursors hold times of Chat itself, to the nanosecond, and never ours, and names of what was given last at
that time; no page tokens. Events are kept for 28 days: where the cursor is older, all messages are listed again, the
deleted ones as deleted.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import Final, Literal

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.google import Options
from keysentry.connectors.google.accounts import Accounts, by_user
from keysentry.connectors.google.chatmessage import read
from keysentry.connectors.google.client import Answer, Client
from keysentry.connectors.google.failures import Denied, date
from keysentry.connectors.google.fields import (
    Fields,
    flag,
    nanoseconds,
    nanoseconds_of,
    number,
    seconds,
    stamp,
    text,
    thing,
    things,
)
from keysentry.errors import GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Record, Unit

PAGE: Final = 200
_SECOND: Final = 1_000_000_000
_LOOK_BACK: Final = 300 * _SECOND
"""How far before an answer's time the latest event is looked for."""
_QUIET: Final = 86_400 * _SECOND
"""How old a cursor may grow in a space where nothing happens, before it is moved on."""
_KEPT: Final = 27 * 86_400 * _SECOND
_EVENT: Final = "google.workspace.chat.message.v1."
_KINDS: Final = " OR ".join(f'event_types:"{_EVENT}{kind}"' for kind in ("created", "updated", "deleted"))
_PAYLOADS: Final = {
    "created": ("messageCreatedEventData", "messageBatchCreatedEventData"),
    "updated": ("messageUpdatedEventData", "messageBatchUpdatedEventData"),
    "deleted": ("messageDeletedEventData", "messageBatchDeletedEventData"),
}


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cursor; times are nanoseconds.

    `event` is the time of the event in hand, `last` its name and `done` how many of its messages were given; while
    listing, `event` is what was noted. `at` is when the last message that was listed was written, `last` its name.
    `anew` is set where a space is listed for the second time.
    """

    phase: Literal["list", "events"]
    event: int
    at: int = 0
    last: str = ""
    done: int = 0
    anew: bool = False

    @property
    def cursor(self) -> Cursor:
        """As others keep it."""
        return Cursor(msgspec.json.encode(self).decode())


class Chat:
    """Units and records of Google Chat."""

    def __init__(self, client: Client, options: Options, accounts: Accounts) -> None:
        self._client = client
        self._options = options
        self._accounts = accounts

    def units(self) -> Iterator[Unit | Skipped]:
        """The spaces that the users are in."""
        if self._options.spaces:
            for name in self._options.spaces:
                try:
                    yield _unit(self._space(name)[1].content)
                except GoneError as error:
                    yield Skipped(name, f"{error.reason}: no such space, or none of the users is in it")
            return
        seen: set[str] = set()
        yield from by_user(self._accounts.users, lambda user: self._spaces(user, seen))

    def _spaces(self, user: str, seen: set[str]) -> Iterator[Unit]:
        token: str | None = None
        while True:
            page = self._client.call("chat", user, "spaces.list", pageSize=1000, pageToken=token)
            for space in things(page, "spaces"):
                if text(space, "name") and text(space, "name") not in seen:
                    seen.add(text(space, "name"))
                    yield _unit(space)
            token = text(page, "nextPageToken")
            if not token:
                return

    def _space(self, name: str) -> tuple[str, Answer]:
        """A space, and the first user who is in it."""
        last: SourceError | None = None
        for user in self._accounts.users:
            try:
                return user, self._client.answer("chat", user, "spaces.get", name=name)
            except (GoneError, Denied) as error:
                last = error
        raise GoneError(last.reason if last else "nobody is in it", place=name)

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """The messages of a space, and then what happened to them."""
        reading = _Reading(self._client, self._options, unit, *self._space(unit.id.removeprefix("space:")))
        try:
            mark = msgspec.json.decode(cursor.value, type=Mark) if cursor and cursor.value else reading.beginning()
            listed = mark.phase == "list"
            if listed:
                mark = yield from _listed(reading, mark)
            try:
                yield from reading.events(mark)
            except _LostError:
                if listed:
                    raise
                mark = yield from _listed(reading, msgspec.structs.replace(reading.beginning(), anew=True))
        except Denied as error:  # nobody of ours is in it any more
            raise GoneError(error.reason, place=unit.title, advice=error.advice) from None


class _LostError(SourceError):
    """Chat does not keep the events from a place on any more."""


def _listed(reading: _Reading, mark: Mark) -> Generator[Delivery, None, Mark]:
    """All messages from a place on; then the place in the events."""
    at = mark.at
    for place, delivery in reading.listing(mark):
        at = place.at
        yield delivery
    mark = Mark("events", mark.event, at=at)
    yield Delivery(None, mark.cursor)
    return mark


class _Reading:
    """One pass over a space: pages of messages and of events, as deliveries."""

    def __init__(self, client: Client, options: Options, unit: Unit, user: str, space: Answer) -> None:
        self._client = client
        self._options = options
        self._user = user
        self._unit = unit
        self._name = unit.id.removeprefix("space:")
        self._uri = text(space.content, "spaceUri")
        self._exposure = exposure(space.content)
        self._since = nanoseconds_of(options.since)
        self._now = int(date(space.headers.get("date", "")) or time.time()) * _SECOND
        """What time it is for Chat, to the second."""

    def beginning(self) -> Mark:
        """The latest event before now."""
        latest = self._now - _LOOK_BACK
        for event in self._events(latest):
            latest = max(latest, nanoseconds(text(event, "eventTime")) or 0)
        return Mark("list", latest)

    # -- all messages -----------------------------------------------------------------------------------------------

    def listing(self, mark: Mark) -> Iterator[tuple[Mark, Delivery]]:
        """All messages from a place on, each with the place after it."""
        conditions = []
        start = mark.at - 1 if mark.at else None if self._since is None else self._since - 1
        if start is not None:
            conditions.append(f'create_time > "{stamp(start)}"')
        resumed = mark.last
        token: str | None = None
        while True:
            page = self._client.call(
                "chat",
                self._user,
                "spaces.messages.list",
                parent=self._name,
                pageSize=PAGE,
                pageToken=token,
                orderBy="createTime ASC",
                filter=" AND ".join(conditions) or None,
                showDeleted=mark.anew or None,
            )
            for message in things(page, "messages"):
                name, at = text(message, "name"), nanoseconds(text(message, "createTime")) or mark.at
                if resumed and at == mark.at:
                    resumed = "" if name == resumed else resumed
                    continue
                resumed = ""
                mark = msgspec.structs.replace(mark, at=at, last=name)
                yield mark, self._delivered(message, mark)
            token = text(page, "nextPageToken")
            if not token:
                return

    # -- what happened ----------------------------------------------------------------------------------------------

    def events(self, mark: Mark) -> Iterator[Delivery]:
        """The events from a place on, to their end. Raises `_LostError` if they are not kept any more."""
        begun, resumed, given = mark.event, mark.last, mark
        if self._now - begun > _KEPT:
            raise _LostError("its events are not kept any more", place=self._unit.title)
        listed, mark = mark.at, msgspec.structs.replace(mark, at=0)
        for event in self._events(begun - 1 if resumed else begun):
            name, at = text(event, "name"), nanoseconds(text(event, "eventTime")) or mark.event
            done = 0
            if resumed and at == begun:
                if name != resumed:
                    continue
                done = mark.done
            resumed = ""
            messages = list(_messages(event))
            for n, (message, fresh) in enumerate(messages[done:], done + 1):
                mark = Mark("events", at, at=listed, last=name, done=n)
                if not (fresh and (nanoseconds(text(message, "createTime")) or 0) <= listed):
                    yield self._delivered(message, mark)
                    given = mark
            mark = Mark("events", at, at=listed, last=name, done=len(messages))
        end = msgspec.structs.replace(mark, at=0)
        if end != given:
            yield Delivery(None, end.cursor)
        elif self._now - mark.event > _QUIET:
            yield Delivery(None, Mark("events", self._now - _LOOK_BACK).cursor)

    def _events(self, after: int) -> Iterator[Fields]:
        token: str | None = None
        while True:
            page = self._client.call(
                "chat",
                self._user,
                "spaces.spaceEvents.list",
                parent=self._name,
                pageSize=PAGE,
                pageToken=token,
                filter=f'start_time="{stamp(after)}" AND ({_KINDS})',
            )
            yield from things(page, "spaceEvents")
            token = text(page, "nextPageToken")
            if not token:
                return

    # -- one message ------------------------------------------------------------------------------------------------

    def _delivered(self, message: Fields, mark: Mark) -> Delivery:
        name = text(message, "name")
        if not name:
            return Delivery(None, mark.cursor, (Skipped(self._unit.title, "a message without a name"),))
        if text(message, "deleteTime"):
            return Delivery(Record(id=name, unit=self._unit.id, deleted=True, chat=True), mark.cursor)
        parts, skipped = read(self._client, self._user, message, self._options.max_file, drive=self._options.drive)
        sender = thing(message, "sender")
        record = Record(
            id=name,
            parts=parts,
            unit=self._unit.id,
            author=text(sender, "displayName") or text(sender, "email") or text(sender, "name"),
            author_id=text(sender, "email") or text(sender, "name"),
            time=seconds(text(message, "createTime")),
            container=self._unit.title,
            uri=self._link(message),
            chat=True,
            exposure=self._exposure,
        )
        return Delivery(record, mark.cursor, skipped)

    def _link(self, message: Fields) -> str:
        """A link that opens the message in its thread, as Chat's own "copy link" gives it; else one to the space."""
        space = self._name.removeprefix("spaces/")
        thread = text(message, "thread", "name").rpartition("/")[2]
        last = text(message, "name").rpartition("/")[2].rpartition(".")[2]
        if thread and last:
            return f"https://chat.google.com/room/{space}/{thread}/{last}"
        return self._uri or f"https://chat.google.com/room/{space}"


def _unit(space: Fields) -> Unit:
    name = text(space, "name")
    kind = {"DIRECT_MESSAGE": "direct message", "GROUP_CHAT": "group chat"}.get(text(space, "spaceType"), "space")
    return Unit(f"space:{name}", text(space, "displayName") or f"{kind} {name.removeprefix('spaces/')}")


def exposure(space: Fields) -> Exposure:
    """Who can read a space: outsiders where they are let in, the organisation where it can be found, else its members.

    The reach is the number of members, unless groups are among them.
    """
    groups = number(space, "membershipCount", "joinedGroupCount") or 0
    reach = None if groups else number(space, "membershipCount", "joinedDirectHumanUserCount")
    if flag(space, "externalUserAllowed"):
        return Exposure("external", reach)
    if text(space, "accessSettings", "accessState") == "DISCOVERABLE":
        return Exposure("internal")
    if not text(space, "spaceType"):
        return Exposure("unknown", reach)
    return Exposure("private", reach)


def _messages(event: Fields) -> Iterator[tuple[Fields, bool]]:
    """The messages of an event, and whether they are new. A deleted one has at least its name."""
    kind = text(event, "eventType").removeprefix(_EVENT).removeprefix("batch").lower()
    single, batch = _PAYLOADS.get(kind, ("", ""))
    given = [thing(event, single)] if thing(event, single) else things(event, batch, "messages")
    for one in given:
        message = thing(one, "message")
        if kind == "deleted" and not text(message, "deleteTime"):
            message = message | {"deleteTime": text(event, "eventTime") or "deleted"}
        yield message, kind == "created"
