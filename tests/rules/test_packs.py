"""Every rule of the built-in packs finds what it forges, and does not find what is nearly that."""

from __future__ import annotations

import base64
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from re import _parser as sre_parse  # type: ignore[attr-defined]
from typing import Any

import pytest
import regex

from keysentry.checks import CHECKS
from keysentry.rules.forge import forge
from keysentry.rules.keyed import full_pattern
from keysentry.rules.lint import lint
from keysentry.rules.load import load_rules
from keysentry.rules.schema import Rule

RULES = load_rules(pack="dlp").rules
COUNT = 20
CHECKSUMS = {"github-crc32", "npm-crc32", "gitlab-routable"}
"""Checks that prove every character of a value."""
SENTENCES = (
    "{}",
    "Use {} for now.",
    "x = {}\n",
    'x: "{}",\n',
    "(`{}`)",
    "<td>{}</td>",
    "curl -H 'X: {}' https://a.example",
)
NAMINGS = (
    "{name} = {value}\n",
    '"{name}": "{value}",',
    "{name}: {value}",
    "export {name}='{value}'",
    "the {name} is {value}",
)


def rules_with(condition: Callable[[Rule], object]) -> pytest.MarkDecorator:
    """Run a test once for every rule of which something is true."""
    return pytest.mark.parametrize("rule", [rule for rule in RULES if condition(rule)], ids=lambda rule: rule.id)


per_rule = rules_with(lambda _rule: True)


def simplest(pattern: str) -> str:
    """A text that a pattern matches: the first of every choice, as few repeats as it allows."""
    return _simplest(sre_parse.parse(pattern))


def _simplest(nodes: Iterable[tuple[Any, Any]]) -> str:
    return "".join(_simplest_of(str(kind), value) for kind, value in nodes)


def _simplest_of(kind: str, value: Any) -> str:
    if kind == "LITERAL":
        return chr(int(value))
    if kind == "IN":
        return _simplest_of(*next((str(k), v) for k, v in value))
    if kind == "RANGE":
        return chr(value[0])
    if kind == "CATEGORY":
        return {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " "}.get(str(value), "a")
    if kind == "ANY":
        return "_"
    if kind in ("MAX_REPEAT", "MIN_REPEAT"):
        return _simplest(value[2]) * int(value[0])
    if kind == "SUBPATTERN":
        return _simplest(value[3])
    if kind == "BRANCH":
        return _simplest(value[1][0])
    return ""


@cache
def compiled(pattern: str) -> regex.Pattern[bytes]:
    return regex.compile(pattern.encode())


def forged(rule: Rule, count: int = COUNT) -> list[str]:
    rng = random.Random(rule.id)
    return [forge(rule.forge, rng) for _ in range(count)]


def texts(rule: Rule, value: str) -> list[str]:
    """The value where such a value stands: named, for a rule that needs a name."""
    if rule.generic and not rule.near:
        # These rules differ in the notation they are for: each must know some of these.
        named = [form.format(name="password", value=value) for form in NAMINGS]
        return [text for text in named if secret_of(rule, text) == value] or named
    if rule.near:
        return [form.format(name=simplest(rule.near[0]), value=value) for form in NAMINGS]
    return [sentence.format(value) for sentence in SENTENCES]


def secret_of(rule: Rule, text: str) -> str | None:
    match = compiled(full_pattern(rule)).search(text.encode())
    return match.group("secret").decode() if match else None


def group_width(pattern: str) -> tuple[int, int]:
    """The least and greatest length of the group `secret`."""

    def search(nodes: Iterable[tuple[Any, Any]], number: int) -> Any:
        for kind, value in nodes:
            if str(kind) == "SUBPATTERN":
                if value[0] == number:
                    return value[3]
                found = search(value[3], number)
                if found is not None:
                    return found
        return None

    tree = sre_parse.parse(pattern)
    low, high = search(tree, tree.state.groupdict["secret"]).getwidth()
    return int(low), int(high)


def whole(rule: Rule) -> bool:
    """Whether the rule's whole match is the secret."""
    return bool(rule.near) or group_width(rule.pattern) == tuple(map(int, sre_parse.parse(rule.pattern).getwidth()))


def fixed_length(rule: Rule) -> bool:
    low, high = group_width(f"(?P<secret>{rule.pattern})" if rule.near else rule.pattern)
    return low == high


def entropy(value: str) -> float:
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def test_ids_are_unique_and_carry_their_provider() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES) >= 100


@per_rule
def test_a_rule_is_complete(rule: Rule) -> None:
    assert rule.docs.startswith("https://")
    assert rule.title
    assert rule.forge
    assert lint(rule) == []


