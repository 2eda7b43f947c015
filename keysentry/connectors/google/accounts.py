"""Whom a source acts for, and who belongs to the organisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from keysentry.connectors.google import Options
from keysentry.connectors.google.client import Client
from keysentry.connectors.google.fields import text
from keysentry.errors import AccessError
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Unit


class Accounts:
    """The users of a source. "" stands for the one user to whom the credentials belong."""

    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._given = options.domains
        self._addresses: dict[str, str] = {}
        self.users: tuple[str, ...] = tuple(dict.fromkeys(user.lower() for user in options.users)) or ("",)

    def user(self, address: str) -> str:
        """The user to act for, given an address from the id of a unit."""
        return address if address in self.users else self.users[0]

    def address(self, user: str) -> str:
        """The address of a user, asked of Drive where it is not known.

        https://developers.google.com/workspace/drive/api/reference/rest/v3/about/get
        """
        if not user and user not in self._addresses:
            told = self._client.call("drive", user, "about.get", fields="user(emailAddress)")
            self.note(user, text(told, "user", "emailAddress") or "me")
        return user or self._addresses[user]

    def note(self, user: str, address: str) -> str:
        """Remember the address that an interface told for a user."""
        return self._addresses.setdefault(user, address.lower())

    @property
    def domains(self) -> frozenset[str]:
        """The organisation's domains, in lower case; of users without an address it is not known."""
        given = self._given or [_domain(one) for one in (*self.users, *self._addresses.values())]
        return frozenset(domain.lower().lstrip("@") for domain in given if domain)

    def exposure(self, addresses: Iterable[str], reach: int | None = None) -> Exposure:
        """Who could read what these addresses were given: external if one of them is of another domain."""
        domains = {_domain(one) for one in addresses} - {""}
        own = self.domains
        if not own:
            return Exposure("unknown", reach)
        return Exposure("external" if domains - own else "private", reach)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower() if "@" in address else ""


def by_user(users: tuple[str, ...], units: Callable[[str], Iterator[Unit | Skipped]]) -> Iterator[Unit | Skipped]:
    """The units of every user. One who cannot be acted for costs only themselves, unless nobody can be acted for."""
    refused: list[AccessError] = []
    for user in users:
        try:
            yield from units(user)
        except AccessError as error:
            refused.append(error)
    if len(refused) == len(users):
        raise refused[0]
    yield from (Skipped(error.place, f"{error.reason} ({error.advice})") for error in refused)
