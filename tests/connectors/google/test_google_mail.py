"""Mail: the words of a message, its attachments and who got it, and what happens to it.

Gmail is played by a server of our own, held to Google's discovery document; `test_google_emulate.py` reads another one.
"""

from __future__ import annotations

import os
from email.message import EmailMessage
from typing import Any

import pytest

from keysentry.connectors.base import Delivery
from keysentry.errors import AccessError, InputError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure, render_route
from keysentry.model.record import Record, Unit
from tests.connectors.google.conftest import ANN, BOB, Open
from tests.connectors.google.worlds import Mailbox, mail, read, said, unit_of
from tests.servers.google import GoogleServer

pytestmark = pytest.mark.xdist_group("google")


def mails(open_google: Open, cursor: Cursor | None = None, **options: Any) -> list[Delivery]:
    """All deliveries of Ann's mailbox."""
    source = open_google(**Mailbox.options, **options)
    return read(source, unit_of(source, Mailbox.unit), cursor)


def one(open_google: Open) -> Record:
    """The only mail."""
    found = [delivery.record for delivery in mails(open_google) if delivery.record is not None]
    assert len(found) == 1
    return found[0]


def texts(record: Record) -> dict[str, str]:
    """The words of a mail by their routes."""
    return {render_route(part.segment.route): part.segment.text.decode() for part in record.parts if part.segment}


def contents(record: Record) -> dict[str, bytes]:
    """The attachments of a mail by their routes and names."""
    found = {}
    for part in record.parts:
        if part.open is not None or part.content is not None:
            data = b"".join(part.open()) if part.open else part.content
            found[" » ".join([*(step.name for step in part.route), part.name])] = data or b""
    return found


def test_a_mail_says_who_wrote_what_to_whom_and_when(google: GoogleServer, open_google: Open) -> None:
    message = mail("the words", "Bob Bell <Bob@corp.example>", f"{ANN}, Cy <cy@corp.example>")
    message["Cc"] = "=?utf-8?q?D=C3=BCr?= <dur@corp.example>"
    id = google.gmail.receive(ANN, message)
    record = one(open_google)
    assert record.id == f"mail:{ANN}/{id}"
    assert (record.author, record.author_id, record.time) == ("Bob Bell", BOB, 1772355601)
    assert record.container == f"Mailbox of {ANN}"
    assert record.uri == f"https://mail.google.com/mail/?authuser=ann%40corp.example#all/{id}"
    assert record.exposure == Exposure("private", 4)
    assert texts(record) == {
        "subject": "About something",
        "from": "Bob Bell <Bob@corp.example>",
        "to": f"{ANN}, Cy <cy@corp.example>",
        "cc": "Dür <dur@corp.example>",
        "text/plain": "the words\n",
    }


@pytest.mark.parametrize(
    ("sender", "to", "exposure"),
    [
        (BOB, ANN, Exposure("private", 2)),
        (BOB, f"{ANN}, eve@partner.example", Exposure("external", 3)),
        ("eve@partner.example", ANN, Exposure("external", 2)),
        ("", "", Exposure("private", None)),
    ],
)
def test_recipients_are_exposure(
    sender: str, to: str, exposure: Exposure, google: GoogleServer, open_google: Open
) -> None:
    google.gmail.receive(ANN, mail("words", sender, to))
    assert one(open_google).exposure == exposure


def test_a_draft_was_seen_by_nobody_and_a_list_by_who_knows_how_many(google: GoogleServer, open_google: Open) -> None:
    google.gmail.receive(ANN, mail("words", ANN, "eve@partner.example"), labels=("DRAFT",))
    listed = mail("words", BOB, "team@corp.example")
    listed["List-Id"] = "<team.corp.example>"
    google.gmail.receive(ANN, listed)
    found = [delivery.record.exposure for delivery in mails(open_google) if delivery.record]
    assert found == [Exposure("private", None), Exposure("private", 1)]


def test_html_is_read_as_a_person_reads_it_and_hidden_addresses_too(google: GoogleServer, open_google: Open) -> None:
    message = mail("plain words")
    message.add_alternative(
        '<p>pass<b>word</b>:&nbsp;x&amp;y</p><a href="https://example.com/?key=1">here</a>', subtype="html"
    )
    google.gmail.receive(ANN, message)
    segments = [part.segment for part in one(open_google).parts if part.segment]
    html = [segment for segment in segments if segment.route[-1].name == "text/html"]
    assert b"password: x&y" in html[0].text
    assert (html[1].text, html[1].context) == (b"https://example.com/?key=1", "here")
    assert any(segment.text == b"plain words\n" for segment in segments)


