"""A text file with the placeholder where a held file was, if that is wished for.

It is written only where nothing has its name, and taken away only if nobody has changed it
(https://learn.microsoft.com/en-us/graph/api/driveitem-put-content).
"""

from __future__ import annotations

from typing import Final

from keysentry.connectors.microsoft.acting import Actor, Fields, TakenError, text
from keysentry.connectors.microsoft.address import child_path, hold_name, item_path
from keysentry.connectors.microsoft.content import Content
from keysentry.connectors.microsoft.sealed import SealedFile
from keysentry.connectors.microsoft.shelf import Shelf
from keysentry.errors import ChangedError, GoneError, InputError

_MOST: Final = 1 << 16


class Stub:
    """Writes and removes stubs."""

    def __init__(self, actor: Actor, shelf: Shelf, *, wanted: bool) -> None:
        self._actor = actor
        self._shelf = shelf
        self._wanted = wanted

    def write(self, sealed: SealedFile, placeholder: str) -> str:
        """Write it once; its id, empty if there is none."""
        folder = _folder(sealed)
        if not self._wanted or not folder:
            return ""
        name = _name(sealed)
        if self._shelf.child(folder, name) is None:
            content = f"{placeholder}\n{_mark(sealed)}\n".encode()
            path = f"{child_path(folder, name)}:/content?@microsoft.graph.conflictBehavior=fail"
            try:
                self._actor.change("PUT", path, lambda: self._shelf.child(folder, name) is not None, content)
            except (TakenError, GoneError):  # somebody else's, or the folder is gone: then nothing stands there
                return ""
        found = self._ours(sealed)
        return text(found, "id") if found is not None else ""

    def remove(self, sealed: SealedFile) -> None:
        """Take it away, if it is there and is ours."""
        found = self._ours(sealed)
        if found is None:
            return
        try:
            self._shelf.remove(item_path(sealed.drive, text(found, "id")), text(found, "eTag"))
        except ChangedError:
            return  # somebody writes into it: it is theirs now

    def _ours(self, sealed: SealedFile) -> Fields | None:
        folder = _folder(sealed)
        found = self._shelf.child(folder, _name(sealed)) if folder else None
        if found is None or not isinstance(size := found.get("size"), int) or not 0 < size < _MOST:
            return None
        path = item_path(sealed.drive, text(found, "id"))
        try:
            content = b"".join(Content(self._actor, path).open())
        except InputError:
            return None
        return found if content.decode("utf-8", "replace").rstrip().endswith(_mark(sealed)) else None


def _folder(sealed: SealedFile) -> str:
    parent = text(sealed.item, "parentReference", "id")
    return item_path(sealed.drive, parent) if parent else ""


def _name(sealed: SealedFile) -> str:
    return f"{text(sealed.item, 'name')} (held).txt"


def _mark(sealed: SealedFile) -> str:
    return f"[ref. {hold_name(sealed.record)[:16]}]"
