"""From a rule's pattern to an expression for the prefilter that may match more, never less.

Algorithm. The pattern is parsed, and written again atom by atom as sets of bytes. Look-arounds and boundaries are
dropped; a last repeat is cut to its minimum (so that a long token is reported once, not once a character) and a very
long inner repeat that cannot be empty ends the expression. Every byte that some notation would escape may also stand
there in its escaped form: JSON and source code (backslash), HTML (entities), CSV (quotes doubled).

Sets that hold the letters of an escape anyway (`u`, hexadecimal digits) simply take the backslash too: one set in a
plain repeat costs the automaton nothing, a choice of forms inside a repeat does.

Invariants. Whatever the pattern matches in a text, the expression matches in that text, in the text's JSON form, its
CSV form and its HTML form, and the match ends inside the pattern's match or its escaped form.

Limits. A character that needs no escape but was written as one (`\\u0041`) is not covered here; `triggers.py` is for
that. `Unsupported` is raised for what cannot be widened (back-references, syntax that Python's `re` does not know).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from re import _constants as sre  # type: ignore[attr-defined]  # the parser of the standard library, not declared
from re import _parser as sre_parse  # type: ignore[attr-defined]
from typing import Any

INNER_LIMIT = 128
"""An inner repeat that may be longer than this has no upper bound in the expression, if it may also be empty (a
filler, with what matters behind it); otherwise it is a value, and ends the expression: what follows is left to the
confirming regex."""

_FUZZY = re.compile(r"[)\]}\w]\{[^{}]*[ides]\s*(?:<|\})")
"""What `regex` reads as a match with errors, and `re` as plain characters."""
_ALL = frozenset(range(256))
_DIGITS = frozenset(b"0123456789")
_SPACES = frozenset(b" \t\n\r\f\v")
_WORDS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_CATEGORIES: dict[Any, frozenset[int]] = {
    sre.CATEGORY_DIGIT: _DIGITS,
    sre.CATEGORY_NOT_DIGIT: _ALL - _DIGITS,
    sre.CATEGORY_SPACE: _SPACES,
    sre.CATEGORY_NOT_SPACE: _ALL - _SPACES,
    sre.CATEGORY_WORD: _WORDS,
    sre.CATEGORY_NOT_WORD: _ALL - _WORDS,
}
_BACKSLASH_FORMS = {0x0A: "n", 0x0D: "r", 0x09: "t", 0x08: "b", 0x0C: "f", 0x22: '"', 0x27: "'", 0x2F: "/"}
_UNICODE_FORMS = frozenset(b"\"'/<>&=+`\n\r\t\b\f") | frozenset(range(0x80, 256))
_ESCAPABLE = _UNICODE_FORMS | {0x5C}
_ESCAPE_LETTERS = frozenset(b"0123456789abcdefunrt")
LONGEST_ESCAPE = 7
"""`\\\\u002f`, in JSON within JSON: seven bytes for one."""
_ENTITIES = {0x26: "&amp;", 0x3C: "&lt;", 0x3E: "&gt;", 0x22: "&quot;", 0x27: "&#(?:39|x27);"}

_SINGLE = (sre.LITERAL, sre.IN, sre.ANY, sre.NOT_LITERAL, sre.ANY_ALL)
_ENTITY_STARTS = frozenset(_ENTITIES)
_ENTITY_LETTERS = frozenset(b"&#;0123456789abglmnopqstux")

Node = tuple[Any, Any]


class Unsupported(ValueError):
    """A pattern that cannot be widened into an expression for the prefilter."""


def parse(pattern: str) -> Sequence[Node]:
    """Parse a pattern over bytes.

    Raises `Unsupported` for syntax that Python's `re` does not know, or reads otherwise.
    """
    if _FUZZY.search(pattern):
        raise Unsupported("fuzzy matching")
    try:
        with warnings.catch_warnings():
            # `[[:alpha:]]` and sets of sets: `re` warns that it takes them literally, which `regex` does not.
            warnings.simplefilter("error", FutureWarning)
            return sre_parse.parse(pattern.encode("utf-8"))  # type: ignore[no-any-return]
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise Unsupported(str(error)) from None


def width(pattern: str) -> tuple[int, int | None]:
    """The least and the greatest number of bytes that a pattern can match; None where there is no greatest."""
    low, high = parse(pattern).getwidth()  # type: ignore[attr-defined]
    return int(low), None if high >= sre.MAXREPEAT or high >= 1 << 31 else int(high)


def superset(pattern: str) -> str:
    """Widen a pattern into an expression in Vectorscan's syntax (see the module). Raises `Unsupported`."""
    parsed = parse(pattern)
    items, _ = _sequence(list(parsed), flags=parsed.state.flags, top=True)  # type: ignore[attr-defined]
    if not items:
        raise Unsupported("nothing in the pattern can be looked for")
    return "".join(items)


