"""Google Chat: the words of messages, attachments, who can read a space, and what happens in it.

Chat is played by a server of our own, held to Google's discovery document.
"""

from __future__ import annotations

from typing import Any

import pytest

from keysentry.connectors.base import Delivery
from keysentry.errors import GoneError, InputError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure, render_route
from keysentry.model.record import Record, Unit
from tests.connectors.google.conftest import ANN, BOB, Open
from tests.connectors.google.worlds import ChatSpace, read, said, unit_of
from tests.servers.google import GoogleServer
from tests.servers.google_paging import Media

pytestmark = pytest.mark.xdist_group("google")


def messages(open_google: Open, cursor: Cursor | None = None, **options: Any) -> list[Delivery]:
    """All deliveries of the space."""
    source = open_google(**ChatSpace.options | options)
    return read(source, unit_of(source, ChatSpace.unit), cursor)


def one(open_google: Open, **options: Any) -> Record:
    """The only message."""
    found = [delivery.record for delivery in messages(open_google, **options) if delivery.record is not None]
    assert len(found) == 1
    return found[0]


def texts(record: Record) -> list[tuple[str, str, str]]:
    """The words of a message: where, what, and the context."""
    found = [part.segment for part in record.parts if part.segment]
    return [(render_route(one.route), one.text.decode(), one.context) for one in found]


@pytest.fixture
def space(google: GoogleServer) -> str:
    """A space with Ann in it."""
    return google.chat.space("AAA", "Operations", ANN)


def test_a_message_says_who_wrote_it_where_and_when(google: GoogleServer, open_google: Open, space: str) -> None:
    name = google.chat.post(space, "the words")
    record = one(open_google)
    assert record.id == name
    assert (record.author, record.author_id, record.time) == ("Ann", ANN, 1772355601)
    assert (record.container, record.uri) == ("Operations", "https://chat.google.com/room/AAA/m0000/m0000")
    assert record.chat
    assert texts(record) == [("text", "the words", "")]


def test_everything_that_a_message_says_is_read(google: GoogleServer, open_google: Open, space: str) -> None:
    card = {
        "cardId": "c",
        "card": {
            "header": {"title": "Deploy", "imageUrl": "https://example.com/i.png"},
            "sections": [
                {
                    "widgets": [
                        {"decoratedText": {"topLabel": "Password", "text": "open <b>se</b>same"}},
                        {"textParagraph": {"text": '<a href="https://example.com/?t=1">here</a>'}},
                    ]
                }
            ],
        },
    }
    google.chat.post(
        space,
        "see here",
        formattedText="see <https://example.com/hidden|here>",
        cardsV2=[card],
        fallbackText="what phones show",
        annotations=[
            {
                "type": "RICH_LINK",
                "startIndex": 0,
                "length": 0,
                "richLinkMetadata": {"uri": "https://example.com/chip"},
            },
        ],
        quotedMessageMetadata={
            "name": "spaces/B/messages/1",
            "lastUpdateTime": "2026-02-01T00:00:00Z",
            "quoteType": "FORWARD",
            "quotedMessageSnapshot": {"text": "from elsewhere"},
        },
    )
    assert texts(one(open_google)) == [
        ("text", "see here", ""),
        ("formattedText", "https://example.com/hidden", "here"),
        ("cardsV2[0].card.header.title", "Deploy", ""),
        ("cardsV2[0].card.sections[0].widgets[0].decoratedText.topLabel", "Password", ""),
        ("cardsV2[0].card.sections[0].widgets[0].decoratedText.text", "open sesame", "Password"),
        ("cardsV2[0].card.sections[0].widgets[1].textParagraph.text", "here", ""),
        ("cardsV2[0].card.sections[0].widgets[1].textParagraph.text", "https://example.com/?t=1", "here"),
        ("fallbackText", "what phones show", ""),
        ("annotations", "https://example.com/chip", ""),
        ("quotedMessageMetadata.quotedMessageSnapshot.text", "from elsewhere", ""),
    ]


