"""Views of escaped text with the escapes of one level undone, and a map from every byte back to where it came from.

Used on windows near a hit and on the strings of JSON. A caller undoes nested levels by asking again. Nothing here
raises, whatever the bytes; what is not a whole, known escape stays as it is. All are linear in the size of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from keysentry.model.location import OffsetMap

View = tuple[bytes, OffsetMap]
"""The text with escapes undone, and the way back to the raw bytes."""

_BACKSLASH = re.compile(
    rb"""\\(?:["'\\/nrtbf]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})"""
)
_ENTITY = re.compile(rb"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
_DOUBLED = re.compile(rb'""')
_PERCENT = re.compile(rb"%[0-9a-fA-F]{2}")

_SIMPLE = {
    b'\\"': b'"',
    b"\\'": b"'",
    b"\\\\": b"\\",
    b"\\/": b"/",
    b"\\n": b"\n",
    b"\\r": b"\r",
    b"\\t": b"\t",
    b"\\b": b"\b",
    b"\\f": b"\f",
}
_NAMED = {
    b"&amp;": b"&",
    b"&lt;": b"<",
    b"&gt;": b">",
    b"&quot;": b'"',
    b"&apos;": b"'",
    b"&nbsp;": b" ",
    b"&#39;": b"'",
    b"&#x27;": b"'",
    b"&#160;": b" ",
}
_UNKNOWN = "\N{REPLACEMENT CHARACTER}".encode()


def backslash(raw: bytes) -> View | None:
    r"""Undo one level of the escapes of JSON and source code (`\" \n \uXXXX \xHH` ...); None if there is none.

    Pairs of surrogates become one character, a lone one becomes U+FFFD; `\xHH` is the byte HH.
    """
    if b"\\" not in raw:
        return None
    return rewrite(raw, _BACKSLASH, _undo_backslash)


def entities(raw: bytes) -> View | None:
    """Undo HTML and XML character references, named (the usual ones) and numeric; None if there is none.

    A no-break space becomes a plain one, so that what separates words for a reader does so for a pattern.
    """
    if b"&" not in raw:
        return None
    return rewrite(raw, _ENTITY, _undo_entity)


def doubled(raw: bytes) -> View | None:
    """Undo the doubled quotes of a CSV cell; None if there are none."""
    if b'""' not in raw:
        return None
    return rewrite(raw, _DOUBLED, _undo_doubled)


def percent(raw: bytes) -> View | None:
    """Undo the percent-encoding of URLs; None if there is none. `+` stays: whether it means a space is not known."""
    if b"%" not in raw:
        return None
    return rewrite(raw, _PERCENT, _undo_percent)


def rewrite(raw: bytes, pattern: re.Pattern[bytes], undo: Callable[[bytes], bytes]) -> View | None:
    """Copy the text between matches as it is and each match undone, noting where every run came from."""
    pieces: list[bytes] = []
    view: list[int] = []
    original: list[int] = []
    whole: list[int] = []
    done = length = 0
    for match in pattern.finditer(raw):
        start, end = match.span()
        if start > done:
            view.append(length)
            original.append(done)
            whole.append(0)
            pieces.append(raw[done:start])
            length += start - done
        piece = undo(match[0])
        view.append(length)
        original.append(start)
        whole.append(end - start)
        pieces.append(piece)
        length += len(piece)
        done = end
    if not done:
        return None
    if done < len(raw):
        view.append(length)
        original.append(done)
        whole.append(0)
        pieces.append(raw[done:])
    return b"".join(pieces), OffsetMap(view, original, whole=whole)


@lru_cache(4096)
def _undo_backslash(escape: bytes) -> bytes:
    simple = _SIMPLE.get(escape)
    if simple is not None:
        return simple
    if escape[1:2] == b"x":
        return bytes((int(escape[2:], 16),))
    high = int(escape[2:6], 16)
    if len(escape) == 12:
        return chr(0x10000 + ((high - 0xD800) << 10) + int(escape[8:], 16) - 0xDC00).encode()
    return _UNKNOWN if 0xD800 <= high <= 0xDFFF else chr(high).encode()


@lru_cache(4096)
def _undo_entity(reference: bytes) -> bytes:
    named = _NAMED.get(reference)
    if named is not None:
        return named
    digits = reference[2:-1]
    code = int(digits[1:], 16) if digits[:1] in b"xX" else int(digits)
    if code == 0xA0:
        return b" "
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return _UNKNOWN
    return chr(code).encode()


def _undo_doubled(_quotes: bytes) -> bytes:
    return b'"'


def _undo_percent(escape: bytes) -> bytes:
    return bytes((int(escape[1:], 16),))
