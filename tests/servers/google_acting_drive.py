"""Drive as it is acted upon: permissions given and taken, inheritance, moves, properties (see `google_acting`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.servers.google_drive import GOOGLE, DriveState, query
from tests.servers.google_errors import GoogleError, denied, not_found

FOLDER = f"{GOOGLE}folder"
Fields = dict[str, Any]


class ActingDrive(DriveState):
    """Files whose permissions can be changed, and that can be moved."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.mails: list[str] = []
        """Who was told by mail that something was shared with them."""
        self.strangers: set[str] = set()
        """Addresses without an account, who cannot be shared with unless they are told."""
        self.roles: dict[tuple[str, str], str] = {}

    def member(self, drive: str, address: str, role: str) -> None:
        """Somebody joins a shared drive."""
        self.permissions[drive].append(self._grant("user", address, role))

    def give(self, id: str, kind: str, whom: str = "", role: str = "reader", **more: Any) -> None:
        """Somebody shares a file, a folder or a shared drive by hand."""
        self.permissions.setdefault(id, []).append(self._grant(kind, whom, role) | more)
        if id in self.files:
            self._changed(id)

    def take(self, id: str, whom: str) -> None:
        """Somebody ends it."""
        self.permissions[id] = [one for one in self.permissions[id] if whom not in one.values()]

    def readers(self, id: str) -> set[str]:
        """Who can read a file: addresses, domains, `anyone`."""
        return {one.get("emailAddress") or one.get("domain") or one["type"] for one in self.held(id)}

    def held(self, id: str) -> list[Fields]:
        """All permissions on a file, with where each comes from."""
        merged: dict[str, Fields] = {}
        details: dict[str, list[Fields]] = {}
        for place in self._way(id):
            for one in self.permissions.get(place, ()):
                if place != id and one["role"] == "owner":
                    continue
                told = {"permissionType": "file", "role": one["role"], "inherited": place != id}
                if place in self.drives:
                    told["permissionType"] = "member"
                if place != id and (place in self.drives or "driveId" in self.files[place]):
                    told["inheritedFrom"] = place
                merged.setdefault(one["id"], one)
                details.setdefault(one["id"], []).append(told)
        return [one | {"permissionDetails": details[id]} for id, one in merged.items()]

    def _way(self, id: str) -> Iterator[str]:
        while id:
            yield id
            file = self.files.get(id)
            if file is None or file.get("inheritedPermissionsDisabled"):
                return
            id = next(iter(file.get("parents", ())), "")

    def _grant(self, kind: str, whom: str, role: str) -> Fields:
        made: Fields = {"kind": "drive#permission", "type": kind, "role": role}
        if kind in ("user", "group"):
            return made | {"id": f"{kind}-{whom}", "emailAddress": whom, "displayName": whom, "deleted": False}
        if kind == "domain":
            return made | {"id": f"domain-{whom}", "domain": whom, "allowFileDiscovery": False}
        return made | {"id": "anyoneWithLink", "allowFileDiscovery": False}

    def _sees(self, user: str, file: Fields) -> bool:
        found = self.readers(file["id"])
        return bool(found & {user, user.rpartition("@")[2], "anyone"})

    def _role(self, user: str, id: str) -> str:
        order = ("owner", "organizer", "fileOrganizer", "writer", "commenter", "reader")
        roles = [one["role"] for one in self.held(id) if one.get("emailAddress") == user]
        return min(roles, key=order.index, default="")

    def _seen(self, user: str, file: Fields) -> Fields:
        told = super()._seen(user, file)
        role = self._role(user, file["id"])
        able: Fields = {"canDownload": file["capabilities"]["canDownload"]}
        able["canEdit"] = role in ("owner", "organizer", "fileOrganizer", "writer")
        if "driveId" in file:
            able["canMoveItemOutOfDrive"] = role == "organizer"
        told.pop("permissions", None)
        return told | {"capabilities": able}

    def call(self, method: str, user: str, given: Fields, *, media: bool) -> Any:
        """Answer a method."""
        acting = {
            "files.update": self._update,
            "files.create": self._create,
            "permissions.create": self._share,
            "permissions.update": self._reshare,
            "permissions.delete": self._unshare,
        }.get(method)
        if acting is not None:
            return acting(user, given)
        if method == "files.get" and given["fileId"] in self.drives and not media:
            id = given["fileId"]
            if not self._member(user, id) or not given.get("supportsAllDrives"):
                raise not_found(id)
            return {"kind": "drive#file", "id": id, "driveId": id, "mimeType": FOLDER, "name": "Drive"}
        return super().call(method, user, given, media=media)

    def _list(self, user: str, given: Fields) -> Any:
        match = re.match(
            r"properties has \{ key='(\w+)' and value='(\w+)' \} and (.+) and 'root' in parents and (.+)",
            given.get("q", ""),
        )
        if match is None:
            return super()._list(user, given)
        fits = query(f"{match[3]} and {match[4]}", user)
        found = [
            self._seen(user, one)
            for one in self.files.values()
            if one.get("properties", {}).get(match[1]) == match[2] and one["parents"] == [f"root-{user}"] and fits(one)
        ]
        return {"kind": "drive#fileList", "incompleteSearch": False, "files": found}

    def _create(self, user: str, given: Fields) -> Any:
        body = self._server.body
        assert body["mimeType"] == FOLDER and body["parents"] == ["root"]
        id = self.add(body["name"], owner=user, kind=FOLDER, more={"properties": body["properties"]})
        return self._seen(user, self.files[id])

    def _update(self, user: str, given: Fields) -> Any:
        file, body = self._get(user, given), self._server.body
        id = file["id"]
        if self._role(user, id) not in ("owner", "organizer", "fileOrganizer", "writer"):
            raise denied("insufficientFilePermissions", "The user does not have sufficient permissions for this file.")
        if given.get("addParents"):
            self._move(user, file, given["addParents"], given.get("removeParents", ""))
        self._server.tick()
        changed = {"modifiedTime": body.get("modifiedTime") or self._server.stamp()}
        if "properties" in body:
            held = file.get("properties", {}) | body["properties"]
            changed["properties"] = {key: value for key, value in held.items() if value is not None}
        self.files[id] |= changed
        self._changed(id)
        return self._seen(user, self.files[id])

    def _move(self, user: str, file: Fields, target: str, removed: str) -> None:
        target = f"root-{user}" if target == "root" else target
        there = self.files.get(target)
        drive = target if target in self.drives else (there or {}).get("driveId", "")
        seen = self._member(user, target) if target in self.drives else there is not None and self._sees(user, there)
        if not seen:
            raise not_found(target)
        if set(removed.split(",")) - {""} != set(file["parents"]):
            message = "A file in a shared drive must have exactly one parent."
            raise denied("cannotAddParent", message)
        if drive != file.get("driveId", ""):
            if "driveId" in file and self._role(user, file["id"]) != "organizer":
                raise denied("cannotMoveOutOfDrive", "Only managers move things out of a shared drive.")
            if self._role(user, target) not in ("organizer", "fileOrganizer", "writer", "owner"):
                raise denied("insufficientParentPermissions", "Insufficient permissions for the specified parent.")
            assert drive, "files of shared drives are not moved into somebody's own drive here"
            file["driveId"] = drive
            for key in ("owners", "ownedByMe", "shared"):
                file.pop(key, None)
        file["parents"] = [target]

    def _permissions(self, user: str, given: Fields) -> Any:
        id = given["fileId"]
        if id in self.drives:
            if not self._member(user, id):
                raise not_found(id)
            held = [
                one | {"permissionDetails": [{"permissionType": "member", "role": one["role"], "inherited": False}]}
                for one in self.permissions[id]
            ]
        else:
            file = self._get(user, given)
            if self._role(user, file["id"]) not in ("owner", "organizer", "fileOrganizer", "writer"):
                raise denied("insufficientFilePermissions", "The user does not have sufficient permissions.")
            held = self.held(id)
        page, token = self.pager.page("permissions", given, held, min(given.get("pageSize", 100), self._server.page))
        return {"kind": "drive#permissionList", "permissions": page} | ({"nextPageToken": token} if token else {})

    def _may_share(self, user: str, given: Fields) -> str:
        file = self._get(user, given)
        if self._role(user, file["id"]) not in ("owner", "organizer"):
            raise denied("insufficientFilePermissions", "The user does not have sufficient permissions for this file.")
        return str(file["id"])

    def _share(self, user: str, given: Fields) -> Any:
        id, body = self._may_share(user, given), self._server.body
        kind, whom = body["type"], body.get("emailAddress") or body.get("domain") or ""
        told = given.get("sendNotificationEmail", kind in ("user", "group"))
        if kind not in ("user", "group") and "sendNotificationEmail" in given:
            raise GoogleError(400, "invalid", "sendNotificationEmail is not allowed for this type of permission.")
        if whom in self.strangers and not told:
            raise GoogleError(
                400, "invalidSharingRequest", "You are trying to invite someone who has no Google account."
            )
        if told:
            self.mails.append(whom)
        made = self._grant(kind, whom, body["role"])
        if kind in ("domain", "anyone"):
            made["allowFileDiscovery"] = body.get("allowFileDiscovery", False)
        held = self.permissions.setdefault(id, [])
        held[:] = [one for one in held if one["id"] != made["id"]] + [made]
        self._changed(id)
        return made

    def _one(self, id: str, given: Fields) -> Fields:
        number = given["permissionId"]
        found = next((one for one in self.permissions.get(id, ()) if one["id"] == number), None)
        if found is None and any(one["id"] == number for one in self.held(id)):
            raise denied("cannotModifyInheritedPermission", "An inherited permission cannot be changed here.")
        if found is None:
            raise GoogleError(404, "notFound", f"Permission not found: {number}.", location="permissionId")
        return found

    def _reshare(self, user: str, given: Fields) -> Any:
        id, body = self._may_share(user, given), self._server.body
        found = self._one(id, given)
        ends = body.get("expirationTime")
        if ends and not self._server.stamp() < ends:
            raise denied("expirationDateNotAllowed", "The expiration date must be in the future.")
        found |= {key: body[key] for key in ("role", "expirationTime") if key in body}
        self._changed(id)
        return found

    def _unshare(self, user: str, given: Fields) -> None:
        id = self._may_share(user, given)
        found = self._one(id, given)
        assert found["role"] != "owner"
        self.permissions[id].remove(found)
        self._changed(id)
