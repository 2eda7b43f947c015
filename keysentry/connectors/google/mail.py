"""One message of Gmail: from the tree of its parts to the words, the attachments, and who could read it.

A message is a tree of MIME parts, each with headers, a body (in base64url, or an id to fetch it by) and parts of its
own (https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages#Message.MessagePart). Messages
inside a message are parts like others.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from email.header import decode_header, make_header
from email.utils import getaddresses
from typing import Final, NamedTuple

from keysentry.connectors.google.client import Client
from keysentry.connectors.google.content import CHUNK, had
from keysentry.connectors.google.fields import Fields, number, text, thing, things
from keysentry.errors import InputError
from keysentry.extraction.formats.html import html_segments
from keysentry.model.finding import Skipped
from keysentry.model.location import Step
from keysentry.model.record import Part, Segment

_SAID: Final = ("subject", "from", "to", "cc", "bcc", "reply-to", "comments", "keywords")
"""Headers that people write."""
_DEEPEST: Final = 50
_DATA: Final = re.compile(rb'"data"\s*:\s*"([A-Za-z0-9_\-+/=]*)"')


class Mail(NamedTuple):
    """What is in a message, and who it is from and to. `people` is None where a list or group got it."""

    parts: tuple[Part, ...]
    skipped: tuple[Skipped, ...]
    author: str
    author_id: str
    addresses: tuple[str, ...]
    people: int | None


def read(client: Client, user: str, message: Fields, largest: int) -> Mail:
    """Take a message apart. `largest` is the largest attachment that is read, in bytes."""
    collector = _Collector(client, user, text(message, "id"), largest)
    payload = thing(message, "payload")
    collector.walk(payload)
    headers = _headers(payload)
    author, author_id = next(iter(getaddresses([headers.get("from", "")])), ("", ""))
    told = [headers.get(name, "") for name in ("from", "to", "cc", "bcc")]
    addresses = tuple(dict.fromkeys(one.lower() for _, one in getaddresses(told) if "@" in one))
    people = None if "list-id" in headers or not addresses else len(addresses)
    return Mail(
        tuple(collector.parts), tuple(collector.skipped), author or author_id, author_id.lower(), addresses, people
    )


class _Collector:
    """Gathers the parts of one message in their order."""

    def __init__(self, client: Client, user: str, id: str, largest: int) -> None:
        self._client = client
        self._user = user
        self._id = id
        self._largest = largest
        self.parts: list[Part] = []
        self.skipped: list[Skipped] = []

    def walk(self, part: Fields, way: tuple[Step, ...] = (), depth: int = 0) -> None:
        """A part and those inside it; `way` leads to the message that it belongs to."""
        if depth > _DEEPEST:
            self.skipped.append(Skipped(self._id, "parts are nested too deep", partial=True))
            return
        kind = text(part, "mimeType").lower()
        for name, value in _headers(part).items():
            if name in _SAID and value:
                self._say(value, (*way, Step("field", name)))
        inner = things(part, "parts")
        if not inner or not kind.startswith(("multipart/", "message/")):
            self._body(part, kind, way)
        if kind == "message/rfc822":
            way = (*way, Step("attachment", text(part, "filename") or "message"))
        for one in inner:
            self.walk(one, way, depth + 1)

    def _body(self, part: Fields, kind: str, way: tuple[Step, ...]) -> None:
        name = text(part, "filename")
        body = thing(part, "body")
        attachment = text(body, "attachmentId")
        if not attachment:
            content = decoded(text(body, "data"))
            if content and (name or not kind.startswith("text/")):
                self.parts.append(Part(content=content, name=name or _named(kind), route=way, size=len(content)))
            elif content:
                self._words(_text(content, part), kind, way)
            return
        size = number(body, "size")
        if size is not None and size > self._largest:
            reason = f"it has {size:,} bytes; max_file is {self._largest:,}"
            self.skipped.append(Skipped(f"{self._id} » {name or kind}", reason))
            return
        self.parts.append(Part(name=name or _named(kind), route=way, size=size, open=self._attachment(attachment)))

    def _words(self, content: str, kind: str, way: tuple[Step, ...]) -> None:
        route = (*way, Step("field", kind))
        if kind != "text/html":
            self._say(content, route)
            return
        self.parts += [Part(segment=one) for one in html_segments(content.encode("utf-8", "replace"), route)]

    def _say(self, said: str, route: tuple[Step, ...]) -> None:
        if said.strip():
            self.parts.append(Part(segment=Segment(said.encode("utf-8", "replace"), route)))

    def _attachment(self, id: str) -> Callable[[], Iterator[bytes]]:
        def chunks() -> Iterator[bytes]:
            answer = had(
                lambda: self._client.raw(
                    "gmail", self._user, "users.messages.attachments.get", userId="me", messageId=self._id, id=id
                )
            )
            yield from _unpacked(answer.content)

        return chunks


def _unpacked(answer: bytes) -> Iterator[bytes]:
    """The attachment in an answer (JSON), decoded a stretch at a time: it is in memory only once."""
    found = _DATA.search(answer)
    if found is None:
        raise InputError("the attachment has no data")
    start, end = found.span(1)
    step = CHUNK // 3 * 4
    for at in range(start, end, step):
        piece = answer[at : min(at + step, end)]
        try:
            yield base64.urlsafe_b64decode(piece + b"=" * (-len(piece) % 4))
        except (binascii.Error, ValueError):
            raise InputError("the attachment's data is no base64") from None


def decoded(data: str) -> bytes:
    """The bytes of a body; what is no base64url counts as empty."""
    try:
        return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    except (binascii.Error, ValueError):
        return b""


def _named(kind: str) -> str:
    return {"message/rfc822": "message.eml", "text/calendar": "invite.ics"}.get(kind, "")


def _headers(part: Fields) -> dict[str, str]:
    """Headers by their names in lower case, with encoded words undone; of several the first."""
    found: dict[str, str] = {}
    for header in things(part, "headers"):
        found.setdefault(text(header, "name").lower(), _undone(text(header, "value")))
    return found


def _undone(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, ValueError):
        return value


def _text(content: bytes, part: Fields) -> str:
    """The characters of a text part. Gmail gives most as UTF-8, whatever the header says; where it is none, the header
    counts.
    """
    kind = _headers(part).get("content-type", "")
    declared = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", kind, re.IGNORECASE)
    charset = declared[1].lower() if declared else "utf-8"
    shifted = charset.startswith("iso-2022") and b"\x1b" in content
    for encoding in (charset, "utf-8") if shifted else ("utf-8", charset):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("latin-1")
