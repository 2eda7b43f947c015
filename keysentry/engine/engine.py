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
from keysentry.engine.program import CompiledRule, Program
from keysentry.engine.triggers import CODINGS
from keysentry.model.finding import Lifetime, Reason

if TYPE_CHECKING:
    from keysentry.checks.base import Verdict
    from keysentry.engine.confirm import Candidate
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
        by_target: dict[int, set[int]] = {}
        for target, offset in events:
            by_target.setdefault(target, set()).add(offset)
        for target in sorted(by_target):
            offsets = sorted(by_target[target])
            if target < len(self._rules):
                yield from self._confirmed(target, buffer, bounds, offsets, nature, slow)
            elif depth < DEPTH and target < len(self._rules) + len(CODINGS):
                yield from self._decoded(target, buffer, bounds, offsets, nature, slow, depth)

    def _confirmed(
        self,
        number: int,
        buffer: Buffer,
        bounds: tuple[int, int],
        offsets: Sequence[int],
        nature: Nature,
        slow: list[Slow],
    ) -> Iterator[Match]:
        from keysentry.engine.confirm import TooSlow, confirm

        rule = self._rules[number]
        found: dict[tuple[int, int], Candidate] = {}
        cells = nature.place in ("text", "cell", "chat")
        try:
            for candidate in confirm(
                number, rule, buffer, bounds, offsets, json=nature.json, cells=cells, tight=self._tight
            ):
                place = (candidate.start, candidate.end)
                known = found.get(place)
                # Of several readings of one place that with the most escapes undone counts.
                if known is None or len(candidate.maps) > len(known.maps):
                    found[place] = candidate
        except TooSlow as error:
            slow.append(Slow(error.rule, error.offset))
        for candidate in found.values():
            try:
                match = _judge(candidate, rule, nature)
            except TooSlow as error:
                slow.append(Slow(error.rule, error.offset))
                break  # as above: a rule gets one such try in a segment, not one for each candidate
            if match is not None:
                yield match

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


def _judge(candidate: Candidate, rule: CompiledRule, nature: Nature) -> Match | None:
    """Check a candidate, find its companions, and score it; None if it is surely not what it looks like."""
    from keysentry.engine.companions import companions
    from keysentry.engine.score import PROVED, confidence, score

    secret = candidate.secret
    if not secret or any(pattern.fullmatch(secret) for pattern in rule.allowed):
        return None
    verdicts = _checked(rule.rule.check, secret)
    if verdicts is None:
        return None
    proved = any(verdict.valid for verdict in verdicts)
    others = companions(candidate, rule)
    base = rule.rule.confidence
    if others is None:
        if rule.rule.alone is None:
            return None
        base = rule.rule.alone
    main = next((other for other in others or () if other.main), None)
    reasons = score(candidate, rule, nature, proved=proved, base=base)
    if reasons is None:
        return None
    reasons += [Reason("check", verdict.text, PROVED if verdict.valid else 0.0) for verdict in verdicts if verdict.text]
    lifetime = next((verdict.lifetime for verdict in verdicts if verdict.lifetime), rule.rule.lifetime)
    kept = [(other.name, other.secret) for other in others or () if not other.main]
    start, end, value = candidate.start, candidate.end, secret
    if main is not None:
        kept.insert(0, ("id", secret))
        start, end, value = main.start, main.end, main.secret
    if others:
        reasons.append(Reason("companion", "its other half stands beside it", 0.5))
    sure = confidence(reasons)
    if others is None and rule.rule.alone is not None:
        sure = min(sure, rule.rule.alone)
    return Match(
        candidate.rule,
        start,
        end,
        value,
        sure,
        tuple(reasons),
        _rank(rule, proved, others),
        lifetime,
        tuple(kept),
        candidate.view,
    )


def _rank(rule: CompiledRule, proved: bool, others: Sequence[object] | None) -> tuple[int, ...]:
    """How specific a match is: of matches that overlap the one with the greater rank is reported.

    A value that a checksum proves, and that its provider's name stands beside, is that provider's.
    """
    near, sure = bool(rule.rule.near), round(rule.rule.confidence * 100)
    order = (near, sure) if proved else (sure, near)
    return (int(proved), int(not rule.rule.generic), int(bool(others)), *map(int, order), 0)


def _checked(names: Iterable[str], secret: bytes) -> list[Verdict] | None:
    """The answers of the checks; None if one of them kills the value."""
    from keysentry.checks import CHECKS

    verdicts = []
    for name in names:
        verdict = CHECKS[name](secret)
        if verdict.valid is False:
            return None
        verdicts.append(verdict)
    return verdicts


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
