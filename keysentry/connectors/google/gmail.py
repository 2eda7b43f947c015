"""Gmail: the mailboxes of users.

Algorithm. The mailbox's place in its history is noted first; then all messages are listed, which Gmail gives newest
first; then the history is followed from the noted place, and from where it was left in every later pass
(https://developers.google.com/workspace/gmail/api/guides/sync).

Invariants. In the history a cursor names the last entry that was dealt with to its end, and how many messages of the
next one. A message in the trash or in spam counts as deleted; taken out of there, it comes again. Where Gmail does not
know the place any more (it keeps a week or more), the mailbox is listed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import quote

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.google import Options
from keysentry.connectors.google.accounts import Accounts, by_user
from keysentry.connectors.google.client import Client
from keysentry.connectors.google.failures import Rejected
from keysentry.connectors.google.fields import Fields, nanoseconds_of, number, text, thing, things, words
from keysentry.connectors.google.mail import read
from keysentry.errors import GoneError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Record, Unit

PAGE: Final = 200
_AWAY: Final = frozenset(("TRASH", "SPAM"))
_MESSAGE: Final = "id,threadId,labelIds,internalDate,payload"
_OF: Final = "message(id,labelIds)"
_HISTORY: Final = (
    f"id,messagesAdded({_OF}),messagesDeleted({_OF}),labelsAdded(labelIds,{_OF}),labelsRemoved(labelIds,{_OF})"
)


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cursor. `history` is the place in the history; while listing, where it stood when that began.

    While listing: `token` is that of the page in hand, `last` the last message of it that was given and `at` when that
    one came (milliseconds), `bound` the time before which the query lists. In the history: `done` is how many messages
    of the entry after `history` were given.
    """

    phase: Literal["list", "history"]
    history: str
    token: str = ""
    last: str = ""
    at: int = 0
    bound: int = 0
    done: int = 0

    @property
    def cursor(self) -> Cursor:
        """As others keep it."""
        return Cursor(msgspec.json.encode(self).decode())


class Gmail:
    """Units and records of Gmail."""

    def __init__(self, client: Client, options: Options, accounts: Accounts) -> None:
        self._client = client
        self._options = options
        self._accounts = accounts

    def units(self) -> Iterator[Unit | Skipped]:
        """The mailbox of each user."""
        yield from by_user(self._accounts.users, self._unit)

    def _unit(self, user: str) -> Iterator[Unit]:
        told = self._profile(user)
        address = self._accounts.note(user, text(told, "emailAddress") or user or "me")
        yield Unit(f"mail:{address}", f"Mailbox of {address}", number(told, "messagesTotal"))

    def _profile(self, user: str) -> Fields:
        return self._client.call("gmail", user, "users.getProfile", userId="me")

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """The messages of a mailbox, and then what happened to them."""
        user = self._accounts.user(unit.id.removeprefix("mail:"))
        mark = msgspec.json.decode(cursor.value, type=Mark) if cursor and cursor.value else self._beginning(user)
        reading = _Reading(self._client, self._options, self._accounts, unit, user)
        if mark.phase == "list":
            yield from reading.listing(mark)
            mark = Mark("history", mark.history)
            yield Delivery(None, mark.cursor)
        try:
            yield from reading.history(mark)
        except GoneError:
            mark = self._beginning(user)  # which raises it again, if it is the mailbox that is gone
            yield from reading.listing(mark)
            yield Delivery(None, Mark("history", mark.history).cursor)

    def _beginning(self, user: str) -> Mark:
        return Mark("list", text(self._profile(user), "historyId") or "1")


