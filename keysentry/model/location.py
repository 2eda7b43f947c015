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
    next run, and within it one byte of the view is one byte of the original, unless the run is `packed` (base64: 3
    bytes of the view come from 4 of the original; hex: 1 from 2), given as (view bytes, original bytes).
    """

    view: Sequence[int]
    original: Sequence[int]
    packed: tuple[int, int] = (1, 1)

    def to_original(self, offset: int) -> int:
        """The original offset of the byte at `offset` of the view."""
        run = max(bisect_right(self.view, offset) - 1, 0)
        small, large = self.packed
        return self.original[run] + (offset - self.view[run]) * large // small

    def span_to_original(self, span: ByteSpan) -> ByteSpan:
        """The smallest original span that holds every byte of `span`."""
        small, large = self.packed
        last = self.to_original(span.end - 1)
        return ByteSpan(self.to_original(span.start), last + -(-large // small))


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A place that a person can follow.

    `path` is the file as the user named it; `line` and `column` (1-based; columns count characters) and `span` (bytes) are those of the
    original text file or archive member, also where `route` gives a field or a message. `uri` is a link that opens
    the place, as near as the platform allows.
    """

    uri: str = ""
    path: str = ""
    route: Route = ()
    line: int | None = None
    column: int | None = None
    span: ByteSpan | None = None
    container: str = ""
    author: str = ""
    time: str = ""

    @property
    def part(self) -> str:
        """The route, as a person reads it."""
        return render_route(self.route)
