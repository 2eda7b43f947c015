"""Rights to a file: which it has of its own, taking them away, and giving them again.

Facts that decide the shape:

- A right is a link, or is given to a person, a group or an app
  (https://learn.microsoft.com/en-us/graph/api/resources/permission). OneDrive for work and SharePoint do not say which
  ones come from the folder; those are the ones that the folder has as well. They cannot be taken away from the file,
  and come back by themselves when it is in its folder again.
- People and groups of the directory are given a right by an invitation that is not sent; the roles are read and write
  (https://learn.microsoft.com/en-us/graph/api/driveitem-invite). Guests must have been invited before.
- A link is made anew, with another address (https://learn.microsoft.com/en-us/graph/api/driveitem-createlink). One for
  certain people becomes rights of these people, and one with a password, or that lets nobody download, is not made.
- The owner's right stays.

What is given is recognised by what it says, not by its id, so that nothing is given twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from keysentry.connectors.microsoft.acting import Actor, Fields, text
from keysentry.errors import AccessError, GoneError, InputError

_EVERYONE: Final = ("c:0(.s|true", "spo-grid-all-users")
_IDENTITIES: Final = ("user", "group", "siteUser", "siteGroup", "application")
_TYPES: Final = frozenset(("view", "edit"))


class Right(NamedTuple):
    """What one right says. `kind`: `link` (`who` is its scope, `role` its type), `grant` (to somebody who can be
    invited, by the id in the directory or the mail address; `also` is the other one), or `other` (to an app or a group
    of SharePoint).
    """

    kind: str
    who: str
    role: str
    also: str = ""

    def of(self, other: Right) -> bool:
        """Whether both are the same kind of right of the same."""
        return self.kind == other.kind and bool({self.who, self.also} & {other.who, other.also} - {""})

    def same(self, other: Right) -> bool:
        """Whether both say the same."""
        return self.role == other.role and self.of(other)


class Restored(NamedTuple):
    """What came of giving rights again: how many were given, how many of them links, and what could not be given."""

    given: int
    links: int
    lost: tuple[str, ...]


def listed(actor: Actor, item: str) -> list[Fields]:
    """The rights to a file or folder, by its address."""
    return list(actor.listed(item, "permissions"))


def own(rights: Iterable[Fields], folder: Iterable[Fields]) -> tuple[Fields, ...]:
    """Those that a file has of its own: not its owner's, not those of its folder."""
    inherited = _all(folder)

    def inherits(one: Fields) -> bool:
        said = list(_said(one))
        return bool(said) and all(any(right.same(other) for other in inherited) for right in said)

    return tuple(one for one in rights if not one.get("inheritedFrom") and not _owner(one) and not inherits(one))


def open_to(rights: Iterable[Fields]) -> str:
    """Who else can read a folder, if everybody of the organisation or more can; empty if not."""
    for one in rights:
        if text(one, "link", "scope") in ("anonymous", "organization"):
            return f"whoever has a link ({text(one, 'link', 'scope')})"
        if any(mark in text(who, "loginName") for who in _holders(one) for mark in _EVERYONE):
            return "everybody of the organisation"
    return ""


def shared_by(one: Iterable[Fields], other: Iterable[Fields]) -> bool:
    """Whether somebody but owners can read both of two folders."""
    mine, theirs = (_all(right for right in side if not _owner(right)) for side in (one, other))
    return any(right.of(their) for right in mine for their in theirs)


def take_away(actor: Actor, item: str, folder: Iterable[Fields]) -> int:
    """Take away all rights that a file has of its own; how many that were.

    https://learn.microsoft.com/en-us/graph/api/permission-delete
    """
    taken = own(listed(actor, item), folder)
    for one in taken:
        id_ = text(one, "id")
        path = f"{item}/permissions/{quote(id_, safe='')}"
        try:
            actor.change("DELETE", path, lambda id_=id_: not _there(actor, item, id_))  # type: ignore[misc]
        except GoneError:
            continue
    return len(taken)


