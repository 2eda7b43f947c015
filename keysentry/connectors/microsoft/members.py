"""Who can read a conversation, from its members."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.delta import rows
from keysentry.connectors.microsoft.faults import ForbiddenError
from keysentry.connectors.microsoft.wire import Graph, read
from keysentry.errors import ClosedError, GoneError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.location import Audience, Exposure

_WIDTH: tuple[Audience, ...] = ("unknown", "private", "internal", "external", "public")


class Member(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/aaduserconversationmember"""

    display_name: str | None = None
    email: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    roles: tuple[str | None, ...] | None = None

    @property
    def guest(self) -> bool:
        """Whether the member was invited from outside."""
        return "guest" in (self.roles or ())


class Readers(msgspec.Struct, frozen=True):
    """Who can read a conversation, and what of that could not be found out."""

    exposure: Exposure
    skipped: tuple[Skipped, ...] = ()


def members(client: GraphClient, under: str) -> Iterator[Member]:
    """The members of a conversation; one that cannot be understood is somebody all the same."""
    for raw in rows(client, under, "members"):
        yield read(raw, Member) or Member()


def readers(client: GraphClient, under: str, audience: Audience, tenant: str, title: str) -> Readers:
    """Who can read a conversation that is open to `audience` of its tenant, once its members are looked at."""
    try:
        count, outside, tenants = 0, False, {tenant} if tenant else set()
        for member in members(client, under):
            count += 1
            outside = outside or member.guest
            if member.tenant_id:
                tenants.add(member.tenant_id)
    except (ForbiddenError, GoneError) as error:
        reason = f"its members cannot be listed, so who could read it is not fully known: {error}"
        return Readers(Exposure(audience), (Skipped(title, reason, partial=True),))
    return Readers(Exposure("external" if outside or len(tenants) > 1 else audience, count))


def wider(one: Audience, other: Audience) -> Audience:
    """The wider of two audiences."""
    return max(one, other, key=_WIDTH.index)


class Patience:
    """How many things of a list may fail before it is the service, or a permission, that fails."""

    def __init__(self, limit: int = 5) -> None:
        self._limit = limit
        self._row = 0
        self._worked = False

    def worked(self) -> None:
        """One could be listed."""
        self._row, self._worked = 0, True

    def failed(self, place: str, error: SourceError) -> Skipped:
        """A note of one that could not. Raises the error if it is not about this one alone."""
        self._row += 1
        alone = isinstance(error, GoneError) or (isinstance(error, ForbiddenError) and self._worked)
        if isinstance(error, ClosedError) or (not alone and self._row >= self._limit):
            raise error
        return Skipped(place, str(error))
