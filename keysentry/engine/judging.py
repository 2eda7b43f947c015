"""From the events of one rule in one segment to its matches: confirmed, checked and scored.

Imported at the first event: a scan without any does not wait for what is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from keysentry.checks import CHECKS
from keysentry.checks.base import Verdict
from keysentry.engine.companions import companions
from keysentry.engine.confirm import Candidate, TooSlow, confirm
from keysentry.engine.engine import Match, Slow
from keysentry.engine.prefilter.base import Buffer
from keysentry.engine.program import CompiledRule
from keysentry.engine.score import PROVED, Nature, confidence, score
from keysentry.model.finding import Reason


def confirmed(
    number: int,
    rule: CompiledRule,
    buffer: Buffer,
    bounds: tuple[int, int],
    offsets: Sequence[int],
    nature: Nature,
    slow: list[Slow],
    *,
    tight: bool,
) -> Iterator[Match]:
    """The matches of a rule in a segment, given the offsets of its events there; where it was too slow goes to `slow`.

    `tight` is as in `keysentry.engine.confirm.confirm`.
    """
    found: dict[tuple[int, int], Candidate] = {}
    cells = nature.place in ("text", "cell", "chat")
    try:
        for candidate in confirm(number, rule, buffer, bounds, offsets, json=nature.json, cells=cells, tight=tight):
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


def _judge(candidate: Candidate, rule: CompiledRule, nature: Nature) -> Match | None:
    """Check a candidate, find its companions, and score it; None if it is surely not what it looks like."""
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
    verdicts = []
    for name in names:
        verdict = CHECKS[name](secret)
        if verdict.valid is False:
            return None
        verdicts.append(verdict)
    return verdicts
