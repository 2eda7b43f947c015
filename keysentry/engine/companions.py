"""The other half of a composite credential: the key beside its id, the host beside the password.

Algorithm. Around a match, within as many lines as the rule says and `COMPANION_REACH` bytes, every match of the
companion's pattern is a choice; the nearest that is random enough wins: the one fewer lines away, and of those one
after the match before one that is ahead of it, unless that is much nearer (in a list of pairs the secret of the pair
before is near, too).
"""

from __future__ import annotations

from typing import NamedTuple

from keysentry.engine.confirm import COMPANION_REACH, TIME_LIMIT, Candidate, TooSlow
from keysentry.engine.program import CompiledRule
from keysentry.engine.value import entropy, strong_placeholder
from keysentry.rules.schema import Requirement

_AHEAD = 4
_LEAST_BITS = 3.0
"""Entropy below which a companion that is to be the secret is none."""


class Companion(NamedTuple):
    """A companion that was found; `main` where it is the secret itself and the match only its id."""

    name: str
    start: int
    end: int
    secret: bytes
    main: bool


def companions(candidate: Candidate, rule: CompiledRule) -> list[Companion] | None:
    """The companions that a rule requires, in its order; None if one is missing. Raises `TooSlow`."""
    found = []
    for requirement, pattern in zip(rule.rule.requires, rule.requirements, strict=True):
        low, high = _region(candidate, requirement.within)
        best: tuple[int, int, int, int] | None = None
        try:
            for match in pattern.finditer(candidate.text, low, high, overlapped=True, timeout=TIME_LIMIT):
                at, to = match.span("secret")
                if (at < candidate.to and candidate.at < to) or not _fit(requirement, candidate.text[at:to]):
                    continue
                choice = (*_distance(candidate, at, to), at, to)
                if best is None or choice < best:
                    best = choice
        except TimeoutError:
            raise TooSlow(candidate.rule, candidate.start) from None
        if best is None:
            return None
        *_, at, to = best
        start, end = candidate.place_of(at, to)
        found.append(Companion(requirement.name, start, end, candidate.text[at:to], requirement.role == "secret"))
    return found


def _distance(candidate: Candidate, at: int, to: int) -> tuple[int, int]:
    """How far a choice is: in lines, and in bytes, which count more ahead of the match."""
    if at >= candidate.to:
        return candidate.text.count(b"\n", candidate.to, at), at - candidate.to
    return candidate.text.count(b"\n", to, candidate.at), _AHEAD * (candidate.at - to) + 1


def _fit(requirement: Requirement, value: bytes) -> bool:
    if requirement.role != "secret":
        return True
    return entropy(value) >= _LEAST_BITS and not strong_placeholder(value)


def _region(candidate: Candidate, lines: int) -> tuple[int, int]:
    """The part of the text that lies within so many lines of the secret."""
    text = candidate.text
    low, high = max(0, candidate.at - COMPANION_REACH), min(len(text), candidate.to + COMPANION_REACH)
    start = candidate.at
    for _ in range(lines + 1):
        start = text.rfind(b"\n", low, start)
        if start < 0:
            break
    end = candidate.to - 1
    for _ in range(lines + 1):
        end = text.find(b"\n", end + 1, high)
        if end < 0:
            break
    return (start + 1 if start >= 0 else low), (end if end >= 0 else high)
