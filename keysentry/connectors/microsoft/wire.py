"""What Microsoft Graph answers, as types: only the fields that are read, none of them required.

A field that is absent, null or unknown costs nothing. One that has another type than the documentation says makes
`read` give None; the caller then goes by the raw JSON.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

T = TypeVar("T")
Raw = msgspec.Raw


class Graph(msgspec.Struct, rename="camel", frozen=True):
    """Base of the types: Graph writes its names in camelCase."""


class Page(msgspec.Struct, frozen=True):
    """One answer of a list or of a delta function: records as raw JSON, and the link to what follows, if any."""

    value: tuple[Raw, ...] | None = None
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    delta_link: str | None = msgspec.field(default=None, name="@odata.deltaLink")


class Named(Graph, frozen=True):
    """Anything of which only the id matters."""

    id: str | None = None


class Facet(Graph, frozen=True):
    """An object of which only matters that it is there. https://learn.microsoft.com/en-us/graph/api/resources/driveitem"""


class Identity(Graph, frozen=True):
    """A person, an app or a group. https://learn.microsoft.com/en-us/graph/api/resources/identity"""

    id: str | None = None
    display_name: str | None = None
    email: str | None = None
    login_name: str | None = None
    tenant_id: str | None = None


class IdentitySet(Graph, frozen=True):
    """Who did something. https://learn.microsoft.com/en-us/graph/api/resources/identityset"""

    user: Identity | None = None
    application: Identity | None = None
    device: Identity | None = None
    group: Identity | None = None
    site_user: Identity | None = None
    site_group: Identity | None = None

    @property
    def name_and_id(self) -> tuple[str, str]:
        """The name and the id of whoever is named first; empty where nobody is."""
        who = self.user or self.application or self.group or self.site_user or self.device or Identity()
        return who.display_name or who.email or who.id or "", who.email or who.id or ""


class Body(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/itembody"""

    content_type: str | None = None
    content: str | None = None


def read(raw: bytes | Raw, type_: type[T]) -> T | None:
    """A value of that type, or None if the JSON is of another shape."""
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def id_of(raw: bytes | Raw) -> str:
    """The id of an object, whatever else is wrong with it; empty if it has none."""
    named = read(raw, Named)
    return (named.id or "") if named else ""


_FRACTION = re.compile(r"(\.\d{1,6})\d*")


def seconds(text: str | None) -> float | None:
    """A time of Graph (ISO 8601, up to seven digits of a second) in UTC seconds; None for none, or for nonsense."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text, count=1))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def milliseconds(text: str | None) -> int:
    """A time of Graph in UTC milliseconds; 0 for none."""
    moment = seconds(text)
    return round(moment * 1000) if moment else 0


def iso(stamp: int) -> str:
    """Milliseconds as Graph's filters want them."""
    moment = datetime.fromtimestamp(stamp / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
