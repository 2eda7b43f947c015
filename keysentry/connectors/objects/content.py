"""Reading an object of any size through ranges.

Algorithm. So many bytes at a time are asked for, only as the reader goes on, on the condition that the object is still
the one that was listed. A range is taken in before it is passed on, so that no connection is held open while somebody
scans. If a connection breaks within a range, what came is kept and the rest is asked for.

Failure modes. An object that was written anew meanwhile ends as `InputError`: its new state has a later time and comes
in the next pass. What may be had later ends as `SourceError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keysentry.connectors.objects.store import Entry, ObjectStore
from keysentry.connectors.pace import Pace, Refused

RANGE = 8 << 20
"""How many bytes one request asks for."""
PIECE = 1 << 20
"""How many bytes one piece has, at most."""


def stream(
    store: ObjectStore, pace: Pace, bucket: str, entry: Entry, alive: Callable[[], None] | None = None
) -> Iterator[bytes]:
    """The content in pieces. `alive` is called before each range: a reader that is at work needs its lease."""
    for start in range(0, entry.size, RANGE):
        if alive is not None:
            alive()
        end = min(start + RANGE, entry.size)
        reader = _Range(store, bucket, entry, start, end)
        pace.call(reader.fill)
        yield from reader.pieces


class _Range:
    """One range, which may take several requests."""

    def __init__(self, store: ObjectStore, bucket: str, entry: Entry, start: int, end: int) -> None:
        self.pieces: list[bytes] = []
        self._store = store
        self._bucket = bucket
        self._entry = entry
        self._at = start
        self._end = end

    def fill(self) -> None:
        """Ask for what is still wanted. Raises `Refused` if less came."""
        for data in self._store.read(self._bucket, self._entry, self._at, self._end):
            for offset in range(0, len(data), PIECE):
                piece = data[offset : offset + PIECE]
                self.pieces.append(piece)
                self._at += len(piece)
        if self._at < self._end:
            raise Refused("the connection ended in the middle of an object")