@pytest.mark.parametrize("ranged", [True, False])
def test_attachments_are_had_when_they_are_read(
    ranged: bool, google: GoogleServer, open_google: Open, space: str
) -> None:
    data = bytes(range(256)) * (36 << 10)
    resource = "spaces/AAA/attachments/x/y"
    google.chat.media[resource] = Media.of(data, ranged=ranged)
    attachments = [
        {
            "name": "n",
            "contentName": "a.bin",
            "source": "UPLOADED_CONTENT",
            "attachmentDataRef": {"resourceName": resource},
        },
        {"name": "n2", "contentName": "gone.txt", "attachmentDataRef": {"resourceName": "spaces/AAA/attachments/z"}},
        {"name": "n3", "contentName": "Plan", "source": "DRIVE_FILE", "driveDataRef": {"driveFileId": "f"}},
        {"name": "n4", "contentName": "odd"},
    ]
    google.chat.post(space, "see there", attachment=attachments)
    first, *_ = messages(open_google)
    assert first.record is not None
    large, gone = (part for part in first.record.parts if part.open)
    assert large.open is not None and gone.open is not None
    assert (large.name, b"".join(large.open())) == ("a.bin", data)
    with pytest.raises(InputError, match="Media not found"):
        list(gone.open())
    assert [skipped.reason for skipped in first.skipped] == [
        "it lies in Drive: switch on drive to have it read there",
        "Chat does not say where its content is",
    ]
    other, *_ = messages(open_google, drive=True)
    assert [skipped.reason for skipped in other.skipped] == ["Chat does not say where its content is"]


def test_a_giant_attachment_is_left_at_its_limit(google: GoogleServer, open_google: Open, space: str) -> None:
    resource = "spaces/AAA/attachments/x"
    google.chat.media[resource] = Media(1 << 40, lambda first, last: b"x" * (last - first + 1))
    google.chat.post(space, "", attachment=[{"contentName": "g", "attachmentDataRef": {"resourceName": resource}}])
    (part,) = one(open_google).parts
    assert part.open is not None
    size = 0
    with pytest.raises(InputError, match="max_file is 104,857,600"):
        for chunk in part.open():
            size += len(chunk)
    assert size == 4 << 20


SPACES: list[tuple[dict[str, Any], Exposure, str]] = [
    ({}, Exposure("private", 1), "Operations"),
    ({"externalUserAllowed": True}, Exposure("external", 1), "Operations"),
    ({"accessSettings": {"accessState": "DISCOVERABLE"}}, Exposure("internal", None), "Operations"),
    (
        {"membershipCount": {"joinedDirectHumanUserCount": 3, "joinedGroupCount": 1}},
        Exposure("private", None),
        "Operations",
    ),
    ({"spaceType": "DIRECT_MESSAGE", "displayName": ""}, Exposure("private", 1), "direct message AAA"),
    ({"spaceType": "GROUP_CHAT", "displayName": ""}, Exposure("private", 1), "group chat AAA"),
]


@pytest.mark.parametrize(("more", "exposure", "title"), SPACES)
def test_who_can_read_a_space(
    more: dict[str, Any], exposure: Exposure, title: str, google: GoogleServer, open_google: Open
) -> None:
    space = google.chat.space("AAA", "Operations", ANN)
    google.chat.spaces[space] |= more
    google.chat.post(space, "words")
    record = one(open_google)
    assert (record.exposure, record.container) == (exposure, title)


def test_events_that_come_together_are_cut_between(google: GoogleServer, open_google: Open, space: str) -> None:
    google.chat.post(space, "first")
    cursor = messages(open_google)[-1].cursor
    names = [google.chat.post(space, f"words {number}") for number in range(3)]
    google.chat.together(space, 3)
    for name in names[:2]:
        google.chat.delete(name)
    google.chat.together(space, 2)
    whole = messages(open_google, cursor)
    assert said(whole) == [f"-{names[0]}", f"-{names[1]}", names[2], f"-{names[0]}", f"-{names[1]}"]
    for number, delivery in enumerate(whole):
        assert said(messages(open_google, delivery.cursor)) == said(whole[number + 1 :])


def test_messages_of_one_instant_are_all_given_once(google: GoogleServer, open_google: Open, space: str) -> None:
    at = "2026-03-01T09:00:07.123456789Z"
    names = [google.chat.post(space, f"words {number}", at=at) for number in range(5)]
    whole = messages(open_google)
    assert said(whole) == names
    for number, delivery in enumerate(whole):
        assert said(messages(open_google, delivery.cursor)) == names[number + 1 :]


