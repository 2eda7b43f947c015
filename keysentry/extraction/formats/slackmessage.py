"""The words of one Slack message: its text, blocks, attachments and files, each as a segment that knows its field.

A segment's route is the JSON path of its field inside the message. Runs of rich text are joined a section: then the
path is that of the section, and the segment's `origin` leads into the run's own texts, one after the other; `places`
turns a span of such a field into the raw bytes that it is made of.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from keysentry.extraction.formats.slackmarkup import Names, RunWriter, says_the_same, undo
from keysentry.extraction.jsonpath import components, value_span
from keysentry.extraction.unescape import backslash
from keysentry.model.location import ByteSpan, OffsetMap, Step
from keysentry.model.record import Segment

Fields = dict[str, Any]
"""A JSON object of a message, as it was decoded. It does not leave this package."""

_SECTIONS: Final = frozenset(("rich_text_section", "rich_text_quote", "rich_text_preformatted"))
_LITERAL: Final = frozenset(("plain_text", "raw_text", "text", "markdown", "rich_text"))
"""Types of text objects in which `&`, `<` and `>` are what they look like."""

_NOT_WORDS: Final = frozenset(
    (
        *("type", "id", "ts", "user", "bot_id", "team", "channel", "color", "style", "mimetype", "filetype", "mode"),
        *("pretty_type", "permalink", "url_private_download", "preview_highlight", "edit_link", "author_icon"),
        *("footer_icon", "service_icon", "thumb_url", "author_link", "mrkdwn_in", "username", "converted_pdf"),
        *("external_type", "file_access", "media_display_type", "user_team", "source_team", "lines_more"),
        *(
            "channels",
            "groups",
            "ims",
            "shares",
            "shared_team_ids",
            "timestamp",
            "created",
            "updated",
            "permalink_public",
        ),
    )
)
"""Fields without words of a person: names of things, addresses of pictures, copies of other fields."""
_NOT_WORDS_PREFIX: Final = ("thumb_", "deanimate", "image_")

_MORE_WORDS: Final = ("attachments", "files", "file", "comment", "metadata", "topic", "purpose")
_INNER_MESSAGES: Final = ("message", "previous_message", "original")
_WORDY: Final = frozenset(("blocks", *_MORE_WORDS, *_INNER_MESSAGES))
"""The fields of a message, beside its text, that may hold words."""
_TEXT: Final = (Step("field", "text"),)
_RUN_FIELDS: Final = ("text", "url", "user_id", "channel_id", "usergroup_id", "range", "name", "fallback", "value")
"""In which field a run of rich text has its own text; the first that is there counts."""

_MARKS: Final = re.compile(rb"(?<![0-9A-Za-z\x80-\xff])[*_~`>]+|[*_~`>]+(?![0-9A-Za-z\x80-\xff])")
"""Marks for bold, italic, code and quotes at the edge of a word (inside one they may be its own)."""
_BULLETS: Final = (b"\xe2\x80\xa2", b"\xe2\x97\xa6", b"\xe2\x96\xaa\xef\xb8\x8e")
_WORD: Final = re.compile(rb"[0-9A-Za-z\x80-\xff]")
_FALLBACK_MIN: Final = 6
_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")


def to_bytes(text: str) -> bytes:
    """A decoded string in UTF-8, as long as the raw text undone: a lone surrogate is U+FFFD, a bad byte itself."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}".encode(), text.encode("utf-8", "surrogatepass"))


