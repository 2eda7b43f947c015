"""From a rule's pattern to literals of which every match holds at least one.

Algorithm. The parsed pattern is walked; each part gives the exact strings it can be (while they are few) or a set of
strings of which one must occur in it. Runs of exact parts are joined; of all the sets on the way the best is kept: the
one whose shortest member is longest.

Invariants. All literals are in small letters, for a text in small letters. A literal holds only bytes that no notation
(JSON, HTML) would escape, except where nothing else is left: then every usual escaped form of it is a literal too.

Limits. At most `MOST` literals a pattern; a pattern that needs more, or has nothing of `LEAST` bytes, gives None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from re import _constants as sre  # type: ignore[attr-defined]  # the parser of the standard library, not declared
from typing import Any

from keysentry.engine.prefilter.expression import Node, Unsupported, parse

MOST = 160
LEAST = 3
_EXACT = 24
"""How many strings a run of exact parts may stand for before it is broken."""
_LONG_ENOUGH = 8
_BEGINNINGS = 40
"""How many beginnings are worth looking for one by one; of more, the first bytes are."""
_ESCAPED = frozenset(b"\"'\\/<>&=+`") | frozenset(range(0x20)) | frozenset(range(0x7F, 256))
_FORMS = 48
"""In how many forms a literal is looked for, at most."""
_NAMED = {0x26: (b"&amp;",), 0x3C: (b"&lt;",), 0x3E: (b"&gt;",), 0x22: (b"&quot;",), 0x27: (b"&#39;", b"&#x27;")}
_BACKSLASHED = {0x22: b'"', 0x27: b"'", 0x2F: b"/", 0x5C: b"\\", 8: b"b", 9: b"t", 10: b"n", 12: b"f", 13: b"r"}
_NUMBERED = frozenset(b"\"'/<>&=+`") | frozenset(range(0x20)) | {0x7F}


def _forms(byte: int) -> list[bytes]:
    """How a byte is written in the usual notations: as it is, in JSON (within JSON), by its number, in CSV, in HTML."""
    forms = [bytes((byte,))]
    if byte in _BACKSLASHED:
        forms += [b"\\" * count + _BACKSLASHED[byte] for count in (1, 2, 3)]
    if byte in _NUMBERED:
        forms += [rf"\u{byte:04x}".encode(), rf"\\u{byte:04x}".encode()]
    forms += _NAMED.get(byte, ())
    return [*forms, b'""'] if byte == 0x22 else forms


Strings = frozenset[bytes]


def literals(pattern: str) -> Strings | None:
    """Literals of which every match of `pattern` holds one, in small letters; None where there are none good enough.

    Raises `Unsupported` for a pattern that Python's `re` cannot parse.
    """
    _, needed = _walk(list(parse(pattern)))
    if needed is None:
        return None
    spread = frozenset().union(*map(_written, needed))
    if len(spread) > MOST or min(map(len, spread)) < LEAST:
        return None
    return spread


def beginnings(pattern: str) -> tuple[bytes, ...]:
    """Literals, in small letters, of which every match begins with one; none where that cannot be told.

    Raises `Unsupported` for a pattern that Python's `re` cannot parse.
    """
    run = _first(list(parse(pattern)))
    if min(map(len, run)) < LEAST - 1:
        return ()
    length = _LONG_ENOUGH
    while len(kept := _shortened(run, length)) > _BEGINNINGS and length > LEAST:
        length -= 1
    return tuple(sorted(kept))


def _shortened(strings: Strings, length: int) -> Strings:
    """The strings cut to a length, without those that begin with another one."""
    cut = {text[:length] for text in strings}
    return frozenset(text for text in cut if not any(text != other and text.startswith(other) for other in cut))


def _first(nodes: Sequence[Node]) -> Strings:
    """What a sequence can begin with, as far as it can be told in few strings (the empty one: not at all)."""
    run: Strings = frozenset((b"",))
    for node in _opened(nodes):
        exact, _needed = _node(node)
        if exact is None and node[0] is sre.BRANCH and run == {b""}:
            choices = frozenset().union(*(_first(list(branch)) for branch in node[1][1]))
            return choices if len(choices) <= MOST else run
        if exact is None or len(run) * len(exact) > MOST:
            break
        run = frozenset(head + tail for head in run for tail in exact)
        if min(map(len, run)) >= _LONG_ENOUGH:
            break
    return run


def _opened(nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes of a sequence, with groups that it begins with replaced by what is in them."""
    for node in nodes:
        kind, value = node
        if kind is sre.SUBPATTERN:
            yield from _opened(list(value[3]))
        else:
            yield node


