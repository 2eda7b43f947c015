"""How far a folder was read, in two kilobytes, whatever the number of its files.

Files are given in the order in which they last changed (ctime, which nobody can set back: a file that is copied with an
old date, or renamed into the folder, comes at the end of the order), those of one moment by a hash of their path. What
changes comes again, at its new place.

Algorithm. A cursor holds the place in that order, and marks (hashes of path, size, date and inode) of the files that
were given last. A file behind the place is new, unless it has such a mark: then only its owner or permissions changed.
A file before the place was given, unless it lies so near that it would have a mark and has none: then it came late (a
clock was set back, a file server's clock differs, two files within one tick of the clock). Files that were seen but not
finished, and were passed over, are held by a hash of their path.

Invariants. After any delivery the cursor tells exactly what was given; with fewer than `ROOM` files it does so whatever
the clocks do.

Limits. Of more files than that only those of the last `ROOM` deliveries can come late.
"""

from __future__ import annotations

from hashlib import blake2b
from os import fsencode

import msgspec

from keysentry.connectors.files.listing import Entry
from keysentry.model.cursor import Cursor

ROOM = 120
"""How many marks make a generation; two of them are kept."""
HELD = 60
"""How many unfinished files can be passed over."""
_MARK = 6


class Place(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds. `changed` and `name` are the place; of all that was given and changed after `sure` there is
    a mark in `older` or `newer`, and of what changed after `between` in `newer`; `held` are unfinished files.
    """

    changed: int = 0
    name: bytes = b""
    sure: int = -1
    between: int = -1
    older: bytes = b""
    newer: bytes = b""
    held: bytes = b""

    @classmethod
    def of(cls, cursor: Cursor | None) -> Place:
        """The place that a cursor tells; the beginning for none, and for one that cannot be read."""
        if cursor is None or not cursor.value:
            return cls()
        try:
            return msgspec.json.decode(cursor.value.encode(), type=cls)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return cls()

    @property
    def cursor(self) -> Cursor:
        """The cursor that tells this place."""
        return Cursor(msgspec.json.encode(self).decode())

    def is_new(self, entry: Entry) -> bool:
        """Whether a file is still to be given."""
        if entry.changed < self.changed and entry.changed <= self.sure and not self.held:
            return False  # nearly all of them, in a folder that is known
        if self.older or self.newer:
            mark = identity(entry)
            if _has(self.newer, mark) or _has(self.older, mark):
                return False
        if entry.changed > self.changed or entry.changed > self.sure:
            return True
        name = hashed(entry)
        return (entry.changed, name) > (self.changed, self.name) or _has(self.held, name)

    def after(self, entry: Entry) -> Place:
        """The place once a file was given."""
        name = hashed(entry)
        changed, last = max((self.changed, self.name), (entry.changed, name))
        older, newer, sure, between = self.older, self.newer + identity(entry), self.sure, self.between
        if len(newer) >= ROOM * _MARK:
            older, newer, sure, between = newer, b"", between, changed
        return Place(changed, last, sure, between, older, newer, _without(self.held, name))

    def holding(self, entry: Entry) -> Place:
        """The place once a file was passed over because it is not finished."""
        name = hashed(entry)
        return self if _has(self.held, name) else msgspec.structs.replace(self, held=self.held + name)

    def without(self, names: frozenset[bytes]) -> Place:
        """The place without unfinished files that are not there any more."""
        kept = b"".join(name for name in _each(self.held) if name not in names)
        return self if kept == self.held else msgspec.structs.replace(self, held=kept)

    @property
    def names_held(self) -> frozenset[bytes]:
        """The unfinished files that were passed over."""
        return frozenset(_each(self.held))

    def can_hold(self, entry: Entry) -> bool:
        """Whether a file can be passed over, or is already."""
        return len(self.held) < HELD * _MARK or _has(self.held, hashed(entry))


def hashed(entry: Entry) -> bytes:
    """A short name for a path."""
    return blake2b(fsencode(entry.below), digest_size=_MARK).digest()


def identity(entry: Entry) -> bytes:
    """A short name for a file as it is now: another one once its content was written."""
    text = b"%b\0%d %d %d" % (fsencode(entry.below), entry.size, entry.modified, entry.inode)
    return blake2b(text, digest_size=_MARK).digest()


def _each(packed: bytes) -> list[bytes]:
    return [packed[at : at + _MARK] for at in range(0, len(packed), _MARK)]


def _has(packed: bytes, mark: bytes) -> bool:
    at = packed.find(mark)
    while at >= 0 and at % _MARK:
        at = packed.find(mark, at + 1)
    return at >= 0


def _without(packed: bytes, mark: bytes) -> bytes:
    return b"".join(one for one in _each(packed) if one != mark) if packed else packed
