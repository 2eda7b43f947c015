"""The state of Drive: files, shared drives, permissions, and the feeds of changes.

As at Google: a feed names a file once, at its latest change; what was trashed is still listed in the feed; a file in a
shared drive does not list its permissions; the interface answers nothing of shared drives to who does not ask for them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from tests.servers.google_errors import GoogleError, bad_token, denied, not_found
from tests.servers.google_paging import Media, Pager

GOOGLE = "application/vnd.google-apps."
EXPORTS = {
    "document": ("text/plain", "text/html", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    "presentation": ("text/plain",),
    "spreadsheet": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "text/csv"),
    "drawing": ("image/svg+xml", "image/png"),
    "script": (f"{GOOGLE}script+json",),
}
EXPORT_LIMIT = 10 << 20
SORTS = frozenset(("createdTime", "folder", "modifiedTime", "name", "name_natural", "quotaBytesUsed", "recency"))


class DriveState:
    """Files and drives."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.pager = Pager()
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes | Media] = {}
        self.permissions: dict[str, list[dict[str, Any]]] = {}
        self.drives: dict[str, dict[str, Any]] = {}
        self.users: dict[str, str] = {}
        self.log: list[dict[str, Any]] = []
        self.forgotten = 0
        """Tokens of the feed below this one are refused."""
        self.ordered = True
        """Whether `orderBy` is heeded; for users with a million files it is not."""

    # -- for tests --------------------------------------------------------------------------------------------------

    def user(self, address: str, name: str) -> None:
        """A user, with the root of their drive."""
        self.users[address] = name
        self.files[f"root-{address}"] = {
            **self._new(f"root-{address}", "My Drive", f"{GOOGLE}folder", address),
            "parents": [],
        }
        self.permissions[f"root-{address}"] = [_permission(address, "owner")]

    def shared(self, id: str, name: str, *members: str) -> None:
        """A shared drive."""
        self.drives[id] = {"kind": "drive#drive", "id": id, "name": name}
        self.permissions[id] = [_permission(one, "organizer") for one in members]

    def add(
        self,
        name: str,
        content: bytes | Media = b"",
        *,
        owner: str = "",
        drive: str = "",
        parent: str = "",
        kind: str = "text/plain",
        id: str = "",
        more: dict[str, Any] | None = None,
    ) -> str:
        """A new file; its id."""
        id = id or f"file{len(self.files):04d}"
        self._server.tick()
        file = self._new(id, name, kind, owner)
        file["parents"] = [parent or drive or f"root-{owner}"]
        if drive:
            file |= {"driveId": drive, "hasAugmentedPermissions": False}
            for key in ("owners", "ownedByMe", "shared", "permissions"):
                file.pop(key, None)
        else:
            self.permissions[id] = [_permission(owner, "owner", self.users[owner])]
        self.files[id] = file | (more or {})
        self._fill(id, content)
        self._changed(id)
        return id

    def edit(self, id: str, content: bytes | Media | None = None, **fields: Any) -> None:
        """Change a file."""
        self._server.tick()
        self.files[id] |= {"modifiedTime": self._server.stamp()} | fields
        if content is not None:
            self._fill(id, content)
        self._changed(id)

    def touch_content(self, id: str, content: bytes) -> None:
        """Exchange the content behind the back of everyone: what a download meets that is under way."""
        self.contents[id] = content

    def share(self, id: str, /, **permission: Any) -> None:
        """Let someone read a file."""
        self._server.tick()
        held = self.permissions.setdefault(id, [])
        number = permission.pop("id", f"perm{id}{len(held)}")
        held.append({"kind": "drive#permission", "id": number, "role": "reader"} | permission)
        if id in self.files and "driveId" in self.files[id]:
            self.files[id]["hasAugmentedPermissions"] = True
        if id in self.files:
            self._changed(id)

    def remove(self, id: str) -> None:
        """Delete a file for good."""
        self._server.tick()
        self._changed(id, removed=True)
        self.files.pop(id)
        self.contents.pop(id, None)

    def _new(self, id: str, name: str, kind: str, owner: str) -> dict[str, Any]:
        person = {"kind": "drive#user", "displayName": self.users.get(owner, owner), "emailAddress": owner, "me": False}
        return {
            "kind": "drive#file",
            "id": id,
            "name": name,
            "mimeType": kind,
            "createdTime": self._server.stamp(),
            "modifiedTime": self._server.stamp(),
            "trashed": False,
            "version": "1",
            "webViewLink": f"https://drive.google.com/file/d/{id}/view?usp=drivesdk",
            "owners": [person],
            "lastModifyingUser": person,
            "capabilities": {"canDownload": True},
        }

    def _fill(self, id: str, content: bytes | Media) -> None:
        self.contents[id] = content
        file = self.files[id]
        if file["mimeType"].startswith(GOOGLE):
            return
        size = content.size if isinstance(content, Media) else len(content)
        file |= {"size": str(size), "headRevisionId": f"rev{len(self.log)}"}
        if isinstance(content, bytes):
            file["md5Checksum"] = hashlib.md5(content).hexdigest()
        else:
            file.pop("md5Checksum", None)

    def _changed(self, id: str, *, removed: bool = False) -> None:
        file = self.files[id]
        file["version"] = str(len(self.log) + 1)
        readers = {one.get("emailAddress", "") for one in self.permissions.get(id, ())}
        self.log.append(
            {
                "id": id,
                "time": self._server.stamp(),
                "removed": removed,
                "drive": file.get("driveId", ""),
                "readers": readers,
            }
        )

    # -- who sees what ----------------------------------------------------------------------------------------------

    def _sees(self, user: str, file: dict[str, Any]) -> bool:
        held = self.permissions.get(file["id"], [])
        if "driveId" in file:
            held = held + self.permissions[file["driveId"]]
        return any(one.get("emailAddress") == user or one["type"] == "anyone" for one in held)

    def _member(self, user: str, drive: str) -> bool:
        return drive in self.drives and any(one.get("emailAddress") == user for one in self.permissions[drive])

    def _seen(self, user: str, file: dict[str, Any]) -> dict[str, Any]:
        """A file, as a user is told of it."""
        told = dict(file)
        if "driveId" in file:
            return told
        held = self.permissions[file["id"]]
        owner = file["owners"][0]["emailAddress"]
        told["ownedByMe"] = owner == user
        told["shared"] = len(held) > 1
        told["permissionIds"] = [one["id"] for one in held]
        if owner == user:
            told["permissions"] = held
        return told

    def _get(self, user: str, given: dict[str, Any]) -> dict[str, Any]:
        file = self.files.get(given["fileId"])
        hidden = file is not None and "driveId" in file and not given.get("supportsAllDrives")
        if file is None or hidden or not self._sees(user, file):
            raise not_found(given["fileId"])
        return file

    # -- methods ----------------------------------------------------------------------------------------------------

    def call(self, method: str, user: str, given: dict[str, Any], *, media: bool) -> Any:
        """Answer a method."""
        if media and method == "files.get":
            return self._download(user, given)
        answers: dict[str, Callable[[str, dict[str, Any]], Any]] = {
            "about.get": self._about,
            "files.get": lambda user, given: self._seen(user, self._get(user, given)),
            "files.list": self._list,
            "files.export": self._export,
            "drives.list": self._drives,
            "drives.get": self._drive,
            "permissions.list": self._permissions,
            "changes.getStartPageToken": self._start,
            "changes.list": self._changes,
        }
        return answers[method](user, given)

    def _about(self, user: str, _given: dict[str, Any]) -> Any:
        if user not in self.users:
            raise denied("domainPolicy", "The domain administrators have disabled Drive apps.")
        return {"kind": "drive#about", "user": {"emailAddress": user, "displayName": self.users[user], "me": True}}

    def _list(self, user: str, given: dict[str, Any]) -> Any:
        corpora = given.get("corpora", "user")
        drive = given.get("driveId", "")
        if (corpora == "drive") != bool(drive):
            raise GoogleError(
                400, "invalid", "The driveId parameter must be specified if and only if corpora is drive."
            )
        if drive and not (given.get("includeItemsFromAllDrives") and given.get("supportsAllDrives")):
            raise GoogleError(400, "invalid", "The includeItemsFromAllDrives parameter must be set to true.")
        if drive and not self._member(user, drive):
            raise not_found(drive)
        keys = given.get("orderBy", "").split(",") if given.get("orderBy") else []
        if set(keys) - SORTS:
            raise GoogleError(400, "invalid", f"Invalid sort: {keys}")
        fits = query(given.get("q", ""), user)
        found = [
            file
            for file in self.files.values()
            if self._sees(user, file)
            and file.get("driveId", "") == drive
            and fits(file)
            and not file["id"].startswith("root-")
        ]
        for key in reversed(keys if self.ordered else []):
            found.sort(key=lambda file: file.get(key, ""))
        size = min(given.get("pageSize", 100), self._server.page)
        page, token = self.pager.page("files", given, found, size)
        answer = {"kind": "drive#fileList", "incompleteSearch": False, "files": [self._seen(user, one) for one in page]}
        return answer | ({"nextPageToken": token} if token else {})

    def _download(self, user: str, given: dict[str, Any]) -> Media:
        file = self._get(user, given)
        if file["mimeType"].startswith(GOOGLE):
            raise denied("fileNotDownloadable", "Only files with binary content can be downloaded. Use Export.")
        if not file["capabilities"]["canDownload"]:
            raise denied("cannotDownloadFile", "This file cannot be downloaded by the user.")
        content = self.contents[file["id"]]
        return content if isinstance(content, Media) else Media.of(content)

    def _export(self, user: str, given: dict[str, Any]) -> Media:
        given = given | {"supportsAllDrives": True}
        file = self._get(user, given)
        kind = file["mimeType"].removeprefix(GOOGLE)
        if not file["mimeType"].startswith(GOOGLE):
            raise denied("fileNotExportable", "Export only supports Docs Editors files.")
        if given["mimeType"] not in EXPORTS.get(kind, ()):
            raise GoogleError(400, "badRequest", "The requested conversion is not supported.")
        content = self.contents[file["id"]]
        size = content.size if isinstance(content, Media) else len(content)
        if size > EXPORT_LIMIT:
            raise denied("exportSizeLimitExceeded", "This file is too large to be exported.")
        assert isinstance(content, bytes)
        return Media.of(content, ranged=False)

    def _drives(self, user: str, given: dict[str, Any]) -> Any:
        found = [drive for id, drive in self.drives.items() if self._member(user, id)]
        page, token = self.pager.page("drives", given, found, min(given.get("pageSize", 10), self._server.page))
        return {"kind": "drive#driveList", "drives": page} | ({"nextPageToken": token} if token else {})

    def _drive(self, user: str, given: dict[str, Any]) -> Any:
        if not self._member(user, given["driveId"]):
            raise GoogleError(404, "notFound", f"Shared drive not found: {given['driveId']}")
        return self.drives[given["driveId"]]

    def _permissions(self, user: str, given: dict[str, Any]) -> Any:
        id = given["fileId"]
        if id in self.drives:
            if not self._member(user, id):
                raise not_found(id)
            held = self.permissions[id]
        else:
            file = self._get(user, given)
            held = self.permissions.get(id, [])
            if "driveId" in file:
                held = held + self.permissions[file["driveId"]]
        page, token = self.pager.page("permissions", given, held, min(given.get("pageSize", 100), self._server.page))
        return {"kind": "drive#permissionList", "permissions": page} | ({"nextPageToken": token} if token else {})

    def _start(self, user: str, given: dict[str, Any]) -> Any:
        if given.get("driveId") and not self._member(user, given["driveId"]):
            raise not_found(given["driveId"])
        return {"kind": "drive#startPageToken", "startPageToken": str(len(self.log) + 1)}

    def _changes(self, user: str, given: dict[str, Any]) -> Any:
        drive, token = given.get("driveId", ""), given["pageToken"]
        if not re.fullmatch(r"\d+", token) or not self.forgotten <= int(token) <= len(self.log) + 1:
            raise bad_token()
        if drive and not (given.get("includeItemsFromAllDrives") and given.get("supportsAllDrives")):
            raise GoogleError(400, "invalid", "The includeItemsFromAllDrives parameter must be set to true.")
        if drive and not self._member(user, drive):
            raise not_found(drive)
        latest: dict[str, int] = {}
        for number, change in enumerate(self.log, 1):
            if number >= int(token) and self._concerns(user, drive, change):
                latest[change["id"]] = number
        numbers = sorted(latest.values())
        size = min(given.get("pageSize", 100), self._server.page)
        page, rest = numbers[:size], numbers[size:]
        changes = [self._change(user, number) for number in page]
        end = {"nextPageToken": str(rest[0])} if rest else {"newStartPageToken": str(len(self.log) + 1)}
        return {"kind": "drive#changeList", "changes": changes} | end

    def _concerns(self, user: str, drive: str, change: dict[str, Any]) -> bool:
        return change["drive"] == drive if drive else not change["drive"] and user in change["readers"]

    def _change(self, user: str, number: int) -> dict[str, Any]:
        change = self.log[number - 1]
        told = {
            "kind": "drive#change",
            "changeType": "file",
            "time": change["time"],
            "removed": change["removed"],
            "fileId": change["id"],
        }
        file = self.files.get(change["id"])
        if change["drive"]:
            told["driveId"] = change["drive"]
        if not change["removed"] and file is not None:
            told["file"] = self._seen(user, file)
        return told


