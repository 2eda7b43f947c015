"""Whether a secret still is in a message or a file: as it is, or in one of the forms that findings are made of.

The engine undoes encodings; here it is the other way round: the secret is put into each form, and looked for. A hit is
a hit; no hit proves something only of text, not of an archive or a document.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

from keysentry.connectors.forms import forms
from keysentry.extraction.formats.slackmessage import segments, to_bytes
from keysentry.model.sensitive import Sensitive

Fields = dict[str, Any]

_BLANK: Final = re.compile("[\\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_SHORTEST: Final = 8
"""Encoded or squeezed forms shorter than this would be found by chance."""
_CONTAINERS: Final = (
    b"PK",
    b"%PDF",
    b"\x1f\x8b",
    b"\xd0\xcf\x11\xe0",
    b"7z\xbc\xaf",
    b"BZh",
    b"\xfd7zXZ",
    b"(\xb5/\xfd",
)


class Traces:
    """The forms of some secrets."""

    def __init__(self, secrets: Sequence[Sensitive]) -> None:
        values = [secret.reveal_bytes() for secret in secrets if len(secret)]
        self._forms = tuple(dict.fromkeys(form for value in values for form in _forms(value)))
        self._wide = tuple(
            text.encode(encoding)
            for value in values
            for text in (value.decode("utf-8", "replace"),)
            for encoding in ("utf-16-le", "utf-16-be")
        )
        squeezed = (_squeezed(value.decode("utf-8", "replace")) for value in values)
        self._squeezed = tuple(text for text in squeezed if len(text) >= _SHORTEST)

    def in_message(self, message: Fields) -> bool:
        """Whether one of them is in what a message says itself, its files left out."""
        said = {key: value for key, value in message.items() if key not in ("files", "file", "metadata")}
        texts = [segment.text for segment in segments(said, str, str)]
        return any(self.in_text(text) for text in (b"\n".join(texts), b"".join(texts), *_strings(said)))

    def in_description(self, file: Fields) -> bool:
        """Whether one of them is in a file's object: its name, its title, its preview."""
        return any(self.in_text(text) for text in _strings(file))

    def in_text(self, text: bytes) -> bool:
        """Whether one of them is in a text."""
        if any(form in text for form in self._forms):
            return True
        squeezed = _squeezed(text.decode("utf-8", "replace"))
        return any(form in squeezed for form in self._squeezed)

    def in_content(self, content: bytes) -> bool:
        """Whether one of them is in the content of a file, as far as that can be told without unpacking it."""
        return any(form in content for form in self._wide) or self.in_text(content)


def is_packed(content: bytes) -> bool:
    """Whether the content of a file would have to be unpacked to see what is in it."""
    return content.startswith(_CONTAINERS)


def _squeezed(text: str) -> str:
    """A text without what breaks it up: blanks, line ends, characters without width, other widths of letters."""
    return _BLANK.sub("", unicodedata.normalize("NFKC", text))


def _strings(root: object) -> Iterator[bytes]:
    """Every string of a tree of objects, as it is."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
        elif isinstance(node, str) and node:
            yield to_bytes(node)


def _forms(value: bytes) -> Iterator[bytes]:
    yield from forms(Sensitive(value))
    if len(value) >= _SHORTEST:
        yield value.hex().encode()
        yield value.hex().upper().encode()
        for before in range(3):
            yield from _in_base64(value, before)


def _in_base64(value: bytes, before: int) -> Iterator[bytes]:
    """What base64 makes of a value that begins so many bytes after a group of three, as far as that alone tells."""
    start = -(-before * 8 // 6)
    end = (before + len(value)) * 8 // 6
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        core = encode(bytes(before) + value)[start:end]
        if len(core) >= _SHORTEST:
            yield core
