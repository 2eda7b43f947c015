"""OneDrive and SharePoint: contents, what is not read, and who can read a file.

Played by `tests/servers/graph.py`; what breaks in the middle of a body is tried without Prism.
"""

from __future__ import annotations

from typing import Any

import pytest

from keysentry.connectors.microsoft.client import CHUNK
from keysentry.connectors.microsoft.source import MicrosoftSource
from keysentry.errors import AccessError, InputError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Part, Unit
from tests.connectors.microsoft.conftest import Opener
from tests.connectors.microsoft.world import (
    Waits,
    World,
    content,
    last,
    people,
    read,
    records,
    skipped,
    told,
    unit_of,
    units,
)
from tests.servers.graph import TOKEN, GraphServer
from tests.servers.graph_state import Space, Tenant

pytestmark = pytest.mark.xdist_group("graph")

BIG = bytes(range(256)) * 8_000


@pytest.fixture
def ann(tenant: Tenant) -> str:
    return people(tenant)[0]


@pytest.fixture
def drive(tenant: Tenant, ann: str) -> Space:
    return tenant.drive(ann)


def one_part(source: MicrosoftSource) -> Part:
    (record,) = records(read(source, unit_of(source, "drives/")))
    (part,) = record.parts
    return part


@pytest.fixture
def big(tenant: Tenant, drive: Space, ann: str) -> str:
    return tenant.file(drive, "big.bin", BIG, ann)


def test_a_content_comes_in_bounded_pieces(opened: Opener, big: str) -> None:
    part = one_part(opened(drives=True))
    assert (part.name, part.size, part.route) == ("big.bin", len(BIG), ())
    assert part.open
    pieces = list(part.open())
    assert b"".join(pieces) == BIG
    assert max(map(len, pieces)) <= CHUNK <= 1 << 20
    assert b"".join(part.open()) == BIG  # from the start each time


def test_a_broken_content_goes_on_with_a_range(opened: Opener, big: str, server: GraphServer, waits: Waits) -> None:
    part = one_part(opened(drives=True))
    server.fault("/download", "reset", after=700_000, times=2)
    assert content(part) == BIG
    assert len([path for path in server.requests if path.startswith("/download")]) == 3
    assert sum(waits.seconds) < 2


def test_a_service_that_ignores_ranges_costs_nothing_but_time(opened: Opener, big: str, server: GraphServer) -> None:
    part = one_part(opened(drives=True))
    server.ranges = False
    server.fault("/download", "reset", after=700_000, times=2)
    assert content(part) == BIG


def test_a_content_that_always_breaks_may_be_had_later(opened: Opener, big: str, server: GraphServer) -> None:
    part = one_part(opened(drives=True))
    server.fault("/download", "reset", after=0, times=100)
    with pytest.raises(SourceError, match="the connection broke"):
        content(part)
    server.faults.clear()
    assert content(part) == BIG


def test_what_changes_while_it_is_read_is_told_and_comes_again(
    opened: Opener, big: str, drive: Space, tenant: Tenant, server: GraphServer
) -> None:
    source = opened(drives=True)
    unit = unit_of(source, "drives/")
    whole = read(source, unit)
    part = records(whole)[0].parts[0]
    assert part.open
    breaking = server.fault("/download", "reset", after=900_000, hold=True)
    pieces = part.open()
    got = next(pieces)
    tenant.write(drive, big, b"another content")
    breaking.release.set()
    with pytest.raises(InputError, match="it changed while it was read"):
        for piece in pieces:
            got += piece
    assert BIG.startswith(got)
    assert [texts for _, _, texts in told(read(source, unit, last(whole)))] == [(b"another content",)]


def test_a_file_that_is_gone_or_locked_costs_only_itself(
    opened: Opener, big: str, drive: Space, tenant: Tenant, server: GraphServer
) -> None:
    part = one_part(opened(drives=True))
    server.fault("/items/01FILE", status=423, code="resourceLocked")
    with pytest.raises(InputError, match="is locked"):
        content(part)
    server.fault("/items/01FILE", status=403, code="accessDenied")
    with pytest.raises(InputError, match="403 accessDenied"):
        content(part)
    tenant.discard(drive, big)
    with pytest.raises(InputError, match="404 itemNotFound"):
        content(part)


def test_a_token_that_ends_stops_the_unit(opened: Opener, big: str, server: GraphServer) -> None:
    part = one_part(opened(drives=True))
    server.permissions = {}
    with pytest.raises(AccessError):
        content(part)


def test_an_address_that_has_outlived_its_time_is_replaced(opened: Opener, big: str, server: GraphServer) -> None:
    part = one_part(opened(drives=True))
    server.fault("/download", status=401, code="unauthenticated")
    assert content(part) == BIG
    server.tell_downloads = False
    assert content(part) == BIG
    assert any(path.endswith("/content") for path in server.requests)


def test_malware_found_since_the_listing_is_not_asked_for(
    opened: Opener, big: str, drive: Space, server: GraphServer
) -> None:
    part = one_part(opened(drives=True))
    drive.entries[big].body["malware"] = {"description": "x"}
    with pytest.raises(InputError, match="found malware"):
        content(part)