def _written(literal: bytes) -> Strings:
    """A literal in all its forms (its beginning, if they are too many); a byte is written the same way all over it."""
    while prod(len(_forms(byte)) for byte in _ESCAPED.intersection(literal)) > _FORMS:
        literal = literal[:-1]
    escaped = sorted(_ESCAPED.intersection(literal))
    written = set()
    for chosen in product(*map(_forms, escaped)):
        form = dict(zip(escaped, chosen, strict=True))
        written.add(b"".join(form.get(byte, bytes((byte,))) for byte in literal))
    return frozenset(written)


def _score(strings: Strings) -> tuple[int, int, int]:
    shortest = min(map(len, strings))
    plain = not any(_ESCAPED.intersection(text) for text in strings)
    return (plain and shortest >= LEAST, min(shortest, _LONG_ENOUGH), -len(strings))


def _better(one: Strings | None, other: Strings | None) -> Strings | None:
    if one is None or other is None:
        return one if other is None else other
    return one if _score(one) >= _score(other) else other


def _walk(nodes: Sequence[Node]) -> tuple[Strings | None, Strings | None]:
    """(the exact strings that a sequence can be, or None; the best set of which one must occur in it, or None)"""
    best: Strings | None = None
    run: Strings = frozenset((b"",))
    whole = True
    for node in nodes:
        exact, needed = _node(node)
        if exact is not None and len(exact) * len(run) <= _EXACT:
            run = frozenset(head + tail for head in run for tail in exact)
            continue
        best = _better(best, _usable(run))
        best = _better(best, needed if exact is None else _usable(exact))
        run = frozenset((b"",)) if exact is None else exact
        whole = False
    best = _better(best, _usable(run))
    return (run if whole else None), best


def _usable(strings: Strings) -> Strings | None:
    """The set with each string cut to its longest part without escaped bytes, where that part is long enough."""
    if not strings or not all(strings):
        return None
    cut = frozenset(max(_plain_parts(text), key=len) for text in strings)
    return cut if min(map(len, cut)) >= LEAST else strings


def _plain_parts(text: bytes) -> list[bytes]:
    parts, part = [b""], bytearray()
    for byte in text:
        if byte in _ESCAPED:
            parts.append(bytes(part))
            part.clear()
        else:
            part.append(byte)
    return [*parts, bytes(part)]


def _node(node: Node) -> tuple[Strings | None, Strings | None]:
    kind, value = node
    if kind is sre.LITERAL:
        exact = frozenset((bytes((value,)).lower(),))
        return exact, exact
    if kind is sre.IN:
        return _class(value), None
    if kind in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
        return frozenset((b"",)), None
    if kind is sre.SUBPATTERN:
        return _walk(list(value[3]))
    if kind is sre.ATOMIC_GROUP:
        return _walk(list(value))
    if kind is sre.BRANCH:
        return _branch(value[1])
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return _repeat(value)
    return None, None


def _class(items: Iterable[Node]) -> Strings | None:
    found: set[bytes] = set()
    for kind, value in items:
        if kind is not sre.LITERAL or len(found) > 4:
            return None
        found.add(bytes((value,)).lower())
    return frozenset(found)


def _branch(branches: Sequence[Iterable[Node]]) -> tuple[Strings | None, Strings | None]:
    exact: Strings | None = frozenset()
    needed: Strings | None = frozenset()
    for branch in branches:
        one_exact, one_needed = _walk(list(branch))
        exact = exact | one_exact if exact is not None and one_exact is not None else None
        needed = needed | one_needed if needed is not None and one_needed is not None else None
    if needed is not None and len(needed) > MOST:
        needed = None
    return (exact if exact is not None and len(exact) <= MOST else None), needed


def _repeat(value: tuple[int, Any, Iterable[Node]]) -> tuple[Strings | None, Strings | None]:
    low, high, inner = value
    exact, needed = _walk(list(inner))
    if low == high == 1:
        return exact, needed
    if low == 0:
        return (exact | {b""} if high == 1 and exact is not None else None), None
    if exact is not None and low == high and len(exact) == 1:
        text = next(iter(exact))
        return frozenset((text * low,)), None
    return None, needed if exact is None else _usable(exact)


__all__ = ["LEAST", "MOST", "Unsupported", "literals"]
