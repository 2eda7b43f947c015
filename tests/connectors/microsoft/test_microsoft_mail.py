"""Mail: bodies, attachments of every kind, folders, and who got it. Played by `tests/servers/graph.py`."""

from __future__ import annotations

import pytest

from keysentry.connectors.microsoft.source import MicrosoftSource
from keysentry.errors import InputError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.record import Record, Unit
from tests.connectors.microsoft.conftest import Opener
from tests.connectors.microsoft.world import (
    attached_mail,
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
from tests.servers.graph_state import Space, Tenant

pytestmark = pytest.mark.xdist_group("graph")


@pytest.fixture
def ann(tenant: Tenant) -> str:
    return people(tenant)[0]


@pytest.fixture
def inbox(tenant: Tenant, ann: str) -> Space:
    return tenant.folder(ann, "Inbox")


@pytest.fixture
def mail(tenant: Tenant, inbox: Space) -> str:
    return tenant.mail(inbox, "hello", "<p>text</p>", "bob@contoso.com", "ann@contoso.com")


def only(source: MicrosoftSource) -> tuple[Record, list[Skipped]]:
    whole = read(source, unit_of(source, "users/"))
    (record,) = records(whole)
    return record, skipped(whole)


def contents(record: Record) -> list[tuple[str, bytes]]:
    """The name or the field of each part, and what is in it."""
    return [(part.name or (part.segment.route[0].name if part.segment else ""), content(part)) for part in record.parts]


def test_a_mail_with_files(opened: Opener, tenant: Tenant, inbox: Space, mail: str) -> None:
    big = bytes(range(256)) * 4_000
    tenant.attach(inbox, mail, "notes.txt", secret(1).encode())
    tenant.attach(inbox, mail, "big.bin", big)
    record, notes = only(opened(mail=True))
    assert contents(record) == [
        ("subject", b"hello"),
        ("body.content", b"text"),
        ("notes.txt", secret(1).encode()),
        ("big.bin", big),
    ]
    assert notes == []
    opener = record.parts[3].open
    assert opener
    assert len(list(opener())) > 1


def test_a_broken_attachment_is_read_past_what_was_given(
    opened: Opener, tenant: Tenant, inbox: Space, mail: str, server: GraphServer
) -> None:
    big = bytes(range(256)) * 4_000
    tenant.attach(inbox, mail, "big.bin", big)
    record, _ = only(opened(mail=True))
    server.fault(r"/\$value", "reset", after=700_000, times=3)
    assert content(record.parts[2]) == big
    server.fault(r"/\$value", "reset", after=0, times=100)
    with pytest.raises(SourceError):
        content(record.parts[2])


def test_an_attachment_that_is_gone_costs_only_itself(opened: Opener, tenant: Tenant, inbox: Space, mail: str) -> None:
    id_ = tenant.attach(inbox, mail, "notes.txt", b"x")
    record, _ = only(opened(mail=True))
    del inbox.entries[mail].values[id_]
    with pytest.raises(InputError, match="404 ErrorItemNotFound"):
        content(record.parts[2])


def test_an_attached_mail_is_taken_apart_with_what_is_attached_to_it(
    opened: Opener, tenant: Tenant, inbox: Space, mail: str
) -> None:
    value = secret(2)
    message = attached_mail(f"the key is {value[:9]}<b>{value[9:]}</b>", secret(3).encode())
    tenant.attach(inbox, mail, "the attached one", message, "item")
    record, notes = only(opened(mail=True))
    found = dict(contents(record))
    assert found["attachments[0].item.body"] == f"the key is {value}\n\n".encode()
    assert found["attachments[0].item.subject"] == b"the attached one"
    assert found["attachments[0].item.from"] == b"carol@fabrikam.com"
    assert found["inner.txt"].strip() == secret(3).encode()
    assert notes == []


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no headers at all",
        b"Subject: =?x-unknown?Q?a?=\nContent-Type: text/plain; charset=x-unknown\n\nbody " + b"\xff",
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nnever closed",
        b"Content-Transfer-Encoding: base64\n\n!!!!",
        b"From: \x00 <<>>\nTo: @@@\n\nbody",
        b"BEGIN:VCARD\r\nFN:Ann\r\nEND:VCARD\r\n",
    ],
)
def test_any_attached_item_is_read_somehow(
    message: bytes, opened: Opener, tenant: Tenant, inbox: Space, mail: str
) -> None:
    tenant.attach(inbox, mail, "odd", message, "item")
    record, _ = only(opened(mail=True))
    words = b" ".join(text for _, text in contents(record))
    assert all(word in words for word in (b"never closed", b"body", b"FN:Ann") if word in message)


