"""Views of what is written in another form: base64, hexadecimal, gzip, percent-encoding, hidden and full-width
characters.

Algorithm. Around an event the run that is written in the form is taken (bounded), and decoded in every alignment
that it could have. What comes out is scanned like any other text, and once more for what is encoded within it.

Invariants. A run depends on the text alone, not on which event led to it. Each view maps every byte back to the run.

Limits. A run reaches `REACH` bytes to both sides of the event; `INFLATED` bytes come out of gzip at most.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from keysentry.engine.prefilter.base import Buffer
from keysentry.engine.triggers import Coding
from keysentry.extraction.unescape import backslash, percent, rewrite
from keysentry.model.location import ByteSpan, OffsetMap

REACH = 8192
INFLATED = 1 << 20
_LEAST_RUN = 16
_BASE64_RUN = re.compile(
    rb"(?:[A-Za-z0-9+/_-]|\\/|\\[rn](?=[A-Za-z0-9+/\\])|[ \t]{0,16}\r?\n[ \t]{0,16}(?=[A-Za-z0-9+/]))+"
)
_BASE64_NOISE = re.compile(rb"\\[rn]|\\|\s+")
_HEX_RUN = re.compile(rb"[0-9a-fA-F]+")
_TEXT_RUN = re.compile(rb"[^\s\"'<>`]+")
_LINE_RUN = re.compile(rb"[^\r\n]+")
_ZERO_WIDTH = re.compile(
    rb"\xe2\x80[\x8b-\x8d]|\xe2\x81\xa0|\xef\xbb\xbf|\xc2\xad|\\u(?:200[bcdBCD]|2060|[fF][eE][fF][fF]|00[aA][dD])"
)
_FULL_WIDTH = re.compile(rb"\xef\xbc[\x80-\xbf]|\xef\xbd[\x80-\x9e]")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class View(NamedTuple):
    """Decoded text; `maps` lead from it to the run (the first one first), which begins at `base` in the buffer.

    Where `whole` is set nothing finer than the whole run can be said (compressed text).
    """

    text: bytes
    base: int
    maps: tuple[OffsetMap, ...]
    coding: str
    whole: tuple[int, int] | None = None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The place in the buffer of a stretch of the text."""
        if self.whole is not None:
            return self.whole
        span = ByteSpan(start, end)
        for offsets in self.maps:
            span = offsets.span_to_original(span)
        return self.base + span.start, self.base + span.end


class Run(NamedTuple):
    """A stretch of the buffer that is written in one form."""

    start: int
    end: int


def run_at(coding: Coding, buffer: Buffer, bounds: tuple[int, int], offset: int) -> Run | None:
    """The run around an event at `offset`, inside `bounds`; None if there is none of a useful length."""
    first, last = max(bounds[0], offset - REACH), min(bounds[1], offset + REACH)
    window = bytes(buffer[first:last])
    at = offset - first
    for match in _RUNS[coding].finditer(window):
        if match.end() >= at:
            start, end = match.span()
            return Run(first + start, first + end) if start < at and end - start >= _LEAST_RUN else None
    return None


def views(coding: Coding, buffer: Buffer, run: Run) -> Iterator[View]:
    """What a run says, in every alignment that it could have."""
    return _VIEWS[coding](bytes(buffer[run.start : run.end]), run)


def _base64(raw: bytes, run: Run) -> Iterator[View]:
    cleaned = rewrite(raw, _BASE64_NOISE, _nothing)
    text, maps = (cleaned[0], (cleaned[1],)) if cleaned else (raw, ())
    text = text.translate(_URL_SAFE)
    for phase in range(4):
        usable = (len(text) - phase) // 4 * 4
        if len(text) - phase - usable >= 2:
            body = text[phase:] + b"=" * (4 - (len(text) - phase - usable))
        else:
            body = text[phase : phase + usable]
        decoded = binascii.a2b_base64(body)
        offsets = OffsetMap((0,), (phase,), packed=(3, 4))
        if decoded[:2] == b"\x1f\x8b":
            yield from _inflated(decoded, run)
        yield View(decoded, run.start, (offsets, *maps), "base64")


def _inflated(compressed: bytes, run: Run) -> Iterator[View]:
    try:
        text = zlib.decompressobj(31).decompress(compressed, INFLATED)
    except zlib.error:
        return
    yield View(text, run.start, (), "gzip in base64", (run.start, run.end))


def _hex(raw: bytes, run: Run) -> Iterator[View]:
    for phase in range(2):
        usable = (len(raw) - phase) // 2 * 2
        decoded = bytes.fromhex(raw[phase : phase + usable].decode("ascii"))
        yield View(decoded, run.start, (OffsetMap((0,), (phase,), packed=(1, 2)),), "hex")


def _percent(raw: bytes, run: Run) -> Iterator[View]:
    maps: tuple[OffsetMap, ...] = ()
    text = raw
    while len(maps) < 2 and (undone := percent(text)) is not None:
        text, maps = undone[0], (undone[1], *maps)
        yield View(text, run.start, maps, "percent-encoded")


def _unicode(raw: bytes, run: Run) -> Iterator[View]:
    undone = backslash(raw)
    if undone is not None:
        yield View(undone[0], run.start, (undone[1],), "escaped letters")


def _zero_width(raw: bytes, run: Run) -> Iterator[View]:
    undone = rewrite(raw, _ZERO_WIDTH, _nothing)
    if undone is not None:
        yield View(undone[0], run.start, (undone[1],), "hidden characters")


def _full_width(raw: bytes, run: Run) -> Iterator[View]:
    maps: tuple[OffsetMap, ...] = ()
    text = raw
    if b"\\" in raw and (unescaped := backslash(raw)) is not None:
        text, maps = unescaped[0], (unescaped[1],)
    undone = rewrite(text, _FULL_WIDTH, _narrow)
    if undone is not None:
        yield View(undone[0], run.start, (undone[1], *maps), "full-width characters")


def _nothing(_match: bytes) -> bytes:
    return b""


def _narrow(wide: bytes) -> bytes:
    """U+FF01 to U+FF5E are the printable characters of ASCII, 0xFEE0 higher."""
    code = ord(wide.decode("utf-8", "replace")[:1]) - 0xFEE0
    return bytes((code,)) if 0x21 <= code <= 0x7E else wide


_RUNS: dict[Coding, re.Pattern[bytes]] = {
    "base64": _BASE64_RUN, "hex": _HEX_RUN, "percent": _TEXT_RUN,
    "unicode": _LINE_RUN, "zero-width": _LINE_RUN, "full-width": _LINE_RUN,
}  # fmt: skip
_VIEWS: dict[Coding, Callable[[bytes, Run], Iterator[View]]] = {
    "base64": _base64, "hex": _hex, "percent": _percent,
    "unicode": _unicode, "zero-width": _zero_width, "full-width": _full_width,
}  # fmt: skip
