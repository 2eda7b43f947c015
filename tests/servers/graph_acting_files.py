"""Files and the rights to them in the Graph server of our own: moved, copied, deleted, shared."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from tests.servers.graph_acting_call import NOTHING, ActingCall, acting, made, user_of
from tests.servers.graph_call import Made, Trouble, of
from tests.servers.graph_state import Entry, Json, Space

if TYPE_CHECKING:
    from tests.servers.graph_acting import ActingServer

_OFFICE = (".docx", ".xlsx", ".pptx")


def _drive(call: ActingCall, drive: str) -> Space:
    return of(call.tenant.drives, drive)


def _entry(call: ActingCall, drive: str, item: str) -> tuple[Space, Entry]:
    space = _drive(call, drive)
    entry = space.entries.get("root-item" if item == "root" else item)
    if entry is None or entry.gone:
        raise Trouble(404, "itemNotFound", "The resource could not be found.")
    return space, entry


def child(drive: Space, folder: str, name: str) -> Entry | None:
    """What a folder holds under a name; names differ by more than their case."""
    found = (one for one in children(drive, folder) if one.body["name"].lower() == name.lower())
    return next(found, None)


def children(drive: Space, folder: str) -> list[Entry]:
    """What a folder holds."""
    return [
        one
        for one in drive.entries.values()
        if not one.gone and "root" not in one.body and one.body.get("parentReference", {}).get("id") == folder
    ]


def rights(drive: Space, entry: Entry) -> list[Json]:
    """The rights to a file, those of the folders above among them."""
    found = list(entry.permissions)
    parent = drive.entries.get(entry.body.get("parentReference", {}).get("id", ""))
    if parent is not None and parent is not entry and not getattr(entry, "unique", False):
        found += rights(drive, parent)
    return found


def _shown(call: ActingCall, drive: Space, entry: Entry) -> Json:
    body = dict(entry.body)
    if "file" in body:
        digest = base64.b64encode(hashlib.sha1(entry.content, usedforsecurity=False).digest()).decode()
        body["file"] = body["file"] | {"hashes": {"quickXorHash": digest}}
        if call.server.tell_downloads:
            body["@microsoft.graph.downloadUrl"] = call.address(drive, entry)
    return body


def _touched(call: ActingCall, entry: Entry, *, content: bool = False) -> None:
    call.tenant.tick()
    entry.seq = call.tenant.seq
    id_ = entry.body["id"]
    entry.body["eTag"] = f'"{{{id_}}},{entry.seq}"'
    if content:
        entry.body["cTag"] = f'"c:{{{id_}}},{entry.seq}"'


def _free(drive: Space, folder: str, name: str, mine: Entry | None = None) -> None:
    found = child(drive, folder, name)
    if found is not None and found is not mine:
        raise Trouble(409, "nameAlreadyExists", "An item with the same name already exists under the parent")


def _new(call: ActingCall, drive: Space, folder: str, facets: Json, content: bytes = b"") -> Entry:
    call.tenant.tick()
    id_ = call.server.next("01NEW")
    owner = drive.body["owner"]["user"]["id"]
    entry = Entry(call.tenant._item(drive, {"id": id_, "size": len(content), **facets}, owner), call.tenant.seq)
    entry.body["parentReference"] = {"driveId": drive.id, "id": folder}
    entry.content = content
    drive.entries[id_] = entry
    return entry


@acting("GET", "/drives/{}/items/{}", "Files.Read.All")
def _item(call: ActingCall, drive: str, item: str) -> Made:
    return _shown(call, *_entry(call, drive, item))


@acting("GET", "/drives/{}/items/{}:/{}", "Files.Read.All")
def _named(call: ActingCall, drive: str, folder: str, name: str) -> Made:
    space, parent = _entry(call, drive, folder)
    found = child(space, parent.body["id"], name)
    if found is None:
        raise Trouble(404, "itemNotFound", "The resource could not be found.")
    return _shown(call, space, found)


@acting("GET", "/drives/{}/items/{}/children", "Files.Read.All", "$skiptoken")
def _children(call: ActingCall, drive: str, item: str) -> Made:
    space, entry = _entry(call, drive, item)
    found = [_shown(call, space, one) for one in children(space, entry.body["id"])]
    return call.listed(found, f"drives/{drive}/items/{item}/children")


@acting("POST", "/drives/{}/items/{}/children", "Files.ReadWrite.All")
def _make_folder(call: ActingCall, drive: str, item: str) -> Made:
    space, entry = _entry(call, drive, item)
    body = call.json
    if body.get("@microsoft.graph.conflictBehavior", "fail") != "fail" or "folder" not in body:
        raise Trouble(400, "invalidRequest")
    _free(space, entry.body["id"], body["name"])
    folder = _new(call, space, entry.body["id"], {"name": body["name"], "folder": {"childCount": 0}})
    call.done("folder")
    return made(_shown(call, space, folder))


@acting("PATCH", "/drives/{}/items/{}", "Files.ReadWrite.All")
def _update(call: ActingCall, drive: str, item: str) -> Made:
    space, entry = _entry(call, drive, item)
    call.matches(entry)
    body = call.json
    parent = body.get("parentReference") or {}
    if parent.get("driveId", drive) != drive:
        raise Trouble(400, "notSupported", "Items cannot be moved between drives.")
    folder = parent.get("id", entry.body["parentReference"]["id"])
    if folder not in space.entries or space.entries[folder].gone:
        raise Trouble(404, "itemNotFound", "The parent could not be found.")
    name = body.get("name", entry.body["name"])
    _free(space, folder, name, entry)
    entry.body |= {"name": name, "parentReference": {"driveId": drive, "id": folder}}
    _touched(call, entry)
    call.done("move" if parent else "rename")
    return _shown(call, space, entry)


@acting("DELETE", "/drives/{}/items/{}", "Files.ReadWrite.All")
def _delete(call: ActingCall, drive: str, item: str) -> Made:
    space, entry = _entry(call, drive, item)
    call.matches(entry)
    for one in (entry, *children(space, entry.body["id"])):
        call.tenant.tick()
        one.seq, one.gone = call.tenant.seq, True
    call.done("delete")
    return NOTHING


@acting("PUT", "/drives/{}/items/{}:/{}:/content", "Files.ReadWrite.All", "@microsoft.graph.conflictBehavior")
def _put(call: ActingCall, drive: str, folder: str, name: str) -> Made:
    space, parent = _entry(call, drive, folder)
    if call.query.get("@microsoft.graph.conflictBehavior") != "fail":
        raise Trouble(400, "invalidRequest", "a test replaces nothing")
    _free(space, parent.body["id"], name)
    facets = {"name": name, "file": {"mimeType": "text/plain"}}
    file = _new(call, space, parent.body["id"], facets, call.content)
    call.done("put")
    return made(_shown(call, space, file))


@acting("POST", "/drives/{}/items/{}/copy", "Files.ReadWrite.All", "@microsoft.graph.conflictBehavior")
def _copy(call: ActingCall, drive: str, item: str) -> Made:
    _, entry = _entry(call, drive, item)
    body = call.json
    target, folder = _entry(call, body["parentReference"]["driveId"], body["parentReference"]["id"])
    name = body.get("name", entry.body["name"])
    _free(target, folder.body["id"], name)
    monitor = call.server.next("monitor")
    call.server.monitors[monitor] = "inProgress"
    call.server.copies.append({"name": name, "versions": body.get("includeAllVersionHistory") and "name" not in body})
    content = entry.content + (b"<rewritten/>" if name.lower().endswith(_OFFICE) else b"")

    def finish() -> None:
        if call.server.copy_fails or child(target, folder.body["id"], name) is not None:
            call.server.monitors[monitor] = "failed"
            return
        _new(call, target, folder.body["id"], {"name": name, "file": dict(entry.body["file"])}, content)
        call.server.monitors[monitor] = "completed"

    call.server.waiting.append([call.server.copy_after, finish])
    call.done("copy")
    return 202, b"", {"Location": f"{call.server.url}/monitor/{monitor}"}


# Rights


@acting("GET", "/drives/{}/items/{}/permissions", "Files.Read.All", "$skiptoken")
def _rights(call: ActingCall, drive: str, item: str) -> Made:
    return call.listed(rights(*_entry(call, drive, item)), f"drives/{drive}/items/{item}/permissions")


@acting("DELETE", "/drives/{}/items/{}/permissions/{}", "Files.ReadWrite.All")
def _take_right(call: ActingCall, drive: str, item: str, right: str) -> Made:
    space, entry = _entry(call, drive, item)
    if right in call.server.fixed_rights:
        raise Trouble(403, "accessDenied", "The caller does not have permission to perform the action.")
    own = [one for one in entry.permissions if one["id"] == right]
    if not own:
        inherited = any(one["id"] == right for one in rights(space, entry))
        raise Trouble(400 if inherited else 404, "invalidRequest" if inherited else "itemNotFound")
    entry.permissions.remove(own[0])
    call.done("right taken")
    return NOTHING


@acting("POST", "/drives/{}/items/{}/createLink", "Files.ReadWrite.All")
def _link(call: ActingCall, drive: str, item: str) -> Made:
    _, entry = _entry(call, drive, item)
    body = call.json
    if body.get("type") not in ("view", "edit") or body.get("scope") not in ("anonymous", "organization", "users"):
        raise Trouble(400, "invalidRequest", "no such link")
    if body.get("retainInheritedPermissions") is not True:
        raise Trouble(400, "invalidRequest", "a test takes no inherited rights away")
    if call.server.no_links:
        raise Trouble(403, "accessDenied", "Sharing by link has been disabled for this site.")
    for one in entry.permissions:
        if (one.get("link") or {}).get("type") == body["type"] and one["link"]["scope"] == body["scope"]:
            return one
    made_link = link(call.server, body["scope"], body["type"])
    entry.permissions.append(made_link)
    call.done("link")
    return made(made_link)


@acting("POST", "/drives/{}/items/{}/invite", "Files.ReadWrite.All")
def _invite(call: ActingCall, drive: str, item: str) -> Made:
    _, entry = _entry(call, drive, item)
    body = call.json
    if body.get("sendInvitation") is not False or body.get("retainInheritedPermissions") is not True:
        raise Trouble(400, "invalidRequest", "a test sends no mails and takes no inherited rights away")
    if not set(body["roles"]) <= {"read", "write"}:
        raise Trouble(400, "invalidRequest", "no such role")
    given = []
    for recipient in body["recipients"]:
        user = user_of(call, recipient.get("objectId") or recipient.get("email") or "")
        if user is None:
            raise Trouble(400, "invalidRequest", "New guests cannot be invited by an app.")
        given.append(grant(call.server, user, body["roles"][0]))
        call.done("invite")
    entry.permissions += given
    return {"value": given}


def link(server: ActingServer, scope: str, kind: str = "view", **more: Any) -> Json:
    """A right by a link."""
    id_ = server.next("link")
    role = "write" if kind == "edit" else "read"
    told = {"type": kind, "scope": scope, "webUrl": f"https://contoso-my.sharepoint.com/:t:/g/{id_}"}
    return {"id": id_, "roles": [role], "link": told, "hasPassword": False, **more}


def grant(server: ActingServer, user: Json, role: str = "read", **more: Any) -> Json:
    """A right of somebody."""
    who = {"id": user["id"], "displayName": user["displayName"], "email": user["mail"]}
    return {"id": server.next("grant"), "roles": [role], "grantedToV2": {"user": who}, **more}
