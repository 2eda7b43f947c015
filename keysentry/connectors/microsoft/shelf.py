"""The quarantine of files: the folder that they are put into, and in it a folder for each hold, named by its record.

So what was begun is found again by names alone, and a file keeps its own name. A folder that is read by those who read
the file, or by everybody, is no quarantine: then nothing is put into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from keysentry.connectors.microsoft import rights
from keysentry.connectors.microsoft.acting import Actor, Fields, TakenError, text
from keysentry.connectors.microsoft.address import child_path, hold_name, item_path
from keysentry.connectors.microsoft.quarantine import OWN_DRIVE, Options
from keysentry.connectors.microsoft.sealed import SealedFile
from keysentry.errors import AccessError, GoneError, InputError, SourceError

_ROOT: Final = "root"
_BEHAVIOUR: Final = "@microsoft.graph.conflictBehavior"


class Slot(NamedTuple):
    """Where a hold's file is kept: a drive, and the id of the hold's folder there."""

    drive: str
    id: str

    @property
    def path(self) -> str:
        """Its address."""
        return item_path(self.drive, self.id)


class Shelf:
    """Finds, makes and removes the folders of holds."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._options = options

    def drive_of(self, drive: str) -> str:
        """The drive that files of a drive are held in. Raises `InputError` if they are not to be held."""
        wanted = self._options.quarantine_drive
        if not wanted:
            raise InputError(
                "files are not held, because it is not said where to put them",
                place=f"drive {drive}",
                advice="set quarantine_drive of this quarantine: the id of a drive, or own",
            )
        return drive if wanted == OWN_DRIVE else wanted

    def slot(self, sealed: SealedFile) -> Slot | None:
        """The folder of a hold that was begun; None if there is none."""
        return self.slot_of(sealed.drive, sealed.record)

    def slot_of(self, drive: str, record: str) -> Slot | None:
        """The same, by the drive and the id of the record."""
        place = self.drive_of(drive)
        base = self._child(item_path(place, _ROOT), self._options.quarantine_folder)
        found = self._child(item_path(place, text(base, "id")), hold_name(record)) if base is not None else None
        return Slot(place, text(found, "id")) if found is not None else None

    def open_slot(self, sealed: SealedFile, folder_rights: Sequence[Fields]) -> Slot:
        """The folder of a hold, made if it is not there; `folder_rights` are those of the folder that the file is in.

        Raises `AccessError` if the quarantine can be read by others.
        """
        drive = self.drive_of(sealed.drive)
        base = self._folder(drive, _ROOT, self._options.quarantine_folder)
        self._check_private(drive, base, folder_rights if drive == sealed.drive else ())
        return Slot(drive, self._folder(drive, base, hold_name(sealed.record)))

    def close_slot(self, slot: Slot) -> None:
        """Remove the folder of a hold. One with something in it stays."""
        if next(self._actor.listed(slot.path, "children"), None) is not None:
            raise SourceError("the folder of the hold is not empty yet", place=f"drive {slot.drive}")
        self._remove(slot.path)

    def child(self, folder: str, name: str) -> Fields | None:
        """What a folder (by its address) holds under a name."""
        return self._child(folder, name)

    def remove(self, item: str, etag: str = "") -> None:
        """Delete a file or folder (by its address), if it is in the state that an ETag names. One that is gone is no
        fault. Raises `ChangedError`.
        """
        self._remove(item, etag)

    def _remove(self, item: str, etag: str = "") -> None:
        headers = {"If-Match": etag} if etag else {}
        try:
            self._actor.change("DELETE", item, lambda: self._actor.look(item) is None, headers=headers)
        except GoneError:
            return

    def _child(self, folder: str, name: str) -> Fields | None:
        return self._actor.look(child_path(folder, name))

    def _folder(self, drive: str, parent: str, name: str) -> str:
        """The id of a folder in another one, made if it is not there.

        https://learn.microsoft.com/en-us/graph/api/driveitem-post-children
        """
        path = item_path(drive, parent)
        found = self._child(path, name)
        if found is None:
            body = {"name": name, "folder": {}, _BEHAVIOUR: "fail"}
            try:
                self._actor.change("POST", f"{path}/children", lambda: self._child(path, name) is not None, body)
            except TakenError:
                pass  # another worker was quicker
            except GoneError:
                raise GoneError(
                    "there is no such drive to put files into",
                    place=f"drive {drive}",
                    advice="set quarantine_drive to the id of a drive that the app may write to",
                ) from None
            found = self._child(path, name)
        if found is None or not isinstance(found.get("folder"), dict):
            raise SourceError(f"the folder {name!r} of the quarantine is not there yet", place=f"drive {drive}")
        return text(found, "id")

    def _check_private(self, drive: str, base: str, beside: Sequence[Fields]) -> None:
        has = rights.listed(self._actor, item_path(drive, base))
        others = rights.open_to(has)
        if not others and rights.shared_by(has, beside):
            others = "those who read the file"
        if others:
            raise AccessError(
                f"the folder {self._options.quarantine_folder!r} of the quarantine is read by {others}",
                place=f"drive {drive}",
                advice="take its sharing away (Manage access), or set quarantine_drive to another drive",
            )
