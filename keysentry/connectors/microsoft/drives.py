"""Files in OneDrive and SharePoint: drives, and what changes in them.

A drive's delta function gives every file as it is now, then each one that is new, edited, moved, shared or deleted.

Facts:
https://learn.microsoft.com/en-us/graph/api/driveitem-delta
https://learn.microsoft.com/en-us/graph/api/resources/driveitem
https://learn.microsoft.com/en-us/graph/api/site-getallsites
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft import EVERY_SITE
from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.content import Content, File
from keysentry.connectors.microsoft.delta import Lane, Made, deliveries, rows
from keysentry.connectors.microsoft.directory import Directory, User, units_of_users
from keysentry.connectors.microsoft.members import Patience, wider
from keysentry.connectors.microsoft.sharing import of_permissions, of_scope
from keysentry.connectors.microsoft.wire import Facet, Graph, IdentitySet, Raw, id_of, read, seconds
from keysentry.errors import GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Audience, Exposure
from keysentry.model.record import Part, Record, Unit

_TOP = 200
_PERSONAL = "-my.sharepoint."
"""In the address of the sites that OneDrives are kept in; these are read as their users' drives."""


class Site(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/site"""

    id: str | None = None
    display_name: str | None = None
    name: str | None = None
    web_url: str | None = None


class Drive(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/drive"""

    id: str | None = None
    name: str | None = None
    owner: IdentitySet | None = None
    drive_type: str | None = None
    web_url: str | None = None


class Shared(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/shared"""

    scope: str | None = None
    shared_date_time: str | None = None


class Package(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/package"""

    type: str | None = None


class Item(Graph, frozen=True):
    """The fields of a file or folder that are read."""

    id: str | None = None
    name: str | None = None
    size: int | None = None
    web_url: str | None = None
    created_by: IdentitySet | None = None
    last_modified_by: IdentitySet | None = None
    created_date_time: str | None = None
    last_modified_date_time: str | None = None
    file: File | None = None
    folder: Facet | None = None
    package: Package | None = None
    deleted: Facet | None = None
    malware: Facet | None = None
    remote_item: Facet | None = None
    shared: Shared | None = None


def drives_of_users(client: GraphClient, users: Iterator[User | Skipped], *, named: bool) -> Iterator[Unit | Skipped]:
    """The OneDrive of each user. Many users have none; only of those that were `named` that is told."""

    def of_user(user: User) -> Iterator[Unit]:
        drive = read(client.get(f"{user.path}/drive").body, Drive)
        if drive and drive.id:
            yield Unit(f"drives/{drive.id}", f"OneDrive / {user.name}")

    return units_of_users(users, "OneDrive", of_user, none="there is none", named=named)


def drives_of_sites(client: GraphClient, names: tuple[str, ...]) -> Iterator[Unit | Skipped]:
    """The document libraries of the sites."""
    patience = Patience()
    for site in _sites(client, names):
        if isinstance(site, Skipped):
            yield site
            continue
        name = site.display_name or site.name or site.web_url or site.id or ""
        try:
            for raw in rows(client, f"/sites/{quote(site.id or '', safe='')}/", "drives"):
                drive = read(raw, Drive) or Drive(id_of(raw))
                if drive.id:
                    yield Unit(f"drives/{drive.id}", f"SharePoint / {name} / {drive.name or drive.id}")
            patience.worked()
        except SourceError as error:
            yield patience.failed(f"SharePoint / {name}", error)


def _sites(client: GraphClient, names: tuple[str, ...]) -> Iterator[Site | Skipped]:
    for name in names:
        if name != EVERY_SITE:
            try:
                found = read(client.get(f"/sites/{_site_path(name)}").body, Site)
            except GoneError as error:
                yield Skipped(f"SharePoint / {name}", str(error))
                continue
            yield found if found and found.id else Skipped(f"SharePoint / {name}", "the site cannot be understood")
            continue
        for raw in rows(client, "/sites/", "getAllSites"):
            site = read(raw, Site) or Site(id_of(raw))
            if site.id and _PERSONAL not in (site.web_url or ""):
                yield site


def _site_path(name: str) -> str:
    """The address of a site by its id, or by where it is: `host:/sites/name`.

    https://learn.microsoft.com/en-us/graph/api/site-getbypath
    """
    parts = urlsplit(name if "://" in name else f"https://{name}")
    path = parts.path.strip("/")
    return f"{quote(parts.netloc, safe='')}:/{quote(path)}" if path else quote(parts.netloc, safe="")


class DriveReader:
    """Reads one drive; made for one pass."""

    def __init__(
        self, client: GraphClient, unit: Unit, directory: Directory, *, since: float, max_file: int, sharing: bool
    ) -> None:
        self._client = client
        self._unit = unit
        self._directory = directory
        self._since = since
        self._max_file = max_file
        self._sharing = sharing
        self._path = f"/drives/{quote(unit.id.partition('/')[2], safe='!')}"
        self._drive: Drive | None = None

    def deliveries(self, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is new, changed or deleted from a cursor on."""
        lane = Lane(f"{self._path}/items/root/", f"delta()?$top={_TOP}", self._make)
        return deliveries(self._client, lane, cursor)

    def _make(self, raw: Raw) -> Made:
        item = read(raw, Item)
        if item is None or not item.id:
            return Made(None, (Skipped(self._place(id_of(raw)), "a file whose description cannot be understood"),))
        record_id = f"{self._unit.id}/items/{item.id}"
        if item.deleted is not None:
            return Made(Record(id=record_id, unit=self._unit.id, container=self._unit.title, deleted=True))
        reason = self._reason(item)
        if reason:
            return Made(None, (Skipped(item.web_url or self._place(item.name or item.id), reason),))
        changed = seconds(item.last_modified_date_time)
        if item.file is None or (changed is not None and changed < self._since):
            return Made()
        author, author_id = (item.last_modified_by or item.created_by or IdentitySet()).name_and_id
        record = Record(
            id=record_id,
            parts=(self._part(item),),
            unit=self._unit.id,
            author=author,
            author_id=author_id,
            time=changed,
            container=self._unit.title,
            uri=item.web_url or "",
            exposure=self._exposure(item),
        )
        return Made(record)

    def _place(self, name: str) -> str:
        return f"{self._unit.title} / {name}" if name else self._unit.title

    def _reason(self, item: Item) -> str:
        """Why a file is not read; empty if it is."""
        if item.package is not None:
            kind = "a OneNote notebook" if item.package.type == "oneNote" else f"a package ({item.package.type})"
            return f"{kind}, which has no content of its own to read"
        if item.remote_item is not None and item.file is None and item.folder is None:
            return "a link to another drive; it is read where it lies"
        if item.file is None:
            return ""
        if item.malware is not None:
            return "Microsoft 365 found malware in it and does not give it out"
        if item.size is not None and item.size > self._max_file:
            return f"{item.size:,} bytes, more than the {self._max_file:,} that are read (max_file)"
        return ""

    def _part(self, item: Item) -> Part:
        name = item.name or item.id or ""
        if item.size == 0:
            return Part(content=b"", name=name, size=0)
        content = Content(self._client, f"{self._path}/items/{quote(item.id or '', safe='!')}")
        return Part(open=content.open, name=name, size=item.size)

    def _exposure(self, item: Item) -> Exposure:
        since = seconds(item.shared.shared_date_time) if item.shared else None
        since = since or seconds(item.created_date_time)
        drive = self._known_drive()
        alone: Audience = "private" if drive.drive_type in ("business", "personal") else "unknown"
        if item.shared is None:
            return Exposure(alone, 1 if alone == "private" else None, since)
        audience = of_scope(item.shared.scope)
        if not self._sharing or audience == "public":
            return Exposure(audience, None, since)
        owner = drive.owner.name_and_id[1] if drive.owner else ""
        path = f"{self._path}/items/{quote(item.id or '', safe='!')}"
        found, reach = of_permissions(self._client, path, self._directory.own_domains(owner))
        if found == "unknown":
            return Exposure(audience, None, since)
        return Exposure(wider(audience, found), reach if audience in ("private", "unknown") else None, since)

    def _known_drive(self) -> Drive:
        """The drive; asked for once a pass, and only when there is something to tell."""
        if self._drive is None:
            self._drive = read(self._client.get(self._path).body, Drive) or Drive()
        return self._drive
