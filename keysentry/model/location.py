"""Where something was found: symbolic enough to redact it, concrete enough for a person to open it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

import msgspec

StepKind = Literal[
    "member", "field", "message", "block", "attachment", "file", "sheet", "cell", "comment", "property", "encoded"
]


class ByteSpan(msgspec.Struct, frozen=True, order=True):
    """A non-empty half-open range of bytes, `start <= i < end`."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class Step(msgspec.Struct, frozen=True, order=True):
    """One step of a route: into an archive member, a JSON field, a message, a sheet, a cell, an encoded run."""

    kind: StepKind
    name: str

    def __str__(self) -> str:
        return self.name


Route = tuple[Step, ...]
"""The symbolic way from a record or a file to the text in which something was found, outermost step first."""


def render_route(route: Route) -> str:
    """Write a route for a person: `backup.zip » notes.json » users[3].token`."""
    return " » ".join(step.name for step in route)


class OffsetMap(msgspec.Struct, frozen=True):
    """How offsets in a view (decoded, unescaped, markup undone) map to offsets in what it was made from.

    `view[i]` and `original[i]` are the starts of runs, ascending: run `i` covers view offsets from `view[i]` up to the
    next run. Within it one byte of the view is one byte of the original, unless the run is `packed` (base64: 3 bytes of
    the view come from 4 of the original; hex: 1 from 2), given as (view bytes, original bytes). Where `whole[i]` is not
    0 the run came as a whole from that many original bytes (one escape, one entity, one link), so that every byte of
    it maps to all of them; an empty `whole` means that no run is like that.
    """

    view: Sequence[int]
    original: Sequence[int]
    packed: tuple[int, int] = (1, 1)
    whole: Sequence[int] = ()

    def to_original(self, offset: int) -> int:
        """The original offset of the byte at `offset` of the view (of a whole run: where that run's source starts)."""
        return self._source(offset)[0]

    def span_to_original(self, span: ByteSpan) -> ByteSpan:
        """The smallest original span that holds every byte of `span` and cuts through no escape."""
        start, end = self._source(span.start)
        return ByteSpan(start, max(end, self._source(span.end - 1)[1]))

    def _source(self, offset: int) -> tuple[int, int]:
        """Start and end of what the byte at `offset` of the view was made from."""
        run = max(bisect_right(self.view, offset) - 1, 0)
        start = self.original[run]
        if self.whole and self.whole[run]:
            return start, start + self.whole[run]
        small, large = self.packed
        start += (offset - self.view[run]) * large // small
        return start, start + -(-large // small)


Audience = Literal["unknown", "private", "internal", "external", "public"]
"""Who can read something: a few named people, everyone of the organisation, guests or another organisation as well,
or anyone."""


class Exposure(msgspec.Struct, frozen=True):
    """Who could read something: the widest audience, how many people (None: not known), and since when (UTC
    seconds).
    """

    audience: Audience = "unknown"
    reach: int | None = None
    since: float | None = None


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A place that a person can follow.

    `path` is the file as the user named it; `line` and `column` (1-based; columns count characters) and `span`
    (bytes) are those of the original text file or archive member, also where `route` gives a field or a message.
    `uri` is a link that opens the place, as near as the platform allows. `container` is the channel, drive or bucket,
    `author` who wrote it there and `exposure` who could read it.
    """

    uri: str = ""
    path: str = ""
    route: Route = ()
    line: int | None = None
    column: int | None = None
    span: ByteSpan | None = None
    container: str = ""
    author: str = ""
    author_id: str = ""
    time: str = ""
    exposure: Exposure = Exposure()

    @property
    def part(self) -> str:
        """The route, as a person reads it."""
        return render_route(self.route)