def give_again(actor: Actor, item: str, rights: Iterable[Fields]) -> Restored:
    """Give a file the rights that it had, as far as that is possible and they are not there."""
    given = links = 0
    lost: list[str] = []
    for one in rights:
        for right in _said(one):
            if _has(actor, item, right):
                continue
            refusal = _refusal(one, right)
            if not refusal:
                try:
                    _give(actor, item, one, right)
                    given, links = given + 1, links + (right.kind == "link")
                    continue
                except (AccessError, InputError) as error:
                    refusal = error.reason
            lost.append(f"{_described(right)} ({refusal})")
    return Restored(given, links, tuple(lost))


def missing(actor: Actor, item: str, rights: Iterable[Fields]) -> list[str]:
    """Which of some rights a file does not have."""
    there = _all(listed(actor, item))
    wanted = (right for one in rights for right in _said(one))
    return [_described(right) for right in wanted if not any(right.same(other) for other in there)]


def _give(actor: Actor, item: str, one: Fields, right: Right) -> None:
    ends = {"expirationDateTime": one["expirationDateTime"]} if one.get("expirationDateTime") else {}
    if right.kind == "link":
        path, body = "createLink", {"type": right.role, "scope": right.who, "retainInheritedPermissions": True}
    else:
        path = "invite"
        body = {
            "recipients": [_recipient(right.who)],
            "roles": [right.role],
            "requireSignIn": True,
            "sendInvitation": False,
            "retainInheritedPermissions": True,
        }
    actor.change("POST", f"{item}/{path}", lambda: _has(actor, item, right), body | ends)


def _recipient(who: str) -> Fields:
    return {"email": who} if "@" in who else {"objectId": who}


def _refusal(one: Fields, right: Right) -> str:
    """Why a right cannot be given again; empty if it can."""
    if one.get("hasPassword"):
        return "its password is not known"
    link = one.get("link")
    if right.kind == "link" and (right.role not in _TYPES or (isinstance(link, dict) and link.get("preventsDownload"))):
        return "Graph makes no link of this kind"
    if right.kind == "other":
        return "Graph gives no rights to groups of SharePoint and to apps this way"
    return ""


def _there(actor: Actor, item: str, id_: str) -> bool:
    return any(text(one, "id") == id_ for one in listed(actor, item))


def _all(rights: Iterable[Fields]) -> list[Right]:
    return [right for one in rights for right in _said(one)]


def _has(actor: Actor, item: str, right: Right) -> bool:
    return any(right.same(other) for other in _all(listed(actor, item)))


def _said(one: Fields) -> Iterator[Right]:
    """What a right says; a link for certain people says that each of them has it."""
    roles = [role for role in one.get("roles") or () if isinstance(role, str)]
    role = "write" if {"write", "sp.full control", "owner"} & set(roles) else "read"
    scope = text(one, "link", "scope")
    if scope and scope not in ("users", "existingAccess"):
        yield Right("link", scope, text(one, "link", "type") or ("edit" if role == "write" else "view"))
        return
    yield from dict.fromkeys(_held_by(one, holder, role) for holder in _holders(one))


def _holders(one: Fields) -> Iterator[Fields]:
    """Everyone that a right was given to, in the newer form where there are both."""
    single = one.get("grantedToV2") or one.get("grantedTo")
    several = one.get("grantedToIdentitiesV2") or one.get("grantedToIdentities") or []
    for holder in [single, *several] if isinstance(several, list) else [single]:
        if isinstance(holder, dict):
            yield next((holder[kind] | {"of": kind} for kind in _IDENTITIES if isinstance(holder.get(kind), dict)), {})


def _held_by(one: Fields, holder: Fields, role: str) -> Right:
    email = text(holder, "email") or text(one, "invitation", "email")
    id_ = text(holder, "id") if text(holder, "of") in ("user", "group") else ""
    if id_ or email:
        return Right("grant", id_ or email, role, email)
    named = text(holder, "loginName") or text(holder, "displayName") or text(holder, "id")
    return Right("other", f"{text(holder, 'of')} {named}", role)


def _owner(one: Fields) -> bool:
    return "owner" in (one.get("roles") or ())


def _described(right: Right) -> str:
    if right.kind == "link":
        return f"a link to {right.role} ({right.who})"
    return f"the right to {right.role} of {right.also or right.who}"
