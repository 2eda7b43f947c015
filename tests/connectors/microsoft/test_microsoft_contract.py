"""What every source promises, held against channels, chats, drives and mail folders of Microsoft 365.

Microsoft Graph is played by `tests/servers/graph.py`; where a test says `validated`, Prism holds both sides to
Microsoft's own description of the interface.
"""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.source import MicrosoftSource
from keysentry.errors import AccessError, ClosedError, GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.record import Unit
from tests.connectors.microsoft.conftest import Opener
from tests.connectors.microsoft.world import (
    Waits,
    World,
    attached_mail,
    last,
    options,
    read,
    records,
    skipped,
    told,
    unit_of,
    units,
)
from tests.servers.graph import TOKEN, GraphServer
from tests.servers.graph_state import Space, Tenant
from tests.servers.prism import violations

pytestmark = pytest.mark.xdist_group("graph")

KINDS = ("teams/", "chats/", "drives/", "users/")
Told = list[tuple[str, bool, tuple[bytes, ...]]]


def change_channel(place: World) -> Told:
    """An edit, a deletion, a new reply to an old chain, a new chain; answers what a pass must tell of it."""
    tenant, channel = place.tenant, place.channel
    first, second = (entry for entry in channel.entries.values() if entry.body["messageType"] == "message")
    reply = first.replies[1].body["id"]
    tenant.edit(channel, reply, "<p>edited</p>")
    tenant.remove(channel, second.body["id"])
    new = tenant.post(channel, "new reply", place.bob, reply_to=first.body["id"])
    chain = tenant.post(channel, "new chain", place.bob)
    under = f"teams/team-1/channels/{channel.id}/messages"
    return [
        (f"{under}/{first.body['id']}/replies/{reply}", False, (b"edited",)),
        (f"{under}/{second.body['id']}", True, ()),
        (f"{under}/{first.body['id']}/replies/{new}", False, (b"new reply",)),
        (f"{under}/{chain}", False, (b"new chain",)),
    ]


def change_chat(place: World) -> Told:
    tenant, chat = place.tenant, place.chat
    ids = list(chat.entries)
    tenant.edit(chat, ids[0], "edited")
    tenant.remove(chat, ids[3])
    new = tenant.post(chat, "new", place.ann)
    under = f"chats/{chat.id}/messages"
    return [
        (f"{under}/{ids[0]}", False, (b"edited",)),
        (f"{under}/{ids[3]}", True, ()),
        (f"{under}/{new}", False, (b"new",)),
    ]


def change_drive(place: World) -> Told:
    tenant, drive = place.tenant, place.drive
    ids = [id_ for id_, entry in drive.entries.items() if "file" in entry.body]
    tenant.write(drive, ids[0], b"changed")
    tenant.write(drive, ids[1], drive.entries[ids[1]].content, name="renamed.txt")
    tenant.discard(drive, ids[2])
    new = tenant.file(drive, "new.txt", b"new", place.ann)
    under = f"drives/{drive.id}/items"
    return [
        (f"{under}/{ids[0]}", False, (b"changed",)),
        (f"{under}/{ids[1]}", False, (drive.entries[ids[1]].content,)),
        (f"{under}/{ids[2]}", True, ()),
        (f"{under}/{new}", False, (b"new",)),
    ]


def change_mail(place: World) -> Told:
    tenant, inbox = place.tenant, place.inbox
    ids = list(inbox.entries)
    tenant.change_mail(inbox, ids[0], subject="another subject")
    tenant.discard(inbox, ids[1])
    new = tenant.mail(inbox, "new", "text", "bob@contoso.com", "ann@contoso.com")
    under = f"users/{place.ann}/messages"
    return [
        (f"{under}/{ids[0]}", False, (b"another subject", b"body 0")),
        (f"{under}/{ids[1]}", True, ()),
        (f"{under}/{new}", False, (b"new", b"text")),
    ]


CHANGES: dict[str, Callable[[World], Told]] = dict(
    zip(KINDS, (change_channel, change_chat, change_drive, change_mail), strict=True)
)


