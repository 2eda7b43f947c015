"""The prefilter keeps every match: what a rule matches in a text, in any notation, makes an event there."""

from __future__ import annotations

import os

import regex
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from keysentry.engine.prefilter.ahocorasick import AhoCorasickPrefilter
from keysentry.engine.prefilter.vectorscan import VectorscanPrefilter, compile_database
from keysentry.engine.program import _compile_rule
from keysentry.errors import RuleError
from keysentry.rules.schema import Rule
from tests.engine.notation import NOTATIONS, stretch

LONG = bool(os.environ.get("KEYSENTRY_LONG_TESTS"))

Sampled = tuple[str, str]
"""A part of an expression, and a text that it is likely to match."""

SIGNS = "abXY019_-./\\\"'<>&=+ :\n\t"
SETS = {
    "[0-9]": "0189",
    "[a-f0-9]": "a0f9",
    "[A-Za-z0-9_-]": "Zq7_-",
    "[A-Za-z0-9+/=]": "Zq7+/",
    "[^\\s\"']": "Zq7/<&\\",
    '[^0-9"]': "Z/<&\\\n",
    "[\"'`]": "\"'`",
    "[\\\\/]": "\\/",
    "[&=<>]": "&=<>",
    "\\d": "059",
    "\\w": "aZ_5",
    "\\s": " \t\n",
    "\\S": 'aZ_5/&"',
    "\\D": 'aZ_/&"',
    ".": 'aZ_5/&"',
}


@st.composite
def _repeat(draw: st.DrawFn, inner: st.SearchStrategy[Sampled]) -> Sampled:
    pattern, text = draw(inner)
    low = draw(st.integers(0, 4))
    high = low + draw(st.sampled_from((0, 1, 3, 150)))
    count = draw(st.integers(low, min(high, low + 3)))
    bounds = draw(st.sampled_from((f"{{{low},{high}}}", f"{{{low},}}", f"{{{low},{high}}}?")))
    return f"(?:{pattern}){bounds}", text * count


@st.composite
def _sequence(draw: st.DrawFn, inner: st.SearchStrategy[Sampled]) -> Sampled:
    parts = draw(st.lists(inner, min_size=1, max_size=4))
    return "".join(part for part, _ in parts), "".join(text for _, text in parts)


@st.composite
def _choice(draw: st.DrawFn, inner: st.SearchStrategy[Sampled]) -> Sampled:
    parts = draw(st.lists(inner, min_size=2, max_size=3))
    group = draw(st.sampled_from(("(?:", "(?:", "(?i:", "(?s:", "(?>")))
    text = draw(st.sampled_from([text for _, text in parts]))
    return f"{group}{'|'.join(part for part, _ in parts)})", text.swapcase() if group == "(?i:" else text


@st.composite
def _one_of_a_set(draw: st.DrawFn) -> Sampled:
    name = draw(st.sampled_from(sorted(SETS)))
    return name, draw(st.sampled_from(SETS[name]))


LITERAL = st.text(SIGNS, min_size=1, max_size=3).map(lambda text: (regex.escape(text, literal_spaces=True), text))
NOTHING = st.sampled_from(("\\b", "(?<![a-z])", "(?![0-9]{9})", "(?=[^\\x00])")).map(lambda part: (part, ""))
PARTS = st.recursive(
    st.one_of(LITERAL, _one_of_a_set(), NOTHING),
    lambda inner: st.one_of(_repeat(inner), _sequence(inner), _choice(inner)),
    max_leaves=8,
)


@st.composite
def expressions(draw: st.DrawFn) -> Sampled:
    """An expression that holds a word to look for, and a text to look in."""
    word = draw(st.sampled_from(("acme", "sk-", "key=", "://x")))
    parts = [draw(PARTS), (regex.escape(word), word), draw(PARTS)]
    sample = "".join(text for _, text in parts)
    before, after = draw(st.text(SIGNS, max_size=6)), draw(st.text(SIGNS, max_size=6))
    return "".join(part for part, _ in parts), before + sample + after + sample


@settings(max_examples=5_000 if LONG else 250, derandomize=not LONG, deadline=None)
@given(expressions(), st.sampled_from(sorted(NOTATIONS)))
@example((r"acme(?:[^\n]{0,200}\s)?-p[0-9]{4}", "acme -u user -p1234"), "plain")
@example((r"acme(?:[0-9]{1,200}x){2}", "acme12x34x"), "plain")
@example((r"acme(?s:.{4})end", "acme\n\n\n\nend"), "plain")
@example((r"acme\\[a-z]{4}", "acme\\abcd"), "JSON")
@example(("0://x\\n", "0://x\n"), "HTML in JSON")
@example(("0://x<", "0://x<"), "JSON for scripts")
@example((r'acme[^0-9"]{4}\d\d', "acme/&<>12"), "HTML")
def test_every_match_makes_an_event_in_it(sampled: Sampled, name: str) -> None:
    expression, text = sampled
    pattern = f"(?P<secret>{expression})"
    try:
        rule, target = _compile_rule(0, Rule(id="a.a", title="A", pattern=pattern), "a")
    except RuleError:
        assume(False)
    data = text.encode()
    try:
        matches = list(regex.finditer(pattern.encode(), data, overlapped=True, timeout=0.5))
    except TimeoutError:  # the engine would give such an expression up, too
        matches = []
    assume(matches)
    for match in matches:
        assert not rule.beginnings or match[0].lower().startswith(rule.beginnings), rule.beginnings
        assert len(match[0]) <= rule.reach
    notation = NOTATIONS[name]
    written = notation(text).encode()
    for prefilter in (AhoCorasickPrefilter((target,)), VectorscanPrefilter(compile_database((target,))[0])):
        offsets = [offset for _, offset in prefilter.events(written)]
        for match in matches:
            start, end = stretch(notation, data, *match.span())
            assert any(start < offset <= end for offset in offsets), (prefilter.name, target)
