"""Records of any source: their parts as segments, scanned together, and findings that know who wrote them, where and
when.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from keysentry.engine.arena import by_segment
from keysentry.engine.engine import Engine, Match
from keysentry.engine.score import Nature
from keysentry.extraction.archive import ARCHIVES, leaves
from keysentry.extraction.budget import Account
from keysentry.extraction.encoding import to_utf8
from keysentry.extraction.sniff import HEAD, sniff
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan, Location, Step
from keysentry.model.record import Part, Record, Segment
from keysentry.scan.findings import FindingMaker
from keysentry.scan.locate import line_and_column

BATCH = 1024
"""How many records are looked at by one call of the prefilter, at most."""
_JOINT = b": "
"""What stands between a segment's context and its text, so that a name in the context names the value."""


def scan_records(
    engine: Engine, maker: FindingMaker, records: Iterable[Record], skipped: list[Skipped] | None = None
) -> Iterator[tuple[Record, Finding]]:
    """Scan records in batches: (record, finding), in their order.

    What cannot be read of their parts goes to `skipped`.
    """
    stream = iter(records)
    problems: list[Skipped] = [] if skipped is None else skipped
    while batch := list(islice(stream, BATCH)):
        yield from _batch(engine, maker, batch, problems)


def _batch(
    engine: Engine, maker: FindingMaker, records: list[Record], skipped: list[Skipped]
) -> Iterator[tuple[Record, Finding]]:
    owners: list[tuple[Record, Segment, int]] = []
    texts: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for record in records:
        for segment in segments(record, skipped):
            head = segment.context.encode() + _JOINT if segment.context else b""
            owners.append((record, segment, len(head)))
            text = head + segment.text if head else segment.text
            texts.append(text)
            starts.append(at)
            ends.append(at + len(text))
            at += len(text) + 1
    buffer = b"\n".join(texts)
    told: set[tuple[int, int, bytes]] = set()
    for number, events in by_segment(engine.events(buffer), starts, ends):
        record, segment, head_size = owners[number]
        nature = Nature(place="chat" if record.chat else "text")
        result = engine.judge(buffer, (starts[number], ends[number]), events, nature)
        base = starts[number] + head_size
        for match in result.matches:
            # An edited message shows the same secret before and after: one finding a message.
            known = (id(record), match.rule, match.secret)
            if match.start >= base and not (record.chat and known in told):
                told.add(known)
                yield record, _finding(maker, record, segment, match, base)
        for slow in result.slow:
            rule = engine.program.rules[slow.rule].rule.id
            skipped.append(Skipped(_name(record), f"the rule {rule} took too long and was stopped", partial=True))


def _name(record: Record) -> str:
    return record.uri or record.path or record.id


def _finding(maker: FindingMaker, record: Record, segment: Segment, match: Match, base: int) -> Finding:
    span = ByteSpan(match.start - base, match.end - base)
    original = segment.origin.span_to_original(span) if segment.origin else span
    line, column = line_and_column(segment.text, span.start)
    route = segment.route
    if match.coding and match.coding != "escaped":
        route = (*route, Step("encoded", match.coding))
    location = Location(
        uri=record.uri,
        path=record.path,
        route=route,
        line=line,
        column=column,
        span=original,
        container=record.container,
        author=record.author,
        time=timestamp(record.time),
    )
    return maker.make(match, span, location)


def timestamp(seconds: float | None) -> str:
    """A time as ISO 8601 in UTC, to the second; empty for none, and for one that no calendar has."""
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return ""


def segments(record: Record, skipped: list[Skipped]) -> Iterator[Segment]:
    """The segments of a record's parts: those that are text already, and what its contents hold."""
    for part in record.parts:
        if part.segment is not None:
            yield part.segment
        if part.content is not None:
            yield from _content(record, part, part.content, skipped)


def _content(record: Record, part: Part, content: bytes, skipped: list[Skipped]) -> Iterator[Segment]:
    kind = sniff(content[:HEAD], part.name)
    route = (*part.route, Step("file", part.name)) if part.name else part.route
    if kind not in ARCHIVES:
        yield Segment(to_utf8(content, kind), route)
        return
    name = part.name or _name(record)
    for leaf in leaves(io.BytesIO(content), kind, name, Account(packed=len(content))):
        if isinstance(leaf, Skipped):
            skipped.append(leaf)
            continue
        inner = leaf.place.removeprefix(f"{name} » ").split(" » ")
        yield Segment(to_utf8(b"".join(leaf.chunks), leaf.kind), (*route, *(Step("member", step) for step in inner)))
