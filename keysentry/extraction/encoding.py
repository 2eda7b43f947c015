"""Text in a wide encoding to UTF-8, and offsets of the UTF-8 back to the original file."""

from __future__ import annotations

from typing import Final

from keysentry.extraction.sniff import Kind
from keysentry.model.location import ByteSpan

_UNIT: Final = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
_NOT_ASTRAL = bytes(i for i in range(256) if not 0xF0 <= i <= 0xF4)


def is_wide(kind: Kind) -> bool:
    """Whether text of this kind must be turned into UTF-8 before it is scanned."""
    return kind in _UNIT


def to_utf8(data: bytes, kind: Kind) -> bytes:
    """Turn text of a kind into UTF-8. Invalid units become U+FFFD; kinds that are not wide come back as they are.

    A byte order mark stays, as the character U+FEFF: so the UTF-8 alone is enough to count back (`original_span`).
    """
    if kind not in _UNIT:
        return data
    return data.decode(kind, "replace").encode("utf-8")


def original_span(data_kind: Kind, utf8: bytes, span: ByteSpan) -> ByteSpan:
    """The span of the original file, its byte order mark counted, for a span of what `to_utf8` made of it.

    Linear in the offset: for hits, not for every match.
    """
    unit = _UNIT.get(data_kind)
    if unit is None:
        return span
    start, end = span.start, span.end
    while end < len(utf8) and utf8[end] & 0xC0 == 0x80:  # to the end of the character that the span cuts through
        end += 1
    while start > 0 and utf8[start] & 0xC0 == 0x80:
        start -= 1
    head = _width(utf8[:start], unit)
    return ByteSpan(head, head + _width(utf8[start:end], unit))


def _width(utf8: bytes, unit: int) -> int:
    """How many bytes this UTF-8 took in the wide encoding: UTF-16 has two units for what UTF-8 has four bytes for."""
    characters = len(utf8.decode("utf-8", "replace"))
    pairs = len(utf8.translate(None, _NOT_ASTRAL)) if unit == 2 else 0
    return unit * (characters + pairs)
