"""One pass over a conversation: from its newest message down to where it is known, and what changed below that.

A pass goes newest first because Slack does, at the price of one call a page and nothing held but a page; what leaked
today is found first. It goes `edits_for` days below the last pass's end, in the same calls where they fit on the same
page, and gives of what lies there: edited messages, replies of threads that have new ones, and what is gone.

Invariants are those of `place`. A message that is shown in the channel as well as in its thread (a broadcast) is given
once, from the channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Final, NamedTuple, Protocol

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack.ahead import Sent, read_ahead
from keysentry.connectors.slack.client import Client, CodeError, Fields, Page, StaleCursorError
from keysentry.connectors.slack.place import CursorWriter, Notes, Run, State, micros, timestamp, write_state
from keysentry.connectors.slack.sketch import Sketch
from keysentry.errors import GoneError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record

_DAY: Final = 86_400_000_000
_AFTER_ALL: Final = "9999999999.000000"
"""Later than every message. With `oldest` alone Slack would give the messages closest to that first."""


class Read(msgspec.Struct, frozen=True):
    """A message as a record (None: it cannot be one), and what of it was not read."""

    record: Record | None
    skipped: tuple[Skipped, ...] = ()


class _Timed(NamedTuple):
    """A page, and the time of each of its messages (0: it has none)."""

    page: Page
    times: list[int]


class Reader(Protocol):
    """What a pass needs to know of its conversation: how its messages become records."""

    id: str
    title: str

    def read(self, message: Fields) -> Read:
        """A message as a record."""
        ...

    def gone(self, ts: str) -> Record:
        """A record that says that a message is not there any more."""
        ...


class Sweep:
    """Passes over one conversation, from a state on. It changes the state as it goes."""

    def __init__(self, client: Client, reader: Reader, state: State, *, edits_for: float) -> None:
        """`edits_for` is in days."""
        self._client = client
        self._reader = reader
        self._state = state
        self._span = int(edits_for * _DAY)
        self._bottom = state.floor
        self._told = False
        self._known = Notes()
        self._noted = Notes()
        self._before = Sketch()
        self._now = Sketch()
        self._writer = CursorWriter()

    def deliveries(self) -> Iterator[Delivery]:
        """What is new, changed or gone. A pass that was broken off is ended first, then comes a whole one."""
        if self._state.run is not None:
            yield from self._pass(self._state.run)
        yield from self._pass(None)

    # -- one pass ---------------------------------------------------------------------------------------------------

    def _pass(self, run: Run | None) -> Iterator[Delivery]:
        state = self._state
        self._bottom = state.floor
        self._told = run is not None
        self._writer = CursorWriter()
        self._known, self._before = Notes(state.seen), Sketch(state.ids)
        first: Page | None = None
        latest = _AFTER_ALL if run is None and state.floor else None
        if run is None:
            first = self._history(latest, "")
            run = self._begin(first)
        else:
            self._noted, self._now = Notes(run.seen), Sketch(run.ids)
            latest = timestamp(run.low)
            if run.thread:
                yield from self._thread(run, run.low, run.thread)
        limited = False
        for page in self._pages_ahead(run, first, latest):
            limited = limited or page.page.answer.get("is_limited") is True
            yield from self._page(run, page)
            del page  # two are held at most: this one, and the one that comes
        if limited and not state.top:
            reason = "older messages are hidden by the limit of the workspace's plan"
            yield self._skip(run, reason)
        yield from self._changes_unseen(run)
        self._end(run)
        if self._told:
            yield Delivery(None, write_state(state))

    def _begin(self, first: Page) -> Run:
        """A new pass, from its first page: it reaches up to the newest message of that."""
        state = self._state
        top, stamp = state.top, state.stamp
        for message in first.items:
            if isinstance(message, dict):
                ts = micros(message.get("ts"))
                top = max(top, ts)
                stamp = max(stamp, ts, _edited(message), micros(message.get("latest_reply")))
        self._noted, self._now = Notes(), Sketch()
        floor = max(state.floor, top - self._span)
        state.run = Run(top=top, stamp=stamp, floor=floor, low=top + 1)
        return state.run

    def _end(self, run: Run) -> None:
        state = self._state
        self._told = self._told or run.top != state.top
        state.top, state.stamp, state.floor = run.top, run.stamp, run.floor
        state.seen, state.ids, state.run = self._noted.write(), self._now.write(), None

    def _pages_ahead(self, run: Run, first: Page | None, latest: str | None) -> Iterator[_Timed]:
        """The pages of the pass, the next one asked for while one is read."""
        return read_ahead(lambda sent: self._pages(run.low, first, latest, sent))

    def _pages(self, lowest: int, first: Page | None, latest: str | None, sent: Sent) -> Iterator[_Timed]:
        """The pages of the pass, each once; the first may have been asked for already. `lowest` is where the pass is.

        It runs in a thread of its own, ahead of what is read: nothing here may look at what changes with that.
        """
        page, following = first, ""
        while True:
            if page is None:
                try:
                    page = self._history(latest, following, sent)
                except StaleCursorError:
                    if not following:
                        raise
                    latest, following = timestamp(lowest), ""
                    continue
            times = [micros(item.get("ts")) if isinstance(item, dict) else 0 for item in page.items]
            yield _Timed(page, times)
            lowest = min(filter(None, times), default=lowest)
            if not page.more or lowest <= self._bottom:
                return
            if page.following and page.following != following:
                following = page.following
            elif latest != timestamp(lowest):
                latest, following = timestamp(lowest), ""
            else:
                return
            page = None

    def _history(self, latest: str | None, following: str, sent: Sent | None = None) -> Page:
        return self._client.one_page(
            "conversations.history",
            "messages",
            sent,
            channel=self._reader.id,
            limit=self._client.page,
            oldest=timestamp(self._bottom) if self._bottom else None,
            latest=latest,
            cursor=following or None,
        )

    # -- messages ---------------------------------------------------------------------------------------------------

    def _page(self, run: Run, page: _Timed) -> Iterator[Delivery]:
        between = range(self._bottom + 1, min(run.low, run.top + 1))
        known = [(ts, message) for ts, message in zip(page.times, page.page.items, strict=True) if ts in between]
        unknown = page.times.count(0)
        known.sort(key=itemgetter(0), reverse=True)
        for ts, message in known:
            if self._meet(run, ts, message):
                yield self._deliver(message)
            if run.thread:
                yield from self._thread(run, ts, ts)
        if unknown:
            yield self._skip(run, f"{unknown} of its messages have no time and cannot be told apart")

    def _meet(self, run: Run, ts: int, message: Fields) -> bool:
        """Go on to a message, and into its thread if that is to be read. Whether the message is to be given."""
        state = self._state
        new, gone = ts > state.top, message.get("subtype") == "tombstone"
        if not gone:
            if ts > run.floor:
                self._now.add(ts)
            if not new:
                self._before.remove(ts)
        run.low = ts
        edited = _edited(message) if "edited" in message else 0
        due = not gone and (new or self._is_news(ts, edited))
        if edited:
            self._note(run, ts, ts, edited)
        run.thread = ts if "reply_count" in message and self._has_news(message, new) else 0
        return due

    def _has_news(self, message: Fields, new: bool) -> bool:
        """Whether a message has a thread in which there may be what was not given yet."""
        replies = message.get("reply_count")
        if not isinstance(replies, int) or replies <= 0:
            return False
        latest = micros(message.get("latest_reply"))
        return new or not latest or latest > self._state.stamp

    def _thread(self, run: Run, parent: int, after: int) -> Iterator[Delivery]:
        """The replies of a thread after a time; of one that is known, those that are new or edited."""
        try:
            yield from self._given_replies(run, parent, after)
        except CodeError as error:
            yield self._skip(run, f"the thread of {timestamp(parent)} cannot be read: {error.reason}")
        run.thread = 0

    def _given_replies(self, run: Run, parent: int, after: int) -> Iterator[Delivery]:
        new = parent > self._state.top
        for reply in self._replies(parent, after):
            ts = micros(reply.get("ts"))
            if not ts:
                yield self._skip(run, "a reply has no time and cannot be told apart")
            if ts <= run.thread or reply.get("subtype") in ("thread_broadcast", "tombstone"):
                continue
            run.thread = ts
            latest = max(ts, _edited(reply))
            due = new or self._is_news(ts, latest)
            self._note(run, parent, ts, latest)
            if due:
                yield self._deliver(reply)

    def _replies(self, parent: int, after: int) -> Iterator[Fields]:
        """The replies after a time in their order; on each page Slack may put the thread's first message before."""
        following = ""
        while True:
            try:
                page = self._client.one_page(
                    "conversations.replies",
                    "messages",
                    channel=self._reader.id,
                    ts=timestamp(parent),
                    limit=self._client.page,
                    oldest=timestamp(after),
                    cursor=following or None,
                )
            except GoneError:
                return  # the thread went between two calls
            except StaleCursorError:
                if not following:
                    raise
                following = ""
                continue
            replies = sorted(
                (item for item in page.items if isinstance(item, dict)), key=lambda reply: micros(reply.get("ts"))
            )
            yield from replies
            after = max(after, micros(replies[-1].get("ts")) if replies else 0)
            if not page.following or page.following == following:
                return
            following = page.following

    def _is_news(self, ts: int, latest: int) -> bool:
        return latest > self._state.stamp and (ts, latest) not in self._known

    def _note(self, run: Run, parent: int, ts: int, latest: int) -> None:
        """Keep the next pass from giving again what this one met although it is newer than its stamp."""
        if latest > run.stamp and parent > run.floor:
            self._noted.add((ts, latest))

    # -- what is told by being absent -------------------------------------------------------------------------------

    def _changes_unseen(self, run: Run) -> Iterator[Delivery]:
        """Messages that the last pass met and this one did not, and those that appeared below what it gave."""
        run.low, run.thread = self._bottom + 1, 0
        left = self._before.left()
        if left is None:
            days = self._span / _DAY
            reason = f"more messages of the last {days:g} days were deleted at once than can be told apart"
            self._before = Sketch()
            yield self._skip(run, reason)
            return
        present, missing = left
        for ts in present:
            there = one_message(self._client, self._reader.id, timestamp(ts))
            self._before.remove(ts)
            if there is None or there.get("subtype") == "tombstone":
                self._told = True
                yield Delivery(self._reader.gone(timestamp(ts)), self._cursor())
        for ts in missing:
            there = one_message(self._client, self._reader.id, timestamp(ts))
            self._before.add(ts)
            if there is not None and _edited(there) <= self._state.stamp:  # else it was given as an edit
                yield self._deliver(there)

    # -- deliveries -------------------------------------------------------------------------------------------------

    def _deliver(self, message: Fields) -> Delivery:
        self._told = True
        read = self._reader.read(message)
        return Delivery(read.record, self._cursor(), read.skipped)

    def _skip(self, run: Run, reason: str) -> Delivery:
        self._told = True
        return Delivery(None, self._cursor(), (Skipped(self._reader.title, reason, partial=True),))

    def _cursor(self) -> Cursor:
        state, run = self._state, self._state.run
        assert run is not None
        return self._writer.write(state, run, (self._before.write(), self._noted.write(), self._now.write()))


def one_message(client: Client, channel: str, ts: str) -> Fields | None:
    """One message of a conversation or of a thread in it; None if it is not there."""
    try:
        page = client.one_page(
            "conversations.replies",
            "messages",
            channel=channel,
            ts=ts,
            oldest=ts,
            latest=ts,
            inclusive=True,
            limit=client.page,
        )
    except GoneError:
        return None
    return next((item for item in page.items if isinstance(item, dict) and item.get("ts") == ts), None)


def _edited(message: Fields) -> int:
    edited = message.get("edited")
    return micros(edited.get("ts")) if isinstance(edited, dict) else 0
