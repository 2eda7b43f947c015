"""A corpus that is the same on every machine: forged credentials of all rules, near misses and ordinary text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import cache

from keysentry.rules.forge import forge
from keysentry.tuning.prove import near_misses
from keysentry.tuning.specimens import Specimen, as_csv, as_json, as_message, plain, specimens
from tests.engine import compiled
from tests.engine.notation import NOTATIONS

WORDS = (
    "the", "server", "answers", "with", "token", "for", "every", "user", "name", "and", "password", "that", "is",
    "given", "in", "request", "header", "of", "call", "we", "make", "service", "when", "key", "rotation", "due",
    "please", "ask", "team", "before", "you", "change", "secret", "settings", "production",
)  # fmt: skip
CODE = (
    "def {0}_{1}(self, {2}: str) -> bool:",
    "    return self.{0}.{1}({2}, timeout={n})",
    "const {0} = await {1}.get('{2}/{n}');",
    "if (!{0}) throw new Error(\"no {1} in {2}\");",
    'export {0}_URL="https://{1}.example.com/{2}?page={n}"',
    "{0}: {{ {1}: {n}, {2}: null }},",
    "<a href=\"https://{0}.example.com/{1}\">{2}</a> &amp; more",
    "2024-05-{n:02d}T10:00:00Z INFO {0} {1} -> {2} in {n} ms",
    "INSERT INTO {0} ({1}, {2}) VALUES ('{1}', {n});",
    "password = {0}_{1}", "token: <your {2} here>", "{0}_key = os.environ['{1}']", "secret: ${{{0}.{1}}}",
)  # fmt: skip


def line(rng: random.Random) -> str:
    """A line of code or prose."""
    if rng.random() < 0.4:
        return " ".join(rng.choices(WORDS, k=rng.randrange(2, 16)))
    return rng.choice(CODE).format(*rng.sample(WORDS, 3), n=rng.randrange(30))


def message(specimen: Specimen) -> bytes:
    """The text of a specimen's chat message."""
    segment = as_message(specimen).parts[0].segment
    assert segment is not None
    return segment.text


FORMS: tuple[Callable[[Specimen], bytes], ...] = (plain, as_json, as_csv, message)


@cache
def _specimens(rule_id: str, seed: int) -> list[Specimen]:
    return list(specimens(compiled.rule(rule_id), 4, seed))


def segments(count: int, seed: int = 1) -> Iterator[bytes]:
    """So many short texts: a half with credentials, whole or broken, in many notations, the rest ordinary or noise."""
    rng = random.Random(seed)
    rules = [rule for rule in compiled.rules().rules if rule.forge]
    for number in range(count):
        kind = rng.random()
        rule = rules[number % len(rules)]
        if kind < 0.35:
            text = rng.choice(FORMS)(rng.choice(_specimens(rule.id, number // (len(rules) * 40))))
            yield _around(rng, text)
        elif kind < 0.45:
            specimen = rng.choice(_specimens(rule.id, 0))
            broken = list(near_misses(rule, specimen, rng)) or [specimen]
            yield plain(rng.choice(broken))
        elif kind < 0.55:
            text = plain(rng.choice(_specimens(rule.id, 0))).decode()
            yield NOTATIONS[rng.choice(sorted(NOTATIONS))](text).encode()
        elif kind < 0.6:
            yield forge("{alpha:4-9}_{base64:20-60} {password:8-40} {hex:32-64}", rng).encode()
        elif kind < 0.65:
            yield rng.randbytes(rng.randrange(200))
        elif kind < 0.75:
            yield json.dumps({rng.choice(WORDS): line(rng), "n": [number, line(rng)]}).encode()
        else:
            yield "\n".join(line(rng) for _ in range(rng.randrange(1, 5))).encode()


def _around(rng: random.Random, text: bytes) -> bytes:
    before, after = line(rng).encode(), line(rng).encode()
    return rng.choice((text, before + b"\n" + text, text + b"\n" + after, before + b"\n" + text + after))


def large(size: int, seed: int = 2) -> bytes:
    """One text of about so many bytes, with credentials, some very long lines, and characters of all widths."""
    rng = random.Random(seed)
    parts: list[bytes] = []
    length = 0
    for text in segments(1 << 60, seed):
        part = text if rng.random() < 0.2 else line(rng).encode()
        if rng.random() < 0.05:
            part = ("gr\u00fc\u00dfe \u4f60\u597d \U0001f511 " + line(rng)).encode() * rng.randrange(1, 40)
        parts.append(part + rng.choice((b"\n", b"\n", b"\r\n", b" ")))
        length += len(parts[-1])
        if length >= size:
            return b"".join(parts)
    raise AssertionError("the segments never end")
