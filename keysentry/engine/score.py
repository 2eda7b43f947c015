"""How sure we are, and why.

Algorithm. A candidate begins with its rule's confidence, as log-odds. Offline checks prove or kill it; what the
value, its name and its surroundings show adds or takes away. Each step leaves a `Reason` with its weight, and the
sum is the confidence.

Invariants. A pure function of the candidate, its rule, and the nature of its place. Whatever is dropped is dropped
for a reason that a weight below the threshold would give too.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from keysentry.engine.confirm import Candidate
from keysentry.engine.program import CompiledRule
from keysentry.engine.rarity import rarity
from keysentry.engine.value import (
    changes,
    classes,
    entropy,
    is_hex_digest,
    lookalike,
    placeholder,
    strong_placeholder,
)
from keysentry.model.finding import Reason

Place = Literal["text", "code", "config", "chat", "cell", "binary"]

_NO_WORDS = 6.0
"""Bits a character above which letters are no words, in whatever case they are written."""
PROVED = 4.0
"""The weight of a checksum that holds."""
_DEMO = re.compile(rb"(?i)\b(?:example|sample|dummy|placeholder|fake|documentation)\b")
_NEGATED = re.compile(
    rb"(?i)(?:is|are|stored|kept|found|lives?)\s{1,3}(?:in|by|at|on)\s{1,3}(?:the|a|an|our|your)?\s{0,3}$"
)
_PASSWORD_NAME = re.compile(rb"(?i)pass|pwd|pw\b|kennwort|contrase|motdepasse|senha|parol")
_DIGEST_NAME = re.compile(rb"(?i)sha-?\d|md5|hash|digest|checksum|commit|revision|etag|integrity|fingerprint|crc")
_ID_NAME = re.compile(
    rb"(?i)(?:_id|Id|ID|_name|Name|_url|Url|URL|_type|Type|_file|File|_path|Path|_field|Field)[\"'\s]*[:=>|,]+\s*[\"'`]?$"
)


class Nature(msgspec.Struct, frozen=True):
    """What kind of place a segment is: JSON or not, code or prose, and whether it is a test or an example."""

    json: bool = False
    place: Place = "text"
    test: bool = False


PLAIN = Nature()


def log_odds(probability: float) -> float:
    """The log-odds of a probability between 0 and 1."""
    return math.log(probability / (1 - probability))


def confidence(reasons: list[Reason]) -> float:
    """The probability that a sum of log-odds stands for."""
    return 1 / (1 + math.exp(-sum(reason.weight for reason in reasons)))


def score(
    candidate: Candidate, rule: CompiledRule, nature: Nature, *, proved: bool, base: float
) -> list[Reason] | None:
    """The reasons for and against a candidate, beginning with `base` (a probability); None if it is surely not a
    secret.
    """
    value = candidate.secret
    generic = rule.rule.generic and not proved
    seeming = _seeming(candidate, value, nature) if generic else ""
    if seeming is None:
        return None
    reasons = [Reason("rule", f"{rule.rule.title}: the pattern matches", log_odds(base))]
    if proved:
        return reasons
    bits = entropy(value)
    if bits < rule.rule.min_entropy:
        return None
    if generic:
        return _generic(candidate, value, bits, nature, reasons, seeming)
    why = strong_placeholder(value)
    if why:
        reasons.append(Reason("placeholder", why, -5.0))
    if len(value) >= 16 and bits < 2.5:
        reasons.append(Reason("entropy", f"only {bits:.1f} bits a character", -3.0))
    if rule.named:
        reasons += _named(value, bits, nature)
    reasons += _surroundings(candidate, nature, weight=-1.0 if rule.named else -0.5)
    return reasons


def _named(value: bytes, bits: float, nature: Nature) -> list[Reason]:
    """For a value that a provider's name stands beside: a value of words or an expression of code is not its token."""
    reasons = []
    unlike = rarity(value)
    if unlike < 3.6 and changes(value) < 3 and not is_hex_digest(value):
        reasons.append(Reason("rarity", f"made of ordinary words ({unlike:.1f} bits a character)", -3.0))
    if nature.place == "binary":
        reasons.append(Reason("place", "in a binary file", -2.0))
    return reasons


def _surroundings(candidate: Candidate, nature: Nature, *, weight: float) -> list[Reason]:
    before = candidate.text[max(0, candidate.begin - 60) : candidate.at]
    if _DEMO.search(before):
        return [Reason("context", "words beside it speak of an example", weight)]
    return []


def _seeming(candidate: Candidate, value: bytes, nature: Nature) -> str | None:
    """What a value that only its name gives away looks like that is not a secret (empty: nothing); None if it surely
    is none: most are not, and cost no more than this.
    """
    if placeholder(value) or nature.place == "binary":
        return None
    name = _name(candidate)
    other = lookalike(value)
    if other in ("an identifier", "a path") and rarity(value) > _NO_WORDS:
        other = ""
    if other and not (other in ("an identifier", "a number or a date") and _PASSWORD_NAME.search(name)):
        return None
    return None if _ID_NAME.search(name) or _DIGEST_NAME.search(name) or _NEGATED.search(name) else other


def _name(candidate: Candidate) -> bytes:
    """What stands before a value in its match."""
    return candidate.text[candidate.begin : candidate.at]


def _generic(
    candidate: Candidate, value: bytes, bits: float, nature: Nature, reasons: list[Reason], other: str
) -> list[Reason]:
    """For a value that may be one, and looks like `other`: all that can be told of value, name and place counts."""
    password = _PASSWORD_NAME.search(_name(candidate)) is not None
    quoted = candidate.text[candidate.at - 1 : candidate.at] in (b'"', b"'", b"`")
    reasons += _random(value, bits, password=password)
    if other:
        reasons.append(Reason("look-alike", f"it looks like {other}", -1.5))
    if quoted:
        reasons.append(Reason("quoted", "a quoted value", 0.8))
    elif nature.place == "code":
        reasons.append(Reason("unquoted", "not quoted, in code", -2.5))
    if nature.place == "chat" and not password and classes(value) < 2:
        reasons.append(Reason("prose", "a plain word in a message", -2.0))
    if nature.test:
        reasons.append(Reason("place", "in a test or an example", -0.7))
    if is_hex_digest(value):
        reasons.append(Reason("look-alike", "the length of a digest", -0.8))
    reasons += _surroundings(candidate, nature, weight=-1.0)
    return reasons


def _random(value: bytes, bits: float, *, password: bool) -> list[Reason]:
    unlike = rarity(value)
    mixed = classes(value)
    turns = changes(value)
    found = []
    weight = max(-2.5, min(2.0, (unlike - (4.2 if password else 5.0)) * 0.6))
    found.append(Reason("rarity", f"{unlike:.1f} bits a character beside ordinary words", round(weight, 2)))
    found.append(
        Reason(
            "mix", f"{mixed} kinds of characters, {turns} changes", (-1.8, -0.2, 0.5, 0.8)[mixed - 1] if mixed else -3
        )
    )
    if not password:
        short = len(value) < 16
        found.append(Reason("length", f"{len(value)} characters", -1.0 if short else 0.3))
    elif len(value) < 8:
        found.append(Reason("length", f"{len(value)} characters", -0.5))
    if bits < 2.2:
        found.append(Reason("entropy", f"only {bits:.1f} bits a character", -1.5))
    return found
