"""Comments by which the author of a file says that a finding on their line is known and wanted."""

from __future__ import annotations

import re

_ALLOW = re.compile(
    rb"(?i)keysentry:allow|gitleaks:allow|betterleaks:allow|trufflehog:ignore|kingfisher:ignore|pragma:\s?(?:allow|white)list secret"
)
_ALLOW_NEXT = re.compile(rb"(?i)pragma:\s?(?:allow|white)list nextline secret")


def allowed(data: bytes, start: int, end: int) -> bool:
    """Whether a comment on the lines of `data[start:end]`, or one for the next line above them, silences what is found there."""
    first = data.rfind(b"\n", 0, start) + 1
    last = data.find(b"\n", end)
    if _ALLOW.search(data, first, last if last >= 0 else len(data)):
        return True
    above = data.rfind(b"\n", 0, max(first - 1, 0)) + 1
    return first > 0 and _ALLOW_NEXT.search(data, above, first) is not None