class _Reading:
    """One pass over a mailbox: pages of messages and of history, as deliveries."""

    def __init__(self, client: Client, options: Options, accounts: Accounts, unit: Unit, user: str) -> None:
        self._client = client
        self._options = options
        self._accounts = accounts
        self._unit = unit
        self._user = user
        self._address = unit.id.removeprefix("mail:")
        self._since = nanoseconds_of(options.since)
        accounts.note(user, self._address)

    # -- all messages -----------------------------------------------------------------------------------------------

    def listing(self, mark: Mark) -> Iterator[Delivery]:
        """All messages from a place on."""
        resumed = bool(mark.last)
        while True:
            try:
                page = self._page(mark)
            except Rejected:
                if not mark.token:
                    raise
                # The token has expired: the same messages once more, from the time of the last one back.
                mark = msgspec.structs.replace(mark, token="", bound=mark.at // 1000 + 1 if mark.at else 0)
                resumed = True
                continue
            ids = [text(one, "id") for one in things(page, "messages")]
            if resumed and mark.last in ids:
                ids = ids[ids.index(mark.last) + 1 :]
            for id in ids:
                message = self._message(id)
                if message is None:
                    continue
                mark = msgspec.structs.replace(mark, last=id, at=number(message, "internalDate") or mark.at)
                yield self._delivered(message, mark)
            resumed = False
            token = text(page, "nextPageToken")
            if not token:
                return
            mark = msgspec.structs.replace(mark, token=token)

    def _page(self, mark: Mark) -> Fields:
        query = []
        if self._since is not None:
            query.append(f"after:{self._since // 1_000_000_000 - 1}")
        if mark.bound:
            query.append(f"before:{mark.bound}")
        return self._client.call(
            "gmail",
            self._user,
            "users.messages.list",
            userId="me",
            maxResults=PAGE,
            pageToken=mark.token or None,
            q=" ".join(query) or None,
            includeSpamTrash=False,
            fields="nextPageToken,messages(id)",
        )

    # -- what happened ----------------------------------------------------------------------------------------------

    def history(self, mark: Mark) -> Iterator[Delivery]:
        """The history from a place on, to its end. Raises `GoneError` if there is no such place any more."""
        token: str | None = None
        begun, done = mark, mark.done
        while True:
            page = self._client.call(
                "gmail",
                self._user,
                "users.history.list",
                userId="me",
                startHistoryId=begun.history,
                historyTypes=["messageAdded", "messageDeleted", "labelAdded", "labelRemoved"],
                maxResults=PAGE,
                pageToken=token,
                fields=f"nextPageToken,historyId,history({_HISTORY})",
            )
            for entry in things(page, "history"):
                events = list(_events(entry))
                for n, (id, there) in enumerate(events[done:], done + 1):
                    yield self._happened(id, there, msgspec.structs.replace(mark, done=n))
                done = 0
                mark = Mark("history", text(entry, "id") or mark.history)
            token = text(page, "nextPageToken")
            if not token:
                latest = max(mark.history, text(page, "historyId"), key=lambda id: int(id) if id.isdigit() else 0)
                if Mark("history", latest) != begun:
                    yield Delivery(None, Mark("history", latest).cursor)
                return

    def _happened(self, id: str, there: bool, mark: Mark) -> Delivery:
        message = self._message(id) if there else None
        if there and message is None:
            return Delivery(None, mark.cursor)  # deleted since: a later entry says so
        if message is None or _AWAY & set(words(message, "labelIds")):
            return Delivery(Record(id=self._id(id), unit=self._unit.id, deleted=True, chat=True), mark.cursor)
        return self._delivered(message, mark)

    # -- one message ------------------------------------------------------------------------------------------------

    def _id(self, message: str) -> str:
        return f"{self._unit.id}/{message}"

    def _message(self, id: str) -> Fields | None:
        try:
            return self._client.call(
                "gmail", self._user, "users.messages.get", userId="me", id=id, format="full", fields=_MESSAGE
            )
        except GoneError:
            return None

    def _delivered(self, message: Fields, mark: Mark) -> Delivery:
        id = text(message, "id")
        uri = f"https://mail.google.com/mail/?authuser={quote(self._address)}#all/{quote(id)}"
        if not id or not thing(message, "payload"):
            return Delivery(None, mark.cursor, (Skipped(uri, "Gmail gives no content for it"),))
        mail = read(self._client, self._user, message, self._options.max_file)
        came = number(message, "internalDate")
        draft = "DRAFT" in words(message, "labelIds")
        exposure = Exposure("private", 1) if draft else self._accounts.exposure(mail.addresses, mail.people)
        record = Record(
            id=self._id(id),
            parts=mail.parts,
            unit=self._unit.id,
            author=mail.author,
            author_id=mail.author_id,
            time=None if came is None else came / 1000,
            container=self._unit.title,
            uri=uri,
            chat=True,
            exposure=exposure,
        )
        skipped = tuple(msgspec.structs.replace(one, place=f"{uri} » {one.place}") for one in mail.skipped)
        return Delivery(record, mark.cursor, skipped)


def _events(entry: Fields) -> Iterator[tuple[str, bool]]:
    """(message, whether it is there) for what an entry of the history says; of labels only those that put it away or
    back count.
    """
    gone = [text(one, "message", "id") for one in things(entry, "messagesDeleted")]
    away = [one for one in things(entry, "labelsAdded") if _AWAY & set(words(one, "labelIds"))]
    back = [one for one in things(entry, "labelsRemoved") if _AWAY & set(words(one, "labelIds"))]
    come = [*things(entry, "messagesAdded"), *back]
    told = {text(one, "message", "id"): True for one in come}
    told |= dict.fromkeys([*gone, *(text(one, "message", "id") for one in away)], False)
    yield from ((id, there) for id, there in told.items() if id)
