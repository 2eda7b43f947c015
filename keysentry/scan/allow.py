"""Comments by which the author of a file says that a finding on their line is known and wanted."""

from __future__ import annotations

import re

_ALLOW = re.compile(
    rb"(?i)keysentry:allow|gitleaks:allow|betterleaks:allow|trufflehog:ignore|kingfisher:ignore|"
    rb"pragma:\s?(?:allow|white)list secret"
)
_ALLOW_NEXT = re.compile(rb"(?i)pragma:\s?(?:allow|white)list nextline secret")
_REACH = 2000
"""How many bytes before and after what is found belong to its line, at most: a comment does not speak for all of a
file that is one line."""


def allowed(data: bytes, start: int, end: int) -> bool:
    """Whether a comment on the lines of `data[start:end]`, or one for the next line above them, silences what is
    found there.
    """
    nearest, farthest = max(0, start - _REACH), min(len(data), end + _REACH)
    begin = data.rfind(b"\n", nearest, start) + 1
    last = data.find(b"\n", end, farthest)
    if _ALLOW.search(data, begin or nearest, last if last >= 0 else farthest):
        return True
    if not begin:
        return False
    above = max(data.rfind(b"\n", 0, begin - 1) + 1, begin - _REACH, 0)
    return _ALLOW_NEXT.search(data, above, begin) is not None


def says_allowed(cell: str) -> bool:
    """Whether a cell of a table holds such a comment, which speaks for its row."""
    return _ALLOW.search(cell.encode("utf-8", "surrogatepass")) is not None