@per_rule
def test_what_is_forged_is_found(rule: Rule) -> None:
    for value in forged(rule):
        for text in texts(rule, value):
            secret = secret_of(rule, text)
            assert secret, f"{rule.id} does not match its own credential in {text.replace(value, '...')!r}"
            assert secret == value if whole(rule) else secret in value


@rules_with(lambda rule: rule.anchors)
def test_every_match_holds_an_anchor(rule: Rule) -> None:
    for value in forged(rule, 5):
        for text in texts(rule, value):
            match = compiled(full_pattern(rule)).search(text.encode())
            assert match
            assert any(anchor.lower().encode() in match.group().lower() for anchor in rule.anchors)


@rules_with(lambda rule: rule.near)
def test_every_name_is_understood(rule: Rule) -> None:
    value = forged(rule, 1)[0]
    for word in rule.near:
        name = simplest(word)
        assert re.fullmatch(word, name, re.I)
        assert secret_of(rule, f"{name.upper()} = {value}\n") == value
        assert secret_of(rule, f"{name} {value}\n") != value, "a name without an operator is not an assignment"


@per_rule
def test_no_check_kills_what_is_forged(rule: Rule) -> None:
    for value in forged(rule):
        secret = secret_of(rule, texts(rule, value)[0])
        assert secret
        for name in rule.check:
            verdict = CHECKS[name](secret.encode())
            assert verdict.valid is not False, f"{name}: {verdict.text}"
            assert verdict.valid or name not in CHECKSUMS
        assert entropy(secret) >= rule.min_entropy
        assert not any(re.fullmatch(allowed, secret) for allowed in rule.allow)


@rules_with(fixed_length)
def test_a_character_less_is_not_it(rule: Rule) -> None:
    for value in forged(rule, 5):
        secret = secret_of(rule, texts(rule, value)[0])
        assert secret
        for text in texts(rule, value):
            assert secret_of(rule, text.replace(secret, secret[:-1])) is None


@per_rule
def test_a_longer_word_is_not_it(rule: Rule) -> None:
    for value in forged(rule, 5):
        secret = secret_of(rule, texts(rule, value)[0])
        assert secret
        if secret[-1].isalnum():
            text = texts(rule, value)[0].replace(secret, f"{secret}{'Zz9' * 1700}")
            assert secret_of(rule, text) != secret


@rules_with(lambda rule: CHECKSUMS.intersection(rule.check))
def test_a_broken_checksum_proves_nothing(rule: Rule) -> None:
    names = CHECKSUMS.intersection(rule.check)
    for value in forged(rule, 5):
        broken = value[:-1] + ("0" if value[-1] != "0" else "1")
        assert not any(CHECKS[name](broken.encode()).valid for name in names)


@rules_with(lambda rule: rule.requires)
def test_companions_are_found(rule: Rule) -> None:
    rng = random.Random(rule.id)
    for requirement in rule.requires:
        pattern = compiled(requirement.pattern)
        for _ in range(COUNT):
            value = forge(requirement.forge, rng)
            for text in (f"key = {value}\n", f'"key": "{value}",', f"key\t{value}\tx"):
                match = pattern.search(text.encode())
                assert match
                assert match.group("secret").decode() in value
        assert not pattern.search(b"the quick brown fox jumps over the lazy dog")


@pytest.mark.parametrize("rule_id", ["aws.access-key", "aws.temporary-access-key", "google.hmac-key"])
def test_a_commit_id_beside_a_key_id_is_not_its_secret(rule_id: str) -> None:
    [rule] = [rule for rule in RULES if rule.id == rule_id]
    pattern = compiled(rule.requires[0].pattern)
    digest = "".join(random.Random(1).choices("0123456789abcdef", k=40))
    for text in (digest, digest.upper(), "a" * 40, "com/example/service/account/key/Provider", digest + "=="):
        assert not pattern.search(text.encode())


def test_a_bare_discord_id_is_decimal_digits_in_base64() -> None:
    [rule] = [rule for rule in RULES if rule.id == "discord.bot-token"]
    rng = random.Random(2)
    for digits in (17, 18, 19):
        for _ in range(200):
            head = base64.urlsafe_b64encode(str(rng.randrange(10 ** (digits - 1), 10**digits)).encode()).decode()
            value = f"{head.rstrip('=')}.{forge('{base62:6}.{base62:27}', rng)}"
            assert secret_of(rule, f"token = {value}\n") == value
    assert secret_of(rule, f"token = {forge('{base62:24}.{base62:6}.{base62:27}', rng)}\n") is None
