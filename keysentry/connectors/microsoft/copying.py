"""Copying a file into another drive, and seeing that the copy is the file.

The service copies by itself, some time after it has said that it will
(https://learn.microsoft.com/en-us/graph/api/driveitem-copy), and tells how far it is at an address that needs no token
(https://learn.microsoft.com/en-us/graph/long-running-actions-overview). Versions are only copied if no name is asked
for, so the copy has that of the file. What is in its way is never replaced.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import msgspec

from keysentry.connectors.microsoft.acting import Actor, Fields, TakenError, text
from keysentry.connectors.microsoft.shelf import Shelf
from keysentry.connectors.microsoft.wire import seconds
from keysentry.connectors.pace import Refused
from keysentry.errors import ClosedError, SourceError

_HASHES: Final = ("quickXorHash", "sha256Hash", "sha1Hash")
_WAITS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0)
"""How long a copy is waited for, in seconds; one that takes longer is taken up when the action is tried again."""
_ACTIVE: Final = frozenset(("notstarted", "inprogress", "running", "waiting", "updating"))
_REWRITTEN: Final = (".docx", ".docm", ".dotx", ".xlsx", ".xlsm", ".xltx", ".pptx", ".pptm", ".potx", ".vsdx", ".doc")
"""Kinds of files that SharePoint may write properties into when they are copied."""


class Copying:
    """Copies files."""

    def __init__(self, actor: Actor, shelf: Shelf) -> None:
        self._actor = actor
        self._shelf = shelf

    def copy(self, path: str, item: Fields, folder: str) -> Fields:
        """A copy of the file at an address in a folder (by its address), under the same name. One that is there and is
        the same is taken.

        Raises `SourceError` if it is not there after some time, or is not the same.
        """
        name = text(item, "name")
        found = self._shelf.child(folder, name)
        if found is not None and (alike(item, found) or _rewritten(name)):
            return found
        monitor = self._begin(path, folder, name)
        for wait in _WAITS:
            told = self._told(monitor)
            found = self._shelf.child(folder, name)
            if found is not None and (alike(item, found) or (told == "completed" and _rewritten(name))):
                return found
            if told == "failed" or (told == "completed" and found is not None):
                break
            self._actor.pause(wait)
        else:
            raise SourceError("the service has not copied the file yet", place=f"drive {_drive(folder)}")
        raise SourceError("the service could not copy the file", place=f"drive {_drive(folder)}")

    def _begin(self, path: str, folder: str, name: str) -> str:
        """Ask for the copy; the address at which the service tells how far it is."""
        drive, parent = _drive(folder), folder.rpartition("/")[2]
        body: Fields = {"parentReference": {"driveId": drive, "id": parent}, "includeAllVersionHistory": True}
        query = "?@microsoft.graph.conflictBehavior=fail"

        def done() -> bool:
            return self._shelf.child(folder, name) is not None

        try:
            answer = self._actor.change("POST", f"{path}/copy{query}", done, body)
        except TakenError:
            return ""  # an attempt before this one had its effect only now
        return answer.headers.get("location", "") if answer is not None else ""

    def _told(self, monitor: str) -> str:
        """How far a copy is: `completed`, `failed`, `active`; empty if that is not told."""
        if not monitor:
            return ""
        try:
            body = b"".join(self._actor.download(monitor, 0).pieces)
            told = msgspec.json.decode(body)
        except ClosedError:
            raise
        except (SourceError, Refused, msgspec.DecodeError, UnicodeDecodeError):
            return ""  # it has outlived its time; the folder tells
        status = str(told.get("status") or "").lower() if isinstance(told, dict) else ""
        if status in _ACTIVE:
            return "active"
        return status if status in ("completed", "failed") else ""


def alike(one: Fields, other: Fields) -> bool:
    """Whether two files have the same content, by a hash that both tell, else by their size."""
    mine, theirs = ((side.get("file") or {}).get("hashes") or {} for side in (one, other))
    for name in _HASHES:
        if mine.get(name) and theirs.get(name):
            return bool(mine[name] == theirs[name])
    return one.get("size") == other.get("size") and one.get("size") is not None


def is_copy(item: Fields, other: Fields) -> bool:
    """Whether another file can only be a copy of a file as it is now: it is the same, or SharePoint may have rewritten
    it and it was made after the file's last change.
    """
    if alike(item, other):
        return True
    changed, made = seconds(text(item, "lastModifiedDateTime")), seconds(text(other, "createdDateTime"))
    return _rewritten(text(item, "name")) and changed is not None and made is not None and made > changed


def _rewritten(name: str) -> bool:
    return name.lower().endswith(_REWRITTEN)


def _drive(folder: str) -> str:
    """The id of the drive in an address of one of its items."""
    return unquote(folder.split("/")[2])
