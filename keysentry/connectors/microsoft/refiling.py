"""Putting files back where they were, with the rights that they had.

Steps, each of which is skipped if it was made. The stub goes; the file goes back; its rights are given again; the
folder of the hold goes, whose absence is the sign that all is done.

A file that was copied goes back in steps of its own: what the quarantine has is given a name that nothing else has (the
released name), copied under it (so with its versions, which are lost where a copy is asked for under another name), and
deleted; then the file gets its own name, if that is free. So it is known by its names alone, whatever the service makes
of its content, and what lies in its folder is never replaced.
"""

from __future__ import annotations

import contextlib
from pathlib import PurePosixPath

from keysentry.connectors.microsoft import rights
from keysentry.connectors.microsoft.acting import Actor, Fields, TakenError, text
from keysentry.connectors.microsoft.address import hold_name, item_path
from keysentry.connectors.microsoft.copying import Copying
from keysentry.connectors.microsoft.rights import Restored
from keysentry.connectors.microsoft.sealed import SealedFile, undo_of
from keysentry.connectors.microsoft.shelf import Shelf, Slot
from keysentry.connectors.microsoft.stub import Stub
from keysentry.errors import GoneError, SourceError
from keysentry.model.action import Receipt


class Refiling:
    """Releases files."""

    def __init__(self, actor: Actor, shelf: Shelf, copying: Copying, stub: Stub) -> None:
        self._actor = actor
        self._shelf = shelf
        self._copying = copying
        self._stub = stub

    def release(self, name: str, sealed: SealedFile, receipt: Receipt) -> Receipt:
        """Put a file back. What was done before is not done again."""
        undo = undo_of(receipt)
        slot = self._shelf.slot(sealed)
        if slot is not None:
            home = self._home(name, sealed)
            self._stub.remove(sealed)
            move = self._move if undo.way == "moved" else self._copy
            back = move(name, sealed, slot, home)
            path = item_path(sealed.drive, text(back, "id"))
            restored = rights.give_again(self._actor, path, sealed.rights)
            self._shelf.close_slot(slot)
            return self._receipt(sealed, undo.way, back, restored)
        done = self.released(sealed, receipt)
        if done is None:
            raise GoneError("the file is not in the quarantine any more: somebody has taken it away", place=name)
        return done

    def released(self, sealed: SealedFile, receipt: Receipt) -> Receipt | None:
        """The receipt, if the file is back and nothing of the hold is left."""
        if self._shelf.slot(sealed) is not None:
            return None
        way = undo_of(receipt).way
        back = (
            self._moved(sealed) if way == "moved" else self._copied(sealed, text(sealed.item, "parentReference", "id"))
        )
        if back is None:
            return None
        lost = rights.missing(self._actor, item_path(sealed.drive, text(back, "id")), sealed.rights)
        links = sum(1 for one in sealed.rights if one.get("link"))
        return self._receipt(sealed, way, back, Restored(len(sealed.rights) - len(lost), links, tuple(lost)))

    # -- the file ---------------------------------------------------------------------------------------------------

    def _home(self, name: str, sealed: SealedFile) -> str:
        """The id of the folder that the file was in. Raises `GoneError`."""
        parent = text(sealed.item, "parentReference", "id")
        if not parent or self._actor.look(item_path(sealed.drive, parent)) is None:
            raise GoneError(
                "the folder that the file was in is not there any more",
                place=name,
                advice="take the file out of the quarantine by hand",
            )
        return parent

    def _moved(self, sealed: SealedFile) -> Fields | None:
        return self._actor.look(item_path(sealed.drive, text(sealed.item, "id")))

    def _move(self, name: str, sealed: SealedFile, slot: Slot, home: str) -> Fields:
        path = item_path(sealed.drive, text(sealed.item, "id"))
        for wanted in _names(sealed):
            item = self._moved(sealed)
            if item is None:
                raise GoneError("the file was deleted in the quarantine", place=name)
            if text(item, "parentReference", "id") != slot.id:
                return item
            body = {"parentReference": {"id": home}, "name": wanted}
            headers = {"If-Match": text(item, "eTag")}
            try:
                self._actor.change(
                    "PATCH",
                    path,
                    lambda: text(self._moved(sealed), "parentReference", "id") == home,
                    body,
                    headers=headers,
                )
            except TakenError:
                continue
            found = self._moved(sealed)
            if found is not None and text(found, "parentReference", "id") == home:
                return found
            raise SourceError("the service does not show the file in its folder yet", place=name)
        raise SourceError("there are other files under its name in its folder", place=name)

    def _copied(self, sealed: SealedFile, home: str) -> Fields | None:
        """The file as it was copied back: under its released name, else under its own."""
        folder, (own, released) = item_path(sealed.drive, home), _names(sealed)
        return self._shelf.child(folder, released) or self._shelf.child(folder, own)

    def _copy(self, name: str, sealed: SealedFile, slot: Slot, home: str) -> Fields:
        folder, (own, released) = item_path(sealed.drive, home), _names(sealed)
        kept = self._shelf.child(slot.path, own) or self._shelf.child(slot.path, released)
        if kept is not None:
            path = item_path(slot.drive, text(kept, "id"))
            if text(kept, "name") != released:
                kept = self._renamed(path, kept, released)
            self._copying.copy(path, kept, folder)
            self._shelf.remove(path)
        back = self._copied(sealed, home)
        if back is None:
            raise GoneError("the file was deleted in the quarantine, or where it was put back", place=name)
        if text(back, "name") == released:
            with contextlib.suppress(TakenError):  # there is another one now: it keeps the released name
                back = self._renamed(item_path(sealed.drive, text(back, "id")), back, own)
        return back

    def _renamed(self, path: str, item: Fields, name: str) -> Fields:
        headers = {"If-Match": text(item, "eTag")}
        self._actor.change(
            "PATCH", path, lambda: text(self._actor.look(path), "name") == name, {"name": name}, headers=headers
        )
        found = self._actor.look(path)
        if found is None or text(found, "name") != name:
            raise SourceError("the service does not show the file under its name yet", place=path.partition(":")[0])
        return found

    # -- what came of it --------------------------------------------------------------------------------------------

    def _receipt(self, sealed: SealedFile, way: str, back: Fields, restored: Restored) -> Receipt:
        notes = ["the file is where it was, with its versions"]
        if text(back, "name") != text(sealed.item, "name"):
            notes = ["the file is back under another name, because its own was taken meanwhile"]
        if way == "copied":
            notes.append("it is a new file to the service, by the app and of today, and its source reads it anew")
        if restored.links:
            notes.append("links to it have new addresses")
        if restored.lost:
            notes.append(f"not given again: {'; '.join(restored.lost)}")
        evidence = {
            "way": way,
            "record": f"drives/{sealed.drive}/items/{text(back, 'id')}",
            "rights": str(len(sealed.rights)),
            "rights_lost": str(len(restored.lost)),
        }
        return Receipt(outcome="done", note="; ".join(notes), evidence=evidence)


def _names(sealed: SealedFile) -> tuple[str, str]:
    """The name of a file, and its released name, which no other has."""
    name = PurePosixPath(text(sealed.item, "name"))
    return str(name), f"{name.stem} (released {hold_name(sealed.record)[:6]}){name.suffix}"
