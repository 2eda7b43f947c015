"""Where in a JSON or JSON Lines text an offset lies (`users[3].token`), and the way back from such a path to the bytes.

Worked out only for hits, without decoding: one regular expression cuts the text into tokens, a stack keeps the keys.
Nothing recurses, so depth is bounded by memory alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from keysentry.model.location import ByteSpan

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SCALAR = rb"-?[0-9]++(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|true|false|null|NaN|-?Infinity"
_TOKEN = re.compile(
    rb"[ \t\r\n]*+(?:(" + _STRING + rb")([ \t\r\n]*+:)?|(,)|([\[{])|([\]}])|(" + _SCALAR + rb"))", re.DOTALL
)
_KEY, _COMMA, _OPEN, _CLOSE = 2, 3, 4, 5


_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\r\n]*+")

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_COMPONENT = re.compile(r'\.?([A-Za-z_$][A-Za-z0-9_$]*)|\[(\d+)\]|\[("[^"\\]*(?:\\.[^"\\]*)*")\]', re.DOTALL)

_DEEPEST = 1000
"""How many components of a path are written; what lies deeper is cut, with an ellipsis."""

# What the grammar allows next.
_VALUE, _AFTER, _KEY_OR_CLOSE, _NEED_KEY, _VALUE_OR_CLOSE = range(5)

_Label = ByteSpan | int | None
"""Where a frame of the stack stands: at a key (its raw bytes without quotes), an index, or before its first key."""


def path_at(data: bytes | bytearray | memoryview, offset: int) -> str | None:
    """The path of the value (or key) at an offset; "" at the top level; None if the text up to there is not JSON.

    In JSON Lines the path is that inside the line.
    """
    return FieldPaths(data).at(offset)


# What the offset is not in is passed over by expressions, at the speed of C and without a look at the finer grammar.
# Inside what is nested deeper than this they fail and are tried again a level further down, so that no byte is read
# more often than this.
_LEVELS = 12


class _Bulk(NamedTuple):
    """Expressions for a whole object or array, for one or more items of an array, and for members of an object."""

    whole: re.Pattern[bytes]
    items: re.Pattern[bytes]
    item: re.Pattern[bytes]
    members: re.Pattern[bytes]


@lru_cache(1)
def _bulk() -> _Bulk:
    inner = rb"[-+.,:\w \t\r\n]++|" + _STRING
    whole = rb"[\[{](?:" + inner + rb")*+[\]}]"
    for _ in range(_LEVELS):
        whole = rb"[\[{](?:" + inner + b"|" + whole + rb")*+[\]}]"
    gap = rb"[ \t\r\n]*+"
    item = gap + rb"(?:" + _STRING + b"|" + _SCALAR + b"|" + whole + b")" + gap + b","
    member = gap + _STRING + gap + b":" + item
    patterns = (whole, b"(?:" + item + b")++", item, b"(?:" + member + b")++")
    return _Bulk(*(re.compile(pattern, re.DOTALL) for pattern in patterns))


class FieldPaths:
    """The paths at many offsets of one text. Linear over all of them if they ascend."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = data if isinstance(data, bytes) else bytes(data)
        self._begin = len(_MARK) if self._data.startswith(_MARK) else 0
        self._restart(self._begin)
        self._lines = False
        self._last = -1

    def at(self, offset: int) -> str | None:
        """The path at an offset, as `path_at` gives it."""
        if not self._begin <= offset < len(self._data):
            return None
        if offset < self._last:
            self._restart(self._data.rfind(b"\n", 0, offset) + 1 if self._lines else self._begin)
        self._last = offset
        if self._lines:
            self._to_line(offset)
        self._advance(offset)
        if self._lines and self._done_line(offset):
            self._to_line(offset)
            self._advance(offset)
        if self._bad is not None and offset >= self._bad:
            return None
        return self._render()

    def _restart(self, position: int) -> None:
        self._position = self._line = position
        self._stack: list[_Label] = []
        self._expected = _VALUE
        self._bad: int | None = None

    def _done_line(self, offset: int) -> bool:
        return self._data.find(b"\n", self._line, offset) >= 0

    def _to_line(self, offset: int) -> None:
        """In JSON Lines every line stands for itself: go on at the one that holds the offset."""
        start = self._data.rfind(b"\n", self._line, offset) + 1
        if start > self._line:
            self._restart(start)

    def _advance(self, offset: int) -> None:
        """Read the tokens that begin at or before the offset, but not a bracket there that closes what it lies in."""
        data, match_token = self._data, _TOKEN.match
        while self._bad is None and self._position <= offset:
            self._pass_over(offset)
            token = match_token(data, self._position)
            if token is None:
                self._no_token()
                return
            kind = token.lastindex or 0
            start = token.start(1 if kind == _KEY else kind)
            if start > offset or (kind == _CLOSE and start == offset):
                return
            self._position = token.end()
            if kind == _OPEN:
                self._open(start, offset)
            elif kind == _CLOSE:
                self._close(start)
            elif kind == _COMMA:
                self._comma(start)
            elif kind == _KEY:
                if self._expected not in (_KEY_OR_CLOSE, _NEED_KEY):
                    self._bad = start
                    return
                self._stack[-1] = ByteSpan(start + 1, token.end(1) - 1)
                self._expected = _VALUE
            elif self._expected in (_VALUE, _VALUE_OR_CLOSE):
                self._after_value()
            else:
                self._bad = start

    def _pass_over(self, offset: int) -> None:
        """Leave behind the members or items of the innermost container that end before the offset."""
        if self._expected == _AFTER or not self._stack:
            return
        label = self._stack[-1]
        if isinstance(label, int):
            if items := _bulk().items.match(self._data, self._position, offset):
                self._stack[-1] = label + len(_bulk().item.findall(self._data, self._position, items.end()))
                self._position, self._expected = items.end(), _VALUE
        elif self._expected != _VALUE and (members := _bulk().members.match(self._data, self._position, offset)):
            self._stack[-1] = None
            self._position, self._expected = members.end(), _NEED_KEY

    def _open(self, start: int, offset: int) -> None:
        if self._expected not in (_VALUE, _VALUE_OR_CLOSE):
            self._bad = start
            return
        whole = _bulk().whole.match(self._data, start, offset)
        if whole is not None:
            self._position = whole.end()
            self._after_value()
        elif self._data[start] == 0x7B:
            self._stack.append(None)
            self._expected = _KEY_OR_CLOSE
        else:
            self._stack.append(0)
            self._expected = _VALUE_OR_CLOSE

    def _close(self, start: int) -> None:
        stack = self._stack
        dangling = self._expected in (_VALUE, _NEED_KEY)
        if not stack or dangling or (self._data[start] == 0x5D) != isinstance(stack[-1], int):
            self._bad = start
            return
        stack.pop()
        self._after_value()

    def _comma(self, start: int) -> None:
        if self._expected != _AFTER or not self._stack:
            self._bad = start
            return
        label = self._stack[-1]
        if isinstance(label, int):
            self._stack[-1] = label + 1
            self._expected = _VALUE
        else:
            self._stack[-1] = None
            self._expected = _NEED_KEY

    def _after_value(self) -> None:
        """What may follow a value; after one at the top level, another, and if it took one line, in JSON Lines."""
        if self._stack:
            self._expected = _AFTER
            return
        end = self._position
        if not self._lines and self._data[end : end + 2].lstrip(b"\r")[:1] == b"\n":
            self._lines = self._data.find(b"\n", self._begin, end) < 0
        self._expected = _VALUE

    def _no_token(self) -> None:
        """Where no token can be read: the end of the text, a string that was cut off, or something that is not JSON."""
        data, space = self._data, _SPACE.match(self._data, self._position)
        start = space.end() if space else self._position
        if start < len(data) and (data[start] != 0x22 or self._expected == _AFTER):
            self._bad = start
        self._position = len(data)

    def _render(self) -> str:
        return _write(self._data, self._stack)


