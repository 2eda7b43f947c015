"""Mail in Outlook: the folders of a mailbox, and what changes in them.

A folder's delta function gives every mail, then each one that is new, edited or gone. A mail that was moved is gone
from one folder and new in another, under another id.

Facts:
https://learn.microsoft.com/en-us/graph/api/message-delta
https://learn.microsoft.com/en-us/graph/delta-query-messages
https://learn.microsoft.com/en-us/graph/api/resources/message
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft.attachments import Attachments, attachments
from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.delta import Lane, Made, deliveries, rows
from keysentry.connectors.microsoft.directory import Directory, User, outside, units_of_users
from keysentry.connectors.microsoft.message import body_parts, field_route, utf8
from keysentry.connectors.microsoft.wire import Body, Facet, Graph, Raw, id_of, read, seconds
from keysentry.errors import GoneError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure
from keysentry.model.record import Part, Record, Segment, Unit

_PAGE = "odata.maxpagesize=25"
_FIELDS = (
    "subject,body,from,sender,toRecipients,ccRecipients,bccRecipients,sentDateTime,receivedDateTime,"
    "lastModifiedDateTime,hasAttachments,webLink,isDraft"
)
_DEEPEST = 64
_INLINE = "cid:"
"""In a body that shows something attached to it; such attachments do not count as `hasAttachments`."""


class Folder(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/mailfolder"""

    id: str | None = None
    display_name: str | None = None
    parent_folder_id: str | None = None
    total_item_count: int | None = None


