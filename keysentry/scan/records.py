"""The texts of records of any source, scanned together, and findings that know who wrote them, where and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from keysentry.engine.arena import by_segment
from keysentry.engine.engine import Engine, Match
from keysentry.engine.score import Nature
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan, Location, Step
from keysentry.model.record import Record, Segment
from keysentry.scan.findings import FindingMaker
from keysentry.scan.locate import line_and_column

_JOINT = b": "
"""What stands between a segment's context and its text, so that a name in the context names the value."""


def scan_records(
    engine: Engine, maker: FindingMaker, records: Sequence[Record], skipped: list[Skipped]
) -> Iterator[tuple[int, Finding]]:
    """Scan the segments of some records, by one call of the prefilter: (number of the record, finding), in order.

    A rule that was too slow and had to be stopped goes to `skipped`. Contents are not looked at; see `contents`.
    """
    owners: list[tuple[int, Segment, int]] = []
    texts: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for position, record in enumerate(records):
        for part in record.parts:
            segment = part.segment
            if segment is None:
                continue
            text, head = segment.text, 0
            if segment.context:
                joint = segment.context.encode("utf-8", "surrogatepass") + _JOINT
                text, head = joint + text, len(joint)
            owners.append((position, segment, head))
            texts.append(text)
            starts.append(at)
            ends.append(at + len(text))
            at += len(text) + 1
    buffer = b"\n".join(texts)
    told: set[tuple[int, int, bytes]] = set()
    for number, events in by_segment(engine.events(buffer), starts, ends):
        position, segment, head_size = owners[number]
        record = records[position]
        nature = Nature(place="chat" if record.chat else "text")
        result = engine.judge(buffer, (starts[number], ends[number]), events, nature)
        base = starts[number] + head_size
        for match in result.matches:
            # An edited message shows the same secret before and after: one finding a message.
            known = (position, match.rule, match.secret)
            if match.start >= base and not (record.chat and known in told):
                told.add(known)
                yield position, _finding(maker, record, segment, match, base)
        for slow in result.slow:
            rule = engine.program.rules[slow.rule].rule.id
            skipped.append(Skipped(name(record), f"the rule {rule} took too long and was stopped", partial=True))


def name(record: Record) -> str:
    """What messages call a record."""
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
        author_id=record.author_id,
        time=timestamp(record.time),
        exposure=record.exposure,
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