def decode(raw: bytes) -> object:
    """Decode JSON, also where msgspec would not: bad UTF-8 and lone surrogates. None if it is no JSON at all."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        import json

        try:
            return json.loads(raw.decode("utf-8", "surrogateescape"), strict=False)
        except (ValueError, RecursionError):
            return None


def segments(message: Fields, user: Names, channel: Names) -> list[Segment]:
    """Every segment of a message, without those that only repeat others."""
    if _WORDY.isdisjoint(message):
        text = message.get("text")
        if not isinstance(text, str):
            return []
        if "<" not in text and "&" not in text:  # most messages by far: a text, and no markup in it
            raw = to_bytes(text)
            return [Segment(raw, _TEXT)] if raw and not raw.isspace() else []
    collector = _Collector(user, channel)
    collector.message(message, "")
    return _without_repeats(collector)


class _Collector:
    """Gathers the segments of a message in the order in which a person reads them."""

    def __init__(self, user: Names, channel: Names) -> None:
        self._user = user
        self._channel = channel
        self.found: list[Segment] = []
        self.fallbacks: list[Segment] = []
        self.texts: list[tuple[int, int, int]] = []
        """For each message text in `found`: its place, and where the segments of its blocks begin and end."""

    def message(self, message: Fields, path: str) -> None:
        """One message; those that it quotes whole (before and after an edit) follow it."""
        at = len(self.found)
        text = message.get("text")
        if isinstance(text, str) and text:
            self._field(to_bytes(text), _join(path, "text"))
        blocks_at = len(self.found)
        blocks = message.get("blocks")
        if blocks:
            self._walk(blocks, _join(path, "blocks"))
        if blocks_at > at:
            self.texts.append((at, blocks_at, len(self.found)))
        for key in _MORE_WORDS:
            value = message.get(key)
            if value:
                self._walk(value, _join(path, key), literal=key in ("files", "file"))
        if not path:
            for key in _INNER_MESSAGES:
                inner = message.get(key)
                if isinstance(inner, dict):
                    self.message(inner, key)

    def _walk(self, root: object, path: str, *, literal: bool = False) -> None:
        """All the words in a tree of objects; without recursion, since a message may nest as deep as it likes."""
        waiting: list[tuple[object, str, str, bool]] = [(root, path, "", literal)]
        while waiting:
            node, path, context, literal = waiting.pop()
            if isinstance(node, list):
                waiting += [(item, f"{path}[{i}]", context, literal) for i, item in reversed(list(enumerate(node)))]
            elif isinstance(node, str):
                if node:
                    self._field(to_bytes(node), path, context, literal)
            elif isinstance(node, dict):
                waiting += reversed(list(self._children(node, path, context, literal)))

    def _children(
        self, node: Fields, path: str, context: str, literal: bool
    ) -> Iterator[tuple[object, str, str, bool]]:
        kind = _type(node)
        elements = node.get("elements")
        if kind in _SECTIONS and isinstance(elements, list):
            self._section(elements, _join(path, "elements"), context)
            return
        if kind == "table" and isinstance(node.get("rows"), list):
            yield from _cells(node["rows"], _join(path, "rows"))
            return
        literal = (literal or kind in _LITERAL) and "initial_comment" not in path
        title = node.get("title")
        if isinstance(title, str) and "value" in node:
            context = title
        for key, value in node.items():
            if key in _NOT_WORDS or key.startswith(_NOT_WORDS_PREFIX) or key.endswith("_id"):
                continue
            if key == "fallback" and isinstance(value, str):
                if value:
                    self._fallback(to_bytes(value), _join(path, key))
            elif isinstance(value, str | dict | list):
                yield value, _join(path, key), context, literal

    def _field(self, text: bytes, path: str, context: str = "", literal: bool = False) -> None:
        route = (Step("field", path),)
        if literal:
            self.found.append(Segment(text, route, context))
            return
        plain = undo(text, self._user, self._channel)
        self.found.append(Segment(plain.text, route, context, plain.origin))
        for link in plain.links:
            self.found.append(Segment(link.url, route, link.label.decode("utf-8", "replace"), link.origin))

    def _fallback(self, text: bytes, path: str) -> None:
        plain = undo(text, self._user, self._channel)
        self.fallbacks.append(Segment(plain.text, (Step("field", path),), "", plain.origin))

    def _section(self, elements: list[object], path: str, context: str) -> None:
        """The runs of one section joined, and the addresses behind links that have another text."""
        writer = RunWriter()
        offset = runs = 0
        last = ""
        links: list[Segment] = []
        for i, run in enumerate(elements):
            if not isinstance(run, dict):
                continue
            key, source = _source(run)
            if not source:
                continue
            runs, last = runs + 1, f"{path}[{i}].{key}"
            words = self._words(run, key, source)
            if words == source:
                writer.copy(words, offset)
            else:
                writer.replace(words, offset, len(source))
            offset += len(source)
            url = run.get("url")
            if key == "text" and isinstance(url, str) and not says_the_same(to_bytes(url), source):
                route = (Step("field", f"{path}[{i}].url"),)
                links.append(Segment(to_bytes(url), route, source.decode("utf-8", "replace")))
        if runs:
            route = (Step("field", last if runs == 1 else path),)
            self.found.append(Segment(writer.text, route, context, writer.map))
            self.found += links

    def _words(self, run: Fields, key: str, source: bytes) -> bytes:
        """What a run reads like."""
        name = source.decode("utf-8", "replace")
        if key == "user_id":
            return b"@" + self._user(name).encode()
        if key == "channel_id":
            return b"#" + self._channel(name).encode()
        if key in ("usergroup_id", "range"):
            return b"@" + source
        if key == "name" and _type(run) == "emoji":
            return b":" + source + b":"
        return source


def _join(path: str, key: str) -> str:
    """The path of a field in the form of `keysentry.extraction.jsonpath`."""
    if not (key.isascii() and key.isidentifier()):
        return f"{path}[{msgspec.json.encode(key).decode()}]"
    return f"{path}.{key}" if path else key


def _type(node: Fields) -> str:
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


def _source(run: Fields) -> tuple[str, bytes]:
    """The field of a run of rich text that has its own text, and that text."""
    for key in _RUN_FIELDS:
        value = run.get(key)
        if isinstance(value, str) and value:
            return key, to_bytes(value)
    return "", b""


def _cells(rows: list[object], path: str) -> Iterator[tuple[object, str, str, bool]]:
    """The cells of a table, each with its column's header as context."""
    head = rows[0] if rows and isinstance(rows[0], list) else []
    headers = [_plain(cell) for cell in head]
    for i, row in enumerate(rows):
        for j, cell in enumerate(row if isinstance(row, list) else ()):
            yield cell, f"{path}[{i}][{j}]", headers[j] if i > 0 and j < len(headers) else "", True


