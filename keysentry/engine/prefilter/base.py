"""What a prefilter looks for, and what it answers."""

from __future__ import annotations

from typing import Protocol

import msgspec

Buffer = bytes | bytearray | memoryview

Event = tuple[int, int]
"""(target, offset): the target may match a stretch of the buffer that `offset` lies in or ends."""


class Target(msgspec.Struct, frozen=True):
    """One thing to look for, in both forms: an expression in Vectorscan's syntax, and literals in small letters.

    Every place that the target is wanted at holds a match of the expression and one of the literals.
    """

    id: int
    expression: str
    literals: tuple[bytes, ...]


class Prefilter(Protocol):
    """Finds, in one pass over a buffer, where targets may be.

    For every stretch of the buffer that a target's true pattern matches (as it is, or in its JSON or HTML form)
    there is an event whose offset lies inside the stretch or at its end. There may be events without such a stretch.
    Thread-safe.
    """

    name: str

    def events(self, buffer: Buffer) -> list[Event]:
        """All the events of a buffer, in any order, some perhaps more than once."""
        ...
