"""The audit trail: a chain of events, each authenticated together with the one before it.

Format. The hash of an event is HMAC-SHA256, under a key that is derived from the installation's, over the hash of the
event before it and the event's other fields as JSON, in a fixed order. The head (number, hash and time of the last
event) is kept beside the trail and authenticated by itself, so that a trail that lost its end shows it.

Limits. Whoever has the installation's key can write another trail. Whoever has an older copy of the whole store can put
it in the place of this one; an export that is kept elsewhere tells.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from keysentry.model.audit import AuditFault, Event
from keysentry.store import exact

_NOTHING: dict[str, str] = {}


class Draft(NamedTuple):
    """An event that is not in the trail yet. `also`: other incidents to whose part of the trail it belongs."""

    name: str
    actor: str
    time: float
    incident: str = ""
    action: str = ""
    reason: str = ""
    fields: Mapping[str, str] = _NOTHING
    also: tuple[str, ...] = ()


class Head(msgspec.Struct, frozen=True):
    """The last event of the trail: its number (0: there is none yet), hash and time."""

    number: int = 0
    hash: str = ""
    time: float = 0.0


class EventRow(NamedTuple):
    """An event as it is stored: `fields` as JSON."""

    number: int
    time: float
    actor: str
    name: str
    incident: str
    action: str
    reason: str
    fields: str
    previous: str
    hash: str

    def event(self) -> Event:
        """What a reader gets, whatever was done to the row: only `faults` judges that."""
        try:
            fields = exact.decode(self.fields, dict[str, str])
        except (ValueError, TypeError):
            fields = {"damaged": str(self.fields)}
        return Event(**{**self._asdict(), "fields": fields})


def digest(key: bytes, event: Event) -> str:
    """What the hash of an event has to be."""
    words = (event.previous, event.number, event.time, event.actor, event.name)
    told = exact.encode((*words, event.incident, event.action, event.reason)) + exact.encode(event.fields)
    return hmac.digest(key, told, "sha256").hex()


def append(key: bytes, head: Head, drafts: Iterable[Draft]) -> tuple[list[EventRow], Head]:
    """The events that go on from a head, and the head after them."""
    number, previous, time = head.number, head.hash, head.time
    rows = []
    for name, actor, at, incident, action, reason, fields, _ in drafts:
        number += 1
        time = max(time, float(at))
        facts = exact.encode(dict(sorted(fields.items())) if fields else _NOTHING)
        told = exact.encode((previous, number, time, actor, name, incident, action, reason))
        hash = hmac.digest(key, told + facts, "sha256").hex()
        rows.append(EventRow(number, time, actor, name, incident, action, reason, facts.decode(), previous, hash))
        previous = hash
    return rows, Head(number, previous, time)


def write_head(key: bytes, head: Head) -> str:
    """A head as it is stored."""
    return exact.encode((head.number, head.hash, head.time, _mac(key, head))).decode()


def read_head(key: bytes, written: str | None) -> Head | None:
    """What `write_head` was given; None if it is not there or was changed."""
    if written is None:
        return None
    try:
        number, hash, time, mac = exact.decode(written, tuple[int, str, float, str])
    except ValueError:
        return None
    head = Head(number, hash, time)
    return head if hmac.compare_digest(mac, _mac(key, head)) else None


def _mac(key: bytes, head: Head) -> str:
    told = exact.encode(("head", head.number, head.hash, head.time))
    return hmac.digest(key, told, "sha256").hex()


LOST = "audit.broken"
"""The event that is written where the head had to be made anew: it was removed or changed."""


def lost(time: float) -> Draft:
    """Its draft."""
    return Draft(LOST, "store", time, reason="the note of where the trail ends had been removed or changed")


def faults(key: bytes, head: Head | None, events: Iterable[Event]) -> Iterator[AuditFault]:
    """What is wrong with a trail, given all its events by their numbers, and its head (None: that is wrong as well)."""
    last = Head()
    for event in events:
        yield from _gap(last.number, event.number, "")
        if event.hash != digest(key, event):
            yield AuditFault(event.number, "the event was changed")
        elif event.number == last.number + 1 and event.previous != last.hash:
            yield AuditFault(event.number, "it does not follow the event before it: one of them was exchanged")
        if event.name == LOST:
            yield AuditFault(event.number, f"before this event, {event.reason}")
        last = Head(event.number, event.hash, event.time)
    if head is None:
        yield AuditFault(last.number, "the note of where the trail ends was removed or changed")
        return
    yield from _gap(last.number, head.number + 1, " at the end")
    if head.number < last.number:
        yield AuditFault(head.number + 1, "the trail ends here, but more events stand behind it")
    elif head.number == last.number and head.hash != last.hash:
        yield AuditFault(last.number, "the last event is not the one that was written")


def _gap(before: int, after: int, where: str) -> Iterator[AuditFault]:
    """The events between two numbers are not there."""
    if after == before + 2:
        yield AuditFault(before + 1, f"the event was removed{where}")
    elif after > before + 2:
        yield AuditFault(before + 1, f"the events up to {after - 1} were removed{where}")