def event_distance(pattern: str) -> int | None:
    """How many bytes of a match may come before the end of the expression's; None where that is not bounded.

    It is the pattern's greatest width, with the repeat that ends the expression at its least.
    """
    parsed = parse(pattern)
    total = 0
    nodes = _without_assertions(parsed)
    while nodes:
        node = nodes.pop(0)
        if node[0] is sre.SUBPATTERN and not nodes:
            nodes = _without_assertions(node[1][3])
            continue
        _low, high = sre_parse.SubPattern(parsed.state, [node]).getwidth()  # type: ignore[attr-defined]
        if node[0] in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            least, most, inner = node[1]
            if not nodes or (least and (most is sre.MAXREPEAT or most > INNER_LIMIT)):
                return total + int(least * inner.getwidth()[1])
        if high >= sre.MAXREPEAT or high >= 1 << 31:
            return None
        total += int(high)
    return total


def _sequence(nodes: list[Node], *, flags: int, top: bool) -> tuple[list[str], bool]:
    """Write a sequence; the flag says that it was cut and that nothing may follow."""
    nodes = _without_assertions(nodes)
    out: list[str] = []
    for index, node in enumerate(nodes):
        text, cut = _node(node, flags=flags, last=top and index == len(nodes) - 1)
        if text:
            out.append(text)
        if cut:
            return out, True
    return out, False


def _without_assertions(nodes: Iterable[Node]) -> list[Node]:
    dropped = (sre.AT, sre.ASSERT, sre.ASSERT_NOT)
    return [node for node in nodes if node[0] not in dropped]


def _node(node: Node, *, flags: int, last: bool) -> tuple[str, bool]:
    kind, value = node
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return _repeat(value, flags=flags, last=last)
    if kind is sre.SUBPATTERN:
        _group, add, remove, inner = value
        items, cut = _sequence(list(inner), flags=(flags | add) & ~remove, top=last)
        return (f"(?:{''.join(items)})" if items else ""), cut
    if kind is sre.ATOMIC_GROUP:
        items, cut = _sequence(list(value), flags=flags, top=last)
        return (f"(?:{''.join(items)})" if items else ""), cut
    if kind is sre.BRANCH:
        return _branch(value[1], flags=flags)
    found = _bytes_of(node, flags=flags)
    if not last and _grows(found):
        return f"{_atom(found)}{{1,{LONGEST_ESCAPE}}}", False  # as long as the longest escape
    return _atom(found), False


def _branch(branches: Sequence[Iterable[Node]], *, flags: int) -> tuple[str, bool]:
    texts = []
    any_cut = False
    for branch in branches:
        items, cut = _sequence(list(branch), flags=flags, top=False)
        any_cut = any_cut or cut
        texts.append("".join(items))
    return f"(?:{'|'.join(texts)})", any_cut


