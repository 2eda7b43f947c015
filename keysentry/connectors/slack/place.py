"""How far a conversation was read: what a cursor of Slack says.

Slack gives a conversation's messages newest first (https://docs.slack.dev/reference/methods/conversations.history),
and a thread's replies oldest first (https://docs.slack.dev/reference/methods/conversations.replies). A pass goes the
same way, so that nothing must be held: from the newest message down to where the pass before it began. It is the
passes that follow each other in time.

Invariants.

- Every message up to `top`, and what its thread then held, was given by the passes before.
- The pass under way has given what lies between `Run.low` and `Run.top`, and of the thread it is in (the message at
  `low`) what is up to its last reply.
- Times are Slack's own (a message's `ts`), in microseconds: no clock of this machine is asked, so none can be wrong.
- An edit or a reply is news if its time is after `stamp`. `stamp` is the latest time that the first answer of a pass
  showed: all that happened before it was visible to that pass. What a pass met that is newer still is noted in `seen`,
  so that the next one does not give it again. That note has room for few; what does not fit is given twice, not lost.
- `ids` is a sketch of the messages between `floor` and `top`: what is in it and not met again is gone.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from keysentry.model.cursor import Cursor

_DIGEST: Final = 8
_NOTED: Final = 40
_USUAL: Final = 17
"""How long a `ts` is from 2001 to 2286."""


class Run(msgspec.Struct, omit_defaults=True):
    """A pass under way. `thread` is the last reply that was given of the thread of the message at `low`."""

    top: int
    stamp: int
    floor: int
    low: int
    thread: int = 0
    seen: bytes = b""
    ids: bytes = b""


class State(msgspec.Struct, omit_defaults=True):
    """What the cursor of a conversation says. `canvases` holds when each was last changed, as far as that was read."""

    version: int = 1
    top: int = 0
    stamp: int = 0
    floor: int = 0
    seen: bytes = b""
    ids: bytes = b""
    canvases: dict[str, int] = {}
    run: Run | None = None


_ENCODE: Final = msgspec.json.Encoder().encode
_DECODER: Final = msgspec.json.Decoder(State)


def read_state(cursor: Cursor | None, since: int) -> State | None:
    """What a cursor says (None: nothing was read yet, and nothing before `since` shall be). None if it says nothing
    that can be understood.
    """
    if cursor is None or not cursor.value:
        return State(floor=since)
    try:
        state = _DECODER.decode(cursor.value)
    except (msgspec.DecodeError, ValueError):
        return None
    return state if state.version == 1 else None


def write_state(state: State) -> Cursor:
    """The cursor that says it: under 4 kB, however large the conversation is."""
    return Cursor(_ENCODE(state).decode())


class CursorWriter:
    """Writes the cursors of one pass, as `write_state` does: from one message to the next, often only `low` moves."""

    def __init__(self) -> None:
        self._parts: tuple[bytes, bytes, bytes] | None = None
        self._head = self._tail = ""

    def write(self, state: State, run: Run, parts: tuple[bytes, bytes, bytes]) -> Cursor:
        """The cursor of a state in this pass, in which nothing changes but `low`, `thread` and what is in `parts`:
        the state's `ids`, and the run's `seen` and `ids`.
        """
        if parts == self._parts and not run.thread:
            return Cursor(f"{self._head}{run.low}{self._tail}")
        state.ids, run.seen, run.ids = parts
        written = write_state(state)
        if not run.thread:
            head, key, rest = written.value.rpartition('"low":')  # the run comes last; behind `low` only base64 follows
            self._parts, self._head, self._tail = parts, head + key, rest.lstrip("0123456789")
        return written


class Notes:
    """A small set of what was given already, by message and time of its change."""

    def __init__(self, written: bytes = b"") -> None:
        self._known = {written[at : at + _DIGEST] for at in range(0, len(written), _DIGEST)}
        self._written: bytes | None = None

    def __contains__(self, change: tuple[int, int]) -> bool:
        return bool(self._known) and _digest(change) in self._known

    def add(self, change: tuple[int, int]) -> None:
        """Note it, if there is room."""
        if len(self._known) < _NOTED:
            self._known.add(_digest(change))
            self._written = None

    def write(self) -> bytes:
        """The notes as bytes."""
        if self._written is None:
            self._written = b"".join(sorted(self._known))
        return self._written


def _digest(change: tuple[int, int]) -> bytes:
    return hashlib.blake2b(b"%d/%d" % change, digest_size=_DIGEST).digest()


def micros(ts: object) -> int:
    """A `ts` (`1736478514.897649`) in microseconds; 0 for what is none."""
    if not isinstance(ts, str):
        return 0
    seconds, dot, fraction = ts.partition(".")
    if len(ts) == _USUAL and len(seconds) == _USUAL - 7:
        digits = seconds + fraction
        return int(digits) if digits.isdigit() and digits.isascii() else 0
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 11):
        return 0
    if not dot:
        return int(seconds) * 1_000_000
    if not (fraction.isascii() and fraction.isdigit() and len(fraction) == 6):
        return 0
    return int(seconds) * 1_000_000 + int(fraction)


def timestamp(moment: int) -> str:
    """The `ts` of a time in microseconds."""
    return f"{moment // 1_000_000}.{moment % 1_000_000:06d}"
