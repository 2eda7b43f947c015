"""One message of Teams as a record: its words, each as a segment that knows its field, who wrote it, when and where.

A segment's route is the JSON path of its field inside the message; where the field holds JSON itself (a card, the
files of a message) the path inside that follows as a second step. `places` turns a span of such a field into the raw
bytes that it is made of.

Fields: https://learn.microsoft.com/en-us/graph/api/resources/chatmessage (attachments:
https://learn.microsoft.com/en-us/graph/api/resources/chatmessageattachment); those of the personal export are not
documented, and are those of Skype's. Links to messages:
https://learn.microsoft.com/en-us/microsoftteams/platform/concepts/build-and-test/deep-link-teams
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from keysentry.extraction.formats.html import html_segments
from keysentry.extraction.formats.slackmessage import decode, to_bytes
from keysentry.extraction.formats.teams import Conversation, Fields, Form
from keysentry.extraction.jsonpath import value_span
from keysentry.extraction.unescape import backslash
from keysentry.model.location import ByteSpan, Exposure, Route, Step
from keysentry.model.record import Part, Record, Segment

__all__ = ["places", "record", "segments"]

_NOT_WORDS: Final = frozenset(
    (
        *("id", "etag", "replytoid", "messagetype", "createddatetime", "lastmodifieddatetime", "lastediteddatetime"),
        *("deleteddatetime", "chatid", "importance", "locale", "weburl", "from", "channelidentity", "reactions"),
        *("mentions", "replies", "policyviolation", "hostedcontents", "contenttype", "teamsappid", "thumbnailurl"),
        *(
            "originalarrivaltime",
            "version",
            "conversationid",
            "displayname",
            "amsreferences",
            "emotions",
            "imdisplayname",
        ),
        *(
            "fromdisplaynameintoken",
            "composetime",
            "clientmessageid",
            "conversationlink",
            "contentbytes",
            "type",
            "$schema",
        ),
    )
)
"""Fields without words of a person: names of things, times, copies of other fields. Replies are messages themselves."""
_NESTED_MOST: Final = 3
"""How deeply JSON may lie within strings of JSON."""
_CONVERSATION = "conversation"


def record(
    fields: Fields, form: Form, conversation: Conversation, *, path: str = "", member: str = "", unit: str = ""
) -> Record:
    """A message as a record. `conversation` is what the file says of where it was written; any field may be missing,
    null or of the wrong type.
    """
    message = _Message(fields)
    channel = message.object("channelidentity")
    thread = message.text("chatid") or channel.text("channelid") or message.text("conversationid") or conversation.id
    id = message.text("id")
    time = _time(message, form)
    author, author_id = _author(message, form)
    return Record(
        id=f"{thread}/{id}",
        parts=tuple(Part(segment=segment) for segment in segments(fields, form)),
        unit=unit or thread,
        author=author,
        author_id=author_id,
        time=time,
        container=conversation.title or thread,
        uri=message.text("weburl") or _link(thread, id, channel, message.text("replytoid")),
        path=path,
        member=member,
        chat=True,
        exposure=_exposure(thread, time),
    )


class _Message:
    """The fields of an object by their names in small letters (PowerShell writes `Body` for `body`)."""

    def __init__(self, fields: Fields) -> None:
        self._fields = {name.lower(): value for name, value in fields.items()}

    def text(self, name: str) -> str:
        """A field that is text; empty for all else."""
        value = self._fields.get(name)
        return to_bytes(value).decode("utf-8", "replace") if isinstance(value, str) else ""

    def object(self, name: str) -> _Message:
        """A field that is an object; one without fields for all else."""
        value = self._fields.get(name)
        return _Message(value if isinstance(value, dict) else {})

    def objects(self) -> Iterator[_Message]:
        """The fields that are objects."""
        for value in self._fields.values():
            if isinstance(value, dict):
                yield _Message(value)


def _author(message: _Message, form: Form) -> tuple[str, str]:
    """Name and id of who wrote a message: a person, an application or a device."""
    if form == "personal":
        id = message.text("from")
        return message.text("displayname") or message.text("imdisplayname") or id.partition(":")[2] or id, id
    sender = message.object("from")
    for one in (sender.object("user"), sender.object("application"), *sender.objects()):
        if one.text("id") or one.text("displayname"):
            return one.text("displayname") or one.text("id"), one.text("id")
    return "", ""


def _time(message: _Message, form: Form) -> float | None:
    """When it was written, in UTC seconds. Ids of messages are such times too, in milliseconds."""
    text = message.text("originalarrivaltime" if form == "personal" else "createddatetime")
    if text.startswith("/Date("):
        text = text[6:].partition(")")[0]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    number = text if text.isascii() and text.isdigit() else message.text("id")
    return int(number) / 1000 if number.isascii() and number.isdigit() and len(number) == 13 else None


def _link(thread: str, id: str, channel: _Message, parent: str) -> str:
    """A link that opens the message in Teams."""
    if not thread or not id:
        return ""
    link = f"https://teams.microsoft.com/l/message/{quote(thread, safe='')}/{quote(id, safe='')}"
    if not channel.text("channelid"):
        return f"{link}?context=%7B%22contextType%22%3A%22chat%22%7D"
    return f"{link}?groupId={quote(channel.text('teamid'), safe='')}&parentMessageId={quote(parent or id, safe='')}"


def _exposure(thread: str, time: float | None) -> Exposure:
    """Who could read it: of a chat those who are in it; who is in a channel an export does not tell."""
    if "@thread.tacv2" in thread or not thread:
        return Exposure("unknown", None, time)
    alone = thread.startswith("8:") or thread.endswith("@unq.gbl.spaces")
    return Exposure("private", 2 if alone else None, time)


# -- words ------------------------------------------------------------------------------------------------------------


def segments(fields: Fields, form: Form) -> list[Segment]:
    """Every segment of a message, in the order of its fields."""
    found: list[Segment] = []
    markup = form == "graph" or _Message(fields).text("messagetype") != "Text"
    for name, value in fields.items():
        key = name.lower()
        if key in _NOT_WORDS or key.startswith("@odata"):
            continue
        if key == "body" and isinstance(value, dict):
            markup = _Message(value).text("contenttype").lower() != "text"
            _walk(value, _join("", name), found, markup)
        else:
            _walk(value, _join("", name), found, markup and key in ("content", "attachments", "properties"))
    return [segment for segment in found if segment.text.strip()]


def _walk(root: object, path: str, found: list[Segment], markup: bool, outer: Route = (), depth: int = 0) -> None:
    """All the words in a tree of objects; without recursion, except into strings that hold JSON themselves."""
    waiting: list[tuple[object, str, str]] = [(root, path, "")]
    while waiting:
        node, path, context = waiting.pop()
        if isinstance(node, list):
            waiting += [(item, f"{path}[{i}]", context) for i, item in reversed(list(enumerate(node)))]
        elif isinstance(node, dict):
            waiting += reversed(list(_children(node, path, context)))
        elif isinstance(node, str) and node:
            route = (*outer, Step("field", path))
            inner = _json(node) if depth < _NESTED_MOST else None
            if inner is not None:
                _walk(inner, "", found, markup, route, depth + 1)
            elif markup:
                found += html_segments(to_bytes(node), route, context)
            else:
                found.append(Segment(to_bytes(node), route, context))


def _children(node: Fields, path: str, context: str) -> Iterator[tuple[object, str, str]]:
    """The fields of an object that may have words. The title of a fact is the context of its value."""
    title = node.get("title")
    if isinstance(title, str) and "value" in node:
        context = title
    for name, value in node.items():
        key = name.lower()
        if key in _NOT_WORDS or key.endswith("id") or key.startswith("@odata"):
            continue
        if isinstance(value, str | dict | list):
            yield value, _join(path, name), context if name == "value" else ""


def _json(text: str) -> object:
    """What a string of JSON holds, if it holds an object or a list; else None."""
    if text[:1] not in ("{", "[") or text.rstrip()[-1:] not in ("}", "]"):
        return None
    found = decode(to_bytes(text))
    return found if isinstance(found, dict | list) else None


def _join(path: str, key: str) -> str:
    """The path of a field in the form of `keysentry.extraction.jsonpath`."""
    if not (key.isascii() and key.isidentifier()):
        return f"{path}[{msgspec.json.encode(key).decode()}]"
    return f"{path}.{key}" if path else key


# -- the way back -----------------------------------------------------------------------------------------------------


def places(raw: bytes, route: Route, span: ByteSpan) -> ByteSpan | None:
    """The raw bytes of a message that a span of the field at a route is made of; None if there is no such field.

    The steps of the route lead through JSON in strings of JSON.
    """
    fields = [step.name for step in route if step.kind == "field"]
    field = value_span(raw, fields[0]) if fields else None
    if field is None:
        return None
    text = raw[field.start : field.end]
    view = backslash(text)
    if len(fields) > 1:
        inner = places(view[0] if view else text, tuple(Step("field", name) for name in fields[1:]), span)
        if inner is None:
            return None
        span = inner
    if view is not None:
        span = view[1].span_to_original(span)
    return ByteSpan(field.start + span.start, field.start + span.end)