def piecemeal(opened: Opener, unit: Unit, cursor: Cursor | None) -> tuple[Told, Cursor | None]:
    """One delivery by each of many sources, as if the process were killed after every one: what they told, and where
    the last one ended.
    """
    found: Told = []
    while True:
        source = opened()
        one = next(iter(source.records(unit, cursor)), None)
        found += told([one] if one else [])
        source.close()
        if one is None or one.cursor == cursor:
            return found, cursor
        cursor = one.cursor


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inline", [1000, 1])
def test_goes_on_exactly_after_any_delivery(
    kind: str, inline: int, opened: Opener, place: World, server: GraphServer
) -> None:
    server.inline_replies = inline  # 1: all but one reply of a chain come in pages of their own
    unit = unit_of(opened(), kind)
    whole = read(opened(), unit)
    assert len(records(whole)) >= 3
    for at, one in enumerate(whole):
        assert told(read(opened(), unit, one.cursor)) == told(whole[at + 1 :]), at
    CHANGES[kind](place)
    changes = read(opened(), unit, last(whole))
    for at, one in enumerate(changes):
        assert told(read(opened(), unit, one.cursor)) == told(changes[at + 1 :]), at
    assert max(len(one.cursor.value) for one in whole + changes) < 4000


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_dies_after_every_record_reads_the_same(kind: str, opened: Opener, place: World) -> None:
    unit = unit_of(opened(), kind)
    whole = read(opened(), unit)
    pieces, cursor = piecemeal(opened, unit, None)
    assert pieces == told(whole)
    CHANGES[kind](place)
    assert piecemeal(opened, unit, cursor)[0] == told(read(opened(), unit, last(whole)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_state_gives_the_same_records_once_each(kind: str, opened: Opener, place: World) -> None:
    source = opened()
    unit = unit_of(source, kind)
    whole = read(source, unit)
    assert told(read(opened(), unit)) == told(whole)
    ids = [record.id for record in records(whole)]
    assert len(ids) == len(set(ids))
    assert all(record.unit == unit.id and record.container == unit.title for record in records(whole))
    assert all(record.author == "Bob" or record.author == "Ann" for record in records(whole))
    assert all(record.time and record.uri.startswith("https://") for record in records(whole))


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_pass_tells_only_what_is_new_edited_or_deleted(
    kind: str, opened: Opener, place: World, server: GraphServer
) -> None:
    source = opened()
    unit = unit_of(source, kind)
    cursor = last(read(source, unit))
    assert told(read(source, unit, cursor)) == []
    cursor = last(read(source, unit, cursor), cursor)
    expected = CHANGES[kind](place)
    changes = read(source, unit, cursor)
    assert sorted(told(changes)) == sorted(expected)
    assert told(read(source, unit, last(changes))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_while_a_pass_is_on_is_not_lost(kind: str, opened: Opener, place: World) -> None:
    source = opened()
    unit = unit_of(source, kind)
    ids = {record.id for record in records(read(source, unit))}
    stream = source.records(unit, None)
    begun = list(islice(stream, 2))
    expected = CHANGES[kind](place)
    rest = list(stream)
    after = read(source, unit, last(rest))
    final = {id_: (deleted, texts) for id_, deleted, texts in told(begun + rest + after)}
    gone = {id_ for id_, deleted, _ in expected if deleted}
    assert ids - gone <= set(final)
    for id_, deleted, texts in expected:
        if not deleted or id_ in {one[0] for one in told(begun)}:
            assert final[id_] == (deleted, texts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_place_starts_the_unit_anew_and_says_so(
    kind: str, opened: Opener, place: World, server: GraphServer
) -> None:
    source = opened()
    unit = unit_of(source, kind)
    whole = read(source, unit)
    expected = CHANGES[kind](place)
    server.expire()
    again = read(source, unit, last(whole))
    if kind in ("teams/", "chats/"):  # these know from when on to read: nothing comes twice, deletions are told
        assert sorted(told(again)) == sorted(expected)
    else:
        assert {one[0] for one in expected if not one[1]} <= {record.id for record in records(again)}
    notes = skipped(again)
    assert not notes if kind == "chats/" else ("does not know the last place" in notes[0].reason and notes[0].partial)
    assert told(read(source, unit, last(again))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_lost_in_the_middle_of_a_pass_costs_no_record(
    kind: str, opened: Opener, place: World, server: GraphServer
) -> None:
    source = opened()
    unit = unit_of(source, kind)
    expected = {record.id for record in records(read(source, unit))}
    server.inline_replies = 1
    stream = source.records(unit, None)
    begun = list(islice(stream, 3))
    server.expire()
    rest = list(stream)
    assert {record.id for record in records(begun + rest)} == expected
    begun = list(islice(source.records(unit, None), 3))
    server.expire()
    rest = read(opened(), unit, last(begun))
    assert {record.id for record in records(begun + rest)} == expected


TROUBLES = {
    "429 with Retry-After": {"status": 429, "code": "TooManyRequests", "Retry_After": "7"},
    "429 with a date": {"status": 429, "code": "TooManyRequests", "Retry_After": "Wed, 25 Nov 2020 07:28:00 GMT"},
    "429 without": {"status": 429, "code": "TooManyRequests"},
    "503": {"status": 503, "code": "serviceNotAvailable", "Retry_After": "3"},
    "500": {"status": 500, "code": "generalException"},
    "504": {"status": 504, "code": "UnknownError"},
    "reset in the headers": {"kind": "reset", "after": 0},
    "reset in the body": {"kind": "reset", "after": 60},
    "no JSON, once": {"status": 502, "code": "BadGateway"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_passing_trouble_changes_nothing(
    kind: str, trouble: str, opened: Opener, place: World, server: GraphServer, waits: Waits
) -> None:
    source = opened()
    unit = unit_of(source, kind)
    whole = read(source, unit)
    fault = server.fault("/messages|/delta", times=3, **TROUBLES[trouble])
    assert told(read(opened(), unit)) == told(whole)
    assert fault.met.is_set()
    assert fault.times == 0
    asked = {"429 with Retry-After": 7.0, "503": 3.0}.get(trouble)
    assert waits.seconds.count(asked) == 3 if asked else all(wait < 10 for wait in waits.seconds)


def test_trouble_that_does_not_pass_ends_the_pass_and_not_the_source(
    opened: Opener, place: World, server: GraphServer
) -> None:
    source = opened()
    unit = unit_of(source, "teams/")
    whole = read(source, unit)
    server.fault("/messages", times=100, status=429, code="TooManyRequests", Retry_After="3600")
    with pytest.raises(SourceError, match=r"429 TooManyRequests.*asks to wait 3,600 s"):
        read(source, unit)
    server.faults.clear()
    server.fault("/messages", "garbage", times=1)
    with pytest.raises(SourceError, match="does not answer with a list"):
        read(source, unit)
    assert told(read(source, unit)) == told(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_is_refused_stops_the_source_until_it_is_mended(
    kind: str, opened: Opener, place: World, server: GraphServer
) -> None:
    source = opened()
    unit = unit_of(source, kind)
    stream = source.records(unit, None)
    begun = list(islice(stream, 2))
    granted = server.permissions.pop(TOKEN)
    with pytest.raises(AccessError, match="401 InvalidAuthenticationToken") as caught:
        list(stream)
        read(source, unit, begun[-1].cursor)
    assert "KEYSENTRY_GRAPH_TOKEN" in caught.value.advice
    with pytest.raises(AccessError):
        list(source.units())
    server.permissions[TOKEN] = granted
    rest = read(source, unit, begun[-1].cursor)
    assert told(begun + rest) == told(read(opened(), unit))


@pytest.mark.parametrize(
    ("chosen", "missing"),
    [
        ({"teams": True}, "Team.ReadBasic.All"),
        ({"teams": True}, "Channel.ReadBasic.All"),
        ({"chats": True}, "User.Read.All"),
        ({"chats": True}, "Chat.Read.All"),
        ({"drives": True}, "Files.Read.All"),
        ({"mail": True}, "Mail.Read"),
        ({"sites": ("*",)}, "Sites.Read.All"),
    ],
)
def test_a_missing_permission_to_list_is_named(
    chosen: dict[str, object], missing: str, opened: Opener, server: GraphServer
) -> None:
    tenant = server.tenant
    for number in range(6):
        user = tenant.user(f"user{number}@contoso.com", f"User {number}")
        tenant.channel(tenant.team(f"Team {number}", user), "General")
    server.permissions = {TOKEN: server.permissions[TOKEN] - {missing}}
    with pytest.raises(AccessError) as caught:
        list(opened(**chosen).units())
    assert missing in caught.value.advice


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("teams/", "ChannelMessage.Read.All"), ("chats/", "Chat.Read.All"), ("drives/", "Files"), ("users/", "Mail.Read")],
)
def test_a_missing_permission_to_read_is_named(
    kind: str, missing: str, opened: Opener, place: World, server: GraphServer
) -> None:
    source = opened()
    unit = unit_of(source, kind)
    kept = {name for name in server.permissions[TOKEN] if not name.startswith(missing)}
    granted, server.permissions = server.permissions, {TOKEN: frozenset(kept)}
    with pytest.raises(AccessError) as caught:
        read(source, unit)
    assert missing in caught.value.advice
    server.permissions = granted
    assert records(read(source, unit))


def test_a_unit_that_is_not_there_any_more_is_gone(opened: Opener, place: World) -> None:
    source = opened()
    found = {kind: unit_of(source, kind) for kind in KINDS}
    for space in (place.channel, place.chat, place.drive, place.inbox):
        space.gone = True
    for unit in found.values():
        with pytest.raises(GoneError):
            read(source, unit)
        with pytest.raises(GoneError):
            read(source, unit, Cursor("[]"))
    assert [unit.id for unit in units(opened(teams=True))] == []


@pytest.mark.parametrize("moment", ["/teams", "/messages", "/download"])
def test_close_wakes_whoever_waits_and_ends_the_thread(
    moment: str, opened: Opener, place: World, server: GraphServer
) -> None:
    source = opened()
    found = {kind: unit_of(source, kind) for kind in KINDS}
    hanging = server.fault(moment, "hang")
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            list(source.units())
            told(read(source, found["drives/"]))
            read(source, found["teams/"])
        except SourceError as error:
            outcome.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert hanging.met.wait(10)
    source.close()
    worker.join(10)
    assert not worker.is_alive()
    assert [type(one) for one in outcome] == [ClosedError]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("microsoft")]
    with pytest.raises(ClosedError):
        list(source.units())
    source.close()


def test_close_wakes_a_wait_for_the_rate(server: GraphServer, place: World) -> None:
    from keysentry.connectors.pace import Pace

    source = MicrosoftSource(options(server.url, teams=True), lambda place, **how: Pace(place))
    fault = server.fault("/teams", times=5, status=429, code="TooManyRequests", Retry_After="60")
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            list(source.units())
        except SourceError as error:
            outcome.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert fault.met.wait(10)
    source.close()
    worker.join(10)
    assert [type(one) for one in outcome] == [ClosedError]


def large_channel(tenant: Tenant, chains: int, replies: int) -> Space:
    """A channel of that many chains; one object stands for all replies of a chain."""
    ann = tenant.user("ann@contoso.com", "Ann")
    channel = tenant.channel(tenant.team("Engineering", ann), "Logs")
    for _ in range(chains):
        root = tenant.post(channel, "<p>a line of some length that says nothing of interest</p>", ann)
        for number in range(replies):
            tenant.post(channel, f"<p>reply {number}</p>", ann, reply_to=root)
    tenant.clock += timedelta(hours=1)  # so that nothing is of the last minute
    return channel


def test_memory_is_flat_on_a_channel_of_20_000_messages(opened: Opener, server: GraphServer) -> None:
    large_channel(server.tenant, 2_000, 9)
    server.sizes = [25]
    source = opened(teams=True)
    unit = unit_of(source, "teams/")
    stream = source.records(unit, None)
    count, first = _peak(stream, 2_000)
    count += sum(1 for one in islice(stream, 16_000) if one.record)
    more, final = _peak(stream, 3_000)
    assert count + more == 20_000
    assert max(first, final) < 6_000_000
    assert final < first * 1.2 + 500_000


def _peak(stream: Iterator[Delivery], deliveries: int) -> tuple[int, int]:
    """How many records some deliveries have, and how much memory they took at most, the server's included."""
    gc.collect()
    tracemalloc.start()
    try:
        count = sum(1 for one in islice(stream, deliveries) if one.record)
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_both_sides_keep_to_the_official_description(
    validated: str, opened: Opener, place: World, server: GraphServer
) -> None:
    """Through Prism: everything is read as without it, before and after changes."""
    server.sizes, server.inline_replies = [4, 0, 5], 1
    library = place.tenant.drive(place.ann, "documentLibrary", "Documents")
    plan = place.tenant.file(library, "plan.txt", b"plan", place.ann, shared={"scope": "users"})
    library.entries[plan].permissions = [{"id": "1", "roles": ["read"], "link": {"scope": "users", "type": "view"}}]
    place.tenant.site("sites/eng", "Engineering", library)
    mail = place.tenant.mail(place.inbox, "files", "see below", "bob@contoso.com", "ann@contoso.com")
    place.tenant.attach(place.inbox, mail, "notes.txt", b"notes")
    place.tenant.attach(place.inbox, mail, "a mail", attached_mail("hello", b"inner"), "item")
    direct, through = opened(), opened(validated)
    found = units(through)
    assert found == units(direct)
    assert len(found) == 5
    cursors: dict[str, Cursor | None] = {}
    for unit in found:
        whole = read(through, unit)
        assert told(whole) == told(read(direct, unit))
        cursors[unit.id] = last(whole)
    for kind, change in CHANGES.items():
        expected = change(place)
        unit = next(one for one in found if one.id.startswith(kind))
        assert sorted(told(read(through, unit, cursors[unit.id]))) == sorted(expected)
    used = {path.partition("?")[0].rpartition("/")[2] for path in server.requests}
    assert {"replies", "members", "permissions", "attachments", "$value", "organization", "getAllSites"} <= used
    named = opened(validated, sites=("contoso.sharepoint.com/sites/eng",))
    assert [unit.title for unit in units(named)] == ["SharePoint / Engineering / Documents"]


def test_prism_refuses_what_the_description_does_not_allow(
    _prism: tuple[str, Path], server: GraphServer, place: World, waits: Waits
) -> None:
    """So that a test through it means something."""
    address, folder = _prism
    client = GraphClient(options(address), waits.pace("Graph"), waits.pace("Graph"))
    try:
        with pytest.raises(SourceError, match="422"):
            client.get("/users?$select=nonsense")
        before = len(violations(folder))
        place.tenant.users[place.ann]["userPrincipalName"] = 7
        with pytest.raises(SourceError, match="500"):
            client.get("/users")
        assert len(violations(folder)) > before
    finally:
        client.close()