def test_what_is_not_read_of_attachments_is_told(opened: Opener, tenant: Tenant, inbox: Space, mail: str) -> None:
    tenant.attach(inbox, mail, "plan.docx", b"", "reference")
    tenant.attach(inbox, mail, "film.mp4", b"x" * 5_000)
    id_ = tenant.attach(inbox, mail, "lost", b"x", "item")
    del inbox.entries[mail].values[id_]
    tenant.attach(inbox, mail, "fine.txt", b"fine")
    record, notes = only(opened(mail=True, max_file=1_000))
    assert contents(record)[-1] == ("fine.txt", b"fine")
    reasons = {note.place.rpartition(" » ")[2]: note.reason for note in notes}
    assert set(reasons) == {"plan.docx", "film.mp4", "lost"}
    assert "a link to a file elsewhere" in reasons["plan.docx"]
    assert "more than the 1,000" in reasons["film.mp4"]
    assert "404" in reasons["lost"]


def test_pictures_in_the_body_are_attachments_too(opened: Opener, tenant: Tenant, inbox: Space) -> None:
    mail = tenant.mail(inbox, "hello", '<img src="cid:1">', "bob@contoso.com", "ann@contoso.com")
    tenant.attach(inbox, mail, "shot.png", b"png", isInline=True)
    inbox.entries[mail].body["hasAttachments"] = False
    record, _ = only(opened(mail=True))
    assert contents(record)[-1] == ("shot.png", b"png")


def test_attachments_that_cannot_be_listed_are_told(
    opened: Opener, tenant: Tenant, inbox: Space, mail: str, server: GraphServer
) -> None:
    tenant.attach(inbox, mail, "x", b"x")
    server.fault("/attachments", status=404, code="ErrorItemNotFound")
    record, notes = only(opened(mail=True))
    assert len(record.parts) == 2
    assert "cannot be listed" in notes[0].reason


def test_who_got_a_mail(opened: Opener, tenant: Tenant, inbox: Space) -> None:
    def to(subject: str, *addresses: str, sender: str = "ann@contoso.com", **fields: object) -> None:
        tenant.mail(inbox, subject, "x", sender, *addresses, **fields)

    to("inside", "bob@contoso.com", "ann@contoso.com")
    to("outside", "bob@contoso.com", "x@fabrikam.com")
    to("from outside", "ann@contoso.com", sender="x@fabrikam.com")
    to("a draft", "x@fabrikam.com", isDraft=True)
    to("a copy", "ann@contoso.com", ccRecipients=[{"emailAddress": {"address": "x@fabrikam.com", "name": None}}])
    to("no one", toRecipients=None, bccRecipients=[None, {"emailAddress": None}])
    source = opened(mail=True)
    found = {content(one.parts[0]): one.exposure for one in records(read(source, unit_of(source, "users/")))}
    assert {subject.decode(): (one.audience, one.reach) for subject, one in found.items()} == {
        "inside": ("private", 2),
        "outside": ("external", 2),
        "from outside": ("external", 1),
        "a draft": ("private", 1),
        "a copy": ("external", 2),
        "no one": ("private", None),
    }


def test_without_the_permission_for_domains_the_mailbox_tells(
    opened: Opener, tenant: Tenant, inbox: Space, server: GraphServer
) -> None:
    server.permissions = {TOKEN: server.permissions[TOKEN] - {"Organization.Read.All"}}
    tenant.mail(inbox, "inside", "x", "ann@contoso.com", "bob@contoso.com")
    tenant.mail(inbox, "outside", "x", "ann@contoso.com", "x@fabrikam.com")
    source = opened(mail=True)
    found = [one.exposure.audience for one in records(read(source, unit_of(source, "users/")))]
    assert found == ["private", "external"]


