"""What tells that something is written in another form: encoded literals, and marks of an encoding.

Algorithm. A literal inside base64 takes one of three shapes, by how its first byte lies in a group of three; of each
shape the characters that depend on the literal alone are looked for, in the standard and the URL-safe alphabet. In
hexadecimal there is one shape. Percent signs, `\\u` escapes of plain letters, zero-width and full-width characters,
and gzip's first bytes in base64 are looked for as such, and so are markup of chat that is glued to words and the marks
of chat messages. Each event of an encoding makes the engine decode the run around it and scan what comes out.

Invariants. A rule's literal of `LEAST` bytes or more inside a base64 or hexadecimal run makes an event inside that run.

Limits. Literals shorter than `LEAST` bytes are not seen inside base64: their shapes are too short to be rare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from keysentry.engine.prefilter.base import Target

LEAST = 4
Coding = Literal["base64", "hex", "percent", "unicode", "zero-width", "full-width"]
CODINGS: tuple[Coding, ...] = ("base64", "hex", "percent", "unicode", "zero-width", "full-width")
"""What the engine can decode. The targets of triggers are numbered in this order, and after them come two that only
those who read chat exports heed: `GLUE` (`keysentry.scan.exports`) and `MESSAGE` (`keysentry.scan.teams`)."""
GLUE = len(CODINGS)
"""The number, after the rules, of the target of markup that is glued to words."""
MESSAGE = GLUE + 1
"""The number, after the rules, of the target of what tells a message of a Teams export."""

_GLUE_LITERALS = (
    *(b"<http", b"<mailto:", b"<tel:", b"<ftp", b"<@", b"<#", b"<!", b"\\u003c"),
    *(b'"type": "text"', b'"type":"text"', b'"type": "link"', b'"type":"link"'),
)
_TAIL = 6
"""How many more characters of the alphabet must follow an encoded literal."""
_GZIP = b"\x1f\x8b\x08"
_ASSIGNED = ("password", "passwd", "secret", "api_key", "apikey", "access_key", "token", "auth")


def base64_shapes(literal: bytes) -> list[bytes]:
    """The characters that a literal surely gives in base64, for each of the three ways that it can lie in a group."""
    import base64  # only who compiles rules needs it

    shapes = []
    for lead in range(3):
        first = -(-8 * lead // 6)
        last = 8 * (lead + len(literal)) // 6
        shapes.append(base64.b64encode(bytes(lead) + literal + bytes(2))[first:last])
    return shapes


def _escape(text: bytes) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() else f"\\x{byte:02x}" for byte in text)


def _base64_targets(literals: Iterable[bytes], number: int) -> Iterator[Target]:
    shapes: set[bytes] = set()
    for literal in literals:
        for shape in base64_shapes(literal):
            shapes |= {shape, shape.replace(b"+", b"-").replace(b"/", b"_")}
    shapes.add(base64_shapes(_GZIP)[0])
    for shape in sorted(shapes):
        escaped = shape.replace(b"/", b"\\/")
        written = _escape(shape).replace("\\x2f", "(?:\\x2f|\\x5c+\\x2f)")
        forms = {shape.lower(), escaped.lower()}
        yield Target(number, written + rf"[A-Za-z0-9+/_=\x5c-]{{{_TAIL}}}", tuple(sorted(forms)))


def _hex_targets(literals: Iterable[bytes], number: int) -> Iterator[Target]:
    for shape in sorted({literal.hex() for literal in literals}):
        yield Target(number, f"(?i:{shape}[0-9a-f]{{{_TAIL}}})", (shape.encode(),))


def _marks(first: int) -> Iterator[Target]:
    words = "|".join(word.replace("_", "[_-]?") for word in _ASSIGNED)
    percent, unicode, zero, full = (first + CODINGS.index(coding) for coding in CODINGS[2:])
    yield Target(percent, r"%(?:25)?3[Aa]%(?:25)?2[Ff]%(?:25)?2[Ff]", (b"%3a%2f%2f", b"%253a%252f%252f"))
    yield Target(percent, rf"(?i:(?:{words})[\w.-]{{0,8}}(?:%22)?%3[ad])", (b"%3a", b"%3d"))
    plain = r"00(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA])"
    yield Target(unicode, rf"\x5cu{plain}", tuple(f"\\u00{digit}".encode() for digit in range(3, 8)))
    invisible = (b"\xe2\x80\x8b", b"\xe2\x80\x8c", b"\xe2\x80\x8d", b"\xe2\x81\xa0", b"\xef\xbb\xbf", b"\xc2\xad")
    written = (b"\\u200b", b"\\u200c", b"\\u200d", b"\\u2060", b"\\ufeff", b"\\u00ad")
    either = "|".join([*map(_escape, invisible), *(rf"(?i:{_escape(text)})" for text in written)])
    yield Target(zero, rf"[0-9A-Za-z_-]{{3}}(?:{either}){{1,3}}[0-9A-Za-z_-]{{3}}", (*invisible, *written))
    wide = r"(?:\xef\xbc[\x80-\xbf]|\xef\xbd[\x80-\x9e]|\x5cu[fF][fF][0-5][0-9a-fA-F])"
    literals = (b"\xef\xbc", b"\xef\xbd", *(f"\\uff{digit}".encode() for digit in range(6)))
    yield Target(full, rf"{wide}{{6}}", literals)


def trigger_targets(literals: Iterable[bytes], first: int) -> list[Target]:
    """The targets of all codings, numbered from `first` in the order of `CODINGS`, for the case-sensitive literals
    of the rules.
    """
    from keysentry.extraction.formats.slackmarkup import GLUES
    from keysentry.extraction.formats.teams import MARK_LITERALS

    long_enough = sorted({literal for literal in literals if len(literal) >= LEAST})
    return [
        *_base64_targets(long_enough, first),
        *_hex_targets(long_enough, first + 1),
        *_marks(first),
        *(Target(first + GLUE, glue.decode("ascii"), _GLUE_LITERALS) for glue in GLUES),
        *(Target(first + MESSAGE, _escape(mark), (mark.lower(),)) for mark in MARK_LITERALS),
    ]
