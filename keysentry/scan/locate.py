"""Lines and columns, as editors count them."""

from __future__ import annotations

_TAILS = bytes(range(0x80, 0xC0))


class Lines:
    """The lines and columns of ascending offsets, counted on from one to the next: linear over all of them."""

    def __init__(self, data: bytes | bytearray, start: int = 0, line: int = 1, columns: int = 0) -> None:
        """`start` is where counting begins: in this line, with so many characters of it before."""
        self._data = data
        self._counted = start
        self._line = line
        self._columns = columns

    def at(self, offset: int) -> tuple[int, int]:
        """The line and the column (from 1) of an offset, which is not before the last one asked for."""
        passed = self._data.count(b"\n", self._counted, offset)
        if passed:
            self._line += passed
            self._columns = 0
            self._counted = self._data.rfind(b"\n", self._counted, offset) + 1
        self._columns += characters(self._data[self._counted : offset])
        self._counted = offset
        return self._line, self._columns + 1


def line_and_column(data: bytes | bytearray, offset: int, start: int = 0) -> tuple[int, int]:
    """The line and column (both from 1; columns count characters) of `offset` in UTF-8 text that begins at `start`
    of `data`.
    """
    line = data.count(b"\n", start, offset) + 1
    begin = data.rfind(b"\n", start, offset) + 1 or start
    return line, characters(data[max(begin, start) : offset]) + 1


def characters(text: bytes | bytearray) -> int:
    """How many characters of UTF-8 begin in a stretch of bytes; every byte of an invalid sequence's tail is passed
    over.
    """
    return len(text) if text.isascii() else len(text.translate(None, _TAILS))
