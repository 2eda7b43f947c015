"""How far a unit was read, in a few kilobytes, whatever the number of its objects.

A store gives keys in order, each with the time of its last change, and no list of what changed. Keeping all keys would
answer every question and cost as much as the listing; a cursor holds this instead:

Algorithm. A *pass* goes through the whole listing. Within it the place is the last key (and version). It gives what is
newer than `since`; the first pass gives everything. When it ends, the next pass's `since` is the time at which this one
began, less a margin. What this pass met that is newer than that would be given twice, so it is remembered:

- the first `ROOM` of them each as a mark, a hash of key, version, tag and time: the next pass leaves them out;
- any more of them only as one sum of their marks. The next pass holds back what this sum may cover. If the sum is the
  same when it ends, nothing of it was new; if not, a second round gives all that was held back, again.

Why nothing is missed:

- The clock is the store's own (the Date of its answers), never ours; the times of objects come from it too.
- An object that is written while a pass is on its way, before or behind the place, has a time after the pass began: the
  next pass gives it, unless this one met that very state.
- Of two writes within one second, the clock's unit, each has its own mark, because its tag differs.
- `margin` covers clocks within the store that differ, and contents whose time is that of the beginning of their upload.
  An S3 upload in parts may take days and carries the time at which it was started, so those that are under way when a
  pass begins are remembered as well, by key and time, and are given when they appear.

Why hardly anything is given twice: see the marks. What is given twice has the same id and the same content.

What no pass can see: an object that is gone without a trace (a listing does not tell), and one that arrives with a time
long past (replicas keep the time of their original). Whoever forgets the cursor has the unit read as if for the first
time.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from keysentry.connectors.objects.store import Entry, Position
from keysentry.model.cursor import Cursor

ROOM = 120
"""How many objects are remembered one by one."""
UNDER_WAY = 40
"""How many uploads under way are remembered, the latest first."""
_MARK = 6
_WRAP = (1 << 64) - 1


def mark(*parts: str) -> bytes:
    """A short name for what the parts say: two different ones are alike once in 10^14."""
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=_MARK).digest()


def _marks(packed: bytes) -> frozenset[bytes]:
    return frozenset(packed[at : at + _MARK] for at in range(0, len(packed), _MARK))


class Young(msgspec.Struct, omit_defaults=True, rename={"marks": "m", "total": "t", "count": "c", "upto": "u"}):
    """Objects that one pass met and the next one will see again: single marks, and a sum over all others, none of
    which is newer than `upto`.
    """

    marks: bytes = b""
    total: int = 0
    count: int = 0
    upto: int = 0

    def add(self, name: bytes, stamp: int, room: int) -> None:
        """Remember one more, by itself if there is room for so many."""
        if len(self.marks) < room * _MARK:
            self.marks += name
            return
        self.total = self.total + int.from_bytes(name) & _WRAP
        self.count += 1
        self.upto = max(self.upto, stamp)


class State(
    msgspec.Struct,
    omit_defaults=True,
    rename={
        "began": "b",
        "since": "s",
        "again": "r",
        "versions": "w",
        "position": "k",
        "before": "p",
        "now": "n",
        "held": "h",
        "held_count": "i",
        "expected": "e",
        "under_way": "f",
    },
):
    """What a cursor holds. `began` is 0 between two passes; `again` in the second round of one.

    `before` and `expected` come from the last pass, `now` and `under_way` are gathered for the next one; `held` and
    `held_count` are the sum of what this pass has held back.
    """

    began: int = 0
    since: int = 0
    again: bool = False
    versions: bool = False
    position: Position = Position()
    before: Young = msgspec.field(default_factory=Young)
    now: Young = msgspec.field(default_factory=Young)
    held: int = 0
    held_count: int = 0
    expected: bytes = b""
    under_way: bytes = b""


class Progress:
    """One unit's passes. `see` every entry in order, take `cursor` after each, and `turn` at the end of the listing."""

    def __init__(self, cursor: Cursor | None, *, versions: bool, margin: float, room: int = ROOM) -> None:
        self._margin = int(margin) + 1
        self._room = room
        self._state = _state(cursor, versions)
        self._known = _marks(self._state.before.marks)
        self._expected = _marks(self._state.expected)

    @property
    def position(self) -> Position:
        """Where the listing goes on."""
        return self._state.position

    @property
    def begun(self) -> bool:
        """Whether a pass is under way."""
        return self._state.began > 0

    def begin(self, at: float, under_way: Iterable[tuple[str, int]]) -> None:
        """A pass begins, at this time of the store's clock, with these uploads under way (key, time)."""
        self._state.began = max(int(at), 1)
        latest = sorted(under_way, key=lambda one: one[1], reverse=True)[:UNDER_WAY]
        self._state.under_way = b"".join(mark("upload", key, str(time)) for key, time in latest)

    def see(self, entry: Entry) -> bool:
        """Go past an entry, and tell whether it is to be given."""
        state = self._state
        state.position = Position(entry.key, entry.version, int(entry.modified))
        stamp = entry.stamp
        if state.since and stamp <= state.since:
            return not state.again and self._appeared(entry, stamp)
        name = mark(entry.key, entry.version, entry.tag, str(stamp), _kind(entry))
        known = name in self._known
        covered = not known and stamp <= state.before.upto
        if state.again:
            return covered
        if stamp > state.began - self._margin:
            state.now.add(name, stamp, self._room)
        if covered:
            state.held = state.held + int.from_bytes(name) & _WRAP
            state.held_count += 1
        return not known and not covered and not (entry.deleted and state.since == 0)

    def turn(self) -> bool:
        """The listing is at its end: whether it has to be gone through once more. If not, the pass is over."""
        state = self._state
        state.position = Position()
        if not state.again and (state.held, state.held_count) != (state.before.total, state.before.count):
            state.again = True
            return True
        since = max(state.since, state.began - self._margin, 1)
        self._state = State(since=since, versions=state.versions, before=state.now, expected=state.under_way)
        self._known = _marks(self._state.before.marks)
        self._expected = _marks(self._state.expected)
        return False

    def cursor(self) -> Cursor:
        """Where to go on after the last entry that was seen."""
        return Cursor(msgspec.json.encode(self._state).decode())

    def _appeared(self, entry: Entry, stamp: int) -> bool:
        """Whether an old time is that of an upload that was under way. Its two clocks may round differently."""
        if not self._expected:
            return False
        return any(mark("upload", entry.key, str(stamp + off)) in self._expected for off in (-1, 0, 1))


def _kind(entry: Entry) -> str:
    return "deleted" if entry.deleted else "current" if entry.current else "older"


def _state(cursor: Cursor | None, versions: bool) -> State:
    """The state in a cursor. One that was left by another way of reading begins anew: it knows nothing of versions."""
    try:
        state = msgspec.json.decode(cursor.value, type=State) if cursor is not None and cursor.value else State()
    except msgspec.DecodeError:
        state = State()
    return state if state.versions == versions else State(versions=versions)