def _plain(node: object) -> str:
    """The text of a cell, for a header."""
    words: list[str] = []
    waiting = [node]
    while waiting and len(words) < 20:
        item = waiting.pop()
        if isinstance(item, dict):
            text = item.get("text")
            if isinstance(text, str):
                words.append(text)
            waiting.append(item.get("elements"))
        elif isinstance(item, list):
            waiting += reversed(item)
    return "".join(words)


# -- repeats --------------------------------------------------------------------------------------------------------


def _without_repeats(collector: _Collector) -> list[Segment]:
    """Leave out what says again what another segment says: blocks that repeat the text, fallbacks, earlier versions.

    Of a text and its blocks the text stays, unless marks for bold and the like stand in it and the blocks, which are
    without them, say all of it.
    """
    found = collector.found
    if not collector.fallbacks and len({segment.text for segment in found}) <= 1:
        return (
            found[:1] if found and found[0].text.strip() else []
        )  # nearly always: a text, and its blocks that repeat it
    words = [_normalised(segment.text) for segment in found]
    dropped = {
        at for at, start, end in collector.texts if _has_marks(found[at].text) and _covered(words[at], words[start:end])
    }
    kept: list[Segment] = []
    said = b"\n"
    for i, segment in enumerate(found):
        if i in dropped or not words[i] or _contains(said, words[i]):
            continue
        said += words[i] + b"\n"
        kept.append(segment)
    for fallback in collector.fallbacks:
        pieces = [] if _contains(said, _normalised(fallback.text)) else list(_rest(fallback, kept))
        kept += pieces
        for piece in pieces:
            said += _normalised(piece.text) + b"\n"
    return kept


