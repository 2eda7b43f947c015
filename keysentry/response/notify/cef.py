"""One notice in one line: the Common Event Format, as ArcSight defined it and most collectors of logs read it
(https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-8.4/pdfdoc/cef-implementation-standard/).

    CEF:0|keysentry|keysentry|version|rule|title|severity 0 to 10|key=value key=value
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keysentry.__about__ import VERSION
from keysentry.connectors.base import Notice
from keysentry.response.notify.wire import facts_of, text_of

_SEVERITIES: Final = {"low": 3, "medium": 5, "high": 8, "critical": 10}


def cef(notice: Notice) -> str:
    """The line. A notice of several incidents tells the first one, and how many there are."""
    facts = facts_of(notice)
    first = facts[0] if facts else {}
    head = (
        *("CEF:0", "keysentry", "keysentry", VERSION),
        text_of(first, "rule") or f"notice.{notice.kind}",
        notice.subject[:512],
        str(_SEVERITIES.get(notice.severity, 8)),
    )
    return (
        "|".join(map(_in_head, head))
        + "|"
        + " ".join(f"{key}={_in_value(text)}" for key, text in _fields(notice, first))
    )


def _fields(notice: Notice, first: dict[str, object]) -> Iterator[tuple[str, str]]:
    found = (
        ("externalId", notice.id),
        ("rt", str(int(notice.time * 1000))),
        ("cat", f"{text_of(first, 'category') or 'credential'}/{notice.kind}"),
        ("cnt", str(notice.facts.get("count", 1))),
        ("msg", notice.text),
        ("suser", text_of(first, "place", "author")),
        ("suid", text_of(first, "place", "author_id")),
        ("request", text_of(first, "place", "uri")),
        ("outcome", text_of(first, "state")),
        *_labelled("cs1", "incident", text_of(first, "id")),
        *_labelled("cs2", "secret", text_of(first, "secret")),
        *_labelled("cs3", "source", text_of(first, "place", "source")),
        *_labelled("cs4", "container", text_of(first, "place", "container")),
        *_labelled("cs5", "audience", text_of(first, "audience")),
        *_labelled("cs6", "provider", text_of(first, "provider")),
    )
    yield from ((key, text) for key, text in found if text)


def _labelled(key: str, label: str, text: str) -> tuple[tuple[str, str], ...]:
    return ((key, text), (f"{key}Label", label)) if text else ()


def _in_head(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _in_value(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("=", "\\=")
    return "\\n".join(text.splitlines())
