"""A tenant with something of everything, and the steps that tests of the Microsoft 365 source share."""

from __future__ import annotations

import random
from email.message import EmailMessage
from typing import NamedTuple

from keysentry.connectors.base import Delivery, Source
from keysentry.connectors.microsoft import Options
from keysentry.connectors.pace import Pace
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Part, Record, Unit
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.servers.graph import TOKEN
from tests.servers.graph_state import Space, Tenant

TEMPLATE = "ghp_{base62:30}{crc32-base62:6}"
ELSEWHERE = "e61ef81e-8bd8-476a-92e8-4a62f8426fca"


def secret(seed: int) -> str:
    return forge(TEMPLATE, random.Random(seed))


class World(NamedTuple):
    """A tenant, who is in it, and one place of each kind."""

    tenant: Tenant
    ann: str
    bob: str
    eve: str
    channel: Space
    chat: Space
    drive: Space
    inbox: Space


def people(tenant: Tenant) -> tuple[str, str, str]:
    return (
        tenant.user("ann@contoso.com", "Ann"),
        tenant.user("bob@contoso.com", "Bob"),
        tenant.user("eve_fabrikam.com#EXT#@contoso.onmicrosoft.com", "Eve", "Guest"),
    )


def world(tenant: Tenant) -> World:
    """A channel with two reply chains, a chat, a drive with three files and a folder, a mailbox with three mails."""
    ann, bob, eve = people(tenant)
    team = tenant.team("Engineering", ann, bob, visibility="public")
    channel = tenant.channel(team, "Backups")
    first = tenant.post(channel, f"<p>the key is gh<b>p_</b>{secret(1)[4:]}</p>", ann)
    for number in range(4):
        tenant.post(channel, f"reply {number}", bob, reply_to=first)
    tenant.post(channel, "<systemEventMessage/>", ann, messageType="unknownFutureValue", **{"from": None})
    second = tenant.post(channel, "second", bob, subject="A subject")
    tenant.post(channel, "reply to second", ann, reply_to=second)
    chat = tenant.chat("oneOnOne", tenant.member(ann), tenant.member(bob))
    for number in range(6):
        tenant.post(chat, f"line {number}", ann if number % 2 else bob)
    return World(tenant, ann, bob, eve, channel, chat, _drive(tenant, ann), _mailbox(tenant, ann))


def _drive(tenant: Tenant, ann: str) -> Space:
    drive = tenant.drive(ann)
    drive.entries["folder"] = type(drive.entries["root-item"])(
        {"id": "folder", "name": "Documents", "folder": {"childCount": 3}}, tenant.seq
    )
    for number in range(3):
        tenant.file(drive, f"notes {number}.txt", f"content {number} {secret(10 + number)}".encode(), ann)
    return drive


def _mailbox(tenant: Tenant, ann: str) -> Space:
    inbox = tenant.folder(ann, "Inbox")
    for number in range(3):
        tenant.mail(inbox, f"mail {number}", f"<p>body {number}</p>", "bob@contoso.com", "ann@contoso.com")
    return inbox


def options(base_url: str, **chosen: object) -> Options:
    everything = {"teams": True, "chats": True, "drives": True, "mail": True, "sites": ("*",)}
    told = {"name": "m365", "token": Sensitive(TOKEN), "base_url": base_url, "per_second": 0.0} | (chosen or everything)
    return Options(**told)  # type: ignore[arg-type]


class Waits:
    """The waits that a source asks for; none takes any time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def pace(self, place: str, **how: object) -> Pace:
        return Pace(place, wait=self._wait, **(how | {"per_second": 0.0}))  # type: ignore[arg-type]

    def _wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return False


def units(source: Source) -> list[Unit]:
    """The units; nothing may be skipped."""
    found = list(source.units())
    assert not [one for one in found if isinstance(one, Skipped)], found
    return [one for one in found if isinstance(one, Unit)]


def unit_of(source: Source, kind: str) -> Unit:
    """The first unit whose id begins so."""
    return next(unit for unit in units(source) if unit.id.startswith(kind))


def read(source: Source, unit: Unit, cursor: Cursor | None = None) -> list[Delivery]:
    return list(source.records(unit, cursor))


def told(deliveries: list[Delivery]) -> list[tuple[str, bool, tuple[bytes, ...]]]:
    """What deliveries tell: (id, deleted, texts and contents)."""
    return [
        (one.record.id, one.record.deleted, tuple(content(part) for part in one.record.parts))
        for one in deliveries
        if one.record
    ]


def records(deliveries: list[Delivery]) -> list[Record]:
    return [one.record for one in deliveries if one.record]


def skipped(deliveries: list[Delivery]) -> list[Skipped]:
    return [note for one in deliveries for note in one.skipped]


def content(part: Part) -> bytes:
    if part.segment is not None:
        return part.segment.text
    if part.content is not None:
        return part.content
    assert part.open is not None
    return b"".join(part.open())


def last(deliveries: list[Delivery], before: Cursor | None = None) -> Cursor | None:
    return deliveries[-1].cursor if deliveries else before


def attached_mail(words: str, attachment: bytes) -> bytes:
    """A mail as MIME, base64 and all, with a file."""
    message = EmailMessage()
    message["Subject"] = "the attached one"
    message["From"] = "carol@fabrikam.com"
    message.set_content(f"<p>{words}</p>", subtype="html", cte="base64")
    message.add_attachment(attachment, maintype="text", subtype="plain", filename="inner.txt")
    return message.as_bytes()
