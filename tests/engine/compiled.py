"""The built-in rules, compiled once a test process: that takes seconds, and a Scanner can be shared by every test."""

from __future__ import annotations

from functools import cache

from keysentry.rules.load import decode_rules, load_rules
from keysentry.rules.schema import Rule, RuleSet
from keysentry.scan.scanner import Scanner

KEY = b"the key of the tests, not of anybody"
ENGINES = ("vectorscan", "ahocorasick")


@cache
def rules() -> RuleSet:
    """The default pack."""
    return load_rules(pack="default")


@cache
def rule(rule_id: str) -> Rule:
    """A rule of the default pack by its id."""
    [found] = [rule for rule in rules().rules if rule.id == rule_id]
    return found


@cache
def _scanner(engine: str) -> Scanner:
    return Scanner(rules(), engine=engine, key=KEY)


def scanner(engine: str = "vectorscan", min_confidence: float = 0.5) -> Scanner:
    """A Scanner with the default pack and a key of its own, so that no key file is written."""
    found = _scanner(engine)
    if min_confidence == 0.5:
        return found
    rebuild, (program, _confidence, key) = found.__reduce__()
    return rebuild(program, min_confidence, key)


def own(rules_toml: str, engine: str = "vectorscan", min_confidence: float = 0.5) -> Scanner:
    """A Scanner with rules written in a test; the provider may be left out."""
    if "[provider]" not in rules_toml:
        rules_toml = '[provider]\nid = "acme"\nname = "Acme"\n' + rules_toml
    return Scanner(decode_rules(rules_toml), engine=engine, min_confidence=min_confidence, key=KEY)