def _permission(address: str, role: str, name: str = "") -> dict[str, Any]:
    return {
        "kind": "drive#permission",
        "id": hashlib.sha256(address.encode()).hexdigest()[:20],
        "type": "user",
        "emailAddress": address,
        "displayName": name or address,
        "role": role,
        "deleted": False,
    }


_TERMS: list[tuple[str, Callable[[re.Match[str], str], Callable[[dict[str, Any]], bool]]]] = [
    (r"trashed = (true|false)", lambda m, _u: lambda file: file["trashed"] is (m[1] == "true")),
    (r"'([^']+)' in parents", lambda m, _u: lambda file: m[1] in file.get("parents", ())),
    (r"'me' in owners", lambda _m, user: lambda file: file.get("owners", [{}])[0].get("emailAddress") == user),
    (r"mimeType = '([^']+)'", lambda m, _u: lambda file: file["mimeType"] == m[1]),
    (
        r"(createdTime|modifiedTime) >= '(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)'",
        lambda m, _u: lambda file: file[m[1]] >= m[2],
    ),
]
"""https://developers.google.com/workspace/drive/api/guides/ref-search-terms"""


def query(text: str, user: str) -> Callable[[dict[str, Any]], bool]:
    """What a query asks for: terms joined by `and`; a group in brackets joined by `or`."""
    if not text:
        return lambda _file: True
    tests = [_group(part.strip(), user) for part in re.split(r" and (?![^(]*\))", text)]
    return lambda file: all(test(file) for test in tests)


def _group(text: str, user: str) -> Callable[[dict[str, Any]], bool]:
    if text.startswith("(") and text.endswith(")"):
        tests = [_term(part.strip(), user) for part in text[1:-1].split(" or ")]
        return lambda file: any(test(file) for test in tests)
    return _term(text, user)


def _term(text: str, user: str) -> Callable[[dict[str, Any]], bool]:
    for pattern, build in _TERMS:
        match = re.fullmatch(pattern, text)
        if match:
            return build(match, user)
    raise GoogleError(400, "invalid", f"Invalid Value: {text}", location="q")
