"""How text is written inside other text, with the way from a stretch of the text to the stretch of its written form."""

from __future__ import annotations

import html
import json
from collections.abc import Callable

Notation = Callable[[str], str]
"""Writes text without what goes around it (quotes), so that the form of a whole is that of its parts, joined."""


def plain(text: str) -> str:
    return text


def as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def as_ascii_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def as_slashed_json(text: str) -> str:
    return as_json(text).replace("/", "\\/")


def as_script_safe_json(text: str) -> str:
    """As serialisers write JSON that goes into a page: `<`, `>`, `&` and the apostrophe by number."""
    written = as_json(text)
    for sign in "<>&'=+":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return written


def as_json_in_json(text: str) -> str:
    return as_json(as_json(text))


def as_slashed_json_in_json(text: str) -> str:
    return as_slashed_json(as_slashed_json(text))


def as_html(text: str) -> str:
    return html.escape(text)


def as_html_in_json(text: str) -> str:
    return as_json(as_html(text))


def as_csv(text: str) -> str:
    return text.replace('"', '""')


NOTATIONS: dict[str, Notation] = {
    "plain": plain,
    "JSON": as_json,
    "JSON in ASCII": as_ascii_json,
    "JSON with escaped slashes": as_slashed_json,
    "JSON for scripts": as_script_safe_json,
    "JSON in JSON": as_json_in_json,
    "JSON in JSON, slashes escaped": as_slashed_json_in_json,
    "HTML": as_html,
    "HTML in JSON": as_html_in_json,
    "CSV": as_csv,
}


def stretch(notation: Notation, text: bytes, start: int, end: int) -> tuple[int, int]:
    """Where `text[start:end]` lies in the written form of `text`."""
    head = len(notation(text[:start].decode()).encode())
    return head, head + len(notation(text[start:end].decode()).encode())