@pytest.mark.parametrize(
    ("charset", "words"),
    [
        ("utf-8", "Schlüssel 鍵"),
        ("iso-8859-1", "Schlüssel"),
        ("iso-2022-jp", "パスワード"),
        ("shift_jis", "パスワード"),
    ],
)
def test_words_in_any_encoding_are_read(charset: str, words: str, google: GoogleServer, open_google: Open) -> None:
    message = EmailMessage()
    message.set_payload(words.encode(charset))
    message["Content-Type"] = f'text/plain; charset="{charset}"'
    google.gmail.receive(ANN, message)
    assert texts(one(open_google))["text/plain"] == words


def test_attachments_are_had_when_they_are_read(google: GoogleServer, open_google: Open) -> None:
    data = os.urandom((3 << 20) + 1)
    message = mail("see there")
    message.add_attachment(data, maintype="application", subtype="octet-stream", filename="a.bin")
    message.add_attachment(b"x" * 3000, maintype="text", subtype="csv", filename="b.csv")
    google.gmail.receive(ANN, message)
    deliveries = mails(open_google, max_file=4 << 20)
    assert not google.count("gmail.users.messages.attachments.get")
    record = deliveries[0].record
    assert record is not None
    large = next(part for part in record.parts if part.name == "a.bin")
    assert large.open is not None and large.size == len(data)
    chunks = list(large.open())
    assert b"".join(chunks) == data and max(map(len, chunks)) <= 1 << 20
    assert contents(record)["b.csv"] == b"x" * 3000
    (small, _) = mails(open_google, max_file=2999)
    assert [skipped.reason for skipped in small.skipped] == [
        "it has 3,145,729 bytes; max_file is 2,999",
        "it has 3,000 bytes; max_file is 2,999",
    ]
    assert small.skipped[1].place.endswith("» b.csv")


def test_a_mail_inside_a_mail_is_read(google: GoogleServer, open_google: Open) -> None:
    inner = mail("the inner words", "Eve <eve@partner.example>")
    inner.add_attachment(b"inside", maintype="application", subtype="octet-stream", filename="in.bin")
    outer = mail("the outer words")
    outer.add_attachment(inner, filename="forwarded.eml")
    google.gmail.receive(ANN, outer)
    record = one(open_google)
    found = texts(record)
    assert found["text/plain"] == "the outer words\n"
    assert found["forwarded.eml » text/plain"] == "the inner words\n"
    assert found["forwarded.eml » from"] == "Eve <eve@partner.example>"
    assert contents(record) == {"forwarded.eml » in.bin": b"inside"}
    assert record.author_id == BOB


def test_parts_nested_without_end_are_told(google: GoogleServer, open_google: Open) -> None:
    message: Any = mail("words")
    for _ in range(80):
        wrapper = EmailMessage()
        wrapper.add_attachment(message, filename="more.eml")
        message = wrapper
    google.gmail.receive(ANN, message)
    (delivery, _) = mails(open_google)
    assert [skipped.reason for skipped in delivery.skipped] == ["parts are nested too deep"]
    assert delivery.record is not None


def test_an_attachment_that_is_gone_is_a_matter_of_its_own(google: GoogleServer, open_google: Open) -> None:
    message = mail("words")
    message.add_attachment(b"data", maintype="application", subtype="octet-stream", filename="a.bin")
    google.gmail.receive(ANN, message)
    record = one(open_google)
    google.gmail.box(ANN).attachments.clear()
    with pytest.raises(InputError, match="not found"):
        contents(record)


def test_an_attachment_that_is_no_base64_is_told(google: GoogleServer, open_google: Open) -> None:
    message = mail("words")
    message.add_attachment(b"data", maintype="application", subtype="octet-stream", filename="a.bin")
    google.gmail.receive(ANN, message)
    record = one(open_google)
    google.twists["gmail.users.messages.attachments.get"] = lambda answer: {"data": "A"}
    with pytest.raises(InputError, match="no base64"):
        contents(record)
    google.twists["gmail.users.messages.attachments.get"] = lambda answer: {"size": 3, "data": None}
    with pytest.raises(InputError, match="has no data"):
        contents(record)


def test_trash_and_spam_count_as_deleted_and_what_is_taken_out_comes_again(
    google: GoogleServer, open_google: Open
) -> None:
    ids = [google.gmail.receive(ANN, mail(f"words {number}")) for number in range(4)]
    cursor = mails(open_google)[-1].cursor
    google.gmail.label(ANN, ids[0], add=("TRASH",))
    google.gmail.label(ANN, ids[1], add=("SPAM",))
    google.gmail.label(ANN, ids[2], add=("STARRED", "UNREAD"))
    happened = mails(open_google, cursor)
    assert said(happened) == [f"-mail:{ANN}/{ids[0]}", f"-mail:{ANN}/{ids[1]}"]
    google.gmail.label(ANN, ids[0], remove=("TRASH",))
    again = mails(open_google, happened[-1].cursor)
    assert said(again) == [f"mail:{ANN}/{ids[0]}"]
    google.gmail.label(ANN, ids[0], add=("TRASH",))
    assert said(mails(open_google)) == [f"mail:{ANN}/{ids[3]}", f"mail:{ANN}/{ids[2]}"]
    junk = google.gmail.receive(ANN, mail("junk"), labels=("SPAM",))
    assert said(mails(open_google, again[-1].cursor)) == [f"-mail:{ANN}/{ids[0]}", f"-mail:{ANN}/{junk}"]


