"""Many segments in one buffer, so that one call of the prefilter looks at all of them.

Invariants. Segments do not overlap and are in ascending order; an event belongs to the segment that its offset lies
in or ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import itemgetter

from keysentry.engine.prefilter.base import Event


def by_segment(events: list[Event], starts: Sequence[int], ends: Sequence[int]) -> Iterator[tuple[int, list[Event]]]:
    """Share out events among the segments that begin at `starts` and end at `ends`: (segment, its events by offset),
    ascending.

    Events between segments are dropped: no match lies there.
    """
    events.sort(key=itemgetter(1))
    at, total = 0, len(events)
    while at < total:
        segment = bisect_left(starts, events[at][1]) - 1
        end = ends[segment] if segment >= 0 else starts[0]
        first = at
        while at < total and events[at][1] <= end:
            at += 1
        if at > first and segment >= 0:
            yield segment, events[first:at]
        elif at == first:
            at += 1
