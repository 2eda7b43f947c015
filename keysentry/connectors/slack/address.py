"""Which message a finding of this platform is in: what `Place.record` says, taken apart.

A message's record is `<conversation>/<ts>`, a thread's reply too; a canvas's is `<conversation>/<file>`. Findings from
an export name the file that they were read from (`Place.path`).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from keysentry.connectors.slack.place import micros
from keysentry.errors import InputError
from keysentry.model.action import Place

_CONVERSATION: Final = re.compile(r"[CGD][A-Z0-9]{2,}")


class Address(NamedTuple):
    """A message: its conversation and its `ts`, which is unique there."""

    channel: str
    ts: str

    @property
    def record(self) -> str:
        """The id of its record."""
        return f"{self.channel}/{self.ts}"

    @property
    def digest(self) -> str:
        """Names it without telling where it is: 128 bits in hex."""
        return hashlib.sha256(self.record.encode()).hexdigest()[:32]


def address(place: Place) -> Address:
    """The message that a place is in. Raises `InputError` where it is in none that can be acted upon."""
    where = place.uri or place.record
    if place.path:
        raise InputError(
            "it was found in an export of Slack, which cannot be acted upon",
            place=where,
            advice="read the workspace itself, with a token, and act upon what is found there",
        )
    channel, _slash, rest = place.record.partition("/")
    if _CONVERSATION.fullmatch(channel) and rest.startswith("F"):
        raise InputError(
            "a canvas is not held: Slack has no call that would put it back as it was",
            place=where,
            advice="take the secret out of the canvas by hand",
        )
    if not _CONVERSATION.fullmatch(channel) or not micros(rest):
        raise InputError("it does not name a message of Slack", place=where)
    return Address(channel, rest)
