"""Slack's markup undone: what a person typed, from what Slack stores.

Slack escapes `& < >`, wraps links (`<url|label>`), mentions (`<@U123>`) and dates in angle brackets, and links by
itself what looks like a host or an address, also inside a password or a connection string. Undone, such a text
reads as it was typed; a map leads back to the stored field.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from keysentry.model.location import OffsetMap

Names = Callable[[str], str]
"""From the id of a user or channel to its name; the id itself where it is not known."""

_MARKUP = re.compile(rb"<([@#!][^<>|]*|[A-Za-z][A-Za-z0-9+.-]*:[^<>|]*)(\|[^<>]*)?>|&(?:amp|lt|gt);")
_ENTITY = {b"&amp;": b"&", b"&lt;": b"<", b"&gt;": b">"}
_SCHEME = re.compile(rb"(?i)(?:https?://|mailto:|tel:|ftps?://)")

_OPEN = rb"(?:<|\\u003[cC])"
_CLOSE = rb"(?:>|\\u003[eE])"
_LINK_START = rb"(?:https?:|mailto:|tel:|ftps?:|[@#!][A-Za-z])"
_PLAIN = rb"[^\s\"\\(\[]"
_TRAILING = rb"[,.;:!?)\]*_~'|/-]"
_NEXT_RUN = (
    rb"\s{0,80}\}\s{0,80},\s{0,80}\{\s{0,80}\"type\":\s{0,2}\"(?:text|link)\",\s{0,80}"
    rb"\"(?:text|url)\":\s{0,2}\"[0-9A-Za-z@:/_%+=-]"
)

GLUES = (
    # text, then a link: the character before it must be no space, nor the `n` of an escaped line end, or
    # it is an escaped one that is no space
    rb"[^\\]" + _PLAIN + _OPEN + _LINK_START,
    rb"\\[\"\\/]" + _OPEN + _LINK_START,
    # a link, then text; closing punctuation alone does not count
    _OPEN
    + _LINK_START
    + rb"[^<>\"]*"
    + _CLOSE
    + rb"(?:"
    + _TRAILING
    + rb"){0,4}(?:[0-9A-Za-z%+@#$&^<=]|\\[\"\\/]|\\u[0-9a-fA-F])",
    # two runs of rich text with nothing between them (the first may end in its style)
    rb"(?:[0-9A-Za-z@:/_.%+=-]\"|\})" + _NEXT_RUN,
)
MARKUP_GLUE = b"|".join(GLUES)
"""A regular expression over the raw JSON of a message: where undoing markup joins text, and sometimes where not.

Bounded, without look-around and back-references, so that it can run in a prefilter. A message without a match reads the
same raw, apart from escapes and entities.
"""


class Link(msgspec.Struct, frozen=True):
    """The address of a link whose label says something else, and where in the stored field it begins."""

    url: bytes
    origin: OffsetMap
    label: bytes


class Plain(msgspec.Struct, frozen=True):
    """A field with its markup undone. `origin` is None where nothing changed."""

    text: bytes
    origin: OffsetMap | None
    links: tuple[Link, ...] = ()


def undo(field: bytes, user: Names, channel: Names) -> Plain:
    """Undo the markup of a field (its JSON already decoded, in UTF-8)."""
    if b"<" not in field and b"&" not in field:
        return Plain(field, None)
    writer = RunWriter()
    links: list[Link] = []
    done = 0
    for match in _MARKUP.finditer(field):
        start, end = match.span()
        writer.copy(field[done:start], done)
        done = end
        if match[1] is None:
            writer.replace(_ENTITY[match[0]], start, end - start)
            continue
        label = _entities(match[2][1:]) if match[2] else b""
        if match[1][:1] in b"@#!":
            writer.replace(_mention(match[1], label, user, channel), start, end - start)
        elif not label:
            _copy_undone(writer, match[1], start + 1)
        else:
            url = _entities(match[1])
            writer.replace(label, start, end - start)
            if not says_the_same(url, label):
                inner = RunWriter()
                _copy_undone(inner, match[1], start + 1)
                links.append(Link(inner.text, inner.map, label))
    if not done:
        return Plain(field, None)
    writer.copy(field[done:], done)
    return Plain(writer.text, writer.map, tuple(links))


def says_the_same(url: bytes, label: bytes) -> bool:
    """Whether a label is only its link as it was typed, without the scheme that Slack put before it."""
    return _bare(url) == _bare(label)


def _bare(url: bytes) -> bytes:
    scheme = _SCHEME.match(url)
    return (url[scheme.end() :] if scheme else url).rstrip(b"/")


def _entities(raw: bytes) -> bytes:
    for entity, plain in ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&amp;", b"&")):
        raw = raw.replace(entity, plain)
    return raw


def _mention(body: bytes, label: bytes, user: Names, channel: Names) -> bytes:
    """What a mention reads like: `@name`, `#channel`, `@here`, or the text that stands for a date or a group."""
    mark, target = body[:1], body[1:].decode("utf-8", "replace")
    if mark == b"@":
        return b"@" + (label or user(target).encode())
    if mark == b"#":
        return b"#" + (label or channel(target).encode())
    if target.startswith(("subteam^", "date^")):
        return label or target.partition("^")[2].encode()
    return b"@" + target.encode()


def _copy_undone(writer: RunWriter, raw: bytes, start: int) -> None:
    """Copy a run byte for byte, its entities undone."""
    done = 0
    for match in _MARKUP.finditer(raw):
        if match[1] is None:
            writer.copy(raw[done : match.start()], start + done)
            writer.replace(_ENTITY[match[0]], start + match.start(), len(match[0]))
            done = match.end()
    writer.copy(raw[done:], start + done)


class RunWriter:
    """Writes a view run by run and keeps the map of where each came from."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0
        self._view: list[int] = []
        self._original: list[int] = []
        self._whole: list[int] = []

    def copy(self, piece: bytes, original: int) -> None:
        """Append bytes as they are in the original."""
        self._append(piece, original, 0)

    def replace(self, piece: bytes, original: int, size: int) -> None:
        """Append bytes that stand for `size` bytes of the original as a whole."""
        self._append(piece, original, size)

    def _append(self, piece: bytes, original: int, whole: int) -> None:
        if piece:
            self._view.append(self._length)
            self._original.append(original)
            self._whole.append(whole)
            self._pieces.append(piece)
            self._length += len(piece)

    @property
    def text(self) -> bytes:
        """What was written."""
        return b"".join(self._pieces)

    @property
    def map(self) -> OffsetMap:
        """Where it came from."""
        return OffsetMap(self._view or [0], self._original or [0], whole=self._whole or [0])