def _repeat(value: tuple[int, Any, Iterable[Node]], *, flags: int, last: bool) -> tuple[str, bool]:
    low, high, inner = value
    inner = list(inner)
    if len(inner) == 1 and inner[0][0] in _SINGLE:
        body, cut = _atom(_bytes_of(inner[0], flags=flags)), False
    else:
        items, cut = _sequence(inner, flags=flags, top=False)
        body = "".join(items)
    if not body:
        return "", cut
    if cut:  # what would follow the first round is not written, so there can be no second one
        return (f"(?:{body})" if low else ""), True
    if last or (low and (high is sre.MAXREPEAT or high > INNER_LIMIT)):
        return (f"(?:{body}){{{low}}}" if low else ""), not last
    if high is sre.MAXREPEAT or high * _growth(inner, flags=flags) > INNER_LIMIT:
        return f"(?:{body}){{{low},}}", False
    return f"(?:{body}){{{low},{high * _growth(inner, flags=flags)}}}", False


def _growth(nodes: Sequence[Node], *, flags: int) -> int:
    """How many times longer the escaped form of a repeated atom may be, counted in matches of its expression."""
    if len(nodes) != 1 or nodes[0][0] not in _SINGLE:
        return 1
    return LONGEST_ESCAPE if _grows(_bytes_of(nodes[0], flags=flags)) else 1


def _grows(found: frozenset[int]) -> bool:
    """Whether escapes of bytes of the set are longer runs of the set itself."""
    return _absorbs(found) and bool(found & _ESCAPABLE)


def _absorbs(found: frozenset[int]) -> bool:
    """Whether the letters of every backslash escape are in the set themselves, so that only the backslash is
    missing.
    """
    return found >= _ESCAPE_LETTERS


def _bytes_of(node: Node, *, flags: int) -> frozenset[int]:
    """The bytes that a single-byte node matches."""
    kind, value = node
    if kind is sre.LITERAL:
        found = frozenset((value,))
    elif kind is sre.NOT_LITERAL:
        found = _ALL - _cased(frozenset((value,)), flags)
    elif kind is sre.ANY:
        found = _ALL if flags & re.DOTALL else _ALL - {0x0A}
    elif kind is sre.IN:
        found = _class(value, flags)
    else:
        raise Unsupported(f"{kind} is not supported")
    return _cased(found, flags)


def _class(items: Iterable[Node], flags: int) -> frozenset[int]:
    negate = False
    found: frozenset[int] = frozenset()
    for kind, value in items:
        if kind is sre.NEGATE:
            negate = True
        elif kind is sre.LITERAL:
            found |= {value}
        elif kind is sre.RANGE:
            found |= frozenset(range(value[0], value[1] + 1))
        elif kind is sre.CATEGORY:
            found |= _CATEGORIES[value]
        else:
            raise Unsupported(f"{kind} is not supported")
    return _ALL - _cased(found, flags) if negate else found


def _cased(found: frozenset[int], flags: int) -> frozenset[int]:
    if not flags & re.IGNORECASE:
        return found
    return found | frozenset(bytes(found).lower()) | frozenset(bytes(found).upper())


def _atom(found: frozenset[int]) -> str:
    """One byte of a set, in any of its written forms."""
    if _grows(found):
        found |= {0x5C}
        if not found & _ENTITY_STARTS:
            return _bracket(found)
        return _bracket(found | _ENTITY_LETTERS)
    plain = _bracket(found)
    forms = "".join(_BACKSLASH_FORMS[byte] for byte in sorted(found) if byte in _BACKSLASH_FORMS)
    out = [plain]
    if 0x5C in found:
        out.append(r"\x5c{2,}")
    if forms:
        out.append(rf"\x5c+[{re.escape(forms)}]")
    if found & _UNICODE_FORMS:
        out.append(r"\x5c+u[0-9a-fA-F]{4}")
    if 0x22 in found:
        out.append(r"\x22\x22")
    out += [entity for byte, entity in _ENTITIES.items() if byte in found]
    return plain if len(out) == 1 else f"(?:{'|'.join(out)})"


def _bracket(found: frozenset[int]) -> str:
    if len(found) == 1:
        return f"\\x{next(iter(found)):02x}"
    ranges: list[list[int]] = []
    for byte in sorted(found):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    return "[" + "".join(f"\\x{a:02x}" if a == b else f"\\x{a:02x}-\\x{b:02x}" for a, b in ranges) + "]"
