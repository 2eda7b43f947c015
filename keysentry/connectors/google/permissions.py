"""Who may read a file of Drive: permissions read, taken away and given again.

https://developers.google.com/workspace/drive/api/reference/rest/v3/permissions,
https://developers.google.com/workspace/drive/api/guides/manage-sharing

What a file inherits from the folder or the shared drive that it lies in cannot be taken from the file itself; only
folders can stop it (https://developers.google.com/workspace/drive/api/guides/limited-expansive-access).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.fields import Fields, flag, text, things
from keysentry.errors import AccessError, GoneError, InputError

_FIELDS: Final = (
    "id,type,role,emailAddress,domain,allowFileDiscovery,expirationTime,deleted,pendingOwner,view,permissionDetails"
)
_WIDEST: Final = ("anyone", "domain", "group", "user")
_MAY_SHARE: Final = "act for the owner of the file (`users`), or for a manager of its shared drive (`manager`)"


def listed(actor: Actor, user: str, id: str) -> list[Fields]:
    """All permissions of a file, a folder or a shared drive. Raises `SourceError`."""
    found: list[Fields] = []
    token: str | None = None
    while True:
        page = actor.call(
            "drive",
            user,
            "permissions.list",
            fileId=id,
            pageSize=100,
            pageToken=token,
            supportsAllDrives=True,
            fields=f"nextPageToken,permissions({_FIELDS})",
        )
        found += things(page, "permissions")
        token = text(page, "nextPageToken")
        if not token:
            return found


def direct(permissions: Sequence[Fields]) -> list[Fields]:
    """Those that were given to the thing itself, but for its owner's, the widest first, with the role given there."""
    found = []
    for one in permissions:
        details = things(one, "permissionDetails")
        own = [detail for detail in details if not flag(detail, "inherited")]
        if text(one, "role") == "owner" or (details and not own):
            continue
        role = text(own[0], "role") if own else ""
        kept = {key: value for key, value in one.items() if key != "permissionDetails"}
        found.append(kept | {"role": role or text(one, "role")})
    return sorted(found, key=lambda one: _WIDEST.index(kind) if (kind := text(one, "type")) in _WIDEST else -1)


def inherited(permissions: Sequence[Fields], start: str = "") -> list[Fields]:
    """Those that come from where the thing lies (from the thing with the id `start`, if there is one)."""
    return [
        one
        for one in permissions
        if text(one, "role") != "owner"
        and any(
            flag(detail, "inherited") and start in ("", text(detail, "inheritedFrom"))
            for detail in things(one, "permissionDetails")
        )
    ]


def grantee(permission: Fields) -> tuple[str, str]:
    """Whom a permission is given to."""
    return text(permission, "type"), (text(permission, "emailAddress") or text(permission, "domain")).lower()


def named(permission: Fields) -> str:
    """A permission in words."""
    kind, whom = grantee(permission)
    if kind == "anyone":
        found = flag(permission, "allowFileDiscovery")
        whom = "everyone" if found else "everyone with the link"
    return f"{text(permission, 'role')} for {whom or kind}"


def take(actor: Actor, user: str, id: str, permission: Fields) -> None:
    """Take a permission away. Raises as `Actor.change` does."""
    number = text(permission, "id")

    def gone() -> bool:
        return all(text(one, "id") != number for one in direct(listed(actor, user, id)))

    try:
        actor.change(
            "drive",
            user,
            "permissions.delete",
            gone,
            advice=_MAY_SHARE,
            fileId=id,
            permissionId=number,
            supportsAllDrives=True,
        )
    except GoneError:  # somebody was quicker; what is left is read back
        return


def give(actor: Actor, user: str, id: str, permissions: Sequence[Fields]) -> Iterator[str]:
    """Give permissions again, as far as they are not there; gives in words those that Google does not take."""
    held = {grantee(one): one for one in direct(listed(actor, user, id))}
    for one in permissions:
        there = held.get(grantee(one))
        whole = there is not None and (text(there, "expirationTime") or not text(one, "expirationTime"))
        reason = "" if whole else _given(actor, user, id, one, there)
        if reason:
            yield f"{named(one)} ({reason})"


def _given(actor: Actor, user: str, id: str, permission: Fields, there: Fields | None) -> str:
    """Give one; why it cannot be, or nothing."""
    if flag(permission, "deleted"):
        return "the account was deleted"
    if text(permission, "view"):
        return "it was one of a view only"
    kept = ("type", "role", "emailAddress", "domain", "allowFileDiscovery")
    kind, expires = text(permission, "type"), text(permission, "expirationTime")
    body = {key: permission[key] for key in kept if permission.get(key) not in (None, "")}
    quiet: dict[str, object] = {"sendNotificationEmail": False} if kind in ("user", "group") else {}

    def current() -> Fields | None:
        held = direct(listed(actor, user, id))
        return next((one for one in held if grantee(one) == grantee(permission)), None)

    try:
        if there is None:
            actor.change(
                "drive",
                user,
                "permissions.create",
                lambda: current() is not None,
                advice=_MAY_SHARE,
                fileId=id,
                supportsAllDrives=True,
                body=body,
                **quiet,
            )
        if expires:  # which is not taken when a permission is made
            _expire(actor, user, id, permission, current() or permission)
    except (AccessError, InputError, GoneError) as error:
        return error.reason
    return "the ownership that was offered must be offered again" if flag(permission, "pendingOwner") else ""


def _expire(actor: Actor, user: str, id: str, permission: Fields, current: Fields) -> None:
    """Let a permission end when it did. One that cannot is taken away again: it would be wider than it was."""
    expires = text(permission, "expirationTime")

    def ends() -> bool:
        held = direct(listed(actor, user, id))
        return any(grantee(one) == grantee(permission) and text(one, "expirationTime") for one in held)

    if text(current, "expirationTime"):
        return
    try:
        actor.change(
            "drive",
            user,
            "permissions.update",
            ends,
            advice=_MAY_SHARE,
            fileId=id,
            permissionId=text(current, "id"),
            supportsAllDrives=True,
            body={"role": text(permission, "role"), "expirationTime": expires},
        )
    except (AccessError, InputError):
        take(actor, user, id, current)
        raise
