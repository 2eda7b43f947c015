"""Drive: the files of a user, of a shared drive, or below one folder.

Algorithm. The place in the feed of changes is noted first; then all files are listed, those created first coming first;
then the feed is followed from the noted place, and from where it was left in every later pass
(https://developers.google.com/workspace/drive/api/guides/manage-changes).

Invariants. A cursor names the last file that was given, not its number on a page, because pages are listed anew and
may have changed. Where a page's token has expired (they last for hours), listing goes on by the time at which files
were created; where the feed's has, everything is listed again. At worst a file is given twice, never none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.google import Options
from keysentry.connectors.google.accounts import Accounts, by_user
from keysentry.connectors.google.client import Client
from keysentry.connectors.google.content import GOOGLE, SHEET, Unread, part_of
from keysentry.connectors.google.failures import Rejected
from keysentry.connectors.google.fields import Fields, flag, nanoseconds_of, seconds, stamp, text, thing, things
from keysentry.connectors.google.folders import FOLDER, Folders
from keysentry.connectors.google.sharing import PERMISSION
from keysentry.connectors.google.sheets import spreadsheet
from keysentry.errors import GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Step
from keysentry.model.record import Part, Record, Segment, Unit

PAGE: Final = 200
_FILE: Final = (
    "id,name,mimeType,description,size,md5Checksum,createdTime,modifiedTime,trashed,parents,driveId,ownedByMe,"
    "webViewLink,owners(displayName,emailAddress),lastModifyingUser(displayName,emailAddress),"
    f"capabilities(canDownload),permissions({PERMISSION}),permissionIds,hasAugmentedPermissions,"
    "inheritedPermissionsDisabled"
)
"""The fields of a file that are asked for."""


class Scope(NamedTuple):
    """What a unit covers: a user's own files, a shared drive (`drive` is its id), or what is below a folder of one."""

    unit: Unit
    user: str
    drive: str = ""
    folder: str = ""

    @property
    def corpus(self) -> dict[str, object]:
        """The parameters that name the drive to `files.list` and `changes.list`."""
        both: dict[str, object] = {"supportsAllDrives": True, "includeItemsFromAllDrives": bool(self.drive)}
        return both | {"driveId": self.drive} if self.drive else both


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cursor. `start` is the feed's place when listing began, `token` that of the page in hand, `last` the last file
    that was given and `at` when it was created (or, in the feed, changed).

    While listing: `folder` is the one whose files are listed, `bound` the time of creation from which the query lists,
    and `unsorted` that files did not come in their order.
    """

    phase: Literal["list", "changes"]
    start: str = ""
    token: str = ""
    last: str = ""
    at: str = ""
    folder: str = ""
    bound: str = ""
    unsorted: bool = False

    @property
    def cursor(self) -> Cursor:
        """As others keep it."""
        return Cursor(msgspec.json.encode(self).decode())


class Drive:
    """Units and records of Drive."""

    def __init__(self, client: Client, options: Options, accounts: Accounts) -> None:
        self._client = client
        self._options = options
        self._accounts = accounts

    def units(self) -> Iterator[Unit | Skipped]:
        """The drives there are, or the folders that were asked for."""
        if self._options.folders:
            yield from map(self._folder_unit, self._options.folders)
            return
        seen: set[str] = set()
        yield from by_user(self._accounts.users, lambda user: self._units_of(user, seen))

    def _units_of(self, user: str, seen: set[str]) -> Iterator[Unit]:
        if self._options.drive:
            told = self._client.call("drive", user, "about.get", fields="user(emailAddress)")
            address = self._accounts.note(user, text(told, "user", "emailAddress") or user or "me")
            yield Unit(f"my:{address}", f"My Drive of {address}")
        token: str | None = None
        while self._options.shared_drives:
            page = self._client.call("drive", user, "drives.list", pageSize=100, pageToken=token)
            for drive in things(page, "drives"):
                id = text(drive, "id")
                if id and id not in seen:
                    seen.add(id)
                    yield Unit(f"shared:{id}", text(drive, "name") or id)
            token = text(page, "nextPageToken")
            if not token:
                return

    def _folder_unit(self, id: str) -> Unit | Skipped:
        try:
            return self._folder_scope(Unit(f"folder:{id}", id)).unit
        except GoneError as error:
            return Skipped(f"folder:{id}", f"{error.reason}: no such folder or shared drive, or not shared with us")

    # -- what a unit covers -----------------------------------------------------------------------------------------

    def _scope(self, unit: Unit) -> Scope:
        kind, _, id = unit.id.partition(":")
        if kind == "my":
            return Scope(unit, self._accounts.user(id))
        if kind == "folder":
            return self._folder_scope(unit)
        return Scope(unit, self._first(lambda user: (user, self._drive(user, id)))[0], drive=id)

    def _folder_scope(self, unit: Unit) -> Scope:
        id = unit.id.removeprefix("folder:")
        try:
            user, drive = self._first(lambda user: (user, self._drive(user, id)))
            return Scope(Unit(unit.id, text(drive, "name") or id), user, drive=id)
        except GoneError:
            user, file = self._first(lambda user: (user, self._file(user, id)))
            return Scope(Unit(unit.id, text(file, "name") or id), user, text(file, "driveId"), id)

    def _first(self, ask: Callable[[str], tuple[str, Fields]]) -> tuple[str, Fields]:
        """The answer to the first user who is given one."""
        for user in self._accounts.users[:-1]:
            try:
                return ask(user)
            except GoneError:
                continue
        return ask(self._accounts.users[-1])

    def _drive(self, user: str, id: str) -> Fields:
        return self._client.call("drive", user, "drives.get", driveId=id)

    def _file(self, user: str, id: str) -> Fields:
        return self._client.call(
            "drive", user, "files.get", fileId=id, supportsAllDrives=True, fields="id,name,driveId"
        )

    # -- records ----------------------------------------------------------------------------------------------------

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """The files of a unit, and then what happened to them."""
        scope = self._scope(unit)
        self._accounts.address(scope.user)
        mark = msgspec.json.decode(cursor.value, type=Mark) if cursor and cursor.value else self._beginning(scope)
        reading = _Reading(self._client, self._options, self._accounts, scope)
        listed = mark.phase == "list"
        if listed:
            yield from reading.listing(mark)
            mark = Mark("changes", token=mark.start)
            yield Delivery(None, mark.cursor)
        try:
            yield from reading.changes(mark)
        except _LostError:
            if listed:
                raise
            yield from self.records(unit, self._beginning(scope).cursor)

    def _beginning(self, scope: Scope) -> Mark:
        drive = {"driveId": scope.drive} if scope.drive else {}
        told = self._client.call("drive", scope.user, "changes.getStartPageToken", supportsAllDrives=True, **drive)
        return Mark("list", start=text(told, "startPageToken"))


class _LostError(SourceError):
    """The feed of changes does not know a place any more."""


class _Reading:
    """One pass over a unit: pages of files and of changes, as deliveries."""

    def __init__(self, client: Client, options: Options, accounts: Accounts, scope: Scope) -> None:
        self._client = client
        self._options = options
        self._scope = scope
        self._since = nanoseconds_of(options.since)
        self._folders = Folders(client, scope.user, scope.drive, accounts.domains)

    # -- all files --------------------------------------------------------------------------------------------------

    def listing(self, mark: Mark) -> Iterator[Delivery]:
        """All files from a place on; below a folder, the files of one folder after the other."""
        scope = self._scope
        folders = sorted(self._folders.below(scope.folder)) if scope.folder else [""]
        for folder in folders:
            if folder >= mark.folder:
                here = mark if folder == mark.folder else Mark("list", mark.start, folder=folder)
                yield from self._pages(here)

    def _pages(self, mark: Mark) -> Iterator[Delivery]:
        resumed = bool(mark.last)
        while True:
            try:
                page = self._page(mark)
            except Rejected:
                if not mark.token:
                    raise
                # The token has expired: the same files once more, from the time of the last one on.
                mark = msgspec.structs.replace(mark, token="", bound="" if mark.unsorted else mark.at)
                resumed = not mark.unsorted
                continue
            files = things(page, "files")
            for file in _rest(files, mark, "id", "createdTime") if resumed else files:
                at = text(file, "createdTime")
                unsorted = mark.unsorted or at < mark.at
                mark = msgspec.structs.replace(mark, last=text(file, "id"), at=at, unsorted=unsorted)
                yield from self._delivered(file, mark)
            resumed = False
            if flag(page, "incompleteSearch"):
                unread = Skipped(self._scope.unit.title, "Drive did not look everywhere for files", partial=True)
                yield Delivery(None, mark.cursor, (unread,))
            token = text(page, "nextPageToken")
            if not token:
                return
            mark = msgspec.structs.replace(mark, token=token)

    def _page(self, mark: Mark) -> Fields:
        scope = self._scope
        query = ["trashed = false"]
        if mark.folder:
            query.append(f"'{mark.folder}' in parents")
        elif not scope.drive and not self._options.shared_with_me:
            query.append("'me' in owners")
        if self._since is not None:
            query.append(f"modifiedTime >= '{stamp(self._since)}'")
        if mark.bound:
            query.append(f"createdTime >= '{mark.bound}'")
        return self._client.call(
            "drive",
            scope.user,
            "files.list",
            q=" and ".join(query),
            corpora="drive" if scope.drive else "user",
            orderBy="createdTime",
            pageSize=PAGE,
            pageToken=mark.token or None,
            spaces="drive",
            fields=f"nextPageToken,incompleteSearch,files({_FILE})",
            **scope.corpus,
        )

    # -- what happened ----------------------------------------------------------------------------------------------

    def changes(self, mark: Mark) -> Iterator[Delivery]:
        """The feed from a place on, to its end. Raises `_LostError` if there is no such place any more."""
        resumed = bool(mark.last)
        while True:
            page = self._feed(mark.token)
            changes = things(page, "changes")
            for change in _rest(changes, mark, "fileId", "time") if resumed else changes:
                mark = Mark("changes", token=mark.token, last=text(change, "fileId"), at=text(change, "time"))
                yield from self._changed(change, mark)
            resumed = False
            token = text(page, "nextPageToken")
            end = text(page, "newStartPageToken")
            if not token:
                if end and Mark("changes", token=end) != mark:
                    yield Delivery(None, Mark("changes", token=end).cursor)
                return
            mark = Mark("changes", token=token)

    def _feed(self, token: str) -> Fields:
        try:
            return self._client.call(
                "drive",
                self._scope.user,
                "changes.list",
                pageToken=token,
                pageSize=PAGE,
                includeRemoved=True,
                spaces="drive",
                fields=f"nextPageToken,newStartPageToken,changes(changeType,removed,fileId,time,file({_FILE}))",
                **self._scope.corpus,
            )
        except Rejected as error:
            raise _LostError(error.reason, place=error.place) from None

    def _changed(self, change: Fields, mark: Mark) -> Iterator[Delivery]:
        if text(change, "changeType") == "drive":
            if flag(change, "removed"):
                raise GoneError("the shared drive is not there any more", place=self._scope.unit.title)
            return
        file, id = thing(change, "file"), text(change, "fileId")
        removed = flag(change, "removed")
        if text(file, "mimeType") == FOLDER:
            self._folders.forget(id)
        elif not id or not (removed or file):
            reason = "a change that says nothing of its file"
            yield Delivery(None, mark.cursor, (Skipped(f"{self._scope.unit.title} » {id}", reason),))
        elif removed or flag(file, "trashed") or self._left(file):
            yield Delivery(Record(id=self._id(id), unit=self._scope.unit.id, deleted=True), mark.cursor)
        elif self._covered(file):
            yield from self._delivered(file | {"id": id}, mark)

    def _left(self, file: Fields) -> bool:
        """Whether a file lies outside what the unit covers, where it may have come from."""
        scope = self._scope
        if text(file, "driveId") != scope.drive:
            return True
        return bool(scope.folder) and not self._folders.inside(file, scope.folder)

    def _covered(self, file: Fields) -> bool:
        scope = self._scope
        return bool(scope.drive or scope.folder) or self._options.shared_with_me or flag(file, "ownedByMe")

    # -- one file ---------------------------------------------------------------------------------------------------

    def _id(self, file: str) -> str:
        return f"{self._scope.unit.id}/{file}"

    def _delivered(self, file: Fields, mark: Mark) -> Iterator[Delivery]:
        """A file as a record; what holds nothing to read is passed over."""
        id, scope = text(file, "id"), self._scope
        place = text(file, "webViewLink") or f"{scope.unit.title} » {text(file, 'name') or id}"
        if not id:
            yield Delivery(None, mark.cursor, (Skipped(scope.unit.title, "a file without an id"),))
            return
        content = self._content(file)
        parts = [content] if isinstance(content, Part) else []
        skipped: tuple[Skipped, ...] = ()
        if isinstance(content, Unread) and content.reason:
            skipped = (Skipped(place, content.reason),)
        about = text(file, "description")
        if about:
            parts.append(Part(Segment(about.encode("utf-8", "replace"), (Step("property", "description"),))))
        if parts:
            yield Delivery(self._record(file, tuple(parts)), mark.cursor, skipped)
        elif skipped:
            yield Delivery(None, mark.cursor, skipped)
        elif not text(file, "mimeType").startswith(GOOGLE):  # an empty file: nothing of it is left
            yield Delivery(self._record(file, ()), mark.cursor)

    def _content(self, file: Fields) -> Part | Unread:
        if text(file, "mimeType") == SHEET and self._options.sheets:
            return spreadsheet(self._client, self._scope.user, file)
        return part_of(self._client, self._scope.user, file, self._options.max_file)

    def _record(self, file: Fields, parts: tuple[Part, ...]) -> Record:
        scope = self._scope
        owner = next(iter(things(file, "owners")), {})
        author = thing(file, "lastModifyingUser") or owner
        return Record(
            id=self._id(text(file, "id")),
            parts=parts,
            unit=scope.unit.id,
            author=text(author, "displayName") or text(author, "emailAddress"),
            author_id=text(author, "emailAddress"),
            time=seconds(text(file, "modifiedTime")),
            container=" / ".join((scope.unit.title, *self._path(file))),
            uri=text(file, "webViewLink"),
            exposure=self._folders.exposure(file),
        )

    def _path(self, file: Fields) -> list[str]:
        """The folders on the way from what the unit is called after to the file."""
        names = self._folders.path(file)
        if self._scope.folder and self._scope.unit.title in names:
            return names[names.index(self._scope.unit.title) + 1 :]
        return names if self._scope.drive or self._scope.folder else names[1:]


def _rest(page: list[Fields], mark: Mark, id: str, time: str) -> list[Fields]:
    """What of a page comes after what was given last. Where that is not on it any more, all that may not have been."""
    for number, one in enumerate(page):
        if text(one, id) == mark.last and (mark.phase == "list" or text(one, time) == mark.at):
            return page[number + 1 :]
    if mark.phase == "changes" or mark.unsorted:
        return page
    return [one for one in page if text(one, time) >= mark.at]
