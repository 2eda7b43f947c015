"""Lines and columns, as editors count them."""

from __future__ import annotations


def line_and_column(data: bytes | bytearray, offset: int, start: int = 0) -> tuple[int, int]:
    """The line and column (both from 1; columns count characters) of `offset` in UTF-8 text that begins at `start` of `data`."""
    line = data.count(b"\n", start, offset) + 1
    begin = data.rfind(b"\n", start, offset) + 1 or start
    return line, characters(data[max(begin, start) : offset]) + 1


def characters(text: bytes | bytearray) -> int:
    """How many characters of UTF-8 begin in a stretch of bytes; every byte of an invalid sequence's tail is passed over."""
    return len(text) if text.isascii() else sum(1 for byte in text if byte & 0xC0 != 0x80)
