"""How a report writes text that came from what was scanned: file names, channels, authors.

Such text is the finder's, not ours: it may hold bytes that are no UTF-8, control characters that move a terminal's
cursor, or marks that turn the reading direction. All of them are written as escapes, never sent as they are.
"""

from __future__ import annotations

import re

from keysentry.model.finding import Finding
from keysentry.model.location import Location

_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def valid(text: str) -> str:
    """The text with the bytes of a file name that are no UTF-8 written as `\\xff`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_raw(char) if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def _raw(surrogate: str) -> str:
    """`\\xff` for a byte that Python smuggled into a string, `\\ud800` for half a character."""
    code = ord(surrogate)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def clean(text: str) -> str:
    """The text as one line that is safe to show on a terminal."""
    return _HARMFUL.sub(_escape, valid(text))


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def line_and_column(location: Location) -> str:
    """`12:9`, `12`, or nothing where the place has no lines."""
    if location.line is None:
        return ""
    return f"{location.line}" if location.column is None else f"{location.line}:{location.column}"


def place(location: Location) -> str:
    """The file or channel that a location is in, with its line: `src/settings.py:12:9`, `#ops`."""
    where = location.path or location.container or location.uri or "(text)"
    return clean(":".join(filter(None, (where, line_and_column(location)))))


def secret_text(finding: Finding, show_secrets: bool) -> str:
    """The finding's secret: its mask, or itself where the user asked for that."""
    return finding.secret.reveal() if show_secrets else str(finding.secret)
