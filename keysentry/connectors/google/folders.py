"""The folders of Drive, for one pass over a unit: where a file lies, what it inherits, and what is below a folder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, NamedTuple

from keysentry.connectors.google.client import Client
from keysentry.connectors.google.failures import Denied
from keysentry.connectors.google.fields import Fields, flag, text, things, words
from keysentry.connectors.google.sharing import PERMISSION, exposure, listed
from keysentry.errors import GoneError
from keysentry.model.location import Exposure

FOLDER: Final = "application/vnd.google-apps.folder"
_KNOWN: Final = 20_000
"""How many folders are remembered at most."""
_DEEPEST: Final = 120
"""A tree of Drive has at most 100 levels; more than this is no tree."""
_FIELDS: Final = "id,name,parents,hasAugmentedPermissions,inheritedPermissionsDisabled"


class Folder(NamedTuple):
    """A folder; `shared` is who can read it where that is said of itself and not of what it lies in."""

    name: str
    parent: str
    own_sharing: bool = False


_UNKNOWN: Final = Folder("", "")


class Folders:
    """Looks folders up once each."""

    def __init__(self, client: Client, user: str, drive: str, own: frozenset[str]) -> None:
        self._client = client
        self._user = user
        self._drive = drive
        self._own = own
        self._known: OrderedDict[str, Folder] = OrderedDict()
        self._exposures: OrderedDict[str, Exposure] = OrderedDict()

    def forget(self, folder: str) -> None:
        """A folder has changed."""
        self._known.pop(folder, None)
        self._exposures.clear()

    def path(self, file: Fields) -> list[str]:
        """The names of the folders that a file lies in, outermost first; without the drive itself."""
        names = [folder.name for _, folder in self._up(file) if folder.name]
        return names[::-1]

    def inside(self, file: Fields, folder: str) -> bool:
        """Whether a file lies somewhere below a folder, or is it."""
        return text(file, "id") == folder or any(id == folder for id, _ in self._up(file))

    def exposure(self, file: Fields) -> Exposure:
        """Who can read a file. In a shared drive that is who can read the drive, but for what was shared besides."""
        if not self._drive:
            return listed(file, self._own)
        nearest = self._drive
        if _own_sharing(file):
            nearest = text(file, "id")
        else:
            nearest = next((id for id, folder in self._up(file) if folder.own_sharing), self._drive)
        found = self._exposures.get(nearest)
        if found is None:
            found = self._exposures[nearest] = self._permitted(nearest)
            _trim(self._exposures)
        return found

    def below(self, folder: str) -> Iterator[str]:
        """The ids of a folder and of all folders below it."""
        level = [folder]
        seen = set(level)
        while level:
            yield from level
            found: list[str] = []
            for at in range(0, len(level), 20):
                found += [one for one in self._children(level[at : at + 20]) if one not in seen]
                seen.update(found)
            level = found

    def _children(self, parents: list[str]) -> Iterator[str]:
        within = " or ".join(f"'{parent}' in parents" for parent in parents)
        query = f"({within}) and mimeType = '{FOLDER}' and trashed = false"
        token: str | None = None
        while True:
            page = self._client.call(
                "drive",
                self._user,
                "files.list",
                q=query,
                pageToken=token,
                pageSize=1000,
                fields="nextPageToken,files(id)",
                supportsAllDrives=True,
                includeItemsFromAllDrives=True,
                **({"corpora": "drive", "driveId": self._drive} if self._drive else {}),
            )
            yield from (text(one, "id") for one in things(page, "files"))
            token = text(page, "nextPageToken")
            if not token:
                return

    def _up(self, file: Fields) -> Iterator[tuple[str, Folder]]:
        """The folders that a file lies in, innermost first."""
        at = next(iter(words(file, "parents")), "")
        for _ in range(_DEEPEST):
            if not at or at == self._drive:
                return
            folder = self._folder(at)
            yield at, folder
            at = folder.parent

    def _folder(self, id: str) -> Folder:
        folder = self._known.get(id)
        if folder is None:
            try:
                told = self._client.call(
                    "drive", self._user, "files.get", fileId=id, supportsAllDrives=True, fields=_FIELDS
                )
                parent = next(iter(words(told, "parents")), "")
                folder = Folder(text(told, "name"), parent, _own_sharing(told))
            except (GoneError, Denied):  # what it lies in need not be shared
                folder = _UNKNOWN
            self._known[id] = folder
            _trim(self._known)
        return folder

    def _permitted(self, id: str) -> Exposure:
        permissions: list[Fields] = []
        token: str | None = None
        try:
            while True:
                page = self._client.call(
                    "drive",
                    self._user,
                    "permissions.list",
                    fileId=id,
                    pageSize=100,
                    pageToken=token,
                    supportsAllDrives=True,
                    fields=f"nextPageToken,permissions({PERMISSION})",
                )
                permissions += things(page, "permissions")
                token = text(page, "nextPageToken")
                if not token:
                    return exposure(permissions, self._own)
        except (GoneError, Denied):  # only some members may see who the others are
            return Exposure()


def _own_sharing(file: Fields) -> bool:
    return flag(file, "hasAugmentedPermissions") or flag(file, "inheritedPermissionsDisabled")


def _trim(cache: OrderedDict[str, Folder] | OrderedDict[str, Exposure]) -> None:
    while len(cache) > _KNOWN:
        cache.popitem(last=False)
