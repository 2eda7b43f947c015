"""Reading providers' answers: whether one fits what a rule says, and what it tells of the credential."""

from __future__ import annotations

import re

import msgspec

from keysentry.response.outbound import Reply
from keysentry.rules.schema import Answer

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_MOST = 50


def fits(answer: Answer, reply: Reply) -> bool:
    """Whether an answer is what a rule describes. White space of JSON does not count."""
    if reply.status not in answer.status:
        return False
    if not answer.body or answer.body in reply.text:
        return True
    document = reply.json()
    return document is not None and answer.body in msgspec.json.encode(document).decode("utf-8", "replace")


def told(where: str, reply: Reply) -> tuple[str, ...]:
    """What an answer holds at a place: words, or nothing. `Verify` tells how places are written."""
    kind, _, name = where.partition(":")
    if kind == "header" and name:
        return _words(reply.headers.get(name.lower()))
    if kind == "xml" and name:
        match = re.search(rf"<{re.escape(name)}>([^<]{{1,2000}})</{re.escape(name)}>", reply.text)
        return _words(match[1] if match else None)
    node = reply.json()
    for field, index in _STEP.findall(where):
        if field and isinstance(node, dict):
            node = node.get(field)
        elif index and isinstance(node, list) and int(index) < len(node):
            node = node[int(index)]
        else:
            return ()
    return _words(node)


def _words(node: object) -> tuple[str, ...]:
    if isinstance(node, list):
        return tuple(word for one in node[:_MOST] for word in _words(one))
    if isinstance(node, bool) or node is None:
        return ()
    return (str(node),) if isinstance(node, str | int | float) and str(node).strip() else ()


def split_scopes(words: tuple[str, ...]) -> tuple[str, ...]:
    """Scopes, each once: providers write them as a list, or in one line between commas or spaces."""
    found = [scope for word in words for scope in re.split(r"[\s,]+", word) if scope]
    return tuple(dict.fromkeys(found))[:_MOST]
