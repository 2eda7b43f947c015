"""The order of versions: a listing of versions comes as two lists, contents and deletions, each in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from keysentry.connectors.objects.store import Entry

Last = tuple[str, float]
"""A key, and when the newest state of it that was not passed yet was superseded: by the one before in the listing."""


def newest_first(
    answer: Mapping[str, Any], entry_of: Callable[[Mapping[str, Any]], Entry], last: Last
) -> tuple[list[Entry], Last]:
    """The entries of one page, key by key and the newest first, as the store holds them, each older one with the time
    since when it is hidden; and what the next page has to know.

    A deletion that is not a key's latest state only says since when the version below it is hidden.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    lists: dict[str, tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
    for item in answer.get("Versions") or ():
        entry = entry_of(item)
        lists[entry.key][0].append(entry)
    for item in answer.get("DeleteMarkers") or ():
        entry = msgspec.structs.replace(entry_of(item), deleted=True)
        lists[entry.key][1].append(entry)
    entries: list[Entry] = []
    for key in sorted(lists, key=str.encode):
        for entry in _merged(*lists[key]):
            hidden = last[1] if last[0] == key and not entry.current else None
            last = (key, entry.modified)
            if not entry.deleted or entry.current:
                entries.append(msgspec.structs.replace(entry, hidden=hidden))
    return entries, last


def _merged(contents: list[Entry], deletions: list[Entry]) -> Iterator[Entry]:
    """Two lists as one: a key's latest state first, then by time. The order within each list stays."""
    left, right = contents[::-1], deletions[::-1]
    while left and right:
        newer = right if (right[-1].current, right[-1].modified) > (left[-1].current, left[-1].modified) else left
        yield newer.pop()
    yield from left[::-1]
    yield from right[::-1]