class Address(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/emailaddress"""

    name: str | None = None
    address: str | None = None


class Recipient(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/recipient"""

    email_address: Address | None = None


People = tuple[Recipient | None, ...] | None


class Mail(Graph, frozen=True):
    """The fields of a mail that are read. A change may come with only the fields that changed."""

    id: str | None = None
    subject: str | None = None
    body: Body | msgspec.UnsetType | None = msgspec.UNSET
    sender: Recipient | None = None
    author: Recipient | None = msgspec.field(default=None, name="from")
    to_recipients: People = None
    cc_recipients: People = None
    bcc_recipients: People = None
    sent_date_time: str | None = None
    received_date_time: str | None = None
    last_modified_date_time: str | None = None
    has_attachments: bool | None = None
    web_link: str | None = None
    is_draft: bool | None = None
    removed: Facet | None = msgspec.field(default=None, name="@removed")


def folders(client: GraphClient, users: Iterator[User | Skipped], *, named: bool) -> Iterator[Unit | Skipped]:
    """The folders of each user's mailbox. Not every user has one; only of those that were `named` that is told."""

    def of_user(user: User) -> Iterator[Unit]:
        listed = rows(client, f"{user.path}/mailFolders/", "delta()")
        return _units(user, [read(raw, Folder) or Folder(id_of(raw)) for raw in listed])

    return units_of_users(users, "mail", of_user, none="there is no mailbox", named=named)


def _units(user: User, found: list[Folder]) -> Iterator[Unit]:
    known = {folder.id: folder for folder in found}
    for folder in found:
        if folder.id:
            title = f"{user.name} / {'/'.join(_way(folder, known))}"
            yield Unit(f"users/{user.id or user.name}/mailFolders/{folder.id}", title, folder.total_item_count)


def _way(folder: Folder, known: dict[str | None, Folder]) -> list[str]:
    """The names of the folders that a folder is in, and its own."""
    names: list[str] = []
    at: Folder | None = folder
    while at is not None and len(names) < _DEEPEST:
        names.append(at.display_name or at.id or "")
        at = known.get(at.parent_folder_id) if at.parent_folder_id else None
    return names[::-1]


class MailReader:
    """Reads one folder; made for one pass."""

    def __init__(self, client: GraphClient, unit: Unit, directory: Directory, *, since: float, max_file: int) -> None:
        self._client = client
        self._unit = unit
        self._directory = directory
        self._since = since
        self._max_file = max_file
        _, self._user, _, self._folder = unit.id.split("/", 3)
        self._mailbox = f"/users/{quote(self._user, safe='')}"

    def deliveries(self, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is new, edited or gone from a cursor on."""
        under = f"{self._mailbox}/mailFolders/{quote(self._folder, safe='')}/messages/"
        lane = Lane(under, f"delta()?$select={_FIELDS}", self._make, _PAGE)
        return deliveries(self._client, lane, cursor)

    def _make(self, raw: Raw) -> Made:
        mail = read(raw, Mail)
        if mail is None:
            return self._unreadable(raw)
        if not mail.id:
            return Made(None, (Skipped(self._unit.title, "a mail without an id cannot be read"),))
        record_id = f"users/{self._user}/messages/{mail.id}"
        if mail.removed is not None:
            return Made(Record(id=record_id, unit=self._unit.id, container=self._unit.title, deleted=True))
        if mail.body is msgspec.UNSET:
            try:
                mail = self._whole(mail.id) or mail
            except GoneError:  # moved or deleted since: that is told next
                return Made()
        moment = seconds(mail.sent_date_time) or seconds(mail.received_date_time)
        if moment is not None and max(moment, seconds(mail.received_date_time) or 0.0) < self._since:
            return Made()
        return self._record(mail, record_id, moment)

    def _record(self, mail: Mail, record_id: str, moment: float | None) -> Made:
        body = mail.body if isinstance(mail.body, Body) else Body()
        attached = Attachments()
        if mail.has_attachments or _INLINE in (body.content or ""):
            place = mail.web_link or record_id
            path = f"{self._mailbox}/messages/{quote(mail.id or '', safe='')}"
            attached = attachments(self._client, path, place, self._max_file)
        author = _address(mail.author or mail.sender)
        record = Record(
            id=record_id,
            parts=(*_parts(mail, body), *attached.parts),
            unit=self._unit.id,
            author=author.name or author.address or "",
            author_id=author.address or "",
            time=moment,
            container=self._unit.title,
            uri=mail.web_link or "",
            exposure=self._exposure(mail, author, moment),
        )
        return Made(record, attached.skipped)

    def _whole(self, id_: str) -> Mail | None:
        """A mail of which the change told only a part."""
        path = f"{self._mailbox}/messages/{quote(id_, safe='')}?$select={_FIELDS}"
        return read(self._client.get(path).body, Mail)

    def _unreadable(self, raw: Raw) -> Made:
        """A mail with fields of other types than documented: its raw JSON is read instead."""
        id_ = id_of(raw)
        if not id_:
            return Made(None, (Skipped(self._unit.title, "a mail without an id cannot be read"),))
        record_id = f"users/{self._user}/messages/{id_}"
        note = Skipped(record_id, "its fields are not as documented; its raw JSON was read instead", partial=True)
        parts = (Part(segment=Segment(bytes(raw))),)
        return Made(Record(id=record_id, parts=parts, unit=self._unit.id, container=self._unit.title), (note,))

    def _exposure(self, mail: Mail, author: Address, moment: float | None) -> Exposure:
        """Who got the mail. A draft is only its writer's."""
        if mail.is_draft:
            return Exposure("private", 1, moment)
        several = (mail.to_recipients, mail.cc_recipients, mail.bcc_recipients)
        addresses = {(_address(one).address or "").lower() for people in several for one in people or ()} - {""}
        domains = self._directory.own_domains(self._unit.title.partition(" / ")[0])
        away = any(outside(address, domains) for address in (*addresses, author.address or ""))
        return Exposure("external" if away else "private", len(addresses) or None, moment)


def _address(one: Recipient | None) -> Address:
    return (one.email_address if one else None) or Address()


def _parts(mail: Mail, body: Body) -> Iterator[Part]:
    if mail.subject:
        yield Part(segment=Segment(utf8(mail.subject), field_route("subject")))
    yield from body_parts(body, "body.content")