def _normalised(text: bytes) -> bytes:
    """The words of a text with one space between, without marks around them."""
    return b" ".join(word for word in _MARKS.sub(b"", text).split() if word not in _BULLETS)


def _contains(said: bytes, words: bytes) -> bool:
    """Whether these words were said, not merely as a part of other words."""
    at = said.find(words)
    while at >= 0:
        end = at + len(words)
        if said[at - 1 : at] in (b" ", b"\n") and said[end : end + 1] in (b" ", b"\n"):
            return True
        at = said.find(words, at + 1)
    return False


def _has_marks(text: bytes) -> bool:
    return any(mark in text for mark in (b"*", b"_", b"~", b"`"))


def _covered(words: bytes, sections: list[bytes]) -> bool:
    """Whether the sections say all of these words."""
    for section in sorted(sections, key=len, reverse=True):
        if section:
            words = words.replace(section, b" ", 1)
    return bool(sections) and not _WORD.search(words)


def _rest(fallback: Segment, kept: list[Segment]) -> Iterator[Segment]:
    """What a fallback says beyond the other segments (it is often `[date] author: ` and then the text)."""
    text = fallback.text
    spans = [(0, len(text))]
    for other in kept:
        if len(other.text) < _FALLBACK_MIN:
            continue
        for i, (start, end) in enumerate(spans):
            at = text.find(other.text, start, end)
            if at >= 0:
                spans[i : i + 1] = [(start, at), (at + len(other.text), end)]
                break
    for start, end in spans:
        if _WORD.search(text[start:end]):
            yield Segment(text[start:end], fallback.route, "", cut(fallback.origin, start))


def cut(origin: OffsetMap | None, start: int) -> OffsetMap:
    """The map of a view without its first `start` bytes."""
    if origin is None:
        return OffsetMap([0], [start])
    run = max(bisect_right(origin.view, start) - 1, 0)
    whole = list(origin.whole[run:]) if origin.whole else []
    inside = 0 if whole and whole[0] else start - origin.view[run]
    view = [0, *(at - start for at in origin.view[run + 1 :])]
    original = [origin.original[run] + inside, *origin.original[run + 1 :]]
    return OffsetMap(view, original, origin.packed, whole)


# -- the way back ---------------------------------------------------------------------------------------------------


def places(raw: bytes, path: str, span: ByteSpan) -> tuple[tuple[str, ByteSpan], ...]:
    """The raw bytes of a message that a span lies in, each with its field.

    `path` is the field that a segment's route names, `span` is one of that field, which `origin` gives. One place for
    most; one a run where the span goes over runs of rich text; none if there is no such field.
    """
    field = value_span(raw, path)
    if field is not None:
        return ((path, _in_field(raw, field, span)),)
    found: list[tuple[str, ByteSpan]] = []
    offset = 0
    for run_path, source in _runs(raw, path):
        start, end = max(span.start, offset), min(span.end, offset + len(source))
        field = value_span(raw, run_path) if start < end else None
        if field is not None:
            found.append((run_path, _in_field(raw, field, ByteSpan(start - offset, end - offset))))
        offset += len(source)
    return tuple(found)


def _in_field(raw: bytes, field: ByteSpan, span: ByteSpan) -> ByteSpan:
    view = backslash(raw[field.start : field.end])
    if view is not None:
        span = view[1].span_to_original(span)
    return ByteSpan(field.start + span.start, field.start + span.end)


def _runs(raw: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    """The runs of the section whose elements are at a path."""
    node = decode(raw)
    for step in components(path) or ():
        if isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        elif isinstance(node, dict) and isinstance(step, str):
            node = node.get(step)
        else:
            return
    for i, run in enumerate(node if isinstance(node, list) else ()):
        if isinstance(run, dict):
            key, source = _source(run)
            if source:
                yield f"{path}[{i}].{key}", source
