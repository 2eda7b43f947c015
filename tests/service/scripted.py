"""A source that a test writes: units with records that can be changed, and faults that can be put anywhere.

It keeps the protocol's promises (`connectors/base.py`) and no more; a cursor is the number of the last change read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from keysentry.connectors.base import Delivery, Source, SourceOptions
from keysentry.errors import ClosedError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Part, Record, Segment, Unit


def message(id: str, text: str, **more: object) -> Record:
    """A chat message."""
    fields: dict[str, object] = {
        "uri": f"https://chat.test/{id}",
        "author": "ann",
        "author_id": "U1",
        "container": "#general",
        "time": 1_700_000_000.0,
        "chat": True,
        "exposure": Exposure("internal", 12),
    }
    return Record(id=id, parts=(Part(segment=Segment(text.encode())),), **{**fields, **more})  # type: ignore[arg-type]


@dataclass
class Scripted:
    """What the platform holds: the changes of each unit in their order."""

    changes: dict[str, list[Record | Skipped]] = field(default_factory=dict)
    fault: Callable[[str, int], None] | None = None
    """Called with the unit and the number of each change before it is given; may raise."""
    listing_fault: Callable[[], None] | None = None
    live: frozenset[str] = frozenset()
    done: list[str] = field(default_factory=list)
    opened: int = 0

    def add(self, unit: str, *records: Record | Skipped) -> None:
        """Something happens on the platform."""
        self.changes.setdefault(unit, []).extend(records)

    def open(self) -> Source:
        """Connect."""
        self.opened += 1
        return ScriptedSource(self)


class ScriptedSource:
    """A connection to it."""

    def __init__(self, platform: Scripted) -> None:
        self._platform = platform
        self._closed = threading.Event()

    def units(self) -> Iterator[Unit | Skipped]:
        if self._platform.listing_fault is not None:
            self._platform.listing_fault()
        for name in list(self._platform.changes):
            yield Unit(name, f"#{name}", live=name in self._platform.live)

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        number = int(cursor.value) if cursor else 0
        changes = self._platform.changes[unit.id]
        while True:
            while number < len(changes):
                if self._closed.is_set():
                    raise ClosedError("closed")
                if self._platform.fault is not None:
                    self._platform.fault(unit.id, number)
                one = changes[number]
                number += 1
                if isinstance(one, Skipped):
                    yield Delivery(None, Cursor(str(number)), (one,))
                else:
                    done = (lambda id=one.id: self._platform.done.append(id)) if unit.live else None
                    yield Delivery(one, Cursor(str(number)), (), done)
            if not unit.live:
                return
            if self._closed.wait(0.02):
                raise ClosedError("closed")

    def close(self) -> None:
        self._closed.set()


class ScriptedOptions(SourceOptions, frozen=True, kw_only=True):
    """Its options."""

    word: str = ""
