"""Composite credentials: an id and its secret are one finding, where they stand near enough to be of one another."""

from __future__ import annotations

import json
import random

import pytest

from keysentry.model.finding import Finding
from keysentry.rules.forge import forge
from tests.engine import compiled

RULES = """
[[rule]]
id = "acme.key"
title = "Acme key (id and secret)"
pattern = '''\\b(?P<secret>ACID[0-9]{8})\\b'''
anchors = ["ACID"]
confidence = 0.95
alone = 0.3
forge = "ACID{digit:8}"

[[rule.requires]]
name = "secret-key"
role = "secret"
within = 3
pattern = '''\\b(?P<secret>[0-9a-f]{40})\\b'''
forge = "{hex:40}"

[[rule]]
id = "acme.login"
title = "Acme password"
pattern = '''\\b(?P<secret>acpw_[0-9a-z]{20})\\b'''
anchors = ["acpw_"]
confidence = 0.9
forge = "acpw_{alnum:20}"

[[rule.requires]]
name = "user"
within = 2
pattern = '''(?i:user[ =:"]{1,4})(?P<secret>[a-z]{3,12})\\b'''
forge = "user=ann"
"""


@pytest.fixture(scope="module", params=compiled.ENGINES)
def acme(request):
    return compiled.own(RULES, request.param)


def hexadecimal(seed: int) -> str:
    return forge("{hex:40}", random.Random(seed))


ID = "ACID" + "74920183"
PASSWORD = forge("acpw_{alnum:20}", random.Random(0))


def of(found: list[Finding]) -> list[tuple[str, str, dict[str, str]]]:
    return [(f.rule, f.secret.reveal(), {name: value.reveal() for name, value in f.companions}) for f in found]


@pytest.mark.parametrize("lines", range(4))
@pytest.mark.parametrize("before", [False, True])
def test_an_id_and_its_secret_are_one_finding(acme, lines, before):
    parts = [f"id = {ID}", *["-"] * (lines - 1), f"key = {hexadecimal(1)}"]
    text = (" " if lines == 0 else "\n").join(reversed(parts) if before else parts)
    found = acme.scan_text(text)
    assert of(found) == [("acme.key", hexadecimal(1), {"id": ID})]
    assert text[found[0].span.start : found[0].span.end] == hexadecimal(1)
    assert found[0].confidence > 0.95
    assert any(reason.name == "companion" for reason in found[0].reasons)


@pytest.mark.parametrize("before", [False, True])
def test_too_far_apart(acme, before):
    parts = [f"id = {ID}", "-", "-", "-", f"key = {hexadecimal(1)}"]
    assert acme.scan_text("\n".join(reversed(parts) if before else parts)) == []


def test_too_far_apart_is_the_id_alone():
    """Below the usual confidence the id is told, at the confidence that the rule gives it alone."""
    low = compiled.own(RULES, min_confidence=0.1)
    [finding] = low.scan_text(f"id = {ID}\n-\n-\n-\nkey = {hexadecimal(1)}")
    assert (finding.secret.reveal(), finding.companions) == (ID, ())
    assert finding.confidence <= 0.3


def test_far_apart_on_one_line(acme):
    assert acme.scan_text(f"{ID} {'- ' * 3000} {hexadecimal(1)}") == []


def test_the_nearest_wins(acme):
    text = f"{hexadecimal(1)}\nold = {hexadecimal(2)}\nid = {ID}\nkey = {hexadecimal(3)}\nnext = {hexadecimal(4)}"
    assert of(acme.scan_text(text)) == [("acme.key", hexadecimal(3), {"id": ID})]
    text = f"key = {hexadecimal(2)} {ID}\n\n{hexadecimal(3)}"
    assert of(acme.scan_text(text)) == [("acme.key", hexadecimal(2), {"id": ID})]


def test_one_that_is_no_secret_does_not_win(acme):
    text = f"id = {ID}\nkey = {'0' * 40}\nreal = {hexadecimal(3)}"
    assert of(acme.scan_text(text)) == [("acme.key", hexadecimal(3), {"id": ID})]


def test_each_id_has_its_own(acme):
    other = ID[:-1] + "9"
    text = f"{ID}\n{hexadecimal(1)}\n" + "-\n" * 8 + f"{other}\n{hexadecimal(2)}\n"
    assert of(acme.scan_text(text)) == [
        ("acme.key", hexadecimal(1), {"id": ID}),
        ("acme.key", hexadecimal(2), {"id": other}),
    ]


def test_in_one_object_of_minified_json(acme, tmp_path):
    document = {"n": [1, 2], "id": ID, "note": 'a "quoted"\nnote', "key": hexadecimal(1), "user": "x"}
    (tmp_path / "a.json").write_text(json.dumps(document, separators=(",", ":")))
    [finding] = acme.scan_path(tmp_path / "a.json")
    assert of([finding]) == [("acme.key", hexadecimal(1), {"id": ID})]
    assert finding.location.part == "key"


def test_in_json_in_json(acme):
    text = json.dumps({"payload": json.dumps({"id": ID, "note": "\n\n", "key": hexadecimal(1)})})
    assert of(acme.scan_text(text)) == [("acme.key", hexadecimal(1), {"id": ID})]


def test_an_id_comes_along(acme):
    found = acme.scan_text(f"user: ann\npassword: {PASSWORD}")
    assert of(found) == [("acme.login", PASSWORD, {"user": "ann"})]


def test_without_it_nothing_is_reported(acme):
    assert acme.scan_text(f"password: {PASSWORD}") == []
    assert acme.scan_text(f"user: ann\n\n\n\n\npassword: {PASSWORD}") == []


@pytest.mark.parametrize("rule_id", ["aws.access-key", "aws.temporary-access-key"])
def test_a_built_in_one(each_scanner, rule_id):
    rule = compiled.rule(rule_id)
    rng = random.Random(rule_id)
    key_id, secret = forge(rule.forge, rng), forge(rule.requires[0].forge, rng)
    [finding] = each_scanner.scan_text(f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n")
    assert of([finding]) == [(rule_id, secret, {"id": key_id})]


@pytest.mark.parametrize("separator", ["\n", "\n[next]\n", " "])
def test_in_a_list_of_pairs_each_id_has_the_secret_after_it(acme, separator):
    pairs = [(f"ACID7492018{n}", hexadecimal(n)) for n in range(5)]
    form = "{},{}" if separator == " " else "aws_access_key_id = {}\naws_secret_access_key = {}"
    found = acme.scan_text(separator.join(form.format(*pair) for pair in pairs))
    assert of(found) == [("acme.key", value, {"id": key_id}) for key_id, value in pairs]


def test_companions_do_not_depend_on_what_else_is_there(acme):
    """The same pair in a text with many others, near and far."""
    rng = random.Random(3)
    blocks = [f"id = ACID{rng.randrange(10**7, 10**8)}\nkey = {hexadecimal(n)}\n" + "- word\n" * 6 for n in range(40)]
    together = of(acme.scan_text("".join(blocks)))
    assert together == [one for block in blocks for one in of(acme.scan_text(block))]
    assert len(together) == 40
