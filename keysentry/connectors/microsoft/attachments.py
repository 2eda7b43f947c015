"""What is attached to a mail: files, which are streamed; other mails, which are taken apart; links to files elsewhere.

https://learn.microsoft.com/en-us/graph/api/attachment-get
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from urllib.parse import quote

import msgspec

from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.content import beyond, unbroken
from keysentry.connectors.microsoft.delta import rows
from keysentry.connectors.microsoft.faults import ForbiddenError, LockedError, RejectedError
from keysentry.connectors.microsoft.message import body_parts, field_route, utf8
from keysentry.connectors.microsoft.wire import Body, Graph, id_of, read
from keysentry.errors import GoneError, InputError
from keysentry.model.finding import Skipped
from keysentry.model.record import Part, Segment

_FIELDS = "id,name,contentType,size,isInline"
_WHOLE = 25 << 20
"""Attached mails up to this size are taken apart; larger ones are read as they are (bytes)."""
_NOT_TO_BE_HAD = (GoneError, ForbiddenError, LockedError, RejectedError)
_HEADERS = ("Subject", "From", "To", "Cc")


class Attachment(Graph, frozen=True):
    """https://learn.microsoft.com/en-us/graph/api/resources/attachment"""

    id: str | None = None
    name: str | None = None
    content_type: str | None = None
    size: int | None = None
    kind: str | None = msgspec.field(default=None, name="@odata.type")


class Attachments(msgspec.Struct, frozen=True):
    """What the attachments of a mail give."""

    parts: tuple[Part, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def attachments(client: GraphClient, mail: str, place: str, max_file: int) -> Attachments:
    """The attachments of the mail at the path `mail`; `place` is what notes call it."""
    parts: list[Part] = []
    skipped: list[Skipped] = []
    try:
        for number, raw in enumerate(rows(client, f"{mail}/", f"attachments?$select={_FIELDS}")):
            one = read(raw, Attachment) or Attachment(id_of(raw) or None)
            name = f"{place} » {one.name or f'attachment {number + 1}'}"
            reason = _reason(one, max_file)
            if reason:
                skipped.append(Skipped(name, reason))
                if one.name:
                    parts.append(Part(segment=Segment(utf8(one.name), field_route(f"attachments[{number}].name"))))
                continue
            value = _Value(client, f"{mail}/attachments/{quote(one.id or '', safe='')}/$value")
            try:
                parts += _parts(value, one, number)
            except InputError as error:
                skipped.append(Skipped(name, error.reason))
    except _NOT_TO_BE_HAD as error:
        skipped.append(Skipped(place, f"its attachments cannot be listed: {error}", partial=True))
    return Attachments(tuple(parts), tuple(skipped))


def _reason(one: Attachment, max_file: int) -> str:
    """Why an attachment is not read; empty if it is."""
    if not one.id:
        return "an attachment without an id cannot be read"
    if (one.kind or "").endswith("referenceAttachment"):
        return "a link to a file elsewhere; it is read where it lies, if that is read"
    if one.size is not None and one.size > max_file:
        return f"{one.size:,} bytes, more than the {max_file:,} that are read (max_file)"
    return ""


def _parts(value: _Value, one: Attachment, number: int) -> Iterator[Part]:
    if not (one.kind or "").endswith("itemAttachment"):
        yield Part(open=value.open, name=one.name or f"attachment {number + 1}")
        return
    route = f"attachments[{number}].item"
    if one.size is not None and one.size > _WHOLE:
        yield Part(open=value.open, name=f"{one.name or 'message'}.eml", route=field_route(route))
        return
    content = b"".join(value.open())
    if content.startswith(b"BEGIN:"):  # a contact or an event
        yield Part(segment=Segment(content, field_route(route)))
    else:
        yield from _mail(content, route)


def _mail(content: bytes, route: str) -> Iterator[Part]:
    """The words and files of an attached mail, and of mails attached to that."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    for part in message.walk():
        for header in _HEADERS:
            text = _header(part, header)
            if text:
                yield Part(segment=Segment(utf8(text), field_route(f"{route}.{header.lower()}")))
        if part.is_multipart():
            continue
        data = part.get_payload(decode=True)
        payload = data if isinstance(data, bytes) else b""
        name = _filename(part)
        if part.get_content_maintype() == "text" and not name:
            kind = "html" if part.get_content_subtype() == "html" else "text"
            yield from body_parts(Body(kind, _decoded(payload, part.get_content_charset())), f"{route}.body")
        else:
            yield Part(content=payload, name=name or "attachment", route=field_route(route))


def _header(part: EmailMessage, name: str) -> str:
    try:
        return str(part.get(name, ""))
    except (ValueError, TypeError, IndexError, AttributeError):  # headers that the standard library cannot parse
        return ""


def _filename(part: EmailMessage) -> str:
    try:
        return part.get_filename() or ""
    except (ValueError, TypeError, IndexError, AttributeError):
        return "attachment"


def _decoded(payload: bytes, charset: str | None) -> str:
    try:
        return payload.decode(charset or "utf-8", "replace")
    except LookupError:
        return payload.decode("utf-8", "replace")


class _Value:
    """The raw content of an attachment. It has no ranges: after a break it is read anew, past what was given."""

    def __init__(self, client: GraphClient, path: str) -> None:
        self._client = client
        self._path = path

    def open(self) -> Iterator[bytes]:
        """The content in pieces. Raises `InputError` and `SourceError` as `Part.open` may."""
        return unbroken(self._client, self._from)

    def _from(self, start: int) -> Iterator[bytes]:
        try:
            yield from beyond(self._client.value(self._path).pieces, start)
        except _NOT_TO_BE_HAD as error:
            raise InputError(str(error)) from error
