"""From rules to a Program: compiled once, immutable, picklable, versioned.

Algorithm. Each rule's full pattern becomes an expression that matches more (`prefilter/expression.py`) and literals
of which one must occur (`prefilter/literals.py`); the triggers of encodings are added; Vectorscan compiles all
expressions into one database.

Invariants. A Program holds everything that a scan needs and nothing that depends on where it runs, except the
Vectorscan database, which is checked when it is loaded. Rules are numbered by their place in `rules`; triggers follow.

Failure modes. A rule that neither prefilter can look for raises `RulePackError`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import msgspec

from keysentry.engine.prefilter.base import Target
from keysentry.errors import ConfigError, RuleError, RulePackError
from keysentry.rules.keyed import full_pattern
from keysentry.rules.schema import Provider, Rule, RuleSet

if TYPE_CHECKING:
    import regex

    from keysentry.engine.prefilter.base import Prefilter

EngineName = Literal["auto", "vectorscan", "ahocorasick"]
UNBOUNDED = 4096
"""How long a match of a pattern without an upper bound may be, in bytes; what is longer is not looked for."""
SPLIT_FROM = 6
"""How many words before the value make a rule worth an expression for each (it costs compile time)."""
ENCODED_WORDS = ("password", "PASSWORD", "secret", "SECRET", "api_key", "API_KEY", "token", "TOKEN")


def _regex(pattern: str) -> regex.Pattern[bytes]:
    import regex  # not at the top: a scan without a hit need not wait for it

    return regex.compile(pattern.encode())


class CompiledRule(msgspec.Struct, frozen=True, dict=True):
    """A rule as the engine runs it.

    `reach` is the most bytes that a match can be long; every match begins with one of `beginnings` (in any case),
    where there are some.
    """

    rule: Rule
    provider: Provider
    pattern: str
    reach: int
    beginnings: tuple[bytes, ...] = ()
    ahead: int = 0
    """How far from its beginning a match's first Vectorscan event can lie: its length, the last repeat at its least."""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The beginnings as text."""
        return tuple(beginning.decode("latin-1") for beginning in self.beginnings)

    @cached_property
    def longest(self) -> int:
        """How long the longest beginning is."""
        return max(map(len, self.beginnings), default=0)

    @cached_property
    def expression(self) -> regex.Pattern[bytes]:
        """The confirming expression, compiled when it is first needed."""
        return _regex(self.pattern)

    @cached_property
    def requirements(self) -> tuple[regex.Pattern[bytes], ...]:
        """The expressions of the companions, in the order of the rule's `requires`."""
        return tuple(_regex(requirement.pattern) for requirement in self.rule.requires)

    @cached_property
    def allowed(self) -> tuple[regex.Pattern[bytes], ...]:
        """The expressions of values that are public examples."""
        return tuple(_regex(pattern) for pattern in self.rule.allow)

    @cached_property
    def named(self) -> bool:
        """Whether only a word beside it tells the value from any other."""
        return self.rule.generic or bool(self.rule.near)


class Program(msgspec.Struct, frozen=True):
    """Everything that a scan needs."""

    rules: tuple[CompiledRule, ...]
    targets: tuple[Target, ...]
    """What the portable engine looks for; empty for Vectorscan, whose database holds it."""
    database: bytes
    """The serialised Vectorscan database; empty for the portable engine."""

    def prefilter(self) -> Prefilter:
        """A prefilter for this Program. Raises `CacheError` if the stored database cannot be used here."""
        if self.database:
            return _vectorscan(self.database)
        from keysentry.engine.prefilter.ahocorasick import AhoCorasickPrefilter

        return AhoCorasickPrefilter(self.targets)


_loaded: list[tuple[bytes, Prefilter]] = []
"""The database that was loaded last, and its prefilter: whoever checks a stored Program need not load it twice."""


def _vectorscan(database: bytes) -> Prefilter:
    from keysentry.engine.prefilter.vectorscan import VectorscanPrefilter

    for known, prefilter in _loaded:
        if known is database:
            return prefilter
    prefilter = VectorscanPrefilter(database)
    _loaded[:] = [(database, prefilter)]
    return prefilter


def choose_engine(name: EngineName) -> Literal["vectorscan", "ahocorasick"]:
    """The engine to use for a wish. Raises `ConfigError` for Vectorscan where it is not installed."""
    if name == "ahocorasick":
        return name
    try:
        import hyperscan  # noqa: F401
    except ImportError:
        if name == "vectorscan":
            raise ConfigError("Vectorscan is not installed", advice="pip install hyperscan") from None
        return "ahocorasick"
    return "vectorscan"


def compile_program(rule_set: RuleSet, engine: EngineName = "auto") -> Program:
    """Compile rules. Raises `RulePackError` with every rule that neither prefilter can look for."""
    errors: list[RuleError] = []
    rules: list[CompiledRule] = []
    targets: list[Target] = []
    for number, rule in enumerate(rule_set.rules):
        try:
            compiled, target = _compile_rule(number, rule, rule_set.providers[rule.id])
        except RuleError as error:
            errors.append(error)
        else:
            rules.append(compiled)
            targets += _split(rule, target)
    if errors:
        raise RulePackError(errors)
    from keysentry.engine.triggers import trigger_targets

    anchors = [anchor.encode() for rule in rule_set.rules if not rule.near for anchor in rule.anchors]
    targets += trigger_targets([*anchors, *(word.encode() for word in ENCODED_WORDS)], len(rules))
    database = b""
    if choose_engine(engine) == "vectorscan":
        from keysentry.engine.prefilter.vectorscan import compile_database

        database, by_literals = compile_database(targets)
        for number in by_literals & set(range(len(rules))):
            rules[number] = msgspec.structs.replace(rules[number], ahead=rules[number].reach)
    return Program(tuple(rules), () if database else tuple(targets), database)


def _compile_rule(number: int, rule: Rule, provider: Provider) -> tuple[CompiledRule, Target]:
    from keysentry.engine.prefilter import expression
    from keysentry.engine.prefilter.literals import LEAST, beginnings, literals

    pattern = full_pattern(rule)
    declared = tuple(sorted({anchor.lower().encode() for anchor in rule.anchors}))
    try:
        found = literals(pattern)
        _, longest = expression.width(pattern)
        widened = expression.superset(pattern)
        first = beginnings(pattern)
        ahead = expression.event_distance(pattern)
    except expression.Unsupported:
        found, longest, widened, first, ahead = None, None, "", (), None
    words = tuple(sorted(found)) if found else declared
    if not words or min(map(len, words)) < LEAST - 1:
        reason = "no literal of two characters or more is in every match, so that it cannot be looked for"
        raise RuleError(
            reason, rule=rule.id, field="pattern", advice="make part of the pattern literal, or add anchors"
        )
    if not widened:
        widened = "(?i:" + "|".join(map(_quoted, words)) + ")"
    reach = min(longest, 65_536) if longest is not None else UNBOUNDED
    ahead = reach if ahead is None else min(ahead, reach)
    return CompiledRule(rule, provider, pattern, reach, first, ahead), Target(number, widened, words)


def _split(rule: Rule, target: Target) -> list[Target]:
    """The target of a rule; one for each word of a rule with many words, of which Vectorscan then takes the literal."""
    if len(rule.near) < SPLIT_FROM:
        return [target]
    from keysentry.engine.prefilter.expression import Unsupported, superset

    single = [full_pattern(msgspec.structs.replace(rule, near=(word,))) for word in rule.near]
    try:
        return [Target(target.id, superset(pattern), target.literals) for pattern in single]
    except Unsupported:
        return [target]


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)
