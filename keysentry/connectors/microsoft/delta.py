"""Reading a list or a delta function page by page, so that it can be resumed after any record.

Algorithm. A place is the token of a page and how many of its records were given. Of a page's address only the end is
kept (`delta()?$skiptoken=...`): the rest is known from the unit, and the address of the service is a setting.

Invariants.

- The place after the last record of a page is the start of what its link leads to: no page is read again for nothing.
- A page that is read again is gone on with only if the record before the place is still where it was; else the page is
  given from its start. A record may come twice then, under the same id, but none is missing.
- A token that the service does not know any more starts the unit anew, which is told as a `Skipped`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import TypeVar

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft.client import Answer, GraphClient
from keysentry.connectors.microsoft.faults import LOSES_PLACE, PLACE
from keysentry.connectors.microsoft.wire import Page, Raw, id_of, read
from keysentry.errors import SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record

T = TypeVar("T")

LOST = (
    "the service does not know the last place any more: what is there now is read again, what was deleted is not told"
)


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a reader stands: the end of a page's address (empty: the first page), how many of the page's records it has
    dealt with, and a digest of the last one's id.
    """

    tail: str = ""
    at: int = 0
    check: str = ""


class Made(msgspec.Struct, frozen=True):
    """What became of one record of Graph: a record of ours, notes of what was not read, or neither."""

    record: Record | None = None
    skipped: tuple[Skipped, ...] = ()


class Lane(msgspec.Struct, frozen=True):
    """One list: the path that its pages are under (ending with a slash), the end of the first page's address, how one
    record is made, and the value of the header `Prefer`.
    """

    under: str
    first: str
    make: Callable[[Raw], Made]
    prefer: str = ""


def digest(text: str) -> str:
    """A short stand-in for an id; used to compare, never to find."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def tail_of(link: str) -> str:
    """The end of a page's address: the last part of its path and what follows it."""
    path, mark, query = link.partition("?")
    return path.rpartition("/")[2] + mark + query


def load(cursor: Cursor | None, type_: type[T]) -> T | None:
    """The place that a cursor holds; None for none, and for one of another version."""
    return read(cursor.value.encode(), type_) if cursor and cursor.value else None


def save(place: msgspec.Struct) -> Cursor:
    """A place as a cursor."""
    return Cursor(msgspec.json.encode(place).decode())


def page(client: GraphClient, path: str, *, prefer: str = "") -> Page:
    """One page of a list."""
    return page_of(client.get(path, prefer=prefer), path)


def page_of(answer: Answer, path: str) -> Page:
    """An answer as a page of a list."""
    found = read(answer.body, Page)
    if found is None:
        raise SourceError(f"{path.partition('?')[0]} does not answer with a list", place=PLACE)
    return found


def answered_at(answer: Answer) -> int:
    """When the service answered, by its own clock (UTC milliseconds)."""
    try:
        return round(parsedate_to_datetime(answer.headers["date"]).timestamp() * 1000)
    except (KeyError, ValueError, TypeError):
        return round(time.time() * 1000)


def following(found: Page, tail: str) -> str:
    """The end of the address of the page after this one (which is at `tail`); empty if there is none.

    Raises `SourceError` if the page leads to itself.
    """
    after = tail_of(found.next_link) if found.next_link else ""
    if after and after == tail:
        raise SourceError("a page of a list leads to itself", place=PLACE)
    return after


def rows(client: GraphClient, under: str, first: str, *, prefer: str = "") -> Iterator[Raw]:
    """Every record of a list that is read in one go."""
    tail = first
    while tail:
        found = page(client, under + tail, prefer=prefer)
        yield from found.value or ()
        tail = following(found, tail)


def start_in(values: tuple[Raw, ...], at: int, check: str) -> int:
    """With which record of a page that was read again to go on."""
    if 0 < at <= len(values) and digest(id_of(values[at - 1])) == check:
        return at
    return 0


def deliveries(client: GraphClient, lane: Lane, cursor: Cursor | None) -> Iterator[Delivery]:
    """What a delta function tells from a cursor on."""
    place = load(cursor, Place) or Place()
    lost = False
    while True:
        try:
            found = page(client, lane.under + (place.tail or lane.first), prefer=lane.prefer)
        except LOSES_PLACE:
            if lost or not place.tail:
                raise
            lost, place = True, Place()
            yield Delivery(None, save(place), (Skipped(lane.under.strip("/"), LOST, partial=True),))
            continue
        more = following(found, place.tail)
        place = yield from _page(lane, place, found)
        if not more:
            return


def _page(lane: Lane, place: Place, found: Page) -> Generator[Delivery, None, Place]:
    """The records of one page from a place on; gives the place after it."""
    values = found.value or ()
    link = found.next_link or found.delta_link
    end = Place(tail_of(link)) if link else Place(place.tail, len(values), digest(id_of(values[-1])) if values else "")
    given = place
    for at in range(start_in(values, place.at, place.check), len(values)):
        made = lane.make(values[at])
        if made.record is None and not made.skipped:
            continue
        last = at + 1 == len(values)
        given = end if last else Place(place.tail, at + 1, digest(id_of(values[at])))
        yield Delivery(made.record, save(given), made.skipped)
    if given != end:
        yield Delivery(None, save(end))
    return end
