"""Which thing of Microsoft 365 a finding is in: what `Place.record` says, taken apart.

A record's id is its address in Graph without the first slash, its parts not quoted:

- `teams/<team>/channels/<channel>/messages/<id>`, for a reply `.../messages/<id of the first message>/replies/<id>`;
- `chats/<chat>/messages/<id>`;
- `drives/<drive>/items/<item>`;
- `users/<user>/messages/<mail>`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from keysentry.errors import InputError
from keysentry.model.action import Place

Kind = Literal["message", "file", "mail"]

_CHANNEL: Final = re.compile(r"teams/([^/]+)/channels/([^/]+)/messages/([^/]+)(?:/replies/([^/]+))?")
_CHAT: Final = re.compile(r"chats/([^/]+)/messages/([^/]+)")
_FILE: Final = re.compile(r"drives/([^/]+)/items/([^/]+)")
_MAIL: Final = re.compile(r"users/([^/]+)/messages/(.+)")


class Address(NamedTuple):
    """A thing: what it is, its address in Graph with its parts quoted, and the ids of what holds it (a drive, a
    mailbox; else empty) and its own.
    """

    kind: Kind
    path: str
    holder: str
    id: str


def address(place: Place) -> Address:
    """The thing that a place is in. Raises `InputError` where it is in none that can be acted upon."""
    record, where = place.record, shown(place)
    if place.path:
        raise InputError(
            "it was found in an export of Teams, which cannot be acted upon",
            place=where,
            advice="read the tenant itself, and act upon what is found there",
        )
    if found := _FILE.fullmatch(record):
        return Address("file", item_path(found[1], found[2]), found[1], found[2])
    if found := _MAIL.fullmatch(record):
        return Address("mail", mail_path(found[1], found[2]), found[1], found[2])
    if found := _CHAT.fullmatch(record):
        return Address("message", f"/chats/{_quoted(found[1])}/messages/{_quoted(found[2])}", "", found[2])
    if found := _CHANNEL.fullmatch(record):
        team, channel, first, reply = found.groups()
        path = f"/teams/{_quoted(team)}/channels/{_quoted(channel)}/messages/{_quoted(first)}"
        return Address("message", f"{path}/replies/{_quoted(reply)}" if reply else path, "", reply or first)
    raise InputError(
        "it does not say where in Microsoft 365 it stands, so it cannot be held",
        place=where,
        advice="take the secret out by hand",
    )


def item_path(drive: str, item: str) -> str:
    """The address of a file or folder."""
    return f"/drives/{quote(drive, safe='!')}/items/{quote(item, safe='!')}"


def child_path(folder: str, name: str) -> str:
    """The address of what a folder (by its address) holds under a name.

    https://learn.microsoft.com/en-us/graph/onedrive-addressing-driveitems
    """
    return f"{folder}:/{_quoted(name)}"


def mailbox_path(user: str) -> str:
    """The address of a user, and of what they have."""
    return f"/users/{_quoted(user)}"


def mail_path(user: str, mail: str) -> str:
    """The address of a mail."""
    return f"{mailbox_path(user)}/messages/{_quoted(mail)}"


def hold_name(record: str) -> str:
    """Names the hold of a record without telling where it is: 128 bits in hex."""
    return hashlib.sha256(record.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def shown(place: Place) -> str:
    """What errors call a place."""
    return place.uri or place.record


def _quoted(part: str) -> str:
    return quote(part, safe="")
