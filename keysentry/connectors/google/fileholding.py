"""Files of Drive: permissions cut to the owner, and given again; where that is not enough, the file is moved.

How a hold goes. (1) A property of the file, which every app can see, names the hold. (2) The permissions that were
given to the file itself are taken away, the widest first. (3) Where it inherits others (in a shared folder, in a shared
drive), or where the options say so, it is moved: in My Drive into a folder of the owner's own that is not shared, from
a shared drive into the folder of the options. (4) All of it is read back. A release goes the other way round, and takes
the property away last.

Why an interruption does no harm. As long as the property is there, the hold or release goes on from what is found:
permissions are looked at before each step. All permissions were sealed before the first step. One that somebody gives
meanwhile is not taken: the hold is put back, and begun anew.

https://developers.google.com/workspace/drive/api/guides/folder#move-files-between-folders,
https://developers.google.com/workspace/drive/api/guides/properties
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from keysentry.connectors.forms import Search, covered
from keysentry.connectors.google import permissions as sharing
from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.address import Address, shown
from keysentry.connectors.google.content import GOOGLE, SHEET, Unread, part_of
from keysentry.connectors.google.fields import Fields, flag, text, thing, things, words
from keysentry.connectors.google.folders import FOLDER
from keysentry.connectors.google.quarantine import Options
from keysentry.connectors.google.sealed import SealedFile, Undo, digest, seal, undo_of
from keysentry.connectors.google.sheets import spreadsheet
from keysentry.connectors.google.spot import Spot, find, look, unwritten
from keysentry.connectors.google.traces import Traces
from keysentry.errors import AccessError, ChangedError, GoneError, InputError, SourceError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

_KEY: Final = "keysentry"
_OWN: Final = "quarantine"
_FOLDER_NAME: Final = "Quarantine (keysentry)"
_TEXTS: Final = ("application/json", "application/xml", "application/javascript", "application/sql")


class FileHolding:
    """Holds and releases files."""

    def __init__(self, actor: Actor, options: Options) -> None:
        self._actor = actor
        self._options = options
        self._private: set[tuple[str, str]] = set()

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, where: Address, secrets: Sequence[Sensitive]) -> Original:
        """The file's permissions, if a secret is in it, or if that cannot be told and nobody wrote it since."""
        name = shown(place)
        spot = find(self._actor, where, "share", name)
        if _mark(spot.file):
            raise ChangedError("the file is held already", place=name)
        if not self._holds(spot, place, secrets):
            raise ChangedError("the secret is not in it any more", place=name)
        held = sharing.listed(self._actor, spot.user, spot.id)
        given, inherits = sharing.direct(held), bool(sharing.inherited(held))
        drive = text(spot.file, "driveId")
        if drive and not self._options.folder:
            raise AccessError(
                "members of the shared drive go on reading it, whatever is done to the file",
                place=name,
                advice="set `folder` to a folder or shared drive that only those may read who look after incidents",
            )
        version = _version(spot.file, given)
        sealed = SealedFile(
            user=spot.user,
            id=spot.id,
            mark=where.mark(version),
            parents=tuple(words(spot.file, "parents")),
            permissions=tuple(given),
            drive=drive,
            move=bool(drive) or inherits or self._options.mode == "move",
        )
        called = covered(text(spot.file, "name"), secrets) or spot.id
        return seal(sealed, version, f"{called}, with {_many(len(given), 'permission')}")

    def _holds(self, spot: Spot, place: Place, secrets: Sequence[Sensitive]) -> bool:
        """Whether a secret is in a file, or may be."""
        file = spot.file
        if Traces(secrets).seen(text(file, "description")):
            return True
        search = Search(secrets)
        whole = self._read(spot, search)
        if search.found:
            return True
        deep = any(step.kind not in ("file", "field") for step in place.route)
        return (not whole or not search.plain or deep) and unwritten(file, place)

    def _read(self, spot: Spot, search: Search) -> bool:
        """Search the content of a file; False where all of it cannot be had as text."""
        most = self._options.max_search
        if text(spot.file, "mimeType") == SHEET:
            part = spreadsheet(self._actor, spot.user, spot.file)
        else:
            found = part_of(self._actor, spot.user, spot.file, most)
            if isinstance(found, Unread):
                return not found.reason
            part = found
        assert part.open is not None
        try:
            for piece in part.open():
                search.feed(piece)
        except InputError:  # too large, changed meanwhile: what was read counts
            return False
        kind = text(spot.file, "mimeType")
        return kind.startswith(("text/", GOOGLE)) or kind in _TEXTS

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(self, place: Place, sealed: SealedFile, original: Original, placeholder: str) -> Receipt:
        """Cut the permissions, and move the file if it must be."""
        name = shown(place)
        file = self._there(sealed, name)
        if _mark(file) != sealed.mark:
            given = sharing.direct(sharing.listed(self._actor, sealed.user, sealed.id))
            if _mark(file) or _version(file, given) != original.version:
                raise ChangedError("the file, or who may read it, was changed since it was looked at", place=name)
            if sealed.drive:
                self._must_be_private(sealed, name)
            self._set_mark(sealed, sealed.mark)
        self._cut(sealed, name)
        return self._held(sealed, name)

    def _there(self, sealed: SealedFile, name: str) -> Fields:
        file = look(self._actor, sealed.user, sealed.id)
        if file is None:
            raise GoneError("the file is not there any more", place=name)
        return file

    def _set_mark(self, sealed: SealedFile, mark: str) -> None:
        """Put a mark on the file, or take it away."""

        def done() -> bool:
            file = look(self._actor, sealed.user, sealed.id)
            return file is not None and _mark(file) == mark

        self._update(sealed, {"properties": {_KEY: mark or None}}, done)

    def _update(self, sealed: SealedFile, body: Fields, done: Callable[[], bool], **parameters: object) -> None:
        """Change what is said of the file; the time of its last change is kept, so that nobody takes it for written."""
        modified = text(look(self._actor, sealed.user, sealed.id), "modifiedTime")
        self._actor.change(
            "drive",
            sealed.user,
            "files.update",
            done,
            advice="act for the owner of the file, or for a manager of both shared drives (`manager`)",
            fileId=sealed.id,
            supportsAllDrives=True,
            fields="id",
            body=body | ({"modifiedTime": modified} if modified else {}),
            **parameters,
        )

    def _cut(self, sealed: SealedFile, name: str) -> None:
        """Take the sealed permissions away, and move the file."""
        known = [_told(one) for one in sealed.permissions]
        held = sharing.direct(sharing.listed(self._actor, sealed.user, sealed.id))
        if any(_told(one) not in known for one in held):
            raise ChangedError("somebody shared the file anew", place=name)
        for one in held:
            sharing.take(self._actor, sealed.user, sealed.id, one)
        parents = tuple(words(self._there(sealed, name), "parents"))
        if sealed.move and (parents == sealed.parents or self._inherits(sealed)):
            target = self._options.folder if sealed.drive else self._own_folder(sealed.user)
            if (target,) != parents:
                self._move(sealed, target, parents)

    def _inherits(self, sealed: SealedFile) -> bool:
        """Whether it still lies where others read it."""
        return bool(sharing.inherited(sharing.listed(self._actor, sealed.user, sealed.id), sealed.drive))

    def _move(self, sealed: SealedFile, target: str, start: Sequence[str]) -> None:
        def done() -> bool:
            file = look(self._actor, sealed.user, sealed.id)
            return file is not None and tuple(words(file, "parents")) != tuple(start)

        self._update(sealed, {}, done, addParents=target, removeParents=",".join(start) or None)

    def _own_folder(self, user: str) -> str:
        """The id of a folder in a user's drive that is not shared, which is made where there is none."""
        found = self._own(user)
        if not found:
            body = {
                "name": _FOLDER_NAME,
                "mimeType": FOLDER,
                "parents": ["root"],
                "properties": {_KEY: _OWN},
            }
            self._actor.change("drive", user, "files.create", lambda: bool(self._own(user)), body=body, fields="id")
            found = self._own(user)
        if not found:
            raise SourceError("Drive does not list the folder yet that was made", place=_FOLDER_NAME)
        return found

    def _own(self, user: str) -> str:
        query = (
            f"properties has {{ key='{_KEY}' and value='{_OWN}' }} and mimeType = '{FOLDER}' and 'root' in parents "
            "and trashed = false"
        )
        told = self._actor.call("drive", user, "files.list", q=query, pageSize=10, fields="files(id)")
        ids = [text(one, "id") for one in things(told, "files")]
        return next((id for id in ids if not self._shared(user, id)), "")

    def _shared(self, user: str, id: str) -> bool:
        held = sharing.listed(self._actor, user, id)
        return bool(sharing.direct(held) or sharing.inherited(held))

    def _must_be_private(self, sealed: SealedFile, name: str) -> None:
        """Raise `AccessError` for a folder that others read, or that leaves the file with the same people."""
        folder, user = self._options.folder, sealed.user
        if (folder, sealed.drive) in self._private:
            return
        told = self._actor.look(
            "drive",
            user,
            "files.get",
            fileId=folder,
            supportsAllDrives=True,
            fields="id,driveId,inheritedPermissionsDisabled",
        )
        if told is None:
            reason, advice = "the quarantine folder is not there", f"let {user or 'the account'} manage `folder`"
        elif text(told, "driveId") == sealed.drive and not flag(told, "inheritedPermissionsDisabled"):
            reason = "the quarantine folder lies in the same shared drive, whose members can read it"
            advice = "set `folder` to another shared drive, or to a folder with limited access"
        elif any(text(one, "type") in ("anyone", "domain") for one in sharing.listed(self._actor, user, folder)):
            reason, advice = "the quarantine folder can be read by many", "take its link or domain sharing away"
        else:
            self._private.add((folder, sealed.drive))
            return
        raise AccessError(reason, place=name, advice=advice)

    # -- what came of it --------------------------------------------------------------------------------------------

    def held(self, place: Place, sealed: SealedFile, original: Original, placeholder: str) -> Receipt | None:
        """The receipt; a hold that was begun is carried to its end, or put back if somebody shared the file anew."""
        name = shown(place)
        file = look(self._actor, sealed.user, sealed.id)
        if file is None or _mark(file) != sealed.mark:
            return None
        try:
            self._cut(sealed, name)
        except ChangedError:
            self._put_back(sealed, file)
            return None
        return self._held(sealed, name)

    def _held(self, sealed: SealedFile, name: str) -> Receipt:
        """The receipt, once nobody else can read it."""
        held = sharing.listed(self._actor, sealed.user, sealed.id)
        left = sharing.direct(held) + sharing.inherited(held, sealed.drive)
        if left:
            raise SourceError(f"Drive still lets {_many(len(left), 'other')} read it", place=name)
        file = self._there(sealed, name)
        parents = words(file, "parents")
        moved = sealed.move and tuple(parents) != sealed.parents
        whom = "those who look after the quarantine folder" if sealed.drive else "its owner"
        notes = [f"{_many(len(sealed.permissions), 'permission')} taken away"]
        if moved:
            notes.append("moved into a quarantine folder")
        notes.append(f"only {whom} can read it")
        evidence = {
            "way": "file",
            "file": sealed.id,
            "permissions": str(len(sealed.permissions)),
            "read_back": f"{len(held)} left, of {whom}",
        }
        if moved:
            evidence["folder"] = ",".join(parents)
        undo = Undo("file", sealed.user, ",".join(parents) if moved else "")
        return Receipt(outcome="done", note="; ".join(notes), evidence=evidence, undo=msgspec.json.encode(undo))

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, sealed: SealedFile, original: Original, receipt: Receipt) -> Receipt:
        """Move the file back and give the permissions again."""
        undo_of(receipt)
        lost = self._put_back(sealed, self._there(sealed, shown(place)))
        return self._released(sealed, lost)

    def released(self, place: Place, sealed: SealedFile, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if the mark is gone, which is the last step."""
        file = look(self._actor, sealed.user, sealed.id)
        return None if file is None or _mark(file) == sealed.mark else self._released(sealed, [])

    def _put_back(self, sealed: SealedFile, file: Fields) -> list[str]:
        """Undo a hold, as far as it went; in words what could not be."""
        lost = []
        parents = tuple(words(file, "parents"))
        if sealed.move and parents != sealed.parents and _mark(file) == sealed.mark:
            lost += self._move_back(sealed, parents)
        lost += list(sharing.give(self._actor, sealed.user, sealed.id, sealed.permissions))
        if _mark(file) == sealed.mark:
            self._set_mark(sealed, "")
        return lost

    def _move_back(self, sealed: SealedFile, parents: Sequence[str]) -> list[str]:
        if sealed.parents:
            try:
                self._move(sealed, sealed.parents[0], parents)
                return []
            except GoneError:
                if look(self._actor, sealed.user, sealed.id) is None:
                    raise
        self._move(sealed, sealed.drive or "root", parents)
        return ["its folder, which is gone: it lies at the top of the drive"]

    def _released(self, sealed: SealedFile, lost: Sequence[str]) -> Receipt:
        held = sharing.direct(sharing.listed(self._actor, sealed.user, sealed.id))
        there = {sharing.grantee(one) for one in held}
        lost = lost or [sharing.named(one) for one in sealed.permissions if sharing.grantee(one) not in there]
        note = f"{_many(len(sealed.permissions), 'permission')} given again, without a mail to anybody"
        if sealed.move:
            note += "; moved back to where it was"
        if lost:
            note += f"; not restored: {'; '.join(lost)}"
        evidence = {"way": "file", "file": sealed.id, "permissions": str(len(held))}
        return Receipt(outcome="done", note=note, evidence=evidence)


def _mark(file: Fields) -> str:
    return text(thing(file, "properties"), _KEY)


def _told(permission: Fields) -> tuple[str, ...]:
    return (*sharing.grantee(permission), text(permission, "role"), text(permission, "expirationTime"))


def _version(file: Fields, given: Sequence[Fields]) -> str:
    """Names the state of a file: what it holds, and who may read it. Google's own documents have no revision to be
    named by; for them it is the time of the last change.
    """
    content = text(file, "headRevisionId") or text(file, "modifiedTime")
    rest = [text(file, "md5Checksum"), words(file, "parents"), sorted(map(_told, given))]
    return f"{content}/{digest(rest)}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