def test_what_has_no_content_to_read_is_told(opened: Opener, tenant: Tenant, drive: Space, ann: str) -> None:
    tenant.file(drive, "bad.exe", b"x", ann, malware={})
    tenant.file(drive, "Notebook", b"", ann, file=None, package={"type": "oneNote"})
    tenant.file(drive, "Link", b"", ann, file=None, remoteItem={"id": "1"})
    tenant.file(drive, "large.iso", b"x" * 2_000, ann)
    tenant.file(drive, "empty.txt", b"", ann)
    tenant.file(drive, "Folder", b"", ann, file=None, folder={"childCount": 0})
    tenant.file(drive, "odd", b"x", ann, size="many")
    source = opened(drives=True, max_file=1_000)
    whole = read(source, unit_of(source, "drives/"))
    assert [(record.parts[0].name, content(record.parts[0])) for record in records(whole)] == [("empty.txt", b"")]
    notes = {note.place.rpartition("/")[2].strip(): note.reason for note in skipped(whole)}
    assert set(notes) == {"bad.exe", "Notebook", "Link", "large.iso", "01FILE0007"}
    assert "malware" in notes["bad.exe"]
    assert "OneNote" in notes["Notebook"]
    assert "2,000 bytes, more than the 1,000" in notes["large.iso"]
    assert "cannot be understood" in notes["01FILE0007"]


def test_nulls_and_unknown_fields_cost_nothing(opened: Opener, tenant: Tenant, drive: Space, ann: str) -> None:
    id_ = tenant.file(drive, "x.txt", b"x", ann, createdBy=None, lastModifiedBy=None, webUrl=None, brandNew={"a": 1})
    drive.entries[id_].body |= {"lastModifiedDateTime": None, "size": None, "shared": None, "deleted": None}
    (record,) = records(read(source := opened(drives=True), unit_of(source, "drives/")))
    assert (record.author, record.uri, record.time) == ("", "", None)
    assert content(record.parts[0]) == b"x"


def test_only_what_is_new_enough_is_read(opened: Opener, tenant: Tenant, drive: Space, ann: str) -> None:
    tenant.file(drive, "old.txt", b"old", ann)
    tenant.file(drive, "new.txt", b"new", ann)
    since = tenant.now()
    source = opened(drives=True, since=since)
    assert [texts for _, _, texts in told(read(source, unit_of(source, "drives/")))] == [(b"new",)]


def shared(
    opened: Opener, tenant: Tenant, drive: Space, ann: str, scope: str, *permissions: Any, **how: Any
) -> Exposure:
    """Who can read a file with that scope and those permissions."""
    id_ = tenant.file(drive, "x.txt", b"x", ann, shared={"scope": scope, "sharedDateTime": "2026-01-01T00:00:00Z"})
    drive.entries[id_].permissions = list(permissions)
    source = opened(drives=True, **how)
    (record,) = records(read(source, unit_of(source, "drives/")))
    return record.exposure


SHARED = 1767225600.0


def _to(email: str, **more: Any) -> dict[str, Any]:
    return {"id": email, "roles": ["read"], "grantedToV2": {"user": {"email": email, "displayName": email}, **more}}


def _link(scope: str, *emails: str) -> dict[str, Any]:
    people = [{"user": {"email": email}} for email in emails]
    return {"id": scope, "roles": ["read"], "link": {"scope": scope, "type": "view"}, "grantedToIdentitiesV2": people}


def _group(name: str, login: str) -> dict[str, Any]:
    return {"id": name, "roles": ["read"], "grantedToV2": {"siteGroup": {"displayName": name, "loginName": login}}}


SHARES: dict[str, tuple[str, list[dict[str, Any]], Exposure]] = {
    "link for anyone": ("anonymous", [_link("anonymous")], Exposure("public", None, SHARED)),
    "link for all of us": ("organization", [_link("organization")], Exposure("internal", None, SHARED)),
    "some of us": ("users", [_to("ann@contoso.com"), _to("bob@contoso.com")], Exposure("private", 2, SHARED)),
    "somebody else": ("users", [_to("ann@contoso.com"), _to("x@fabrikam.com")], Exposure("external", 2, SHARED)),
    "a subdomain of ours": ("users", [_to("x@mail.contoso.com")], Exposure("private", 1, SHARED)),
    "a look-alike domain": ("users", [_to("x@notcontoso.com")], Exposure("external", 1, SHARED)),
    "a link for somebody else": ("users", [_link("users", "x@fabrikam.com")], Exposure("external", 1, SHARED)),
    "a guest": ("users", [_to("eve_fabrikam.com#ext#@contoso.onmicrosoft.com")], Exposure("external", 1, SHARED)),
    "an invitation": (
        "users",
        [{"id": "i", "roles": ["read"], "invitation": {"email": "x@fabrikam.com"}}],
        Exposure("external", 0, SHARED),
    ),
    "a group": ("users", [_group("Owners", "Owners")], Exposure("private", None, SHARED)),
    "everyone of us": (
        "users",
        [_group("Everyone except external users", "c:0-.f|rolemanager|spo-grid-all-users/2432b57b")],
        Exposure("internal", None, SHARED),
    ),
    "everyone": ("users", [_group("Everyone", "c:0(.s|true")], Exposure("external", None, SHARED)),
    "more than the facet says": ("users", [_link("anonymous")], Exposure("public", None, SHARED)),
}


