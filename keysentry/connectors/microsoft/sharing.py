"""Who can read a file: from how it is shared.

https://learn.microsoft.com/en-us/graph/api/resources/shared
https://learn.microsoft.com/en-us/graph/api/resources/permission
"""

from __future__ import annotations

from collections.abc import Iterator

from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.delta import rows
from keysentry.connectors.microsoft.directory import outside
from keysentry.connectors.microsoft.faults import ForbiddenError, LockedError
from keysentry.connectors.microsoft.members import wider
from keysentry.connectors.microsoft.wire import Graph, Identity, IdentitySet, read
from keysentry.errors import GoneError
from keysentry.model.location import Audience

_SCOPES: dict[str, Audience] = {"anonymous": "public", "organization": "internal", "users": "private"}
_EVERYONE = "c:0(.s|true"
_EVERYONE_INSIDE = "spo-grid-all-users"
"""Login names of SharePoint's own groups «Everyone» and «Everyone except external users».

https://learn.microsoft.com/en-us/sharepoint/troubleshoot/administration/restore-deleted-everyone-except-external-users
"""


class SharingLink(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/sharinglink"""

    scope: str | None = None


class Invitation(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/sharinginvitation"""

    email: str | None = None


class Permission(Graph, frozen=True):
    """Somebody's right to read a file."""

    link: SharingLink | None = None
    invitation: Invitation | None = None
    granted_to: IdentitySet | None = None
    granted_to_v2: IdentitySet | None = None
    granted_to_identities: tuple[IdentitySet | None, ...] | None = None
    granted_to_identities_v2: tuple[IdentitySet | None, ...] | None = None

    @property
    def holders(self) -> Iterator[Identity]:
        """Everyone that the right was given to; the same one may come several times."""
        single = (self.granted_to_v2, self.granted_to)
        several = (*(self.granted_to_identities_v2 or ()), *(self.granted_to_identities or ()))
        for holder in (*single, *several):
            if holder:
                yield from filter(None, (holder.site_user, holder.user, holder.site_group, holder.group))


def of_scope(scope: str | None) -> Audience:
    """The audience that the facet `shared` of a file tells."""
    return _SCOPES.get(scope or "", "unknown")


def of_permissions(client: GraphClient, item: str, domains: frozenset[str]) -> tuple[Audience, int | None]:
    """The audience of a file by its rights, and how many people hold one (None if groups or links do).

    Asks once. A file whose rights may not be seen is of unknown audience.
    """
    audience: Audience = "private"
    people: set[str] = set()
    countable = True
    try:
        for raw in rows(client, f"{item}/", "permissions"):
            one = read(raw, Permission)
            if one is None:
                return "unknown", None
            audience = wider(audience, _audience(one, domains))
            countable = countable and _count(one, people)
    except (ForbiddenError, GoneError, LockedError):
        return "unknown", None
    return audience, len(people) if countable and audience in ("private", "external") else None


def _audience(one: Permission, domains: frozenset[str]) -> Audience:
    audience = of_scope(one.link.scope) if one.link else "private"
    audience = "private" if audience == "unknown" else audience
    if one.invitation and outside(one.invitation.email or "", domains):
        audience = wider(audience, "external")
    for holder in one.holders:
        login = holder.login_name or ""
        if login.startswith(_EVERYONE):
            audience = wider(audience, "external")
        elif _EVERYONE_INSIDE in login:
            audience = wider(audience, "internal")
        elif outside(holder.email or login.rpartition("|")[2], domains):
            audience = wider(audience, "external")
    return audience


def _count(one: Permission, people: set[str]) -> bool:
    """Add the people that hold a right; answers whether they can be counted."""
    groups = [
        holder for holder in (one.granted_to_v2, one.granted_to) if holder and (holder.group or holder.site_group)
    ]
    wide = one.link is not None and one.link.scope in ("anonymous", "organization")
    for holder in one.holders:
        people.add((holder.email or holder.login_name or holder.id or holder.display_name or "").lower())
    return not groups and not wide
