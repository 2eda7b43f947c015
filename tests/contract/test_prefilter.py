"""What every prefilter promises: an event for whatever a pattern matches, as it is or in JSON, HTML or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import regex

from keysentry.engine.prefilter.ahocorasick import AhoCorasickPrefilter
from keysentry.engine.prefilter.base import Event, Prefilter, Target
from keysentry.engine.prefilter.vectorscan import VectorscanPrefilter, compile_database
from keysentry.engine.program import compile_program
from keysentry.rules.keyed import full_pattern
from keysentry.rules.load import decode_rules
from keysentry.rules.schema import Rule
from keysentry.tuning.specimens import as_message, plain, specimens
from tests.engine import compiled
from tests.engine.notation import NOTATIONS, stretch

SPECIMENS = 3

CASES = {
    "a literal": ("acme_key", "an acme_key here"),
    "letters of either case": ("(?i:acme_key)", "ACME_Key"),
    "a choice": ("(?:acme|bolt|crux)_[0-9]{4}", "x bolt_1234 crux_9876"),
    "an optional part": ("acme(?:_live)?_[0-9]{4}", "acme_live_1234 acme_5678"),
    "repeats": ("acme_[0-9a-f]{4,8}", "acme_0123456789abcdef"),
    "repeats without an end": ("acme_[0-9a-f]+", "acme_0123456789abcdef" * 20),
    "something before the literal": ("[0-9]{4}_acme", "1234_acme"),
    "a long repeat before the literal": ("[0-9]{1,400}_acme", "1" * 300 + "_acme"),
    "a long repeat inside": ("acme[0-9]{1,400}bolt", "acme" + "1" * 300 + "bolt"),
    "look-arounds": ("(?<![a-z])(?=acme)acme[0-9]{2}(?![0-9])", ".acme12,"),
    "quotes": ("acme=\"[a-z]{4}\"", 'acme="abcd"'),
    "a slash": ("https://acme/[a-z]{4}/x", "https://acme/abcd/x"),
    "a backslash": (r"acme\\[a-z]{4}", "acme\\abcd"),
    "a backslash or a slash": (r"acme[\\/][a-z]{4}", "acme\\abcd acme/abcd"),
    "an ampersand": ("acme&id=[0-9]{4}&", "acme&id=1234&"),
    "angle brackets": ("<acme>[0-9]{4}</acme>", "<acme>1234</acme>"),
    "line ends": ("acme\\n[a-z]{4}\\n", "acme\nabcd\n"),
    "any character": ("acme.{4}bolt", "acme\"/&<bolt"),
    "any character, line ends too": ("(?s:acme.{4}bolt)", "acme\n\n\r\nbolt"),
    "line ends by a flag at the start": ("(?s)acme.{4}bolt", "acme\n\n\r\nbolt"),
    "either case by a flag at the start": ("(?i)acme[a-f]{4}", "ACMEABCD"),
    "a class and its opposite": ("acme[^0-9\"]{4}[\\d]{2}", "acme/&<>12"),
    "an optional long repeat inside": ("acme(?:.{0,200}[ ])?-p[0-9]{4}", "acme -u user -p1234 acme-p5678"),
    "rounds with a long repeat inside": ("acme(?:[0-9]{1,200}x){2}", "acme12x34x"),
    "a comment": ("acme(?#the prefix)[0-9]{4}", "acme1234"),
    "a lazy repeat": ("acme.{0,9}?bolt", "acme \"x\" bolt"),
    "an atomic group": ("acme(?>[0-9]{2,4})bolt", "acme123bolt"),
    "a possessive repeat": ("acme[0-9]++bolt", "acme123bolt"),
    "a POSIX class": ("acme[[:digit:]]{4}", "acme1234"),
}  # fmt: skip


def vectorscan(targets: Sequence[Target]) -> Prefilter:
    return VectorscanPrefilter(compile_database(targets)[0])


IMPLEMENTATIONS = {"vectorscan": vectorscan, "ahocorasick": AhoCorasickPrefilter}

each_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
each_notation = pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def built_in(request) -> Prefilter:
    return compiled.scanner(request.param)._engine._prefilter


def has_event(events: list[Event], target: int, start: int, end: int) -> bool:
    return any(number == target and start < offset <= end for number, offset in events)


def matched(rule: Rule) -> Iterator[tuple[bytes, int, int]]:
    """Texts that show forged credentials of a rule, with the stretch that its pattern matches."""
    pattern = regex.compile(full_pattern(rule).encode())
    for specimen in specimens(rule, SPECIMENS):
        message = as_message(specimen).parts[0].segment
        assert message is not None
        shown = 0
        for text in (plain(specimen), message.text):
            for match in pattern.finditer(text, overlapped=True):
                shown += 1
                yield text, *match.span()
        assert shown, f"{rule.id} does not match its own specimen"


@each_notation
def test_every_rule_makes_an_event_in_its_match(built_in, notation):
    missed = []
    for number, rule in enumerate(compiled.rules().rules):
        for text, start, end in matched(rule):
            written = notation(text.decode()).encode()
            if not has_event(built_in.events(written), number, *stretch(notation, text, start, end)):
                missed.append(rule.id)
    assert missed == []


def target_of(pattern: str) -> Target:
    """What the program looks for, for a rule with this pattern; flags stay at its beginning."""
    flags, pattern = (pattern[:4], pattern[4:]) if pattern.startswith(("(?s)", "(?i)")) else ("", pattern)
    rule = f"id='a.a'\ntitle='A'\nanchors=['acme']\npattern='''{flags}(?P<secret>{pattern})'''"
    rule_set = decode_rules(f"[provider]\nid='a'\nname='A'\n[[rule]]\n{rule}")
    return compile_program(rule_set, "ahocorasick").targets[0]


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@each_implementation
@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_expression_makes_an_event_in_its_match(name, implementation):
    pattern, text = CASES[name]
    prefilter = implementation((target_of(pattern),))
    data = text.encode()
    spans = [match.span() for match in regex.finditer(pattern.encode(), data, overlapped=True)]
    assert spans, "the case must match its own text"
    for notation in NOTATIONS.values():
        events = prefilter.events(notation(text).encode())
        for start, end in spans:
            assert has_event(events, 0, *stretch(notation, data, start, end)), notation.__name__


@each_implementation
def test_every_form_of_buffer_gives_the_same_events(implementation):
    prefilter = implementation((Target(7, "acme[0-9]", (b"acme",)),))
    data = b"xx acme1 acme acme2"
    for buffer in (data, bytearray(data), memoryview(data), memoryview(b"zz" + data + b"zz")[2:-2]):
        assert sorted(set(prefilter.events(buffer))) == sorted(set(prefilter.events(data)))
    assert has_event(prefilter.events(data), 7, 3, 8)


@each_implementation
def test_nothing_in_nothing(implementation):
    prefilter = implementation((Target(0, "acme[0-9]", (b"acme",)),))
    assert prefilter.events(b"") == []
    assert prefilter.events(bytearray()) == []
    assert prefilter.events(b"nothing of the kind") == []
    assert prefilter.name in IMPLEMENTATIONS


@each_implementation
def test_targets_that_share_a_literal_each_get_their_event(implementation):
    prefilter = implementation((Target(3, "acme[0-9]", (b"acme",)), Target(9, "acme[0-9]{2}", (b"acme",))))
    assert {target for target, _offset in prefilter.events(b"acme12")} == {3, 9}


@each_implementation
def test_threads_do_not_disturb_each_other(implementation):
    from concurrent.futures import ThreadPoolExecutor

    prefilter = implementation((Target(0, "acme[0-9]", (b"acme",)),))
    texts = [b" " * number + b"acme1" * (number % 7) for number in range(400)]
    alone = [sorted(prefilter.events(text)) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert [sorted(events) for events in pool.map(prefilter.events, texts)] == alone
