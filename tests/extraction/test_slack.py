"""Slack exports: lists, days, and messages as records."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.extraction.formats.slack import (
    Channel,
    Workspace,
    day_channel,
    elements,
    is_export,
    places,
    record,
)
from keysentry.model.location import ByteSpan
from keysentry.model.record import Exposure, Record, Segment

REAL = Path(__file__).parents[3] / "shared" / "data" / "slack-export"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real exports of ../shared are not here")

USERS = [
    {"id": "U1", "name": "alice.a", "profile": {"display_name": "alice", "real_name": None}},
    {"id": "U2", "name": "bob", "profile": None, "unknown": [1]},
    {"id": "U3", "name": "carol", "profile": {"display_name": ""}},
]
LISTS = {
    "channels.json": [
        {"id": "C1", "name": "general", "members": ["U1", "U2", "U3"], "topic": None},
        {"id": "C2", "name": "partners", "members": None, "num_members": 7, "is_ext_shared": True},
    ],
    "groups.json": [{"id": "G1", "name": "ops", "members": ["U1"]}],
    "dms.json": [{"id": "D1AAAAAAAA", "members": ["U1", "U2"]}, {"id": "D2AAAAAAAA", "user": "U3", "members": []}],
    "mpims.json": [{"id": "G2", "name": "mpdm-alice--bob--carol-1", "members": ["U1", "U2", "U3"]}],
    "users.json": USERS,
}
GENERAL = Channel("C1", "general", "public", "#general", 3)


def files(lists: dict[str, object] = LISTS, root: str = "") -> dict[str, bytes]:
    return {root + name: json.dumps(items).encode() for name, items in lists.items()}


def workspace(
    content: dict[str, bytes] | None = None, days: tuple[str, ...] = ("general/2024-01-02.json",)
) -> Workspace:
    content = files() if content is None else content
    found, lost = Workspace.read(content.get, [*content, *days])
    assert lost == []
    return found


def message(**fields: object) -> Record:
    raw = json.dumps({"type": "message", "user": "U1", "ts": "1700000000.000100", **fields}).encode()
    return record(raw, GENERAL, workspace(), path="x.zip", member="general/2024-01-02.json")


def texts(found: Record) -> list[str]:
    return [segment.text.decode() for segment in segments(found)]


def segments(found: Record) -> Iterator[Segment]:
    for part in found.parts:
        assert part.segment is not None
        yield part.segment


# -- the export -----------------------------------------------------------------------------------------------------


def test_exports_are_known_by_their_lists() -> None:
    assert is_export(["channels.json", "users.json", "general/2024-01-02.json"])
    assert is_export(["ex/", "ex/dms.json", "ex/D1/2024-01-02.json"])
    assert not is_export(["users.json", "general/2024-01-02.json"])
    assert not is_export(["channels.json", "other/readme.md"])
    assert not is_export(["a/b/channels.json", "a/b/users.json"])
    assert not is_export([])


def test_channels_by_their_folders() -> None:
    space = workspace()
    assert day_channel("general/2024-01-02.json", space) == GENERAL
    assert day_channel("G1/2024-01-02.json", space) == Channel("G1", "ops", "private", "#ops", 1)
    assert day_channel("D1AAAAAAAA/2024-01-02.json", space) == Channel(
        "D1AAAAAAAA", "D1AAAAAAAA", "dm", "@alice, @bob", 2
    )
    dm = day_channel("D2AAAAAAAA/2024-01-02.json", space)
    assert dm is not None and dm.title == "@carol"
    mpim = day_channel("mpdm-alice--bob--carol-1/2024-01-02.json", space)
    assert mpim is not None and (mpim.kind, mpim.title) == ("mpim", "alice, bob, carol")
    partners = day_channel("partners/2024-01-02.json", space)
    assert partners is not None and (partners.audience, partners.members) == ("external", 7)
    other = day_channel("gone/2024-01-02.json", space)
    assert other is not None and (other.id, other.kind, other.audience) == ("gone", "unknown", "unknown")
    for name in ("channels.json", "general/readme.json", "a/b/c/2024-01-02.json", "x/general/2024-01-02.json"):
        assert day_channel(name, space) is None


def test_a_leading_folder() -> None:
    content = files(root="Acme export/")
    space, lost = Workspace.read(content.get, [*content, "Acme export/general/2024-01-02.json"])
    assert lost == [] and space.root == "Acme export/"
    assert day_channel("Acme export/general/2024-01-02.json", space) == GENERAL
    assert day_channel("general/2024-01-02.json", space) is None


@pytest.mark.parametrize("data", [b"{", b"[{]", b'{"id": 1}', b"\xff\xfe", b'[{"id": 5}, {"name": "x"}, 7]'])
def test_bad_lists_are_told_and_ids_stand_for_names(data: bytes) -> None:
    content = files() | {"users.json": data}
    space, lost = Workspace.read(content.get, content)
    assert [item.place for item in lost] == ["users.json"] and "ids stand for" in lost[0].reason
    dm = day_channel("D1AAAAAAAA/2024-01-02.json", space)
    assert dm is not None and dm.title == "@U1, @U2"


def test_one_bad_entry_costs_only_itself() -> None:
    content = files() | {"users.json": json.dumps([USERS[0], {"id": None}, USERS[1]]).encode()}
    space, lost = Workspace.read(content.get, content)
    assert space.users == {"U1": "alice", "U2": "bob"}
    assert lost[0].partial


@pytest.mark.parametrize("data", [b"null", b"[]\n", b"", b"[null]"])
def test_empty_and_null_lists(data: bytes) -> None:
    content = files() | {"groups.json": data}
    space, lost = Workspace.read(content.get, content)
    assert "ops" not in space.channels
    assert len(lost) == (1 if b"[null" in data else 0)
    Workspace.read(lambda name: None, content)


@pytest.mark.parametrize(
    "day",
    [
        rb'[{"files":[{"permalink":"https:\/\/acme.slack.com\/files\/U1\/F1\/x.txt"}]}]',
        b'[{"attachments":[{"from_url":"https://acme.slack.com/archives/C1/p17"}]}]',
        b'[{"user_profile":{"team_domain": "acme"}}]',
    ],
)
def test_the_domain_is_found_in_links(day: bytes) -> None:
    content = files() | {"general/2024-01-02.json": day}
    assert workspace(content, days=()).domain == "acme"
    found = record(b'{"ts":"17.5"}', GENERAL, workspace(content, days=()))
    assert found.uri == "https://acme.slack.com/archives/C1/p175"


# -- elements -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_elements_are_where_they_are(indent: int | None, mark: bytes) -> None:
    items = [{"text": "a, [b] {c}", "n": [1, {"x": '"'}]}, "s,", 7, None, {}]
    data = mark + b" " + json.dumps(items, indent=indent).encode() + b"\n"
    found = elements(data)
    assert found.damage == ""
    assert [json.loads(data[start:end]) for start, end in found.spans] == items


@pytest.mark.parametrize("indent", [None, 1])
def test_elements_of_a_file_cut_off(indent: int | None) -> None:
    data = json.dumps([{"text": f"m{i}"} for i in range(5)], indent=indent).encode()
    cut = data[: data.index(b"m3") + 1]
    found = elements(cut)
    assert [json.loads(cut[start:end])["text"] for start, end in found.spans] == ["m0", "m1", "m2"]
    assert "3 elements are sound, and what follows cannot be read" in found.damage


def test_a_damaged_element_costs_only_itself() -> None:
    data = b'[{"text":"m0"},{"text" "m1"},{"text":"\xff"},{"text":"m3"}]'
    found = elements(data)
    assert [data[start:end] for start, end in found.spans if b"m" in data[start:end]] == [
        b'{"text":"m0"}',
        b'{"text":"m3"}',
    ]
    assert "damaged" in found.damage


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"text", b'"[1]"'])
def test_what_is_no_array_has_no_elements(data: bytes) -> None:
    found = elements(data)
    assert found.spans == [] and "not a JSON array" in found.damage


def test_deep_elements() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    data = b'[{"text":"m0"},' + deep + b',{"text":"m2"}]'
    begun = time.process_time()
    found = elements(data)
    assert [end - start for start, end in found.spans] == [13, 200_000, 13]
    assert found.damage == ""
    raw = b'{"ts":"1.5","text":"m","blocks":' + deep + b"}"
    assert list(segments(record(raw, GENERAL, Workspace())))
    assert time.process_time() - begun < 5


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:a1\\ ', max_size=60).map(str.encode))
def test_elements_never_raise(data: bytes) -> None:
    last = 0
    for start, end in elements(data).spans:
        assert last <= start < end <= len(data)
        last = end


# -- records --------------------------------------------------------------------------------------------------------


def test_a_record_knows_its_message() -> None:
    found = message(text="hello <@U2>")
    assert (found.id, found.unit, found.container, found.chat) == ("C1/1700000000.000100", "C1", "#general", True)
    assert (found.author, found.author_id, found.time) == ("alice", "U1", 1700000000.0001)
    assert found.uri == "slack://channel?id=C1&message=1700000000.000100"
    assert (found.path, found.member) == ("x.zip", "general/2024-01-02.json")
    assert found.exposure == Exposure("internal", 3, 1700000000.0001)
    assert texts(found) == ["hello @bob"]


def test_replies_link_to_their_thread() -> None:
    assert message(thread_ts="1700000000.000100").uri.endswith("message=1700000000.000100")
    raw = b'{"ts": "1700000000.000100", "thread_ts": "16.5", "text": "m"}'
    assert message(team="T1").uri == "https://app.slack.com/client/T1/C1/p1700000000000100"
    known = record(raw, GENERAL, Workspace(domain="acme"))
    assert known.uri == "https://acme.slack.com/archives/C1/p1700000000000100?thread_ts=16.5&cid=C1"


@pytest.mark.parametrize(
    ("fields", "author"),
    [
        ({"user": "U9"}, ("U9", "U9")),
        ({"user": "U9", "user_profile": {"display_name": "", "real_name": "Zoe"}}, ("U9", "Zoe")),
        ({"user": None, "bot_id": "B1", "username": "deploy"}, ("B1", "deploy")),
        ({"user": None, "bot_id": "B1", "bot_profile": {"name": "CI"}}, ("B1", "CI")),
        ({"user": None, "bot_id": "B1", "bot_profile": None}, ("B1", "B1")),
        ({"user": None, "message": {"user": "U2"}}, ("U2", "bob")),
        ({"user": 5}, ("", "")),
    ],
)
def test_authors(fields: dict[str, object], author: tuple[str, str]) -> None:
    found = message(**fields)
    assert (found.author_id, found.author) == author


def rich(*runs: dict[str, object], kind: str = "rich_text_section") -> list[object]:
    return [{"type": "rich_text", "block_id": "b", "elements": [{"type": kind, "elements": list(runs)}]}]


def run(text: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": text, **more}


def test_blocks_that_repeat_the_text_are_left_out() -> None:
    assert texts(message(text="the  key is abc &amp; d", blocks=rich(run("the key "), run("is abc & d")))) == [
        "the  key is abc & d"
    ]
    bold = message(text="• *pw*: `abc_def`", blocks=rich(run("pw", style={"bold": True}), run(": "), run("abc_def")))
    assert texts(bold) == ["pw: abc_def"]
    glued = message(text="AKIA*BCD*", blocks=rich(run("AKIA"), run("BCD", style={"bold": True})))
    assert texts(glued) == ["AKIA*BCD*", "AKIABCD"]


def test_blocks_that_say_more_stay() -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Title &lt;", "emoji": True}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "a &lt; <http://x.com|x.com>"},
            "fields": [{"type": "mrkdwn", "text": "field one"}],
            "accessory": {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "url": "https://x.com/go"},
        },
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "by <@U2>"}, {"type": "image", "alt_text": "pic"}]},
        *rich(run("code();\nmore"), kind="rich_text_preformatted"),
        {"type": "brand_new", "deep": [{"words": "unheard of"}]},
        None,
        7,
    ]
    assert texts(message(text="short", blocks=blocks)) == [
        "short",
        "Title &lt;",
        "a < x.com",
        "field one",
        "Go",
        "https://x.com/go",
        "by @bob",
        "pic",
        "code();\nmore",
        "unheard of",
    ]


def test_table_cells_know_their_header() -> None:
    def cell(text: str) -> dict[str, object]:
        return {"type": "raw_text", "text": text}

    wide = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [run("rich "), run("cell")]}]}
    rows = [[cell("host"), cell("password")], [cell("db"), wide]]
    found = list(segments(message(blocks=[{"type": "table", "rows": rows}])))
    assert [(item.text, item.context) for item in found] == [
        (b"host", ""),
        (b"password", ""),
        (b"db", "host"),
        (b"rich cell", "password"),
    ]


def test_attachments() -> None:
    attachment = {
        "fallback": "[Jan 5th] bob: see the body",
        "pretext": "before",
        "title": "A title",
        "title_link": "https://x.com/t",
        "text": "see the body",
        "fields": [{"title": "api key", "value": "v1", "short": True}],
        "footer": "foot",
        "from_url": "https://acme.slack.com/archives/C1/p1",
        "thumb_url": "https://x.com/t.png",
        "color": "fff",
        "message_blocks": [{"message": {"blocks": rich(run("quoted"), run("words"))}}],
    }
    found = list(segments(message(text="", attachments=[attachment, None])))
    said = [item.text.decode() for item in found]
    assert said[:5] == ["before", "A title", "https://x.com/t", "see the body", "api key"]
    assert set(said[5:]) == {"v1", "foot", "https://acme.slack.com/archives/C1/p1", "quotedwords", "[Jan 5th] bob: "}
    assert [item.context for item in found if item.text == b"v1"] == ["api key"]


def test_files_edits_and_comments() -> None:
    found = message(
        text="up",
        files=[
            {
                "name": "notes.txt",
                "title": "Notes",
                "preview": "first &amp; line",
                "initial_comment": {"comment": "with a &amp; comment"},
                "url_private": "https://files.slack.com/x?t=1",
                "thumb_64": "https://t",
                "mimetype": "text/plain",
            }
        ],
        message={"text": "after the edit", "blocks": rich(run("after the edit"))},
        previous_message={"text": "before the edit"},
        original={"text": "at first", "attachments": [{"text": "attached then"}]},
        edited={"user": "U1", "ts": "1"},
    )
    assert texts(found) == [
        "up",
        "notes.txt",
        "Notes",
        "first &amp; line",
        "with a & comment",
        "https://files.slack.com/x?t=1",
        "after the edit",
        "before the edit",
        "at first",
        "attached then",
    ]


def test_links_with_another_label_give_their_address_too() -> None:
    stored = "our <https://x.com/?token=abc|dashboard>"
    runs = rich(run("our "), {"type": "link", "url": "https://x.com/?token=abc", "text": "dashboard"})
    found = list(segments(message(text=stored, blocks=runs)))
    assert [(item.text, item.context) for item in found] == [
        (b"our dashboard", ""),
        (b"https://x.com/?token=abc", "dashboard"),
    ]
    assert texts(message(text="", blocks=runs)) == ["our dashboard", "https://x.com/?token=abc"]


RUNS = rich(
    run('pg\\" é'),
    {"type": "link", "url": "http://db.com", "text": "db.com"},
    {"type": "user", "user_id": "U2"},
    {"type": "emoji", "name": "tada"},
    {"type": "broadcast", "range": "here"},
    {"type": "link", "url": "https://bare.com"},
    None,
    {"type": "color", "value": "#fff"},
)


def test_spans_of_joined_runs_lead_to_each_of_them() -> None:
    raw = json.dumps({"ts": "1.5", "text": "", "blocks": RUNS}).encode()
    (segment,) = segments(record(raw, GENERAL, workspace()))
    assert segment.text.decode() == 'pg\\" édb.com@bob:tada:@herehttps://bare.com#fff'
    assert segment.origin is not None
    path = "blocks[0].elements[0].elements"
    assert segment.route[0].name == path
    start = segment.text.index("é".encode())
    span = segment.origin.span_to_original(ByteSpan(start, segment.text.index(b"ob:")))
    assert [(where, raw[at.start : at.end]) for where, at in places(raw, path, span)] == [
        (f"{path}[0].text", b"\\u00e9"),
        (f"{path}[1].text", b"db.com"),
        (f"{path}[2].user_id", b"U2"),
    ]


def test_spans_of_fields_lead_to_the_raw_bytes() -> None:
    raw = json.dumps({"ts": "1.5", "text": 'a\n"é" x<http://b.com|b.com>&amp;1'}).replace("/", "\\/").encode()
    (segment,) = segments(record(raw, GENERAL, workspace()))
    assert segment.text.decode() == 'a\n"é" xb.com&1'
    assert segment.origin is not None
    span = segment.origin.span_to_original(ByteSpan(segment.text.index(b"xb"), len(segment.text)))
    ((where, at),) = places(raw, segment.route[0].name, span)
    assert (where, raw[at.start : at.end]) == ("text", b"x<http:\\/\\/b.com|b.com>&amp;1")
    assert places(raw, "nowhere", span) == ()


WORDS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.integers() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "type", "elements", "fallback", "title", "value", "rows", "url", "user_id", "x y"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)
TYPES = st.sampled_from(["rich_text", "rich_text_section", "table", "mrkdwn", "plain_text", "link"])


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "text": VALUES | st.text(alphabet="<>&amp;|@U1http:/ ", max_size=30),
            "blocks": VALUES | st.lists(st.dictionaries(st.just("type"), TYPES) | VALUES),
            "attachments": VALUES,
            "files": VALUES,
            "message": VALUES,
            "ts": VALUES,
            "user": VALUES,
            "bot_profile": VALUES,
        },
    )
)
def test_any_message_makes_a_record_whose_segments_lead_back(fields: dict[str, object]) -> None:
    raw = json.dumps(fields).encode()
    found = record(raw, GENERAL, workspace())
    for segment in segments(found):
        span = ByteSpan(0, len(segment.text))
        if segment.origin is not None:
            span = segment.origin.span_to_original(span)
        spots = places(raw, segment.route[0].name, span)
        assert spots
        for _, at in spots:
            assert 0 < at.start < at.end < len(raw)
        if len(spots) == 1 and segment.origin is None:
            assert json.loads(b'"' + raw[spots[0][1].start : spots[0][1].end] + b'"').encode() == segment.text


@pytest.mark.parametrize("raw", [b'{"ts":"1.5","text":"caf\xff pw"}', b'{"ts":"1.5","text":"\\ud83d pw"}'])
def test_bad_text_is_still_read(raw: bytes) -> None:
    (segment,) = segments(record(raw, GENERAL, workspace()))
    assert segment.text.endswith(b" pw")
    ((_, at),) = places(raw, "text", ByteSpan(len(segment.text) - 2, len(segment.text)))
    assert raw[at.start : at.end] == b"pw"


@pytest.mark.parametrize("raw", [b"7", b'"words of no message"', b"{broken"])
def test_what_is_no_message_is_one_text(raw: bytes) -> None:
    assert [segment.text for segment in segments(record(raw, GENERAL, workspace()))] == [raw]


# -- real exports ---------------------------------------------------------------------------------------------------


@real
@pytest.mark.parametrize("name", ["slackdump-export.zip", "viewer-testarchive.zip"])
def test_real_exports(name: str) -> None:
    with zipfile.ZipFile(REAL / name) as archive:
        names = archive.namelist()
        assert is_export(names)
        space, lost = Workspace.read(archive.read, names)
        assert lost == [] and space.users and space.channels
        count = 0
        for member in names:
            channel = day_channel(member, space)
            if channel is None:
                continue
            assert channel.kind == "public" and channel.members
            data = archive.read(member)
            found = elements(data)
            assert found.damage == ""
            assert [json.loads(data[start:end]) for start, end in found.spans] == json.loads(data)
            for start, end in found.spans:
                raw = data[start:end]
                made = record(raw, channel, space, path=name, member=member)
                assert made.id and made.author and made.time and made.uri
                assert all(places(raw, item.route[0].name, ByteSpan(0, 1)) for item in segments(made))
                count += 1
        assert count >= 16


@real
def test_a_real_dump_is_no_export() -> None:
    with zipfile.ZipFile(REAL / "source_dump.zip") as archive:
        assert not is_export(archive.namelist())


@real
def test_a_real_export_folder() -> None:
    root = REAL / "export-dir"
    names = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    assert is_export(names)
    space, lost = Workspace.read(lambda name: (root / name).read_bytes(), names)
    assert lost == []
    assert day_channel("B75B4C7/2025-01-10.json", space) == space.channels["CO69735E8A"]
