"""The loop: events of the prefilter in, matches with their reasons out.

Algorithm. The events of a segment are sorted by target. A rule's events are confirmed into candidates; its checks
prove or kill each; its companions are looked for; what is left is scored. The events of an encoding open views,
which are scanned in the same way. Of matches that overlap the best one stays.

Invariants. Pure and thread-safe: nothing is kept between calls but compiled expressions. The result depends on the
text and its nature alone.

Failure modes. A rule that is too slow on a window is reported in `Result.slow`, and the others go on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from keysentry.engine.prefilter.base import Buffer, Event
from keysentry.engine.program import Program
from keysentry.engine.triggers import CODINGS
from keysentry.model.finding import Lifetime, Reason

if TYPE_CHECKING:
    from keysentry.engine.score import Nature

DEPTH = 3
"""How deeply one encoding may lie within another."""


class Match(NamedTuple):
    """A confirmed, checked and scored match. `start` and `end` are the secret's place in the buffer."""

    rule: int
    start: int
    end: int
    secret: bytes
    confidence: float
    reasons: tuple[Reason, ...]
    rank: tuple[int, ...]
    lifetime: Lifetime
    companions: tuple[tuple[str, bytes], ...] = ()
    coding: str = ""


class Slow(NamedTuple):
    """A rule that took too long near an offset, so that it may have missed something there."""

    rule: int
    offset: int


class Result(NamedTuple):
    """What a segment holds, best matches only, by place; and where those that are below the threshold begin."""

    matches: list[Match]
    below: list[int]
    slow: list[Slow]


EMPTY = Result([], [], [])


class Engine:
    """Runs a Program over buffers."""

    def __init__(self, program: Program, min_confidence: float = 0.5) -> None:
        self.program = program
        self.min_confidence = min_confidence
        self._prefilter = program.prefilter()
        self._rules = program.rules
        self._tight = self._prefilter.name == "vectorscan"
        self.events = self._prefilter.events
        self.reach = max((rule.reach for rule in program.rules), default=0)

    @property
    def name(self) -> str:
        """The prefilter's name."""
        return self._prefilter.name

    def scan(self, text: bytes, nature: Nature | None = None) -> Result:
        """All matches in a text of one segment."""
        events = self.events(text)
        return self.judge(text, (0, len(text)), events, nature) if events else EMPTY

    def judge(
        self, buffer: Buffer, bounds: tuple[int, int], events: Sequence[Event], nature: Nature | None = None
    ) -> Result:
        """The matches of one segment of a buffer, given its events."""
        from keysentry.engine.score import PLAIN

        slow: list[Slow] = []
        found = list(self._found(buffer, bounds, events, nature or PLAIN, slow, 0))
        matches, below = resolve(found, self.min_confidence)
        return Result(matches, below, slow)

    def _found(
        self,
        buffer: Buffer,
        bounds: tuple[int, int],
        events: Iterable[Event],
        nature: Nature,
        slow: list[Slow],
        depth: int,
    ) -> Iterator[Match]:
        from keysentry.engine.judging import confirmed

        by_target: dict[int, set[int]] = {}
        for target, offset in events:
            by_target.setdefault(target, set()).add(offset)
        for target in sorted(by_target):
            offsets = sorted(by_target[target])
            if target < len(self._rules):
                rule = self._rules[target]
                yield from confirmed(target, rule, buffer, bounds, offsets, nature, slow, tight=self._tight)
            elif depth < DEPTH and target < len(self._rules) + len(CODINGS):
                yield from self._decoded(target, buffer, bounds, offsets, nature, slow, depth)

    def _decoded(
        self,
        target: int,
        buffer: Buffer,
        bounds: tuple[int, int],
        offsets: Sequence[int],
        nature: Nature,
        slow: list[Slow],
        depth: int,
    ) -> Iterator[Match]:
        """Matches in what the runs around some events say when they are decoded, at their places in the buffer."""
        from keysentry.engine.decode import REACH, run_at, views
        from keysentry.engine.score import Nature as Kind

        coding = CODINGS[target - len(self._rules)]
        done = 0
        for offset in offsets:
            if offset <= done:
                continue
            run = run_at(coding, buffer, bounds, offset)
            if run is None:
                continue
            # The end of a run that goes on beyond `REACH` may cut a match in two: events near it open another run.
            done = run.end if run.end < offset + REACH else run.end - REACH // 2
            for view in views(coding, buffer, run):
                events = self.events(view.text)
                if not events:
                    continue
                inner = Kind(place=nature.place, test=nature.test)
                for match in self._found(view.text, (0, len(view.text)), events, inner, slow, depth + 1):
                    start, end = view.place(match.start, match.end)
                    note = Reason("encoded", f"found in what is written as {view.coding}")
                    coded = f"{view.coding}, {match.coding}" if match.coding else view.coding
                    rank = (*match.rank[:-1], match.rank[-1] - 1)
                    yield match._replace(start=start, end=end, reasons=(*match.reasons, note), coding=coded, rank=rank)


def resolve(found: Iterable[Match], min_confidence: float) -> tuple[list[Match], list[int]]:
    """Of matches that overlap keep the best: (those at or above the threshold by place, where those below it begin)."""
    ordered = sorted(
        found,
        key=lambda m: (
            m.confidence < min_confidence,
            tuple(-part for part in m.rank),
            -m.confidence,
            m.start - m.end,
            m.start,
            m.rule,
        ),
    )
    kept: list[Match] = []
    ends: dict[int, int] = {}
    starts: list[int] = []
    for match in ordered:
        after = bisect_right(starts, match.start)
        if after and ends[starts[after - 1]] > match.start:
            continue
        if after < len(starts) and starts[after] < match.end:
            continue
        starts.insert(after, match.start)
        ends[match.start] = match.end
        kept.append(match)
    kept.sort(key=lambda m: (m.start, m.end, m.rule))
    good = [match for match in kept if match.confidence >= min_confidence]
    return good, [match.start for match in kept if match.confidence < min_confidence]