def test_events_of_one_instant_are_all_given_once(google: GoogleServer, open_google: Open, space: str) -> None:
    google.chat.post(space, "first")
    cursor = messages(open_google)[-1].cursor
    google.tick()
    at = google.stamp()
    names = [google.chat.post(space, f"words {number}", at=at) for number in range(5)]
    whole = messages(open_google, cursor)
    assert said(whole) == names
    for number, delivery in enumerate(whole):
        assert said(messages(open_google, delivery.cursor)) == names[number + 1 :]


def test_after_28_days_all_is_listed_again_with_what_was_deleted(
    google: GoogleServer, open_google: Open, space: str
) -> None:
    names = [google.chat.post(space, f"words {number}") for number in range(4)]
    cursor = messages(open_google)[-1].cursor
    google.chat.delete(names[1])
    google.chat.edit(names[2], "other words")
    google.advance(days=29)
    again = messages(open_google, cursor)
    assert said(again) == [names[0], f"-{names[1]}", names[2], names[3]]
    assert said(messages(open_google, again[-1].cursor)) == []


def test_in_a_quiet_space_the_place_moves_on(google: GoogleServer, open_google: Open, space: str) -> None:
    name = google.chat.post(space, "words")
    cursor = messages(open_google)[-1].cursor
    listings = google.count("chat.spaces.messages.list")
    for _ in range(12):
        google.advance(days=5)
        (moved,) = messages(open_google, cursor)
        assert moved.record is None
        cursor = moved.cursor
    google.chat.edit(name, "other words")
    assert said(messages(open_google, cursor)) == [name]
    assert google.count("chat.spaces.messages.list") == listings


def test_an_edit_while_messages_are_listed_is_not_missed(google: GoogleServer, open_google: Open, space: str) -> None:
    names = [google.chat.post(space, f"words {number}") for number in range(5)]
    source = open_google(**ChatSpace.options)
    given = []
    for delivery in source.records(unit_of(source, ChatSpace.unit), None):
        given.append(delivery)
        if len(given) == 4:
            google.chat.edit(names[0], "other words")
    assert said(given) == [*names, names[0]]


def test_who_is_no_member_any_more_reads_no_more(google: GoogleServer, open_google: Open, space: str) -> None:
    google.chat.post(space, "words")
    source = open_google(**ChatSpace.options)
    unit = unit_of(source, ChatSpace.unit)
    cursor = read(source, unit)[-1].cursor
    google.chat.members[space] = {BOB}
    with pytest.raises(GoneError, match="cannot access the space"):
        read(source, unit, cursor)
    google.chat.members[space] = {ANN}
    google.chat.spaces.pop(space)
    with pytest.raises(GoneError, match="Space not found"):
        read(source, unit, cursor)


def test_spaces_can_be_named(google: GoogleServer, open_google: Open, space: str) -> None:
    google.chat.space("BBB", "Others", ANN)
    source = open_google(**ChatSpace.options, spaces=("spaces/BBB", "spaces/none"))
    named, gone = source.units()
    assert named == Unit("space:spaces/BBB", "Others")
    assert isinstance(gone, Skipped) and gone.place == "spaces/none"
    for number in range(7):
        google.chat.space(f"C{number}", f"More {number}", ANN)
    google.chat.space("D", "Not Ann's", BOB)
    assert len(list(open_google(**ChatSpace.options).units())) == 9


def test_what_is_older_than_since_is_left_out(google: GoogleServer, open_google: Open, space: str) -> None:
    google.chat.post(space, "old")
    google.advance(days=3)
    new = google.chat.post(space, "new")
    assert said(messages(open_google, since="2026-03-02")) == [new]


def test_null_and_unknown_fields_cost_at_most_their_message(
    google: GoogleServer, open_google: Open, space: str
) -> None:
    names = [google.chat.post(space, f"words {number}") for number in range(3)]

    def twist(answer: Any) -> Any:
        first, second, third = answer["messages"]
        answer["messages"] = [
            dict.fromkeys(first) | {"name": first["name"], "createTime": first["createTime"], "new": {}},
            None,
            {"text": "nobody's", "createTime": second["createTime"]},
            second | {"sender": None, "cardsV2": [None, 7, {"card": None}], "attachment": [None, {}], "thread": 1},
            third | {"annotations": "?", "quotedMessageMetadata": 3, "lastUpdateTime": None},
        ]
        return answer

    google.twists["chat.spaces.messages.list"] = twist
    deliveries = messages(open_google)
    assert said(deliveries) == names
    assert [one.reason for delivery in deliveries for one in delivery.skipped] == [
        "a message without a name",
        "Chat does not say where its content is",
    ]
