"""Which thing of Google Workspace a finding is in: what `Place.unit` and `Place.record` say, taken apart.

Units are `my:<address>`, `shared:<drive>`, `folder:<id>` (Drive), `mail:<address>` (Gmail) and `space:<name>` (Chat). A
record of a file or a mail is its unit's id, a slash and its own id; that of a message of Chat is the message's name.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, NamedTuple

from keysentry.errors import InputError
from keysentry.model.action import Place

_DRIVE: Final = ("my", "shared", "folder")


class Address(NamedTuple):
    """A thing: in which interface it is, whose it is (the address of a user, or empty), and its id there."""

    api: Literal["drive", "gmail", "chat"]
    user: str
    id: str
    record: str

    def mark(self, version: str = "") -> str:
        """Names the thing, or a state of it, without telling what it is: 128 bits in hex."""
        return hashlib.sha256(f"{self.record}\x00{version}".encode()).hexdigest()[:32]


def address(place: Place) -> Address:
    """The thing that a place is in. Raises `InputError` where it is none of Google Workspace."""
    kind, _, rest = place.unit.partition(":")
    head = f"{place.unit}/"
    if kind == "space" and place.record.startswith(f"{rest}/messages/"):
        return Address("chat", "", place.record, place.record)
    id = place.record.removeprefix(head) if place.record.startswith(head) else ""
    if id and "/" not in id and (kind in _DRIVE or kind == "mail"):
        user = rest if kind in ("my", "mail") else ""
        return Address("gmail" if kind == "mail" else "drive", user, id, place.record)
    raise InputError("it does not name a thing of Google Workspace", place=shown(place))


def shown(place: Place) -> str:
    """What a place is called in errors: it tells no name that people gave."""
    return place.uri or place.record
