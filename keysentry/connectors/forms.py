"""How a secret may be written in a text: as it is, and as the usual formats escape it.

Used where a quarantine looks for a secret in a content that it does not take apart. Base64 and compression are not
among them: what is encoded so is recognised by its version, not by its text.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from keysentry.model.sensitive import Sensitive, mask


def forms(secret: Sensitive) -> tuple[bytes, ...]:
    """Every form of a secret, the longest first: as it is, in JSON (with any choice of escapes), in CSV, in markup, in
    an address, and with the other end of lines.
    """
    raw = secret.reveal_bytes()
    found = {raw}
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return (raw,)
    for lines in {text, text.replace("\r\n", "\n"), text.replace("\r\n", "\n").replace("\n", "\r\n")}:
        found.update(one.encode() for one in _written(lines))
    return tuple(sorted((one for one in found if one), key=lambda one: (-len(one), one)))


def _written(text: str) -> Iterator[str]:
    yield text
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
        yield escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    yield text.replace('"', '""')
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield quote(text, safe="")
    yield quote(text)


def longest(secrets: Sequence[Sensitive]) -> int:
    """How long the longest form of any of them is: what a search over pieces has to keep of the piece before."""
    return max((len(form) for secret in secrets for form in forms(secret)), default=0)


def covered(text: str, secrets: Iterable[Sensitive]) -> str:
    """A text (a name, a path) with every secret in it masked, so that it may be shown."""
    for secret in secrets:
        shown = mask(secret.reveal())
        for form in forms(secret):
            text = text.replace(form.decode("utf-8", "replace"), shown)
    return text


class Search:
    """Looks for secrets in a content that comes in pieces; `found` are the numbers of those that were seen."""

    def __init__(self, secrets: Sequence[Sensitive]) -> None:
        self._forms = [forms(secret) for secret in secrets]
        self._keep = max(longest(secrets) - 1, 0)
        self._tail = b""
        self.found: set[int] = set()
        self.plain = True
        self._begun = False

    def feed(self, piece: bytes) -> None:
        """The next piece. `plain` is False once something was seen that is no text."""
        if not self._begun:
            self._begun = True
            self.plain = not piece.startswith((b"\x1f\x8b", b"PK\x03\x04", b"%PDF", b"(\xb5/\xfd", b"BZh", b"\xfd7zXZ"))
        if self.plain and b"\0" in piece:
            self.plain = False
        window = self._tail + piece
        for number, written in enumerate(self._forms):
            if number not in self.found and any(form in window for form in written):
                self.found.add(number)
        self._tail = window[-self._keep :] if self._keep else b""
