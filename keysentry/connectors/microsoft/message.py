"""A message of Teams, in a channel or a chat: its words, files, author, time and link.

https://learn.microsoft.com/en-us/graph/api/resources/chatmessage
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from keysentry.connectors.microsoft.delta import Made
from keysentry.connectors.microsoft.wire import Body, Graph, IdentitySet, Raw, id_of, milliseconds, read, seconds
from keysentry.extraction.formats.html import html_segments
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure, Step
from keysentry.model.record import Part, Record, Segment

_SYSTEM = "<systemEventMessage/>"
_NO_EVENT = frozenset((None, "message"))


class Attachment(Graph, frozen=True):
    """A file, a card or a quoted message.

    https://learn.microsoft.com/en-us/graph/api/resources/chatmessageattachment
    """

    content: str | None = None
    content_type: str | None = None
    content_url: str | None = None
    name: str | None = None


class Violation(Graph, frozen=True):
    """What a data loss prevention app did to a message.

    https://learn.microsoft.com/en-us/graph/api/resources/chatmessagepolicyviolation
    """

    dlp_action: str | None = None


class Message(Graph, frozen=True):
    """The fields of a message that are read."""

    id: str | None = None
    reply_to_id: str | None = None
    message_type: str | None = None
    created_date_time: str | None = None
    last_modified_date_time: str | None = None
    last_edited_date_time: str | None = None
    deleted_date_time: str | None = None
    subject: str | None = None
    summary: str | None = None
    body: Body | None = None
    sender: IdentitySet | None = msgspec.field(default=None, name="from")
    attachments: tuple[Attachment | None, ...] | None = None
    policy_violation: Violation | None = None
    web_url: str | None = None


class Times(Graph, frozen=True):
    """When a message changed, whatever else is wrong with it."""

    last_modified_date_time: str | None = None
    deleted_date_time: str | None = None
    created_date_time: str | None = None


class Setting(msgspec.Struct, frozen=True):
    """Where a message stands: its unit, the name of the conversation, who can read it, the tenant, and how old a
    message may be.
    """

    unit: str
    title: str
    exposure: Exposure
    tenant: str = ""
    since: float = 0.0


def changed_at(raw: Raw) -> int:
    """When a message was last changed, in UTC milliseconds; 0 if it does not say."""
    times = read(raw, Times) or Times()
    stamps = (times.last_modified_date_time, times.deleted_date_time, times.created_date_time)
    return max(map(milliseconds, stamps))


def make(raw: Raw, path: str, setting: Setting, chat: str = "") -> Made:
    """A record from a message, whose address in Graph is `path`; neither record nor note for what no person wrote.

    `chat` is the id of the chat, for messages that have no link of their own.
    """
    message = read(raw, Message)
    if message is None or not message.id:
        return _unreadable(raw, path, setting)
    if _is_event(message):
        return Made()
    written = seconds(message.created_date_time)
    if message.deleted_date_time:
        return Made(Record(id=path, unit=setting.unit, time=written, container=setting.title, chat=True, deleted=True))
    if max(written or 0.0, seconds(message.last_edited_date_time) or 0.0) < setting.since and written:
        return Made()
    author, author_id = message.sender.name_and_id if message.sender else ("", "")
    record = Record(
        id=path,
        parts=tuple(_parts(message)),
        unit=setting.unit,
        author=author,
        author_id=author_id,
        time=written,
        container=setting.title,
        uri=message.web_url or _deep_link(chat, message.id or "", setting.tenant),
        chat=True,
        exposure=_exposure(message, setting, written),
    )
    return Made(record)


def _unreadable(raw: Raw, path: str, setting: Setting) -> Made:
    """A message with fields of other types than documented: its raw JSON is read instead."""
    if not id_of(raw):
        return Made(None, (Skipped(setting.title, "a message without an id cannot be read"),))
    part = Part(segment=Segment(bytes(raw)))
    note = Skipped(path, "its fields are not as documented; its raw JSON was read instead", partial=True)
    record = Record(
        id=path, parts=(part,), unit=setting.unit, container=setting.title, chat=True, exposure=setting.exposure
    )
    return Made(record, (note,))


def _is_event(message: Message) -> bool:
    """Whether the service wrote it: somebody joined, a channel was renamed."""
    content = (message.body.content or "").strip() if message.body else ""
    return content == _SYSTEM or (message.message_type not in _NO_EVENT and not content and not message.attachments)


def _exposure(message: Message, setting: Setting, written: float | None) -> Exposure:
    """Who could read it. What a data loss prevention app has blocked, only its author reads."""
    action = (message.policy_violation.dlp_action or "" if message.policy_violation else "").split(",")
    exposure = setting.exposure
    if "blockAccess" in action:
        return Exposure("private", 1, written)
    if "blockAccessExternal" in action and exposure.audience in ("external", "public"):
        return Exposure("internal", None, written)
    return Exposure(exposure.audience, exposure.reach, written)


def _deep_link(chat: str, message: str, tenant: str) -> str:
    """A link to a message of a chat.

    https://learn.microsoft.com/en-us/microsoftteams/platform/concepts/build-and-test/deep-link-teams
    """
    if not chat:
        return ""
    whose = f"tenantId={quote(tenant, safe='')}&" if tenant else ""
    context = quote('{"contextType":"chat"}', safe="")
    return f"https://teams.microsoft.com/l/message/{quote(chat, safe='')}/{message}?{whose}context={context}"


def _parts(message: Message) -> Iterator[Part]:
    for field, text in (("subject", message.subject), ("summary", message.summary)):
        if text:
            yield Part(segment=Segment(utf8(text), field_route(field)))
    if message.body:
        yield from body_parts(message.body, "body.content")
    for number, attachment in enumerate(message.attachments or ()):
        if attachment:
            yield from _attachment(attachment, f"attachments[{number}]")


def body_parts(body: Body, field: str) -> Iterator[Part]:
    """The text of a body with its markup undone, and what the markup hides: addresses behind links, descriptions."""
    content, route = utf8(body.content or ""), field_route(field)
    html = (body.content_type or "html").lower() == "html"
    for segment in html_segments(content, route) if html else (Segment(content, route),):
        if segment.text.strip():
            yield Part(segment=segment)


def _attachment(attachment: Attachment, field: str) -> Iterator[Part]:
    """A card or a quoted message is JSON text; a file is a link to where it lies, or lies in its own address."""
    if attachment.content:
        yield Part(segment=Segment(utf8(attachment.content), field_route(f"{field}.content")))
    if attachment.name:
        yield Part(segment=Segment(utf8(attachment.name), field_route(f"{field}.name")))
    url = attachment.content_url or ""
    head, comma, data = url.partition(",")
    if head.startswith("data:") and comma:
        content = _decoded(data, head.endswith(";base64"))
        yield Part(content=content, name=attachment.name or "attachment", route=field_route(f"{field}.contentUrl"))
    elif url:
        yield Part(segment=Segment(utf8(url), field_route(f"{field}.contentUrl"), attachment.name or ""))


def _decoded(data: str, encoded: bool) -> bytes:
    if encoded:
        try:
            return base64.b64decode(data, validate=False)
        except (binascii.Error, ValueError):
            pass
    return utf8(data)


def field_route(field: str) -> tuple[Step, ...]:
    """The way to a field."""
    return (Step("field", field),)


def utf8(text: str) -> bytes:
    """Text as bytes; a lone surrogate is replaced."""
    return text.encode("utf-8", "replace")
