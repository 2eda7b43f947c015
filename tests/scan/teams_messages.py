"""Teams exports that are made when a test runs, with forged credentials under markup, and what decoding every message
of one finds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from keysentry.extraction.formats import teams, teamsmessage
from keysentry.model.finding import Finding, Skipped
from keysentry.scan.records import scan_records
from keysentry.scan.scanner import Scanner
from keysentry.tuning.specimens import specimens
from tests.engine import compiled

THREAD = "19:9d1c@thread.v2"
_PROSE = "the deploy to staging failed again, see ticket; please check: it is = for Bob & Ann <3 über résumé"
_WORDS = tuple(_PROSE.split())
_INLINE = ("b", "i", "code", "span", 'span style="font-size:14px"', "strong", "em", "at", "font color='red'", "u")
_EMPTY = (
    "<br>",
    "<br/>",
    "</p>\n<p>",
    "</p><p>",
    "&nbsp;",
    "<wbr>",
    '<a href="https://x.example/a?b=1&amp;c=2">',
    "</a>",
)

Json = dict[str, Any]


def forged(seed: int, count: int = 1) -> Iterator[tuple[str, str]]:
    """(text, secret) for every rule, named as in chat."""
    for rule in compiled.rules().rules:
        for one in specimens(rule, count, seed):
            lines = [f"{one.name}: {one.text}" if one.name else one.text]
            lines += [value if " " in value else f"{name}: {value}" for name, value in one.companions]
            yield "\n".join(lines), one.secret


def escaped(text: str) -> str:
    """Text as HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def marked_up(text: str, rng: random.Random, most: int = 3) -> str:
    """Text as HTML, with some tags and references in places that nobody expects."""
    pieces = [escaped(character).replace("\n", rng.choice(("<br>", "</p>\n<p>", "\n"))) for character in text]
    for _ in range(rng.randint(0, most)):
        at = rng.randrange(len(pieces) + 1)
        kind = rng.random()
        if kind < 0.4:
            tag = rng.choice(_INLINE)
            end = min(len(pieces), at + rng.randint(0, 30))
            pieces[at:end] = [f"<{tag}>", *pieces[at:end], f"</{tag.split()[0]}>"]
        elif kind < 0.6:
            pieces.insert(at, rng.choice(_EMPTY))
        elif kind < 0.8 and pieces:
            pieces = [piece.replace(" ", "&nbsp;") for piece in pieces]
        elif pieces:
            at = rng.randrange(len(pieces))
            if len(pieces[at]) == 1 and pieces[at].isascii():
                pieces[at] = rng.choice(("&#{};", "&#x{:x};")).format(ord(pieces[at]))
    return f"<{rng.choice(('p', 'div'))}>{''.join(pieces)}</p>"


def prose(rng: random.Random) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(3, 20)))


def graph_message(number: int, content: str, kind: str = "html", **more: object) -> Json:
    """A message as Graph gives it."""
    time = f"2024-03-04T11:{number // 60 % 60:02}:{number % 60:02}.5Z"
    return {
        "id": str(1709551200000 + number),
        "replyToId": None,
        "etag": str(1709551200000 + number),
        "messageType": "message",
        "createdDateTime": time,
        "lastModifiedDateTime": time,
        "deletedDateTime": None,
        "subject": None,
        "chatId": THREAD,
        "webUrl": None,
        "channelIdentity": None,
        "from": {"application": None, "user": {"id": f"u{number % 3}", "displayName": f"User {number % 3}"}},
        "body": {"contentType": kind, "content": content},
        "attachments": [],
        "mentions": [],
        "reactions": [],
        **more,
    }


def card(*facts: tuple[str, str], text: str = "") -> Json:
    """An attachment that is a card."""
    body = [
        {"type": "TextBlock", "text": text},
        {"type": "FactSet", "facts": [{"title": t, "value": v} for t, v in facts]},
    ]
    content = json.dumps({"type": "AdaptiveCard", "body": body}, indent=1)
    return {"id": "a1", "contentType": "application/vnd.microsoft.card.adaptive", "content": content, "name": None}


def personal_message(number: int, content: str, thread: str, kind: str = "RichText/Html", **more: object) -> Json:
    """A message of the personal export."""
    return {
        "id": str(1709551200000 + number),
        "displayName": f"User {number % 3}" if number % 4 else None,
        "originalarrivaltime": f"2024-03-04T11:{number // 60 % 60:02}:{number % 60:02}.5671234Z",
        "messagetype": kind,
        "version": 1709551200000.0 + number,
        "content": content,
        "conversationid": thread,
        "from": f"8:live:user{number % 3}",
        "properties": None,
        "amsreferences": None,
        **more,
    }


def personal_export(conversations: dict[str, list[Json]]) -> Json:
    """A personal export: messages by the title of their conversation."""
    return {
        "userId": "8:live:me",
        "exportDate": "2024-03-05T10:00",
        "conversations": [
            {
                "id": messages[0]["conversationid"] if messages else "8:nobody",
                "displayName": title,
                "version": 1.0,
                "properties": {"conversationblocked": False},
                "threadProperties": {"membercount": 3, "topic": title, "members": '["8:a","8:b"]'},
                "messages": None,
                "MessageList": messages,
            }
            for title, messages in conversations.items()
        ],
    }


def every_message(node: object, title: str = "") -> Iterator[tuple[Json, str]]:
    """All the messages of a decoded export, replies too, each with the title of its conversation."""
    if isinstance(node, list):
        for item in node:
            yield from every_message(item, title)
    elif isinstance(node, dict):
        if teams.form_of(node) is not None:
            yield node, title
        title = (
            node.get("topic") or node.get("displayName") or title
            if "MessageList" in node or "messages" in node
            else title
        )
        for name, value in node.items():
            if name in ("value", "conversations", "MessageList", "messages", "replies"):
                yield from every_message(value, title)


Told = tuple[str, str, str, str, str, str, str]


def told(finding: Finding) -> Told:
    """What a finding in a message says."""
    location = finding.location
    fields = " » ".join(step.name for step in location.route if step.kind != "member")
    return (
        finding.rule,
        finding.secret.reveal(),
        location.author,
        location.time,
        location.container,
        location.uri,
        fields,
    )


def by_decoding_all(scanner: Scanner, documents: list[object]) -> list[Told]:
    """What is found when every message is decoded and scanned by itself."""
    records = []
    for message, title in every_message(documents):
        form = teams.form_of(message)
        assert form is not None
        thread = message.get("conversationid") or message.get("chatId") or ""
        records.append(teamsmessage.record(message, form, teams.Conversation(thread, title)))
    skipped: list[Skipped] = []
    return sorted(told(finding) for _n, finding in scan_records(scanner._engine, scanner._maker, records, skipped))
