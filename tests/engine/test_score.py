"""How sure we are, and why: the reasons are given in words, and a threshold only ever takes away."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from keysentry.engine.engine import Match, resolve
from keysentry.engine.score import Nature, confidence, log_odds
from keysentry.errors import ConfigError
from keysentry.model.finding import Finding, Lifetime, Reason
from keysentry.rules.forge import forge
from keysentry.tuning.specimens import plain, specimens
from tests.engine import compiled, corpus


def secret(template: str, seed: object = 0) -> str:
    return forge(template, random.Random(str(seed)))


def found(text: str | bytes, min_confidence: float = 0.0) -> list[Finding]:
    return compiled.scanner(min_confidence=min_confidence).scan_text(text)


def reasons_for(text: str, value: str) -> dict[str, Reason]:
    [finding] = [finding for finding in found(text) if finding.secret.reveal() == value]
    return {reason.name: reason for reason in finding.reasons}


def test_every_finding_says_why_and_how_much():
    for rule in compiled.rules().rules[::5]:
        for specimen in specimens(rule, 1):
            for finding in found(plain(specimen)):
                weights = [reason.weight for reason in finding.reasons]
                assert finding.reasons[0].name == "rule"
                assert finding.title in finding.reasons[0].text
                assert all(reason.text and finding.secret.reveal() not in reason.text for reason in finding.reasons)
                assert finding.confidence <= confidence(list(finding.reasons)) + 1e-9
                assert len(weights) >= 1


GENERIC = {
    "a random password": ('db_password = "{}"', "{password:18}", True),
    "a random token": ('auth_token = "{}"', "{base62:32}", True),
    "words": ('db_password = "{}"', "correct-horse", False),
    "an identifier": ('token = "{}"', "get_access_token", False),
    "a path": ('secret = "{}"', "/etc/ssl/private.key", False),
    "a link": ('secret = "{}"', "https://vault.internal/v1", False),
    "an expression": ("token = {}", "self.session.token()", False),
    "a variable": ('password = "{}"', "${{DB_PASSWORD}}", False),
    "a placeholder": ('api_key = "{}"', "your-api-key-here", False),
    "one character": ('api_key = "{}"', "x" * 20, False),
    "a date": ('token = "{}"', "2024-05-17", False),
    "a UUID": ('token = "{}"', "{uuid}", False),
    "an id": ('token_id = "{}"', "{base62:24}", False),
    "a digest": ('password_sha256 = "{}"', "{hex:64}", False),
    "a URL's name": ('tokenUrl = "{}"', "{base62:24}", False),
}


@pytest.mark.parametrize("name", GENERIC)
def test_what_only_a_name_gives_away(name):
    """Random values of an assignment are found, what looks like something else is not."""
    form, template, wanted = GENERIC[name]
    values = [secret(template, seed) for seed in range(30)]
    shown = sum(value in [f.secret.reveal() for f in found(form.format(value), 0.5)] for value in values)
    assert shown >= 27 if wanted else shown == 0


def test_a_placeholder_of_a_known_form_is_told_in_words():
    value = "ghp_" + "x" * 36
    assert found(f"token: {value}", 0.5) == []


def test_a_repeated_character_is_no_token():
    """Of rules with a form of their own and without a check that could tell: one of each ten."""
    plain_rules = [r for r in compiled.rules().rules if not (r.near or r.generic or r.check or r.requires)]
    for rule in plain_rules[::10]:
        [specimen] = specimens(rule, 1)
        value = specimen.secret[:8] + specimen.secret[-1] * (len(specimen.secret) - 8)
        text = plain(specimen).decode().replace(specimen.secret, value)
        assert value not in [finding.secret.reveal() for finding in found(text, 0.5)], rule.id


def test_words_of_an_example_beside_it_weigh_against():
    value = secret("{base62:32}")
    plain_one = found(f'api_token = "{value}"')[0].confidence
    example = reasons_for(f'# example: api_token = "{value}"', value)
    assert example["context"].weight < 0
    assert "example" in example["context"].text
    assert found(f'# example: api_token = "{value}"')[0].confidence < plain_one


def test_a_checksum_that_holds_outweighs_all():
    [rule] = [rule for rule in compiled.rules().rules if rule.id == "github.pat-classic"]
    value = secret(rule.forge)
    reasons = reasons_for(f"example token {value}", value)
    assert reasons["check"].weight == 4.0
    assert "holds" in reasons["check"].text
    assert found(f"example token {value}")[0].confidence > 0.99


def test_nature_counts():
    engine = compiled.scanner(min_confidence=0.0)._engine
    text = f'db_password = "{secret("{password:16}")}"'.encode()
    usual = engine.scan(text, Nature()).matches[0]
    test = engine.scan(text, Nature(test=True)).matches[0]
    assert test.confidence < usual.confidence
    assert any("test" in reason.text for reason in test.reasons)
    assert engine.scan(text, Nature(place="binary")).matches == []


def test_lifetime_comes_from_the_value():
    [rule] = [rule for rule in compiled.rules().rules if rule.id == "aws.temporary-access-key"]
    [specimen] = specimens(rule, 1)
    [finding] = [finding for finding in found(plain(specimen), 0.5) if finding.rule == rule.id]
    assert finding.lifetime is Lifetime.EPHEMERAL


THRESHOLDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)


def test_a_threshold_only_takes_away():
    """Whatever is found above a threshold lies where something is found above a lower one; the count never grows."""
    texts = list(corpus.segments(2000, 11))
    spans = []
    for threshold in THRESHOLDS:
        scanner = compiled.scanner(min_confidence=threshold)
        spans.append([(n, f.span.start, f.span.end, f.confidence) for n, f in scanner.scan_texts(texts)])
        assert all(sure >= threshold for *_, sure in spans[-1])
    assert spans[0]
    for lower, higher in pairwise(spans):
        assert len(higher) <= len(lower)
        by_text: dict[int, list[tuple[int, int]]] = {}
        for number, start, end, _ in lower:
            by_text.setdefault(number, []).append((start, end))
        for number, start, end, _ in higher:
            assert any(s < end and start < e for s, e in by_text.get(number, []))


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 50])
def test_a_threshold_that_is_none(wrong):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        compiled.scanner(min_confidence=wrong)


def test_log_odds_and_back():
    for probability in (0.01, 0.3, 0.5, 0.95):
        assert confidence([Reason("x", "x", log_odds(probability))]) == pytest.approx(probability)


def match(start: int, end: int, rank: int, sure: float = 0.9, rule: int = 0) -> Match:
    return Match(rule, start, end, b"x", sure, (), (rank,), Lifetime.UNKNOWN)


def kept(*matches: Match, threshold: float = 0.5) -> list[tuple[int, int]]:
    good, _below = resolve(matches, threshold)
    return [(one.start, one.end) for one in good]


def test_of_matches_that_overlap_the_greater_rank_stays():
    assert kept(match(0, 10, 1), match(5, 15, 2)) == [(5, 15)]
    assert kept(match(0, 10, 2), match(5, 15, 1)) == [(0, 10)]


def test_of_equal_rank_the_surer_and_then_the_longer_stays():
    assert kept(match(0, 10, 1, 0.8), match(5, 15, 1, 0.9)) == [(5, 15)]
    assert kept(match(2, 8, 1), match(0, 10, 1)) == [(0, 10)]


def test_one_that_is_sure_is_not_hidden_by_one_that_is_not():
    assert kept(match(0, 10, 9, 0.2), match(5, 15, 1, 0.9)) == [(5, 15)]


def test_neighbours_both_stay():
    assert kept(match(0, 10, 1), match(10, 20, 2), match(30, 31, 3)) == [(0, 10), (10, 20), (30, 31)]


def test_what_a_loser_overlaps_stays():
    assert kept(match(0, 10, 3), match(8, 22, 2), match(20, 30, 1)) == [(0, 10), (20, 30)]


def test_places_below_the_threshold_are_told():
    _good, below = resolve([match(0, 10, 1, 0.2), match(2, 8, 2, 0.3), match(20, 30, 1, 0.9)], 0.5)
    assert below == [2]
