"""Teams exports: known by their beginning, messages found around any place, conversations named, damage told."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.extraction.formats import teams, teamsmessage
from keysentry.extraction.formats.teams import Around, Conversation, Conversations, Lost, Search, message_at
from keysentry.model.location import ByteSpan
from keysentry.model.record import Exposure, Record, Segment

MESSAGE = {
    "id": "1709551234567",
    "messageType": "message",
    "createdDateTime": "2024-03-04T11:20:34.567Z",
    "chatId": "19:a@thread.v2",
    "from": {"application": None, "user": {"id": "u1", "displayName": "Ann"}},
    "body": {"contentType": "html", "content": "<p>hello</p>"},
}
PERSONAL = {
    "id": "1709551234567",
    "displayName": "Ann",
    "originalarrivaltime": "2024-03-04T11:20:34.5671234Z",
    "messagetype": "RichText",
    "content": "it is <b>here</b> &amp; now",
    "conversationid": "19:a@thread.v2",
    "from": "8:live:ann",
    "properties": None,
}


def made(fields: dict[str, object], conversation: Conversation | None = None) -> Record:
    form = teams.form_of(fields)
    assert form is not None
    return teamsmessage.record(fields, form, conversation or Conversation())


def texts(record: Record) -> list[str]:
    return [segment.text.decode() for segment in segments(record)]


def segments(record: Record) -> list[Segment]:
    return [part.segment for part in record.parts if part.segment is not None]


# -- which files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"userId": "8:x", "exportDate": "2024-03-05T10:00", "conversations": []},
        {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#Collection(chatMessage)", "value": []},
        {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#chats('19%3Aa')/messages", "value": [{}]},
        [MESSAGE],
        MESSAGE,
        [{key: MESSAGE[key] for key in ("id", "createdDateTime", "from", "body")}],
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_exports_are_known_by_their_beginning(document: object, indent: int | None) -> None:
    assert teams.is_export(b"\xef\xbb\xbf \n" + json.dumps(document, indent=indent).encode())


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{}",
        b'{"value": [{"id": 1, "body": "text"}]}',
        b'{"contentType": "html", "content": "<p>x</p>"}',
        b'# notes\n{"messageType": "message"}',
        b'{"sample": "{\\"messageType\\": \\"message\\"}"}',
        json.dumps({"from": {"emailAddress": {"name": "x"}}, "body": {"contentType": "html"}}).encode(),
    ],
)
def test_other_files_are_none(head: bytes) -> None:
    assert not teams.is_export(head)


# -- the message around a place ---------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab:,{}[]"\\ \n é', max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "a b", "body", "x", "@y"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.lists(VALUES, max_size=4), VALUES, st.sampled_from([None, 1]), st.booleans(), st.integers(0, 10**6))
def test_the_message_around_any_place_is_found(
    others: list[object], value: object, indent: int | None, ascii: bool, seed: int
) -> None:
    messages = [MESSAGE | {"id": str(number), "note": value, "list": others} for number in range(3)]
    nested = MESSAGE | {"id": "root", "replies": messages[:2], "last": value}
    document = {"@odata.nextLink": value, "value": [*messages, nested], "rest": others}
    data = json.dumps(document, indent=indent, ensure_ascii=ascii).encode()
    spans = [
        (start, start + len(_dumped(data, start)), json.loads(_dumped(data, start))["id"])
        for start in _beginnings(data)
    ]
    search = Search(data)
    for at in sorted(random.Random(seed).sample(range(len(data)), min(20, len(data)))):
        inside = [span for span in spans if _first_value(data, span[0]) <= at < span[1]]
        found = message_at(data, at)
        again = search.at(at)
        assert again == found or isinstance(again, Lost) == isinstance(found, Lost) is True
        if not inside:
            assert not isinstance(found, Around) or any(start <= at < end for start, end, _id in spans)
            continue
        start, end, id = max(inside)
        assert isinstance(found, Around)
        assert (found.start, found.end, found.fields["id"], found.form) == (start, end, id, "graph")


def _beginnings(data: bytes) -> list[int]:
    """Where messages begin: their first field is their id, their second their type."""
    found, at = [], 0
    while (at := data.find(b'"messageType"', at + 1)) >= 0:
        found.append(data.rfind(b"{", 0, at))
    return found


def _dumped(data: bytes, start: int) -> bytes:
    _value, end = json.JSONDecoder().raw_decode(data[start:].decode())
    return data[start:].decode()[:end].encode()


def _first_value(data: bytes, start: int) -> int:
    """From where on a message can be told from what came before it: behind its first key."""
    return data.index(b":", start) + 1


def test_far_brackets_are_told() -> None:
    data = json.dumps([MESSAGE | {"note": "x" * 1_000_000, "other": "y"}]).encode()
    assert isinstance(message_at(data, data.index(b"hello")), Around)
    assert message_at(data, data.index(b'"y"')) == Lost("far")


def test_a_message_that_is_cut_off_has_its_first_fields() -> None:
    data = json.dumps([MESSAGE, MESSAGE | {"attachments": [{"id": "1"}]}]).encode()
    found = message_at(data[:-10], len(data) - 60)
    assert isinstance(found, Around)
    assert not found.whole and found.fields == MESSAGE | {"attachments": None}


@pytest.mark.parametrize("broken", [b'"from" {', b'"from": {,', b'"from": }', b'"from": {"user" "x",'])
def test_damage_is_told(broken: bytes) -> None:
    data = json.dumps([MESSAGE, MESSAGE]).encode()
    at = data.index(b'"from": {')
    data = data[:at] + broken + data[at + 9 :]
    found = message_at(data, data.index(b"hello"))
    assert isinstance(found, Lost) or not found.whole
    second = message_at(data, data.rindex(b"hello"))
    assert isinstance(second, Around) and second.fields == MESSAGE
    wrong = teams.damage(data)
    assert wrong is not None and at <= wrong.offset <= at + 30


@given(st.binary(max_size=80) | st.text(alphabet='[]{}",:a1\\ \n', max_size=80).map(str.encode), st.integers(0, 80))
def test_nothing_raises(data: bytes, at: int) -> None:
    message_at(data, min(at, len(data)))
    teams.damage(data)
    teams.conversations(data)
    teams.contents(data, data)
    teams.is_export(data)


@pytest.mark.parametrize("document", [{"a": 1}, [1, {"b": []}], "x"])
def test_sound_files(document: object) -> None:
    assert teams.damage(json.dumps(document, indent=1).encode()) is None
    assert teams.damage(b"\xef\xbb\xbf" + json.dumps(document).encode() + b"\n") is None
    assert teams.damage(b"\n".join([json.dumps(document).encode()] * 3) + b"\n\n") is None


def test_damage_in_a_line_is_told_where_it_is() -> None:
    lines = b'{"a": 1}\n{"a" 2}\n{"a": 3}\n'
    wrong = teams.damage(lines)
    assert wrong is not None and lines[: wrong.offset].count(b"\n") == 1
    deep = b"[" * 100_000 + b"]" * 100_000
    assert teams.damage(deep) is None


# -- conversations ----------------------------------------------------------------------------------------------------


def export(count: int) -> bytes:
    heads = [
        {
            "id": f"19:{number}@thread.v2",
            "displayName": f"Chat {number}" if number % 2 else None,
            "threadProperties": {"topic": f"Topic {number}", "members": '["8:a"]'},
            "messages": None,
            "MessageList": [PERSONAL | {"id": str(i), "conversationid": f"19:{number}@thread.v2"} for i in range(3)],
        }
        for number in range(count)
    ]
    return json.dumps({"userId": "8:me", "exportDate": "x", "conversations": heads}, indent=1).encode()


def expected(data: bytes) -> list[tuple[int, Conversation]]:
    found, at, number = [], 0, 0
    while (at := data.find(b'"MessageList": [', at + 1)) >= 0:
        title = f"Chat {number}" if number % 2 else f"Topic {number}"
        found.append((at + len(b'"MessageList": ['), Conversation(f"19:{number}@thread.v2", title)))
        number += 1
    return found


def test_conversations_are_named_by_what_stands_before_their_messages() -> None:
    data = export(5)
    assert teams.conversations(data) == expected(data)
    chats = json.dumps([{"id": "19:x", "topic": "Plans", "chatType": "group", "messages": [MESSAGE]}]).encode()
    assert [named for _at, named in teams.conversations(chats)] == [Conversation("19:x", "Plans")]


@pytest.mark.parametrize("step", [1, 7, 64, 1000, 10**6])
def test_conversations_of_a_file_that_goes_by(step: int) -> None:
    data = export(4)
    seen = Conversations()
    for start in range(0, len(data), step):
        seen.feed(data[start : start + step])
    for at, named in expected(data):
        assert seen.at(at) == seen.at(at + 50) == named
    assert seen.at(10) == Conversation()


def test_conversations_of_a_file_are_read_when_asked(tmp_path: Path) -> None:
    data = export(4)
    (tmp_path / "messages.json").write_bytes(data)
    seen = Conversations(str(tmp_path / "messages.json"))
    for at, named in reversed(expected(data)):
        assert seen.at(at) == named
    assert seen.damage() is None
    (tmp_path / "messages.json").write_bytes(data[:-20])
    assert Conversations(str(tmp_path / "messages.json")).damage() is not None
    (tmp_path / "messages.json").unlink()
    assert Conversations(str(tmp_path / "messages.json")).at(100) == Conversation()


def test_the_context_of_a_page() -> None:
    start = b'{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#'
    assert teams.context_of(start + b"teams('t1')/channels('19%3Ac%40thread.tacv2')/messages\"") == {
        "teams": "t1",
        "channels": "19:c@thread.tacv2",
    }
    assert teams.context_of(b"{}") == {}


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_record_knows_its_message() -> None:
    found = made(MESSAGE, Conversation("19:a@thread.v2", "Plans"))
    assert (found.id, found.unit, found.container) == ("19:a@thread.v2/1709551234567", "19:a@thread.v2", "Plans")
    assert (found.author, found.author_id, found.time, found.chat) == ("Ann", "u1", 1709551234.567, True)
    assert found.exposure == Exposure("private", None, 1709551234.567)
    assert texts(found) == ["hello"]


def test_a_personal_record() -> None:
    found = made(PERSONAL)
    assert (found.author, found.author_id, found.time) == ("Ann", "8:live:ann", 1709551234.567123)
    assert found.container == found.unit == "19:a@thread.v2"
    assert texts(found) == ["it is here & now"]
    assert made(PERSONAL | {"displayName": ""}).author == "live:ann"
    alone = made(PERSONAL | {"conversationid": "8:live:bob"})
    assert alone.exposure == Exposure("private", 2, alone.time)


@pytest.mark.parametrize(
    ("sender", "author"),
    [
        ({"user": {"id": "u2", "displayName": None}}, ("u2", "u2")),
        ({"user": None, "application": {"id": "b1", "displayName": "CI"}}, ("CI", "b1")),
        ({"device": {"id": "d1", "displayName": "Room"}}, ("Room", "d1")),
        (None, ("", "")),
        ("words", ("", "")),
    ],
)
def test_authors(sender: object, author: tuple[str, str]) -> None:
    found = made(MESSAGE | {"from": sender})
    assert (found.author, found.author_id) == author


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2021-03-29T04:00:17.393Z", 1616990417.393),
        ("2021-03-29T06:00:17+02:00", 1616990417.0),
        ("/Date(1616990417393)/", 1616990417.393),
        ("2021-03-1706:47:05.123Z", 1709551234.567),
        (None, 1709551234.567),
    ],
)
def test_times(time: object, seconds: float) -> None:
    assert made(MESSAGE | {"createdDateTime": time}).time == seconds


def test_plain_text_is_no_markup() -> None:
    assert texts(made(MESSAGE | {"body": {"contentType": "text", "content": "a <b> &amp; c"}})) == ["a <b> &amp; c"]
    assert texts(made(PERSONAL | {"messagetype": "Text", "content": "a <b> &amp; c"})) == ["a <b> &amp; c"]


def test_the_words_of_a_message() -> None:
    card = json.dumps({"body": [{"text": "see"}, {"facts": [{"title": "Password", "value": "x1"}], "id": "no"}]})
    message = MESSAGE | {
        "subject": "Subject",
        "summary": "Summary",
        "attachments": [
            {"id": "1", "contentType": "application/vnd.microsoft.card.adaptive", "content": card, "name": None},
            {"id": "2", "contentType": "reference", "contentUrl": "https://x/y?sig=1", "name": "notes.txt"},
            {"id": "3", "contentType": "messageReference", "content": '{"messagePreview":"quoted","messageId":"7"}'},
        ],
        "mentions": [{"id": 0, "mentionText": "Bob"}],
        "reactions": [{"displayName": "Like"}],
        "replies": [MESSAGE],
        "eventDetail": {"@odata.type": "x", "chatDisplayName": "renamed", "chatId": "19:a"},
    }
    found = segments(made(message))
    assert [(s.text.decode(), s.context) for s in found] == [
        ("hello", ""),
        ("Subject", ""),
        ("Summary", ""),
        ("see", ""),
        ("Password", ""),
        ("x1", "Password"),
        ("https://x/y?sig=1", ""),
        ("notes.txt", ""),
        ("quoted", ""),
        ("renamed", ""),
    ]


def test_spans_lead_through_json_in_json() -> None:
    inner = json.dumps({"text": 'say "é" x1'})
    card = json.dumps({"body": [{"text": "t", "more": inner}]})
    raw = json.dumps(MESSAGE | {"attachments": [{"content": card}]}).encode()
    segment = segments(made(json.loads(raw)))[-1]
    assert segment.text.decode() == 'say "é" x1'
    assert [step.name for step in segment.route] == ["attachments[0].content", "body[0].more", "text"]
    at = segment.text.index("é".encode())
    place = teamsmessage.places(raw, segment.route, ByteSpan(at, len(segment.text)))
    assert place is not None
    text = raw[place.start : place.end].decode()
    assert text.startswith("\\\\") and text.endswith(" x1") and "u00e9" in text
    assert teamsmessage.places(raw, (), ByteSpan(0, 1)) is None


@settings(max_examples=60)
@given(
    st.sampled_from(["MESSAGE", "PERSONAL"]),
    st.dictionaries(st.sampled_from([*MESSAGE, *PERSONAL, "attachments", "subject", "x y"]), VALUES, max_size=5),
)
def test_any_message_makes_a_record_whose_segments_lead_back(base: str, fields: dict[str, object]) -> None:
    message = (MESSAGE if base == "MESSAGE" else PERSONAL) | fields
    raw = json.dumps(message).encode()
    form = teams.form_of(message)
    for segment in segments(teamsmessage.record(message, form or "graph", Conversation())):
        span = ByteSpan(0, len(segment.text))
        if segment.origin is not None:
            span = segment.origin.span_to_original(span)
        place = teamsmessage.places(raw, segment.route, span)
        assert place is not None and 0 < place.start < place.end < len(raw)