def test_many_things_in_one_entry_are_cut_between(google: GoogleServer, open_google: Open) -> None:
    google.gmail.receive(ANN, mail("first"))
    first = mails(open_google)
    ids = [google.gmail.receive(ANN, mail(f"words {number}")) for number in range(3)]
    google.gmail.delete(ANN, ids[1])
    google.gmail.together(ANN, 4)
    whole = mails(open_google, first[-1].cursor)
    assert said(whole) == [f"mail:{ANN}/{ids[0]}", f"-mail:{ANN}/{ids[1]}", f"mail:{ANN}/{ids[2]}"]
    for number, delivery in enumerate(whole):
        assert said(mails(open_google, delivery.cursor)) == said(whole[number + 1 :])


def test_what_was_deleted_before_it_could_be_read_is_passed_over(google: GoogleServer, open_google: Open) -> None:
    ids = [google.gmail.receive(ANN, mail(f"words {number}")) for number in range(3)]
    source = open_google(**Mailbox.options)
    given = []
    for delivery in source.records(unit_of(source, Mailbox.unit), None):
        given.append(delivery)
        if len(given) == 1:
            google.gmail.delete(ANN, ids[0])
    assert said(given) == [f"mail:{ANN}/{ids[2]}", f"mail:{ANN}/{ids[1]}", f"-mail:{ANN}/{ids[0]}"]


def test_a_history_that_is_forgotten_is_begun_anew(google: GoogleServer, open_google: Open) -> None:
    world = Mailbox(google)
    ids = [world.add(f"words {number}") for number in range(4)]
    cursor = mails(open_google)[-1].cursor
    ids.append(world.add("more"))
    google.gmail.forget(ANN)
    again = mails(open_google, cursor)
    assert said(again) == ids[::-1]
    assert mails(open_google, again[-1].cursor) == []


def test_listing_goes_on_where_the_tokens_of_its_pages_have_expired(google: GoogleServer, open_google: Open) -> None:
    world = Mailbox(google)
    for number in range(8):
        world.add(f"words {number}")
    whole = mails(open_google)
    for number in range(3, 8):
        google.gmail.pager.expire()
        assert said(mails(open_google, whole[number].cursor)) == said(whole[number + 1 :])


def test_what_is_older_than_since_is_left_out(google: GoogleServer, open_google: Open) -> None:
    google.gmail.receive(ANN, mail("old"))
    google.advance(days=3)
    new = google.gmail.receive(ANN, mail("new"))
    assert said(mails(open_google, since="2026-03-02T00:00:00Z")) == [f"mail:{ANN}/{new}"]


def test_a_user_without_mail_costs_only_themselves(google: GoogleServer, open_google: Open) -> None:
    google.gmail.boxes.pop(ANN)
    source = open_google(**Mailbox.options)
    with pytest.raises(AccessError, match="Mail service not enabled"):
        list(source.units())


def test_null_and_unknown_fields_cost_at_most_their_mail(google: GoogleServer, open_google: Open) -> None:
    ids = [google.gmail.receive(ANN, mail(f"words {number}")) for number in range(4)]
    odd = {
        ids[0]: lambda answer: {"id": ids[0], "payload": None, "new": 1},
        ids[1]: lambda answer: answer | {"internalDate": None, "labelIds": None},
        ids[2]: lambda answer: {
            "id": ids[2],
            "payload": {
                "mimeType": None,
                "headers": [None, {"name": None, "value": 3}, {"name": "Subject", "value": "still there"}],
                "parts": [None, {"mimeType": "text/plain", "body": {"data": "not base64!"}}, {"body": None}],
                "body": 7,
            },
        },
    }
    google.twists["gmail.users.messages.get"] = lambda answer: odd.get(answer["id"], lambda same: same)(answer)
    deliveries = mails(open_google)
    assert [len(one.skipped) for one in deliveries] == [0, 0, 0, 1, 0]
    skipped = deliveries[3].skipped[0]
    assert isinstance(skipped, Skipped) and skipped.place.endswith(ids[0])
    found = {one.record.id[-len(ids[0]) :]: one.record for one in deliveries if one.record}
    assert texts(found[ids[2]]) == {"subject": "still there"}
    assert (found[ids[1]].time, texts(found[ids[1]])["text/plain"]) == (None, "words 1\n")


def test_the_size_of_a_mailbox_is_told(google: GoogleServer, open_google: Open) -> None:
    google.gmail.receive(ANN, mail("words"))
    (unit,) = open_google(**Mailbox.options).units()
    assert unit == Unit(f"mail:{ANN}", f"Mailbox of {ANN}", 1)
