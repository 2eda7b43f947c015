"""Whether a secret still is in a text: as it is, as usual formats escape it, or broken up by blanks and markup."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from keysentry.connectors.forms import Search, forms
from keysentry.errors import InputError
from keysentry.model.record import Part
from keysentry.model.sensitive import Sensitive

_BLANK: Final = re.compile("[\\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_SHORTEST: Final = 8
"""Squeezed forms shorter than this would be found by chance."""


class Traces:
    """The forms of some secrets."""

    def __init__(self, secrets: Sequence[Sensitive]) -> None:
        self._secrets = secrets
        self._forms = tuple(form for secret in secrets for form in forms(secret))
        squeezed = (_squeezed(secret.reveal_bytes()) for secret in secrets)
        self._squeezed = tuple(text for text in squeezed if len(text) >= _SHORTEST)

    def in_text(self, text: bytes) -> bool:
        """Whether one of them is in a text."""
        if any(form in text for form in self._forms):
            return True
        squeezed = _squeezed(text)
        return any(form in squeezed for form in self._squeezed)

    def in_content(self, pieces: Iterable[bytes]) -> bool | None:
        """Whether one of them is in a content; None where that cannot be told without taking it apart.

        Raises `InputError` and `SourceError` as the pieces do.
        """
        search = Search(self._secrets)
        for piece in pieces:
            search.feed(piece)
            if search.found:
                return True
        return False if search.plain else None

    def in_parts(self, parts: Iterable[Part]) -> bool | None:
        """Whether one of them is in any part of a record; None where it may be in what cannot be searched."""
        texts: list[bytes] = []
        opaque = False
        for part in parts:
            if part.segment is not None:
                texts.append(part.segment.text)
                continue
            try:
                seen = self.in_content(part.open() if part.open is not None else (part.content or b"",))
            except InputError:
                seen = None
            if seen:
                return True
            opaque = opaque or seen is None
        if self.in_text(b"\n".join(texts)) or self.in_text(b"".join(texts)):
            return True
        return None if opaque else False


def _squeezed(text: bytes) -> str:
    """A text without what breaks it up: blanks, line ends, characters without width, other widths of letters."""
    return _BLANK.sub("", unicodedata.normalize("NFKC", text.decode("utf-8", "replace")))
