"""One message of Google Chat: its words, cards, links, quotes and attachments.

https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from keysentry.connectors.google.client import Client
from keysentry.connectors.google.content import PIECE, Unread, ranges
from keysentry.connectors.google.fields import Fields, text, thing, things
from keysentry.extraction.formats.html import html_segments
from keysentry.model.finding import Skipped
from keysentry.model.location import Step
from keysentry.model.record import Part, Segment

_HIDDEN_LINK: Final = re.compile(r"<(https?://[^|>\s]+)\|([^>]*)>")
"""A link with a label in `formattedText`; `text` has only the label
(https://developers.google.com/workspace/chat/format-messages)."""
_NOT_WORDS: Final = frozenset(
    (
        *("cardId", "name", "icon", "iconUrl", "knownIcon", "imageUrl", "imageType", "imageStyle", "altText", "type"),
        *("layout", "horizontalAlignment", "verticalAlignment", "controlType", "displayStyle", "style", "size"),
        *("contentLabel", "function", "interaction", "loadIndicator", "wrapStyle", "horizontalSizeStyle"),
    )
)
"""Fields of cards that name things and are not read by people."""
_MOST: Final = 5_000
"""How many values of one message's cards are looked at."""


def read(
    client: Client, user: str, message: Fields, largest: int, *, drive: bool
) -> tuple[tuple[Part, ...], tuple[Skipped, ...]]:
    """The parts of a message, and what of it cannot be read. A file of Drive that is attached is read where it lies, if
    `drive` is on.
    """
    parts = [Part(segment=segment) for segment in _segments(message)]
    skipped: list[Skipped] = []
    for attachment in things(message, "attachment"):
        found = _attachment(client, user, attachment, largest, drive=drive)
        if isinstance(found, Part):
            parts.append(found)
        elif found.reason:
            name = text(attachment, "contentName") or text(attachment, "name")
            skipped.append(Skipped(f"{text(message, 'name')} » {name}", found.reason))
    return tuple(parts), tuple(skipped)


def _segments(message: Fields) -> Iterator[Segment]:
    said = text(message, "text")
    shown = text(message, "formattedText")
    if said or shown:
        yield _segment(said or shown, "text")
    for address, label in _HIDDEN_LINK.findall(shown):
        if address not in said:
            yield _segment(address, "formattedText", label)
    for key in ("cardsV2", "cards", "accessoryWidgets"):
        yield from _card(message.get(key), key)
    fallback = text(message, "fallbackText")
    if fallback:
        yield _segment(fallback, "fallbackText")
    for annotation in things(message, "annotations"):
        address = text(annotation, "richLinkMetadata", "uri")
        if address and address not in said:
            yield _segment(address, "annotations")
    quoted = thing(message, "quotedMessageMetadata")
    if text(quoted, "quoteType") == "FORWARD":  # a reply quotes what is in the space already
        forwarded = text(quoted, "quotedMessageSnapshot", "text")
        if forwarded:
            yield _segment(forwarded, "quotedMessageMetadata.quotedMessageSnapshot.text")


def _card(root: object, path: str) -> Iterator[Segment]:
    """The words in a card, which may be nested as deep as it likes; a widget's label is its context."""
    waiting: list[tuple[object, str, str]] = [(root, path, "")]
    for _ in range(_MOST):
        if not waiting:
            return
        node, path, context = waiting.pop()
        if isinstance(node, list):
            waiting += [(item, f"{path}[{i}]", context) for i, item in reversed(list(enumerate(node)))]
        elif isinstance(node, dict):
            label = text(node, "topLabel") or text(node, "label") or context
            waiting += [
                (value, f"{path}.{key}", "" if key in ("topLabel", "label") else label)
                for key, value in reversed(node.items())
                if key not in _NOT_WORDS
            ]
        elif isinstance(node, str) and node.strip():
            # Cards are written in a little HTML: https://developers.google.com/workspace/chat/format-messages
            yield from html_segments(node.encode("utf-8", "replace"), (Step("field", path),), context)


def _segment(said: str, path: str, context: str = "") -> Segment:
    return Segment(said.encode("utf-8", "replace"), (Step("field", path),), context)


def _attachment(client: Client, user: str, attachment: Fields, largest: int, *, drive: bool) -> Part | Unread:
    resource = text(attachment, "attachmentDataRef", "resourceName")
    name = text(attachment, "contentName")
    if resource:

        def chunks() -> Iterator[bytes]:
            yield from ranges(
                lambda at: client.raw(
                    "chat", user, "media.download_media", (at, at + PIECE - 1), resourceName=resource
                ),
                None,
                largest,
            )

        return Part(name=name, open=chunks)
    file = text(attachment, "driveDataRef", "driveFileId")
    if not file:
        return Unread("Chat does not say where its content is")
    return Unread("" if drive else "it lies in Drive: switch on drive to have it read there")
