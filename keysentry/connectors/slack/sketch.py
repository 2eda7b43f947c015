"""Which messages are gone, told by a few hundred bytes.

A sketch of a set of numbers can have numbers added and taken away in any order; what is left over in the end (the
difference of two sets) can be read out of it as long as it is small, however large the sets were. So a cursor can
carry what a channel held without listing it.

Algorithm. An invertible Bloom lookup table (Goodrich and Mitzenmacher, "Invertible Bloom Lookup Tables", 2011,
arXiv:1101.2245): each number lies in one cell of each of five tables; a cell keeps how many there are, their XOR, and
the XOR of their checksums. A cell with one number in it gives it away; taking it out of its other cells opens more.

Failure modes. Up to 24 numbers left over are read in all but one of some thousand cases, more than 40 never: `left`
then says so with None, and gives a wrong number only by an accident of 32 bits.
"""

from __future__ import annotations

import sys
from array import array
from typing import Final

_TABLES: Final = 5
_WIDTH: Final = 12
_CELLS: Final = _TABLES * _WIDTH
_SIZE: Final = _CELLS * (2 + 8 + 4)
_COUNT: Final = 0xFFFF  # counts are kept to 16 bits: only the small ones of a difference matter
_MASK: Final = (1 << 64) - 1


class Sketch:
    """A set of numbers below 2**64, of which only a small difference can be read."""

    __slots__ = ("_checks", "_counts", "_sums", "_written")

    def __init__(self, written: bytes = b"") -> None:
        """`written` is what `write` gave; empty, or anything else, is an empty set."""
        if len(written) != _SIZE:
            written = bytes(_SIZE)
        self._counts = _numbers("H", written[: 2 * _CELLS])
        self._sums = _numbers("Q", written[2 * _CELLS : 10 * _CELLS])
        self._checks = _numbers("I", written[10 * _CELLS :])
        self._written: bytes | None = None

    def add(self, number: int) -> None:
        """Put a number in."""
        self._change(number, 1)

    def remove(self, number: int) -> None:
        """Take a number out; one that is not in it is left over as missing."""
        self._change(number, -1)

    def write(self) -> bytes:
        """The sketch as bytes: none for an empty set, else always as many."""
        if self._written is None:
            empty = not any(self._counts) and not any(self._sums)
            self._written = b"" if empty else b"".join(map(_bytes, (self._counts, self._sums, self._checks)))
        return self._written

    def left(self) -> tuple[list[int], list[int]] | None:
        """The numbers that are left in it, and those that were taken out without being in; each in ascending order.

        None if there are too many to tell.
        """
        rest = Sketch(self.write())
        present: list[int] = []
        missing: list[int] = []
        waiting = list(range(_CELLS))
        while waiting:
            cell = waiting.pop()
            count, number = rest._counts[cell], rest._sums[cell]
            if count not in (1, _COUNT):
                continue
            mixed = _mix(number)
            if mixed >> 32 != rest._checks[cell] or cell not in _cells(mixed):
                continue
            (present if count == 1 else missing).append(number)
            if len(present) + len(missing) > _CELLS:
                return None
            rest._change(number, -1 if count == 1 else 1)
            waiting += _cells(mixed)
        return (sorted(present), sorted(missing)) if not rest.write() else None

    def _change(self, number: int, count: int) -> None:
        counts, sums, checks = self._counts, self._sums, self._checks
        mixed = _mix(number)
        check = mixed >> 32
        for cell in _cells(mixed):
            counts[cell] = (counts[cell] + count) & _COUNT
            sums[cell] ^= number
            checks[cell] ^= check
        self._written = None


def _numbers(kind: str, written: bytes) -> array[int]:
    """Numbers of 2 (H), 8 (Q) or 4 (I) bytes each, least significant byte first."""
    numbers = array(kind, written)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _bytes(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _cells(mixed: int) -> list[int]:
    """A number's cell in each of the tables."""
    cells = []
    for first in range(0, _CELLS, _WIDTH):
        cells.append(first + mixed % _WIDTH)
        mixed //= _WIDTH
    return cells


def _mix(number: int) -> int:
    """64 well mixed bits of a number (the finaliser of SplitMix64; Steele, Lea and Flood, 2014)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)
