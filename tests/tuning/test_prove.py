"""Every rule: what is forged for it is found in every form by every engine; near misses and placeholders are not."""

from __future__ import annotations

import random

import msgspec
import pytest

from keysentry.rules.load import decode_rules
from keysentry.tuning.prove import FORMS, ProofRow, near_misses, prove
from keysentry.tuning.specimens import as_csv, as_json, as_message, plain, specimens
from tests.engine import compiled

RULES = """
[provider]
id = "acme"
name = "Acme"

[[rule]]
id = "acme.key"
title = "Acme key"
pattern = '''\\b(?P<secret>acme_[0-9a-f]{32})\\b'''
confidence = 0.95
forge = "acme_{hex:32}"

[[rule]]
id = "acme.login"
title = "Acme login"
pattern = '''[0-9a-f]{40}'''
near = ["acme"]
confidence = 0.7
forge = "{hex:40}"

[[rule.requires]]
name = "host"
within = 5
pattern = '''\\b(?P<secret>[a-z]{3,9}[.]acme[.]example)\\b'''
forge = "{lower:6}.acme.example"
"""


@pytest.fixture(scope="module")
def rows() -> list[ProofRow]:
    return prove(compiled.rules(), count=2)


def test_every_rule_is_proved(rows):
    assert [row.rule for row in rows] == [rule.id for rule in compiled.rules().rules]
    assert {row.rule: row.notes for row in rows if not row.forged} == {}
    assert all(row.forged == row.found + row.by_other + row.missed for row in rows)


def test_no_rule_with_a_form_of_its_own_misses_anything(rows):
    generic = {rule.id for rule in compiled.rules().rules if rule.generic}
    assert {row.rule: row.notes for row in rows if row.missed and row.rule not in generic} == {}


def test_generic_rules_miss_little(rows):
    """A random password may look like something else by chance (words, a path): not one of ten in all."""
    generic = {rule.id for rule in compiled.rules().rules if rule.generic}
    forged = sum(row.forged for row in rows if row.rule in generic)
    missed = sum(row.missed for row in rows if row.rule in generic)
    assert forged
    assert missed <= forged / 10


def test_near_misses_and_placeholders_are_not_reported(rows):
    assert {row.rule: row.near_misses_reported for row in rows if row.near_misses_reported} == {}


def test_few_are_reported_by_another_rule(rows):
    assert sum(row.by_other for row in rows) <= sum(row.forged for row in rows) / 50


def test_a_rule_that_does_not_find_its_own_is_told():
    broken = decode_rules(RULES.replace('forge = "acme_{hex:32}"', 'forge = "acme_{hex:31}"'))
    [row] = [row for row in prove(broken, count=2) if row.rule == "acme.key"]
    assert (row.found, row.missed) == (0, 2 * len(FORMS) * 2)
    assert row.notes[0] == "plain text: missed (vectorscan)"


def test_a_rule_without_a_template_cannot_be_proved():
    bare = decode_rules(RULES.replace('forge = "acme_{hex:32}"\n', ""))
    [row] = [row for row in prove(bare, count=1) if row.rule == "acme.key"]
    assert (row.forged, row.notes) == (0, ["no forge template: nothing to prove it with"])


def test_specimens_are_the_same_for_the_same_seed():
    for rule in compiled.rules().rules[::7]:
        assert list(specimens(rule, 3, 5)) == list(specimens(rule, 3, 5))
        assert list(specimens(rule, 3, 5)) != list(specimens(rule, 3, 6))


def test_a_specimen_is_shown_with_its_name_and_its_other_half():
    [_, login] = decode_rules(RULES).rules
    [specimen] = specimens(login, 1)
    assert specimen.name == "acme_key"
    assert [name for name, _ in specimen.companions] == ["host"]
    message = as_message(specimen)
    for text in (plain(specimen), as_json(specimen), as_csv(specimen), message.parts[0].segment.text):
        assert specimen.secret.encode() in text
        assert b"acme_key" in text
        assert specimen.companions[0][1].encode() in text
    assert message.chat


def test_near_misses_are_near_and_none_is_what_is_forged():
    rule = compiled.rule("github.pat-classic")
    for specimen in specimens(rule, 5):
        near = list(near_misses(rule, specimen, random.Random(1)))
        assert len(near) >= 3
        for one in near:
            assert one.secret != specimen.secret
            assert abs(len(one.secret) - len(specimen.secret)) <= 1
            assert msgspec.structs.replace(one, text=specimen.text, secret=specimen.secret) == specimen
