"""Who is in the organisation: users, and the domains that are its own.

https://learn.microsoft.com/en-us/graph/api/user-list
https://learn.microsoft.com/en-us/graph/api/organization-get
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.delta import rows
from keysentry.connectors.microsoft.faults import ForbiddenError
from keysentry.connectors.microsoft.members import Patience
from keysentry.connectors.microsoft.wire import Graph, read
from keysentry.errors import GoneError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit

_FIELDS = "id,userPrincipalName,mail,userType"


class User(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/user"""

    id: str | None = None
    user_principal_name: str | None = None
    mail: str | None = None
    user_type: str | None = None

    @property
    def name(self) -> str:
        """What a person knows the user by."""
        return self.user_principal_name or self.mail or self.id or ""

    @property
    def path(self) -> str:
        """The user's address in Graph."""
        return f"/users/{quote(self.id or self.name, safe='')}"


class Domain(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/verifieddomain"""

    name: str | None = None


class Organization(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/organization"""

    id: str | None = None
    verified_domains: tuple[Domain | None, ...] | None = None


def units_of_users(
    users: Iterator[User | Skipped],
    kind: str,
    of_user: Callable[[User], Iterable[Unit]],
    *,
    none: str = "",
    named: bool = True,
) -> Iterator[Unit | Skipped]:
    """The units of each user, as `of_user` lists them; `kind` is what notes call them.

    `none` says what it means that there is nothing of a user (404), which is only told of users that were `named`.
    """
    patience = Patience()
    for user in users:
        if isinstance(user, Skipped):
            yield user
            continue
        try:
            yield from of_user(user)
            patience.worked()
        except GoneError as error:
            if named:
                yield Skipped(f"{kind} of {user.name}", f"{none}: {error.reason}" if none else str(error))
        except SourceError as error:
            yield patience.failed(f"{kind} of {user.name}", error)


class Directory:
    """What is asked of the directory, and kept as long as the source lives."""

    def __init__(self, client: GraphClient, users: tuple[str, ...], domains: tuple[str, ...]) -> None:
        self._client = client
        self._users = users
        self._domains = frozenset(domain.lower().lstrip("@") for domain in domains)
        self._lock = threading.Lock()
        self._asked = bool(domains)

    def users(self) -> Iterator[User | Skipped]:
        """The users that were named, or all; guests have neither mailbox nor drive here."""
        for name in self._users:
            try:
                found = read(self._client.get(f"/users/{quote(name, safe='')}?$select={_FIELDS}").body, User)
            except GoneError:
                yield Skipped(name, "there is no such user")
                continue
            except ForbiddenError:  # a name that was given needs no permission to look people up
                found = None
            yield found or User(name, name)
        if not self._users:
            for raw in rows(self._client, "/", f"users?$top=999&$select={_FIELDS}"):
                user = read(raw, User)
                if user is None or not user.id:
                    yield Skipped("users", "a user that cannot be understood is not read")
                elif (user.user_type or "Member") != "Guest":
                    yield user

    def own_domains(self, owner: str) -> frozenset[str]:
        """The organisation's domains; if they may not be asked for, that of the `owner` of what is read."""
        with self._lock:
            if not self._asked:
                self._domains = self._verified()
                self._asked = True
        return self._domains or frozenset((domain_of(owner),)) - {""}

    def _verified(self) -> frozenset[str]:
        try:
            found = [read(raw, Organization) for raw in rows(self._client, "/", "organization")]
        except (ForbiddenError, GoneError):
            return frozenset()
        domains = [domain for one in found if one for domain in one.verified_domains or ()]
        return frozenset(domain.name.lower() for domain in domains if domain and domain.name)


def domain_of(address: str) -> str:
    """The domain of a mail address or a sign-in name, in lower case; empty if it has none."""
    return address.rpartition("@")[2].strip().lower() if "@" in address else ""


def outside(address: str, domains: frozenset[str]) -> bool:
    """Whether an address belongs to somebody else: its domain is none of ours, nor below one of ours."""
    if "#ext#" in address.lower():
        return True
    domain = domain_of(address)
    return bool(domain) and bool(domains) and not any(domain == own or domain.endswith(f".{own}") for own in domains)
