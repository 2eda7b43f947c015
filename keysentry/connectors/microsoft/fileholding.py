"""Files of OneDrive and SharePoint: moved into the quarantine, without their rights, and put back with them.

Ways of a hold. `moved`: the quarantine is in the file's own drive; the file keeps its id and its versions, and its
links would go on working, so its rights are taken away after it has moved. `copied`: it is in another drive, which a
file cannot be moved to (https://learn.microsoft.com/en-us/graph/api/driveitem-move); the file is copied there with its
versions (https://learn.microsoft.com/en-us/graph/api/driveitem-copy), then deleted, and its rights are gone with it.

Invariants.

- The first change that readers notice is the move, or the deletion. Both are made on the condition that the file is in
  the state (`eTag`) that was looked at just before, which has the version that was sealed. Until then a hold may begin
  anew; from then on it is carried to its end.
- The folder of the hold (`shelf`) is there from before the first change until after the last one of a release: what is
  found in it says how far things went.
- A file is deleted only when a copy of it is there whose hash, or size, is the same. Office files may get properties
  written into them by SharePoint while they are copied; of these the service's word is taken.
- The version is the `cTag` (of the content) with a digest of the rights, so that none is lost that was given meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keysentry.connectors.forms import covered
from keysentry.connectors.microsoft import rights
from keysentry.connectors.microsoft.acting import Actor, Fields, text
from keysentry.connectors.microsoft.address import Address, item_path, shown
from keysentry.connectors.microsoft.content import Content
from keysentry.connectors.microsoft.copying import Copying, is_copy
from keysentry.connectors.microsoft.quarantine import Options
from keysentry.connectors.microsoft.refiling import Refiling
from keysentry.connectors.microsoft.sealed import SealedFile, Undo, as_undo, digest, seal
from keysentry.connectors.microsoft.shelf import Shelf, Slot
from keysentry.connectors.microsoft.stub import Stub
from keysentry.connectors.microsoft.traces import Traces
from keysentry.connectors.microsoft.wire import seconds
from keysentry.errors import ChangedError, GoneError, InputError, SourceError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

_DOWNLOAD: Final = "@microsoft.graph.downloadUrl"


class FileHolding:
    """Holds and releases files."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._options = options
        self._shelf = Shelf(actor, options)
        self._copying = Copying(actor, self._shelf)
        self._stub = Stub(actor, self._shelf, wanted=options.stub)
        self._back = Refiling(actor, self._shelf, self._copying, self._stub)

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, where: Address, secrets: Sequence[Sensitive]) -> Original:
        """The file and its rights, if a secret is in it; or if it cannot be searched, and nobody wrote it since."""
        name = shown(place)
        item = self._item(where.path)
        if item is None:
            raise GoneError("the file is not there any more", place=name)
        if not isinstance(item.get("file"), dict):
            raise InputError("it is no file", place=name)
        slot = self._shelf.slot_of(where.holder, place.record)
        if slot is not None and text(item, "parentReference", "id") == slot.id:
            raise ChangedError("the file is held already", place=name)
        seen = self._holds(where.path, item, secrets)
        if not seen and not (seen is None and _unwritten(item, place)):
            raise ChangedError("the secret is not in it any more", place=name)
        has = rights.own(rights.listed(self._actor, where.path), self._folder_rights(where.holder, item))
        sealed = SealedFile(place.record, where.holder, item, has)
        size, title = item.get("size"), covered(text(item, "name"), secrets)
        note = f"file {title}, {size if isinstance(size, int) else 0:,} bytes, with {len(has)} rights of its own"
        return seal(sealed, _version(item, has), note)

    def _item(self, path: str) -> Fields | None:
        """A file as it is described now; None if it is not there, or in the recycle bin."""
        item = self._actor.look(path)
        if item is None or item.get("deleted") is not None:
            return None
        return {key: value for key, value in item.items() if key != _DOWNLOAD}

    def _holds(self, path: str, item: Fields, secrets: Sequence[Sensitive]) -> bool | None:
        """Whether a secret is in a file; None where that cannot be told by searching."""
        traces = Traces(secrets)
        if traces.in_text(text(item, "name").encode("utf-8", "replace")):
            return True
        size = item.get("size")
        if size == 0 or not isinstance(size, int):
            return False
        if size > self._options.max_search:
            return None
        return traces.in_content(Content(self._actor, path).open())

    def _folder_rights(self, drive: str, item: Fields) -> list[Fields]:
        parent = text(item, "parentReference", "id")
        return rights.listed(self._actor, item_path(drive, parent)) if parent else []

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(self, place: Place, sealed: SealedFile, original: Original, placeholder: str) -> Receipt:
        """Move or copy it into the quarantine. Raises as `Quarantine.hold` does."""
        name, path = shown(place), item_path(sealed.drive, text(sealed.item, "id"))
        receipt = self.held(place, sealed, original, placeholder)
        if receipt is not None:
            return receipt
        item = self._item(path)
        if item is None:
            raise GoneError("the file is not there any more", place=name)
        around = self._folder_rights(sealed.drive, item)
        if _version(item, rights.own(rights.listed(self._actor, path), around)) != original.version:
            raise ChangedError("the file, or whom it is shared with, was changed since it was looked at", place=name)
        slot = self._shelf.open_slot(sealed, around)
        try:
            if slot.drive == sealed.drive:
                self._move(path, item, slot)
            else:
                self._clear_stale(item, slot)
                self._copying.copy(path, item, slot.path)
                self._shelf.remove(path, text(item, "eTag"))
        except ChangedError:
            self._forget(slot, sealed)
            raise ChangedError("the file was changed while it was taken away", place=name) from None
        receipt = self.held(place, sealed, original, placeholder)
        if receipt is None:
            raise SourceError("the service does not show the file in the quarantine yet", place=name)
        return receipt

    def _move(self, path: str, item: Fields, slot: Slot) -> None:
        def done() -> bool:
            return text(self._item(path), "parentReference", "id") == slot.id

        headers = {"If-Match": text(item, "eTag")}
        self._actor.change("PATCH", path, done, {"parentReference": {"id": slot.id}}, headers=headers)

    def _clear_stale(self, item: Fields, slot: Slot) -> None:
        """Remove a copy of another state of the file, which an attempt before this one has left."""
        copy = self._shelf.child(slot.path, text(item, "name"))
        if copy is not None and not is_copy(item, copy):
            self._shelf.remove(item_path(slot.drive, text(copy, "id")))

    def _forget(self, slot: Slot, sealed: SealedFile) -> None:
        """Take back what was put into the quarantine for a hold that will not be."""
        if slot.drive != sealed.drive:
            copy = self._shelf.child(slot.path, text(sealed.item, "name"))
            if copy is not None:
                self._shelf.remove(item_path(slot.drive, text(copy, "id")))
        self._shelf.close_slot(slot)

    # -- what came of it --------------------------------------------------------------------------------------------

    def held(self, place: Place, sealed: SealedFile, original: Original, placeholder: str) -> Receipt | None:
        """The receipt of a hold whose file is in the quarantine, its last steps made; None where readers have it."""
        slot = self._shelf.slot(sealed)
        if slot is None:
            return None
        path = item_path(sealed.drive, text(sealed.item, "id"))
        item = self._item(path)
        if slot.drive == sealed.drive:
            if item is None or text(item, "parentReference", "id") != slot.id:
                return None
            rights.take_away(self._actor, path, rights.listed(self._actor, slot.path))
            standing, way = text(item, "id"), "moved"
        else:
            copy = self._shelf.child(slot.path, text(sealed.item, "name"))
            if item is not None or copy is None:
                return None
            standing, way = text(copy, "id"), "copied"
        stub = self._stub.write(sealed, placeholder)
        return self._receipt(sealed, slot, way, standing, stub)

    def _receipt(self, sealed: SealedFile, slot: Slot, way: str, standing: str, stub: str) -> Receipt:
        count = len(sealed.rights)
        note = f"the file was moved into the quarantine with its versions, and {count} rights to it were taken away"
        if way == "copied":
            note = (
                f"the file was copied into the quarantine with its versions and deleted, with {count} rights to it; it "
                "lies in the recycle bin of its site, from which its owner could take it back"
            )
        evidence = {"way": way, "drive": slot.drive, "item": standing, "folder": slot.id, "rights": str(count)}
        if stub:
            note, evidence = f"{note}; a text file with the placeholder stands in its place", evidence | {"stub": stub}
        return Receipt(outcome="done", note=note, evidence=evidence, undo=as_undo(Undo(way, standing, slot.id)))

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, sealed: SealedFile, original: Original, receipt: Receipt) -> Receipt:
        """Put it back with its rights. Raises as `Quarantine.release` does."""
        return self._back.release(shown(place), sealed, receipt)

    def released(self, place: Place, sealed: SealedFile, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt of a release that was carried out to its end."""
        return self._back.released(sealed, receipt)


def _version(item: Fields, has: Sequence[Fields]) -> str:
    """Names the state of a file and of its rights."""
    return f"{text(item, 'cTag')}/{digest([text(item, 'name'), [[one.get('id'), one.get('roles')] for one in has]])}"


def _unwritten(item: Fields, place: Place) -> bool:
    """Whether a file is as it was when it was scanned, by the time of its last change."""
    mine, theirs = seconds(text(item, "lastModifiedDateTime")), seconds(place.time)
    return mine is not None and theirs is not None and abs(mine - theirs) < 1
