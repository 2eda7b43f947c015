"""Finding a file of Drive again, and whom to act for: its owner, or who manages the shared drive that it is in."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.address import Address
from keysentry.connectors.google.failures import Denied
from keysentry.connectors.google.fields import Fields, flag, seconds, text, things
from keysentry.errors import AccessError, GoneError
from keysentry.model.action import Place

FIELDS: Final = (
    "id,name,description,mimeType,size,md5Checksum,headRevisionId,modifiedTime,trashed,parents,driveId,ownedByMe,"
    "owners(emailAddress),properties,capabilities(canDownload,canEdit,canMoveItemOutOfDrive)"
)
"""What is asked of a file."""

Need = Literal["edit", "share"]


class Spot(NamedTuple):
    """A file, and whom we act for."""

    user: str
    file: Fields

    @property
    def id(self) -> str:
        """The file's id."""
        return text(self.file, "id")


def look(actor: Actor, user: str, id: str) -> Fields | None:
    """A file as it is now; None if it is not there for this user, or in the trash. Raises `SourceError`."""
    file = actor.look("drive", user, "files.get", fileId=id, supportsAllDrives=True, fields=FIELDS)
    return None if file is None or flag(file, "trashed") else file


def find(actor: Actor, where: Address, need: Need, name: str) -> Spot:
    """A file, with a user of ours who may edit it, or share it (its owner, or a manager of its shared drive).

    Raises `GoneError` where none of them sees it, `AccessError` where none may.
    """
    waiting = [actor.user(where.user)] if where.user else list(actor.responsible())
    seen: Fields | None = None
    for user in waiting:
        try:
            file = look(actor, user, where.id)
        except Denied:
            continue
        if file is None:
            continue
        if _may(file, need):
            return Spot(user, file)
        seen = file
        owner = _owner(file)
        if actor.known(owner) and owner not in waiting:
            waiting.append(owner)
    if seen is None:
        raise GoneError("the file is not there any more", place=name)
    if text(seen, "driveId"):
        what, advice = (
            "none of the users manages the shared drive that it is in",
            "set `manager` to a manager of that drive",
        )
    else:
        owner = _owner(seen) or "somebody else"
        what, advice = f"it belongs to {owner}, whom we do not act for", f"add {owner} to `users`"
    raise AccessError(what, place=name, advice=advice)


def unwritten(file: Fields, place: Place) -> bool:
    """Whether nobody wrote a file since it was scanned, as far as its time tells (to the second)."""
    then, now = seconds(place.time), seconds(text(file, "modifiedTime"))
    return then is not None and now is not None and int(then) == int(now)


def _owner(file: Fields) -> str:
    return text(next(iter(things(file, "owners")), {}), "emailAddress").lower()


def _may(file: Fields, need: Need) -> bool:
    if need == "edit":
        return flag(file, "capabilities", "canEdit")
    return flag(file, "ownedByMe") or (
        bool(text(file, "driveId")) and flag(file, "capabilities", "canMoveItemOutOfDrive")
    )