@pytest.mark.parametrize("case", SHARES)
def test_who_can_read_a_shared_file(case: str, opened: Opener, tenant: Tenant, drive: Space, ann: str) -> None:
    scope, permissions, exposure = SHARES[case]
    assert shared(opened, tenant, drive, ann, scope, *permissions) == exposure


def test_who_can_read_without_asking_for_permissions(
    opened: Opener, tenant: Tenant, drive: Space, ann: str, server: GraphServer
) -> None:
    exposure = shared(opened, tenant, drive, ann, "users", _to("x@fabrikam.com"), sharing=False)
    assert exposure == Exposure("private", None, SHARED)
    assert not [path for path in server.requests if "permissions" in path]


def test_who_can_read_where_permissions_may_not_be_seen(
    opened: Opener, tenant: Tenant, drive: Space, ann: str, server: GraphServer
) -> None:
    server.fault("/permissions", status=403, code="accessDenied")
    assert shared(opened, tenant, drive, ann, "organization") == Exposure("internal", None, SHARED)


def test_domains_of_our_own_can_be_told(opened: Opener, tenant: Tenant, drive: Space, ann: str) -> None:
    exposure = shared(opened, tenant, drive, ann, "users", _to("x@fabrikam.com"), domains=("fabrikam.com",))
    assert exposure.audience == "private"


def test_without_the_permission_for_domains_the_owner_tells(
    opened: Opener, tenant: Tenant, drive: Space, ann: str, server: GraphServer
) -> None:
    server.permissions = {TOKEN: server.permissions[TOKEN] - {"Organization.Read.All"}}
    assert shared(opened, tenant, drive, ann, "users", _to("x@fabrikam.com")).audience == "external"


def test_what_is_not_shared(opened: Opener, tenant: Tenant, drive: Space, ann: str) -> None:
    library = tenant.drive(ann, "documentLibrary", "Documents")
    tenant.site("sites/eng", "Engineering", library)
    tenant.file(drive, "mine.txt", b"x", ann)
    tenant.file(library, "ours.txt", b"x", ann)
    source = opened(drives=True, sites=("*",))
    mine, ours = (records(read(source, unit))[0] for unit in units(source))
    assert (mine.exposure.audience, mine.exposure.reach) == ("private", 1)
    assert (ours.exposure.audience, ours.exposure.reach) == ("unknown", None)


def test_drives_of_users_and_libraries_of_sites(opened: Opener, tenant: Tenant, drive: Space, ann: str) -> None:
    library = tenant.drive(ann, "documentLibrary", "Documents")
    tenant.site("sites/eng", "Engineering", library)
    tenant.site("personal/ann", "Ann", drive).body["webUrl"] = "https://contoso-my.sharepoint.com/personal/ann"
    assert [unit.title for unit in units(opened(drives=True, sites=("*",)))] == [
        "OneDrive / ann@contoso.com",
        "SharePoint / Engineering / Documents",
    ]
    named = opened(drives=True, users=("ann@contoso.com", "bob@contoso.com", "nobody@contoso.com"))
    found = list(named.units())
    assert [one.title for one in found if isinstance(one, Unit)] == ["OneDrive / ann@contoso.com"]
    notes = {one.place: one.reason for one in found if isinstance(one, Skipped)}
    assert set(notes) == {"OneDrive of bob@contoso.com", "nobody@contoso.com"}
    assert "mysite not found" in notes["OneDrive of bob@contoso.com"]
    (missing,) = opened(sites=("contoso.sharepoint.com/sites/none",)).units()
    assert isinstance(missing, Skipped)


def test_a_named_user_needs_no_permission_to_look_people_up(opened: Opener, place: World, server: GraphServer) -> None:
    server.permissions = {TOKEN: frozenset(("Files.Read.All",))}
    place.tenant.drive_of["ann@contoso.com"] = place.drive.id
    (unit,) = units(opened(drives=True, users=("ann@contoso.com",)))
    assert unit.id == f"drives/{place.drive.id}"


def test_one_user_who_cannot_be_listed_does_not_hide_the_others(
    opened: Opener, tenant: Tenant, drive: Space, server: GraphServer
) -> None:
    bob = next(id_ for id_, user in tenant.users.items() if user["displayName"] == "Bob")
    server.fault(f"/users/{bob}/drive", status=403, code="accessDenied", message="blocked by policy")
    found = list(opened(drives=True).units())
    assert [one.title for one in found if isinstance(one, Unit)] == ["OneDrive / ann@contoso.com"]
    (note,) = (one for one in found if isinstance(one, Skipped))
    assert note.place == "OneDrive of bob@contoso.com"
    assert "blocked by policy" in note.reason
