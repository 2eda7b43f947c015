"""Taking secrets out of texts that others wrote: what a process printed, what an exception says, what a provider told.

A secret is looked for as it is and in the forms that machines write it in (JSON, URL, base64), and replaced by its
mask.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

import msgspec

from keysentry.errors import KeysentryError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive

_LONGEST = 300


def scrub(text: str, secrets: Iterable[Sensitive], longest: int = _LONGEST) -> str:
    """The text in one line without any of the secrets, cut after so many characters."""
    for secret in secrets:
        for form in sorted({form for form in _forms(secret) if form}, key=len, reverse=True):
            text = text.replace(form, str(secret))
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _forms(secret: Sensitive) -> Iterator[str]:
    value = secret.reveal()
    yield value
    yield value.strip()
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    encoded = base64.b64encode(secret.reveal_bytes()).decode()
    yield encoded
    yield encoded.rstrip("=")
    yield from (line for line in value.splitlines() if len(line) >= 16)


def secrets_of(credential: Credential) -> list[Sensitive]:
    """All that must not be shown of a credential: the longest first."""
    return sorted((credential.secret, *credential.companions.values()), key=len, reverse=True)


def scrubbed(receipt: Receipt, credential: Credential) -> Receipt:
    """A receipt that others made, without the secret in its words. Its `undo` is sealed, and stays."""
    hidden = secrets_of(credential)
    evidence = {scrub(str(name), hidden, 60): scrub(str(value), hidden) for name, value in receipt.evidence.items()}
    return msgspec.structs.replace(receipt, note=scrub(receipt.note, hidden), evidence=evidence)


def scrubbed_error(error: KeysentryError, credential: Credential) -> KeysentryError:
    """An error that others raised, of the same type, without the secret in its words."""
    hidden = secrets_of(credential)
    made = type(error).__new__(type(error))
    KeysentryError.__init__(
        made, scrub(error.reason, hidden), place=scrub(error.place, hidden), advice=scrub(error.advice, hidden)
    )
    return made