def test_folders_in_folders_are_units_of_their_own(opened: Opener, tenant: Tenant, ann: str, inbox: Space) -> None:
    projects = tenant.folder(ann, "Projects", inbox)
    deep = tenant.folder(ann, "Secret", projects)
    tenant.mail(deep, "deep", "x", "bob@contoso.com", "ann@contoso.com")
    source = opened(mail=True)
    found = units(source)
    assert [unit.title for unit in found] == [
        "ann@contoso.com / Inbox",
        "ann@contoso.com / Inbox/Projects",
        "ann@contoso.com / Inbox/Projects/Secret",
    ]
    assert [content(part) for part in records(read(source, found[2]))[0].parts] == [b"deep", b"x"]


def test_a_mail_that_moves_is_gone_here_and_new_there(
    opened: Opener, tenant: Tenant, ann: str, inbox: Space, mail: str
) -> None:
    bin_ = tenant.folder(ann, "Deleted Items")
    source = opened(mail=True)
    here, there = units(source)
    cursor, other = last(read(source, here)), last(read(source, there))
    tenant.discard(inbox, mail)
    moved = tenant.mail(bin_, "hello", "<p>text</p>", "bob@contoso.com", "ann@contoso.com")
    assert told(read(source, here, cursor)) == [(f"users/{ann}/messages/{mail}", True, ())]
    assert [id_ for id_, _, _ in told(read(source, there, other))] == [f"users/{ann}/messages/{moved}"]


def test_a_change_that_tells_only_what_changed_is_completed(
    opened: Opener, tenant: Tenant, inbox: Space, mail: str, ann: str
) -> None:
    source = opened(mail=True)
    unit = unit_of(source, "users/")
    cursor = last(read(source, unit))
    tenant.change_mail(inbox, mail, subject="changed")
    inbox.entries[mail].partial = ("subject",)
    assert told(read(source, unit, cursor)) == [(f"users/{ann}/messages/{mail}", False, (b"changed", b"text"))]


def test_nulls_unknown_fields_and_other_shapes(opened: Opener, tenant: Tenant, inbox: Space) -> None:
    nothing = ("subject", "body", "from", "sender", "sentDateTime", "receivedDateTime", "webLink", "toRecipients")
    empty = tenant.mail(inbox, "", "", "x@contoso.com", brandNew=[1])
    inbox.entries[empty].body |= dict.fromkeys(nothing)
    tenant.mail(inbox, "fine", "x", "x@contoso.com")
    tenant.mail(inbox, "odd", "x", "x@contoso.com", body="a string " + secret(5))
    source = opened(mail=True)
    whole = read(source, unit_of(source, "users/"))
    assert len(records(whole)) == 3
    assert [note.reason.partition(";")[0] for note in skipped(whole)] == ["its fields are not as documented"]
    assert secret(5).encode() in content(records(whole)[-1].parts[0])


def test_only_what_is_new_enough_is_read(opened: Opener, tenant: Tenant, inbox: Space) -> None:
    tenant.mail(inbox, "old", "x", "bob@contoso.com", "ann@contoso.com")
    tenant.mail(inbox, "new", "x", "bob@contoso.com", "ann@contoso.com")
    source = opened(mail=True, since=tenant.now())
    assert [texts[0] for _, _, texts in told(read(source, unit_of(source, "users/")))] == [b"new"]


def test_users_without_a_mailbox(opened: Opener, tenant: Tenant, inbox: Space) -> None:
    assert [unit.title for unit in units(opened(mail=True))] == ["ann@contoso.com / Inbox"]
    found = list(opened(mail=True, users=("ann@contoso.com", "bob@contoso.com")).units())
    assert [one.title for one in found if isinstance(one, Unit)] == ["ann@contoso.com / Inbox"]
    (note,) = (one for one in found if isinstance(one, Skipped))
    assert note.place == "mail of bob@contoso.com"
    assert "there is no mailbox" in note.reason
