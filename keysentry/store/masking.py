"""Taking a secret's own text out of what is stored beside it: a link with a token in it, a file named after one.

Algorithm. A text is read as it stands and with its escapes undone, layer by layer (percent-encoding, JSON's and HTML's
escapes; a plus sign is as good as a space), each reading with a map back to the text. Every secret found in any reading
is replaced by its mask where it stands in the text.

Limits. Only secrets that were found are known here. One of fewer than four bytes is left, because any text holds it by
chance. A secret of which a text has only a piece is not seen.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import ahocorasick

from keysentry.model.sensitive import Sensitive

_SHORTEST = 4
_READINGS = 24
_ESCAPES = (
    re.compile(rb"%(?P<percent>[0-9A-Fa-f]{2})"),
    re.compile(
        rb"\\u(?P<high>[dD][89abAB][0-9A-Fa-f]{2})\\u(?P<low>[dD][c-fC-F][0-9A-Fa-f]{2})"
        rb"|\\u(?P<hex>[0-9A-Fa-f]{4})|\\(?P<letter>[\"\\/bfnrt])"
    ),
    re.compile(rb"&#(?P<decimal>[0-9]{1,7});|&#[xX](?P<hex>[0-9A-Fa-f]{1,6});|&(?P<entity>amp|lt|gt|quot|apos);"),
)
_ESCAPED = re.compile(rb"%[0-9A-Fa-f]{2}|\\[u\"\\/bfnrt]|&(?:#|amp;|lt;|gt;|quot;|apos;)")
"""What every escape begins with."""
_FEW = 4
"""So many secrets are looked for one by one faster than an automaton for them is built."""
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}

Span = tuple[int, int, str]
"""Start and end in a text, and the mask that belongs there."""
Reading = tuple[bytes, Sequence[int], Sequence[int]]
"""A text with escapes undone, and for each byte of it where what it came from starts and ends."""


class Masks:
    """Replaces some secrets by their masks wherever they stand in a text."""

    def __init__(self, secrets: Iterable[Sensitive]) -> None:
        self._known: dict[str, str] = {}
        values = (secret.reveal_bytes().strip() for secret in secrets)
        self._values = list(dict.fromkeys(value for value in values if len(value) >= _SHORTEST))
        self._few = [value.replace(b"+", b" ") for value in self._values[: _FEW + 1]]
        self._automaton: ahocorasick.Automaton | None = None

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        if not self._values or not text:
            return text
        masked = self._known.get(text)
        if masked is None:
            masked = self._known[text] = self._masked(text)
        return masked

    def all(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Texts without the secrets: quicker than one by one, because hardly any has one."""
        if not self._values or self._clean("\n".join(texts).encode("utf-8", "surrogatepass")):
            return texts
        return tuple(map(self, texts))

    def _clean(self, raw: bytes) -> bool:
        """Whether it is soon seen that there is no secret: there are few of them, and no escape is to be undone."""
        if len(self._few) > _FEW or _ESCAPED.search(raw):
            return False
        view = raw.replace(b"+", b" ")
        return not any(value in view for value in self._few)

    def _masked(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        if self._clean(raw):
            return text
        spans = sorted(self._spans(raw))
        if not spans:
            return text
        pieces: list[bytes] = []
        at = 0
        for start, end, mask in spans:
            if start >= at:
                pieces += (raw[at:start], mask.encode())
            at = max(at, end)
        whole = b"".join([*pieces, raw[at:]])
        try:
            return whole.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return whole.decode("utf-8", "replace")

    def _spans(self, raw: bytes) -> Iterator[Span]:
        automaton = self._automaton = self._automaton or _automaton(self._values)
        for view, starts, ends in _readings(raw):
            for last, (size, mask) in automaton.iter(_comparable(view)):
                yield starts[last - size + 1], ends[last], mask


def _automaton(values: Iterable[bytes]) -> ahocorasick.Automaton:
    """Finds values in texts that are `_comparable`, with their length and their mask."""
    automaton = ahocorasick.Automaton()
    for value in values:
        automaton.add_word(_comparable(value), (len(value), str(Sensitive(value))))
    automaton.make_automaton()
    return automaton


def _comparable(value: bytes) -> str:
    """Bytes as the automaton takes them, with a plus sign, which may stand for a space, as one."""
    return value.replace(b"+", b" ").decode("latin-1")


def _readings(raw: bytes) -> Iterator[Reading]:
    """The text as it stands, then with layers of escapes undone, each kind by itself: what looks like an escape of
    one kind may be meant as it stands in another.
    """
    known = {raw}
    waiting: deque[Reading] = deque([(raw, range(len(raw)), range(1, len(raw) + 1))])
    while waiting:
        view, starts, ends = waiting.popleft()
        yield view, starts, ends
        for escape in _ESCAPES:
            if len(known) < _READINGS:
                undone, inner_starts, inner_ends = _undo(view, escape)
                if undone not in known:
                    known.add(undone)
                    waiting.append((undone, [starts[i] for i in inner_starts], [ends[i - 1] for i in inner_ends]))


def _undo(view: bytes, escapes: re.Pattern[bytes]) -> Reading:
    """One layer of escapes less."""
    out = bytearray()
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for escape in escapes.finditer(view):
        starts += range(at, escape.start())
        ends += range(at + 1, escape.start() + 1)
        plain = _plain(escape)
        out += view[at : escape.start()] + plain
        starts += [escape.start()] * len(plain)
        ends += [escape.end()] * len(plain)
        at = escape.end()
    starts += range(at, len(view))
    ends += range(at + 1, len(view) + 1)
    return bytes(out + view[at:]), starts, ends


def _plain(escape: re.Match[bytes]) -> bytes:
    kind, value = str(escape.lastgroup), escape[str(escape.lastgroup)]
    if kind == "percent":
        return bytes.fromhex(value.decode())
    if kind == "letter":
        return _LETTERS.get(value, value)
    if kind == "entity":
        return _ENTITIES[value]
    if kind == "low":
        return (bytes.fromhex(escape["high"].decode()) + bytes.fromhex(value.decode())).decode("utf-16-be").encode()
    code = int(value, 10 if kind == "decimal" else 16)
    return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else b""
