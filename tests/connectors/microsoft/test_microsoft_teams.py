"""Messages of channels and chats: what is read of them, how a channel's history meets its changes, who can read them.

Played by `tests/servers/graph.py`.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from keysentry.connectors.microsoft.watermark import MARGIN, Watermark
from keysentry.model.finding import Skipped
from keysentry.model.location import ByteSpan, Step
from keysentry.model.record import Record, Unit
from keysentry.scan import Scanner
from tests.connectors.microsoft.conftest import Opener
from tests.connectors.microsoft.world import (
    ELSEWHERE,
    World,
    content,
    last,
    people,
    read,
    records,
    secret,
    skipped,
    told,
    unit_of,
    units,
)
from tests.servers.graph import TOKEN, GraphServer
from tests.servers.graph_state import Json, Space, Tenant

pytestmark = pytest.mark.xdist_group("graph")


@pytest.fixture
def ann(tenant: Tenant) -> str:
    return people(tenant)[0]


@pytest.fixture
def channel(tenant: Tenant, ann: str) -> Space:
    return tenant.channel(tenant.team("Engineering", ann), "Backups")


def only(opened: Opener, kind: str = "teams/") -> Record:
    """The one record of the first unit of that kind."""
    source = opened()
    (record,) = records(read(source, unit_of(source, kind)))
    return record


def fields(record: Record) -> dict[str, bytes]:
    """The texts of a record, by the field that they are of."""
    found: dict[str, bytes] = {}
    for part in record.parts:
        route = part.segment.route if part.segment else part.route
        found[route[0].name if route else ""] = content(part)
    return found


def test_every_word_of_a_message_is_read(opened: Opener, tenant: Tenant, channel: Space, ann: str) -> None:
    card = json.dumps({"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": "the card"}]})
    attachments: list[Json] = [
        {"id": "1", "contentType": "application/vnd.microsoft.card.adaptive", "content": card, "name": None},
        {"id": "2", "contentType": "reference", "contentUrl": "https://contoso.sharepoint.com/a.txt", "name": "a.txt"},
        {"id": "3", "contentType": "file", "name": "b.txt", "contentUrl": _data(b"in the address")},
        {"id": "4", "contentType": "file", "name": "c.txt", "contentUrl": "data:text/plain,as it is"},
    ]
    body = '<div>see <a href="https://x.com/?k=v">this</a><attachment id="1"></attachment></div>'
    tenant.post(channel, body, ann, subject="the subject", summary="the summary", attachments=attachments)
    record = only(opened)
    assert fields(record) == {
        "subject": b"the subject",
        "summary": b"the summary",
        "body.content": b"https://x.com/?k=v",
        "attachments[0].content": card.encode(),
        "attachments[1].name": b"a.txt",
        "attachments[1].contentUrl": b"https://contoso.sharepoint.com/a.txt",
        "attachments[2].name": b"b.txt",
        "attachments[2].contentUrl": b"in the address",
        "attachments[3].name": b"c.txt",
        "attachments[3].contentUrl": b"as it is",
    }
    assert [content(part) for part in record.parts][2] == b"see this"
    link = record.parts[3].segment
    assert link
    assert link.context == "this"


def _data(data: bytes) -> str:
    return f"data:text/plain;base64,{base64.b64encode(data).decode()}"


def test_a_text_body_is_taken_as_it_is(opened: Opener, tenant: Tenant, channel: Space, ann: str) -> None:
    tenant.post(channel, "", ann, body={"contentType": "text", "content": "a <b> &amp; c"})
    assert fields(only(opened)) == {"body.content": b"a <b> &amp; c"}


def test_the_scanner_finds_a_secret_that_markup_splits_and_knows_where(
    opened: Opener, tenant: Tenant, channel: Space, ann: str
) -> None:
    value = secret(21)
    stored = f"{value[:9]}</b>{value[9:]}"
    body = f"<p>key &amp; lock: <b>{stored}</p>"
    tenant.post(channel, body, ann)
    record = only(opened)
    ((_, finding),) = Scanner.load().scan_records([record])
    assert finding.secret.reveal() == value
    assert finding.location.route == (Step("field", "body.content"),)
    assert finding.location.span == ByteSpan(body.index(stored), body.index(stored) + len(stored))
    assert (finding.location.author, finding.location.container) == ("Ann", "Engineering / #Backups")
    assert finding.location.uri == record.uri
    assert finding.location.exposure == record.exposure


def test_bots_and_people_without_a_name(opened: Opener, tenant: Tenant, channel: Space, ann: str) -> None:
    bot = {"user": None, "application": {"id": "bot-1", "displayName": "Deploy bot"}}
    tenant.post(channel, "from a bot", ann, **{"from": bot})
    tenant.post(channel, "from a stranger", ann, **{"from": {"user": {"id": "u-1", "displayName": None}}})
    tenant.post(channel, "from nobody", ann, **{"from": None})
    source = opened()
    found = {
        content(one.parts[0]): (one.author, one.author_id) for one in records(read(source, unit_of(source, "teams")))
    }
    assert found == {
        b"from a bot": ("Deploy bot", "bot-1"),
        b"from a stranger": ("u-1", "u-1"),
        b"from nobody": ("", ""),
    }


ODD: dict[str, tuple[Json, bytes]] = {
    "all null": (
        dict.fromkeys(("from", "subject", "attachments", "webUrl", "etag", "locale", "messageType")),
        b"text",
    ),
    "unknown fields": ({"brandNew": {"deep": [1, {"x": None}]}, "reactions": [None]}, b"text"),
    "null attachment": ({"attachments": [None]}, b"text"),
    "no times": ({"createdDateTime": None, "lastModifiedDateTime": None, "lastEditedDateTime": None}, b"text"),
    "nonsense times": ({"createdDateTime": "yesterday", "lastModifiedDateTime": "2021-03-1706:47:05.123Z"}, b"text"),
    "seven digits of a second": ({"createdDateTime": "2026-11-01T00:00:00.1234567Z"}, b"text"),
    "a message of an unknown type": ({"messageType": "unknownFutureValue"}, b"text"),
}


@pytest.mark.parametrize("case", ODD)
def test_null_and_unknown_fields_cost_nothing(
    case: str, opened: Opener, tenant: Tenant, channel: Space, ann: str
) -> None:
    odd, text = ODD[case]
    tenant.post(channel, "text", ann, **odd)
    chat = tenant.chat("group", tenant.member(ann), topic="Odd")
    tenant.post(chat, "text", ann, **odd)
    source = opened()
    for kind in ("teams/", "chats/"):
        whole = read(source, unit_of(source, kind))
        assert [texts for _, _, texts in told(whole)] == [(text,)]
        assert skipped(whole) == []
        for at, one in enumerate(whole):
            assert told(read(source, unit_of(source, kind), one.cursor)) == told(whole[at + 1 :]) or "times" in case


def test_a_body_that_is_null_leaves_the_rest(opened: Opener, tenant: Tenant, channel: Space, ann: str) -> None:
    tenant.post(channel, "", ann, body=None, subject="a subject")
    tenant.post(channel, "", ann, body={"contentType": None, "content": None}, subject="another")
    source = opened()
    whole = read(source, unit_of(source, "teams/"))
    assert sorted(texts for _, _, texts in told(whole)) == [(b"a subject",), (b"another",)]


def test_a_message_of_another_shape_is_read_raw_and_told(
    opened: Opener, tenant: Tenant, channel: Space, ann: str
) -> None:
    tenant.post(channel, "fine", ann)
    tenant.post(channel, "", ann, body="a string with " + secret(3))
    tenant.post(channel, "fine too", ann, attachments="none")
    tenant.post(channel, "without an id", ann, id=None)
    source = opened()
    whole = read(source, unit_of(source, "teams/"))
    assert len(records(whole)) == 3
    assert any(secret(3).encode() in content(part) for record in records(whole) for part in record.parts)
    notes = skipped(whole)
    assert sorted(note.reason.partition(";")[0] for note in notes) == [
        "a message without an id cannot be read",
        "its fields are not as documented",
        "its fields are not as documented",
    ]


def test_an_edited_message_that_a_policy_blocks_is_its_authors_alone(opened: Opener, tenant: Tenant, ann: str) -> None:
    team = tenant.team("Engineering", ann, visibility="public")
    channel = tenant.channel(team, "Backups")
    for number, action in enumerate(("none", "blockAccess", "notifySender,blockAccess", "blockAccessExternal")):
        tenant.post(channel, f"{number}", ann, policyViolation={"dlpAction": action, "policyTip": None})
    source = opened()
    found = {content(one.parts[0]): one.exposure for one in records(read(source, unit_of(source, "teams/")))}
    assert [(found[key].audience, found[key].reach) for key in sorted(found)] == [
        ("internal", 1),
        ("private", 1),
        ("private", 1),
        ("internal", 1),
    ]


def test_who_can_read_a_channel(opened: Opener, tenant: Tenant) -> None:
    ann, bob, eve = people(tenant)
    guest, foreign = tenant.member(eve, "guest"), tenant.member(bob, tenant=ELSEWHERE)
    expected: dict[str, tuple[str, int | None]] = {}

    def one(name: str, audience: str, reach: int | None, team: Space, kind: str = "standard", *members: Any) -> None:
        tenant.post(tenant.channel(team, name, kind, list(members)), "hello", ann)
        expected[f"{team.body['displayName']} / #{name}"] = (audience, reach)

    private = tenant.team("Private", ann, bob)
    one("standard", "private", 2, private)
    one("private", "private", 1, private, "private", tenant.member(ann))
    one("shared", "private", None, private, "shared", tenant.member(ann))
    one("shared with others", "external", None, private, "shared", tenant.member(ann), foreign)
    one("private with a guest", "external", 2, private, "private", tenant.member(ann), guest)
    public = tenant.team("Public", ann, bob, visibility="Public")
    one("open", "internal", 2, public)
    mixed = tenant.team("Mixed", ann, visibility="public")
    mixed.members.append(guest)
    one("with guests", "external", 2, mixed)
    source = opened(teams=True)
    found = {unit.title: records(read(source, unit))[0].exposure for unit in units(source)}
    assert {title: (one.audience, one.reach) for title, one in found.items()} == expected
    assert all(one.since for one in found.values())


def test_who_can_read_a_chat(opened: Opener, tenant: Tenant) -> None:
    ann, bob, eve = people(tenant)
    mine = tenant.member(ann)
    for topic, members in {
        "us": (mine, tenant.member(bob)),
        "guest": (mine, tenant.member(eve, "guest")),
        "federated": (mine, tenant.member(bob, tenant=ELSEWHERE)),
    }.items():
        tenant.post(tenant.chat("group", *members, topic=topic), "hello", ann)
    source = opened(chats=True)
    found = {unit.title: records(read(source, unit))[0].exposure for unit in units(source)}
    assert {title: (one.audience, one.reach) for title, one in found.items()} == {
        "group chat / us": ("private", 2),
        "group chat / guest": ("external", 2),
        "group chat / federated": ("external", 2),
    }


def test_members_that_may_not_be_listed_cost_only_the_knowledge_of_them(
    opened: Opener, place: World, server: GraphServer
) -> None:
    server.permissions = {TOKEN: server.permissions[TOKEN] - {"TeamMember.Read.All"}}
    source = opened()
    whole = read(source, unit_of(source, "teams/"))
    assert len(records(whole)) == 7
    assert {record.exposure.audience for record in records(whole)} == {"internal"}
    assert {record.exposure.reach for record in records(whole)} == {None}
    (note,) = skipped(whole)
    assert note.place == "Engineering / #Backups"
    assert "TeamMember.Read.All" in note.reason
    assert note.partial


def test_titles_of_chats_name_their_people(opened: Opener, tenant: Tenant) -> None:
    names = [tenant.user(f"{name}@contoso.com", name) for name in ("Fay", "Ann", "Bob", "Cid", "Dan", "Eli")]
    tenant.chat("meeting", *map(tenant.member, names))
    tenant.chat("oneOnOne", *map(tenant.member, names[:2]))
    tenant.chat("group", tenant.member(names[0]), topic="Plans")
    titles = {unit.title for unit in units(opened(chats=True))}
    assert titles == {"meeting chat / Ann, Bob, Cid, Dan and 2 more", "chat / Ann, Fay", "group chat / Plans"}
    assert len(units(opened(chats=True, users=("ann@contoso.com",)))) == 2


def test_a_message_of_a_chat_has_a_link_that_opens_it(opened: Opener, place: World) -> None:
    source = opened()
    for record in records(read(source, unit_of(source, "chats/"))):
        message = record.id.rpartition("/")[2]
        assert record.uri == (
            f"https://teams.microsoft.com/l/message/19%3Achat1%40thread.v2/{message}"
            "?tenantId=2432b57b-0abd-43db-aa7b-16eadd115d34&context=%7B%22contextType%22%3A%22chat%22%7D"
        )


def test_a_chain_that_moves_past_the_reader_of_the_history_is_not_lost(
    opened: Opener, tenant: Tenant, channel: Space, ann: str, server: GraphServer
) -> None:
    roots = [tenant.post(channel, f"chain {number}", ann) for number in range(6)]
    tenant.post(channel, "an old reply", ann, reply_to=roots[0])
    tenant.clock += timedelta(hours=1)
    server.sizes = [2]
    source = opened()
    unit = unit_of(source, "teams/")
    stream = source.records(unit, None)
    begun = list(islice(stream, 2))
    # chain 0 (its root and its old reply were not given yet) goes to the top of the list, above the reader
    tenant.post(channel, "a new reply", ann, reply_to=roots[0])
    texts = {texts for _, _, texts in told(begun + list(stream))}
    assert texts == {(f"chain {number}".encode(),) for number in range(6)} | {(b"an old reply",), (b"a new reply",)}


def test_only_what_is_new_enough_is_read(opened: Opener, tenant: Tenant, channel: Space, ann: str) -> None:
    old = tenant.post(channel, "old", ann)
    edited = tenant.post(channel, "old, but edited", ann)
    chat = tenant.chat("group", tenant.member(ann), topic="Plans")
    tenant.post(chat, "old", ann)
    since = (tenant.clock + timedelta(minutes=1)).isoformat()
    tenant.post(channel, "a new reply to the old", ann, reply_to=old)
    tenant.edit(channel, edited, "edited since")
    tenant.post(chat, "new", ann)
    source = opened(teams=True, chats=True, since=since)
    channel_texts = {texts for _, _, texts in told(read(source, unit_of(source, "teams/")))}
    assert channel_texts == {(b"a new reply to the old",), (b"edited since",)}
    assert [texts for _, _, texts in told(read(source, unit_of(source, "chats/")))] == [(b"new",)]


def test_since_of_long_ago_reads_the_history_and_leaves_out_what_is_older(
    opened: Opener, tenant: Tenant, channel: Space, ann: str, server: GraphServer
) -> None:
    tenant.post(channel, "ancient", ann, createdDateTime="2019-01-01T00:00:00Z")
    tenant.post(channel, "old", ann, createdDateTime="2022-01-01T00:00:00Z")
    source = opened(teams=True, since="2021-01-01")
    assert [texts for _, _, texts in told(read(source, unit_of(source, "teams/")))] == [(b"old",)]
    assert any("/messages?" in path for path in server.requests)


def test_a_team_that_cannot_be_listed_does_not_hide_the_others(
    opened: Opener, tenant: Tenant, server: GraphServer
) -> None:
    ann = people(tenant)[0]
    for name in ("One", "Two", "Three"):
        tenant.channel(tenant.team(name, ann), "General")
    server.fault("/teams/team-2/channels", status=404, code="NotFound")
    found = list(opened(teams=True).units())
    assert [one.title for one in found if isinstance(one, Unit)] == ["One / #General", "Three / #General"]
    assert [one.place for one in found if isinstance(one, Skipped)] == ["Two"]


def test_a_busy_minute_may_come_twice_but_never_not(
    opened: Opener, tenant: Tenant, ann: str, server: GraphServer
) -> None:
    """More messages within a minute than the cursor remembers, and one that becomes visible late."""
    chat = tenant.chat("group", tenant.member(ann), topic="Busy")
    server.sizes = [50]
    moment = tenant.clock

    def post(number: int) -> None:
        stamp = (moment + timedelta(milliseconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        tenant.post(chat, f"{number}", ann, createdDateTime=stamp, lastModifiedDateTime=stamp)

    for number in range(0, 200, 2):
        post(number)
    source = opened()
    unit = unit_of(source, "chats/")
    first = read(source, unit)
    assert len(records(first)) == 100
    assert max(len(one.cursor.value) for one in first) < 4_000
    post(181)
    second = [texts for _, _, texts in told(read(source, unit, last(first)))]
    assert (b"181",) in second
    assert len(second) <= 61


def test_a_watermark_doubts_in_favour_of_reading() -> None:
    mark = Watermark().seen(1_000_000, "a").seen(1_000_500, "b")
    assert not mark.fresh(1_000_500, "b")
    assert mark.fresh(1_000_500, "c")
    assert mark.fresh(1_000_501, "b")
    assert not mark.fresh(1_000_500 - MARGIN, "c")
    assert mark.fresh(0, "a")
    assert mark.seen(1_000_500 + MARGIN, "d").recent == (
        ((1_000_500 + MARGIN), mark.seen(1_000_500 + MARGIN, "d").recent[0][1]),
    )
