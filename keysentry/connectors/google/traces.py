"""Whether a secret still is in a text: as it is, as usual formats escape it, or broken up by blanks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from keysentry.connectors.forms import forms
from keysentry.model.sensitive import Sensitive

_BLANK: Final = re.compile("[\\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_SHORTEST: Final = 8
"""Squeezed forms shorter than this would be found by chance."""


class Traces:
    """The forms of some secrets."""

    def __init__(self, secrets: Sequence[Sensitive]) -> None:
        self._forms = [tuple(form.decode("utf-8", "replace") for form in forms(secret)) for secret in secrets]
        self._squeezed = [_BLANK.sub("", secret.reveal()) for secret in secrets]

    def seen(self, *texts: str) -> set[int]:
        """The numbers of those that are in any of some texts."""
        found: set[int] = set()
        for text in filter(None, texts):
            squeezed = _BLANK.sub("", text)
            for number, written in enumerate(self._forms):
                short = self._squeezed[number]
                if any(form in text for form in written) or (len(short) >= _SHORTEST and short in squeezed):
                    found.add(number)
        return found
