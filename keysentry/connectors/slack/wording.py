"""What is written into Slack: placeholders, notices, and messages put back by somebody else than who wrote them.

Blocks and their limits: https://docs.slack.dev/reference/block-kit/blocks. Text of ours goes into plain text or rich
text, where nothing is markup; where it must be markup, Slack's three characters are escaped
(https://docs.slack.dev/messaging/formatting-message-text).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

Fields = dict[str, Any]

_PLAIN: Final = 3000
"""The most characters of a text object."""
_PIECE: Final = 2800
_HEADER: Final = 150
_TEXT: Final = 3900
"""What `text` may hold without being refused as too long by `chat.update`."""
_BLOCKS: Final = 50
_TOLD: Final = 9000
"""How much of a notice is told, in characters: the blocks of a message hold little more."""
_POSTABLE: Final = frozenset(("rich_text", "section", "context", "divider", "header", "image", "markdown", "table"))
"""Kinds of blocks that any app may post; others need the app that made them, or a person."""


class Body(NamedTuple):
    """The contents of a message, as arguments of `chat.postMessage` and `chat.update`.

    Attachments and blocks that are empty lists are taken away; None leaves out the argument.
    """

    text: str
    blocks: list[Fields] | None
    attachments: list[Fields]

    def arguments(self) -> dict[str, object]:
        """The arguments. What was markup is taken as it is, nothing is made of plain words."""
        made: dict[str, object] = {"text": self.text, "attachments": as_json(self.attachments), "parse": "none"}
        if self.blocks is not None:
            made["blocks"] = as_json(self.blocks)
        return made


def escaped(text: str) -> str:
    """A text in which nothing is markup of links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def placeholder(text: str, block_id: str, *, rich: bool) -> Body:
    """A message that says only a text; `rich` as rich text, which alone may take the place of rich text."""
    text = _cut(text, _PLAIN)
    if rich:
        block = _rich([{"type": "text", "text": text}], block_id)
    else:
        block = {"type": "section", "block_id": block_id, "text": {"type": "plain_text", "text": text}}
    return Body(_cut(escaped(text), _TEXT), [block], [])


def notice(subject: str, text: str, links: Sequence[tuple[str, str]], block_id: str) -> Body:
    """A notice: its subject as a header, its paragraphs, its links."""
    blocks: list[Fields] = []
    subject = " ".join(subject.split())
    if subject:
        header = {"type": "plain_text", "text": _cut(subject, _HEADER)}
        blocks.append({"type": "header", "block_id": block_id, "text": header})
    told = _cut(text.strip(), _TOLD)
    if told:
        blocks.append(_rich([{"type": "text", "text": told}], "" if blocks else block_id))
    elements: list[Fields] = []
    for label, url in links:
        if elements:
            elements.append({"type": "text", "text": "\n"})
        elements.append({"type": "link", "url": url, "text": label or url})
    if elements:
        blocks.append(_rich(elements, "" if blocks else block_id))
    lines = [escaped(line) for line in (subject, told) if line] + [_link(label, url) for label, url in links]
    return Body(_cut("\n\n".join(lines), _TEXT), blocks, [])


def as_it_was(message: Fields, block_id: str) -> Iterator[Body]:
    """A message's own contents, in the ways in which Slack may take them, the truest first. `block_id` is for a block
    that it did not have.
    """
    text, blocks, attachments = _text(message), _list(message, "blocks"), kept_attachments(message)
    if blocks:
        yield Body(text, blocks, attachments)
        yield Body(_cut(text, _TEXT), blocks, attachments)
    yield Body(text, None if text or attachments else [], attachments)
    if text:
        pieces = _pieces(text)[:_BLOCKS]
        yield Body(_cut(text, _TEXT), [pieces[0] | {"block_id": block_id}, *pieces[1:]], attachments)


def quoted(message: Fields, line: str, block_id: str) -> Iterator[Body]:
    """A message's contents below a line (markup) that says whose they are, in the ways in which Slack may take them."""
    text, attachments = _text(message), kept_attachments(message)
    head = {"type": "context", "block_id": block_id, "elements": [{"type": "mrkdwn", "text": line, "verbatim": True}]}
    short = _cut(f"{line}\n{text}", _TEXT)
    blocks = [block for block in _list(message, "blocks") if block.get("type") in _POSTABLE]
    if blocks:
        yield Body(short, [head, *blocks][:_BLOCKS], attachments)
    yield Body(short, [head, *_pieces(text)][:_BLOCKS], attachments)
    if attachments:
        yield Body(short, [head, *_pieces(text)][:_BLOCKS], [])


def credit(author: str, moment: int, rest: str = "") -> str:
    """A line (markup) that names who wrote something, and when (UTC seconds)."""
    when = f"<!date^{moment}^{{date_short_pretty}}, {{time}}|{moment}>"
    return f"_{escaped(author)}, {when}_{rest}"


def file_links(files: Sequence[Fields]) -> str:
    """Links (markup) to files that are still there."""
    found = [_link(str(file.get("name") or "file"), str(file["permalink"])) for file in files if file.get("permalink")]
    return " " + " ".join(found) if found else ""


def kept_attachments(message: Fields) -> list[Fields]:
    """The attachments of a message without the previews of links, which Slack makes by itself."""
    return [one for one in _list(message, "attachments") if not ("from_url" in one or "original_url" in one)]


def is_rich(message: Fields) -> bool:
    """Whether a message is rich text."""
    return any(block.get("type") == "rich_text" for block in _list(message, "blocks"))


def _rich(elements: list[Fields], block_id: str = "") -> Fields:
    block: Fields = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}
    return {**block, "block_id": block_id} if block_id else block


def _pieces(text: str) -> list[Fields]:
    """A text (markup) as blocks, cut at ends of lines where there are any."""
    blocks: list[Fields] = []
    while text:
        end = len(text) if len(text) <= _PIECE else (text.rfind("\n", 1, _PIECE) + 1 or _PIECE)
        piece, text = text[:end], text[end:]
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": piece, "verbatim": True}})
    return blocks


def _link(label: str, url: str) -> str:
    address = url.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C")
    return f"<{address}|{escaped(label.replace('|', '/'))}>" if label else f"<{address}>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(message: Fields) -> str:
    text = message.get("text")
    return text if isinstance(text, str) else ""


def _list(message: Fields, key: str) -> list[Fields]:
    value = message.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_json(value: object) -> str:
    """A value as JSON, as arguments of Slack want it."""
    return msgspec.json.encode(value).decode()
