"""From events to candidates: the rule's own expression, on bounded windows.

Algorithm. The events of one rule in one segment are joined into ranges in which a match can begin. In each range
every beginning is tried (overlapping matches included), as the text stands and, where it holds escapes, in views
with the escapes undone. In JSON the view is the truth; elsewhere a view only adds to what the plain text gives.

Invariants. Every match of the rule in the segment that holds an event is found, and nothing depends on which other
events there were: so both prefilters, and any way of cutting the input, give the same candidates.

Limits. A view's window reaches `VIEW_REACH` bytes to both sides; one expression may take `TIME_LIMIT` seconds on one
window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from keysentry.engine.prefilter.base import Buffer
from keysentry.engine.program import CompiledRule
from keysentry.extraction.unescape import backslash, doubled, entities
from keysentry.model.location import ByteSpan, OffsetMap

if TYPE_CHECKING:
    import regex

TIME_LIMIT = 0.5
MARGIN = 64
"""How many bytes around a window look-arounds may see."""
VIEW_REACH = 8192
LEVELS = 3
"""How deeply text may be escaped within escaped text."""
COMPANION_REACH = 4096
"""How many bytes before and after a match its companions are looked for."""


class Candidate(NamedTuple):
    """A match of a rule, before anything was asked about it.

    `start` and `end` are the secret's place in the buffer; `text` is what was matched, `at` and `to` the secret's
    place in that, and `begin` where the match began; `maps` lead from `text` back to the buffer (the last one first
    undone is the first).
    """

    rule: int
    start: int
    end: int
    text: bytes
    begin: int
    at: int
    to: int
    base: int
    maps: tuple[OffsetMap, ...] = ()
    view: str = ""

    @property
    def secret(self) -> bytes:
        """The matched secret."""
        return self.text[self.at : self.to]

    def place_of(self, at: int, to: int) -> tuple[int, int]:
        """The place in the buffer of a stretch of `text`."""
        return _place(self.base, self.maps, at, to)


class TooSlow(Exception):
    """A rule's expression took more than `TIME_LIMIT` seconds on one window."""

    def __init__(self, rule: int, offset: int) -> None:
        super().__init__()
        self.rule = rule
        self.offset = offset


def _place(base: int, maps: Sequence[OffsetMap], at: int, to: int) -> tuple[int, int]:
    span = ByteSpan(at, to)
    for offsets in maps:
        span = offsets.span_to_original(span)
    return base + span.start, base + span.end


def ranges(offsets: Sequence[int], reach: int) -> Iterator[tuple[int, int]]:
    """Join offsets (ascending) into the ranges in which a match of at most `reach` bytes that holds one of them can
    begin.
    """
    low, high = offsets[0] - reach, offsets[0]
    for offset in offsets:
        if offset - reach > high:
            yield low, high
            low = offset - reach
        high = offset
    yield low, high


def confirm(
    number: int,
    rule: CompiledRule,
    buffer: Buffer,
    bounds: tuple[int, int],
    offsets: Sequence[int],
    *,
    json: bool,
    cells: bool = True,
    tight: bool = False,
) -> Iterator[Candidate]:
    """The candidates of one rule in one segment (`bounds` in the buffer), given the offsets of its events there,
    ascending.

    In `json` a reading with escapes undone replaces the plain one; only where there may be `cells` of CSV are
    doubled quotes undone. `tight` says that events come no further than `rule.ahead` from the beginning of a match.
    Raises `TooSlow` if the rule's expression exceeds the time limit.
    """
    begin, end = bounds
    around = COMPANION_REACH if rule.rule.requires else MARGIN
    closer = rule.reach - rule.ahead if tight else 0
    for low, high in ranges(offsets, rule.reach):
        low = max(low + closer, begin)
        first = max(begin, low - around)
        window = bytes(buffer[first : min(end, high + rule.reach + around)])
        escaped = b"\\" in window
        if not (json and escaped):
            yield from _search(number, rule, window, (first, ()), (low - first, high - first))
        if escaped or b"&" in window or (cells and b'""' in window):
            yield from _views(number, rule, buffer, bounds, (low, high), cells=cells)


def _search(
    number: int,
    rule: CompiledRule,
    text: bytes,
    origin: tuple[int, tuple[OffsetMap, ...]],
    starts: tuple[int, int],
    view: str = "",
) -> Iterator[Candidate]:
    base, maps = origin
    try:
        for match in _matches(rule, text, *starts):
            at, to = match.span("secret")
            start, end = _place(base, maps, at, to) if maps else (base + at, base + to)
            yield Candidate(number, start, end, text, match.start(), at, to, base, maps, view)
    except TimeoutError:
        raise TooSlow(number, base + starts[0]) from None


def _matches(rule: CompiledRule, text: bytes, low: int, high: int) -> Iterator[regex.Match[bytes]]:
    """Every match that begins from `low` to `high`: one for each place where the expression matches at all."""
    if not rule.beginnings:
        for match in rule.expression.finditer(text, low, overlapped=True, timeout=TIME_LIMIT):
            if match.start() > high:
                return
            yield match
        return
    expression = rule.expression
    for place in _beginnings(rule, text, low, high):
        found = expression.match(text, place, timeout=TIME_LIMIT)
        if found is not None:
            yield found


def _beginnings(rule: CompiledRule, text: bytes, low: int, high: int) -> Iterable[int]:
    """The places from `low` to `high`, ascending, at which a text has one of a rule's beginnings, in any case."""
    places: set[int] = set()
    # As text and not as bytes: Python looks for a short word in a short string three times faster there.
    small = text[low : high + rule.longest].lower().decode("latin-1")
    for literal in rule.words:
        if literal not in small:
            continue
        last = high - low + len(literal)
        place = small.find(literal, 0, last)
        while place >= 0:
            places.add(low + place)
            place = small.find(literal, place + 1, last)
    return sorted(places)


def _views(
    number: int, rule: CompiledRule, buffer: Buffer, bounds: tuple[int, int], starts: tuple[int, int], *, cells: bool
) -> Iterator[Candidate]:
    """Candidates in the text around a range with its escapes undone."""
    begin, end = bounds
    reach = min(VIEW_REACH, rule.reach + 256) if rule.reach < VIEW_REACH else 2 * rule.reach
    if rule.rule.requires:
        reach = max(reach, COMPANION_REACH)
    first = max(begin, starts[0] - reach)
    while first > begin and buffer[first - 1] == 0x5C:
        first -= 1  # a window that began inside a row of backslashes would pair them wrongly
    text = bytes(buffer[first : min(end, starts[1] + reach + rule.reach)])
    for reading, maps in _readings(text, cells=cells):
        # What begins at the very edge may be a part of something; what begins behind the range is the next range's.
        edge = 0 if first == begin else MARGIN
        for candidate in _search(number, rule, reading, (first, maps), (edge, len(reading)), "escaped"):
            if candidate.place_of(candidate.begin, candidate.begin + 1)[0] <= starts[1]:
                yield candidate


def _readings(text: bytes, *, cells: bool) -> Iterator[tuple[bytes, tuple[OffsetMap, ...]]]:
    """The text with its escapes undone, and the maps back: level by level, and then its entities or doubled quotes."""
    maps: tuple[OffsetMap, ...] = ()
    for _level in range(LEVELS):
        undone = backslash(text)
        if undone is None:
            break
        text, maps = undone[0], (undone[1], *maps)
        yield text, maps
    for undo in (entities, doubled) if cells else (entities,):
        undone = undo(text)
        if undone is not None:
            yield undone[0], (undone[1], *maps)