def _write(data: bytes, stack: Sequence[_Label]) -> str:
    parts: list[str] = []
    for label in stack[:_DEEPEST]:
        if isinstance(label, int):
            parts.append(f"[{label}]")
        elif label is not None:
            key = _key(data[label.start : label.end])
            if _IDENTIFIER.fullmatch(key):
                parts.append(f".{key}" if parts else key)
            else:
                parts.append(f"[{_quoted(key)}]")
    if len(stack) > _DEEPEST:
        parts.append("…")
    return "".join(parts)


def _quoted(key: str) -> str:
    return msgspec.json.encode(key).decode()


def _key(raw: bytes) -> str:
    """A key as it is meant: escapes undone, bad bytes replaced."""
    if b"\\" in raw:
        try:
            return msgspec.json.decode(b'"' + raw + b'"', type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return raw.decode("utf-8", "replace")


def components(path: str) -> list[str | int] | None:
    """A path taken apart; None if it is none."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = _COMPONENT.match(path, position)
        if match is None or (match[1] and (match[0][0] == ".") != bool(parts)):
            return None
        if match[2]:
            parts.append(int(match[2]))
        elif match[3]:
            try:
                parts.append(msgspec.json.decode(match[3].encode(), type=str))
            except (msgspec.DecodeError, UnicodeEncodeError):
                return None
        else:
            parts.append(match[1])
        position = match.end()
    return parts


def value_span(data: bytes | bytearray | memoryview, path: str) -> ByteSpan | None:
    """The raw bytes of the value at a path: the inside of a string, the whole of a number, true, false or null.

    None if there is no such value, or it is an object or an array. Of a key that comes twice the last one counts,
    as it does for those who decode the text.
    """
    parts = components(path)
    if parts is None:
        return None
    text = data if isinstance(data, bytes) else bytes(data)
    return _ValueSearch(text, parts).run()


class _ValueSearch:
    """One walk over a text for the value at a path."""

    def __init__(self, text: bytes, parts: list[str | int]) -> None:
        self._text = text
        self._parts = parts
        self._indexes: list[int] = []  # of the arrays that are open; -1 for objects
        self._matched = 0  # how many components the way to the present place has in common with the path

    def run(self) -> ByteSpan | None:
        text, wanted = self._text, len(self._parts)
        position = len(_MARK) if text.startswith(_MARK) else 0
        found: ByteSpan | None = None
        while token := _TOKEN.match(text, position):
            position = token.end()
            kind = token.lastindex or 0
            depth = len(self._indexes)
            if kind == _KEY:
                self._label(_key(text[token.start(1) + 1 : token.end(1) - 1]))
            elif kind == _OPEN:
                position = self._open(token.start(4), position)
            elif kind == _CLOSE:
                if not self._indexes:
                    break
                self._indexes.pop()
                self._matched = min(self._matched, depth - 1)
            elif kind == _COMMA:
                if depth and self._indexes[-1] >= 0:
                    self._indexes[-1] += 1
                    self._label(self._indexes[-1])
            elif self._matched == depth == wanted:
                start, end = token.span(kind)
                found = ByteSpan(start + 1, end - 1) if kind == 1 else ByteSpan(start, end)
        return found

    def _label(self, label: str | int) -> None:
        """The walk now stands at this key or index of the innermost container."""
        depth = len(self._indexes)
        if self._matched >= depth - 1 >= 0:
            same = depth <= len(self._parts) and self._parts[depth - 1] == label
            self._matched = depth if same else depth - 1

    def _open(self, start: int, position: int) -> int:
        """Enter a container, or pass over one that the path does not lead into."""
        depth = len(self._indexes)
        if self._matched < depth or depth >= len(self._parts):
            whole = _bulk().whole.match(self._text, start)
            if whole is not None:
                return whole.end()
        array = self._text[start] == 0x5B
        self._indexes.append(0 if array else -1)
        if array:
            self._label(0)
        return position


def array_elements(data: bytes) -> tuple[list[tuple[int, int]], bool]:
    """The elements of the array that a text is, as spans, as far as their brackets and commas are whole.

    Also whether the array came to its proper end. For text that a decoder refuses; the elements are not checked inside.
    """
    opening = _TOKEN.match(data, len(_MARK) if data.startswith(_MARK) else 0)
    spans: list[tuple[int, int]] = []
    if opening is None or opening[_OPEN] != b"[":
        return spans, False
    position = opening.end()
    while token := _TOKEN.match(data, position):
        kind = token.lastindex or 0
        if kind == _CLOSE:
            return spans, token[_CLOSE] == b"]"
        if kind in (_KEY, _COMMA):
            return spans, False
        start = token.start(kind)
        end = _closing(data, start, token.end()) if kind == _OPEN else token.end()
        following = _TOKEN.match(data, end) if end else None
        if not end:
            return spans, False
        spans.append((start, end))
        if following is None or following.lastindex not in (_COMMA, _CLOSE):
            return spans, False
        position = following.end() if following.lastindex == _COMMA else end
    return spans, False


def _closing(data: bytes, start: int, inside: int) -> int:
    """Where the object or array that opens at `start` ends; 0 if it does not."""
    whole = _bulk().whole.match(data, start)
    if whole is not None:
        return whole.end()
    depth, position = 1, inside
    while depth and (token := _TOKEN.match(data, position)):
        depth += {_OPEN: 1, _CLOSE: -1}.get(token.lastindex or 0, 0)
        position = token.end()
    return 0 if depth else position
