"""The forge: the same seed gives the same credential, templates say what is wrong with them."""

from __future__ import annotations

import base64
import random
import re
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.errors import ForgeError
from keysentry.rules.forge import ALPHABETS, FUNCTIONS, base62, forge
from keysentry.rules.load import load_rules

RULES = load_rules(pack="dlp").rules


def made(template: str, seed: object = 0) -> str:
    return forge(template, random.Random(str(seed)))


def test_the_same_seed_gives_the_same():
    for rule in RULES:
        assert made(rule.forge, rule.id) == made(rule.forge, rule.id)


def test_another_seed_gives_another():
    for rule in RULES:
        assert len({made(rule.forge, seed) for seed in range(6)}) == 6, rule.id


@pytest.mark.parametrize("name", ALPHABETS)
def test_alphabets(name):
    value = made(f"<{{{name}:200}}>")
    assert set(value[1:-1]) <= set(ALPHABETS[name])
    assert len(value) == 202
    assert {len(made(f"{{{name}:3-5}}", seed)) for seed in range(60)} == {3, 4, 5}


def test_text_and_braces():
    assert made("a{{b}}c") == "a{b}c"
    assert made("no fields") == "no fields"
    assert re.fullmatch(r"\{[0-9]{3}\}", made("{{{digit:3}}}"))
    assert made("") == ""


@given(st.text(string.ascii_letters + string.digits + "_-./", max_size=30))
def test_literal_text_stays(text):
    assert made(text) == text


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{hexx:4}", r"unknown field 'hexx'.*known: .*hex"),
        ("{hex:many}", "'many' is not a length"),
        ("{hex:}", "'' is not a length"),
        ("{hex}", "'' is not a length"),
        ("{hex:4-}", "'4-' is not a length"),
        ("{hex:9-4}", "'9-4' is not a length"),
    ],
)
def test_templates_that_cannot_be_followed(template, reason):
    with pytest.raises(ForgeError, match=reason) as raised:
        made(template)
    assert template in str(raised.value)


def test_checksums():
    value = made("ghp_{base62:30}{crc32-base62:6}")
    assert value[-6:] == base62(zlib.crc32(value[4:-6].encode()), 6)
    assert base62(0, 4) == "0000"
    assert base62(61, 1) == "z"


def test_base64_of_a_template():
    assert re.fullmatch(rb"key-[0-9]{8}", base64.b64decode(made("{b64:key-[digit:8]}")))


def test_a_choice():
    assert {made("{choice:a|bb|c}", seed) for seed in range(40)} == {"a", "bb", "c"}


def test_no_function_is_an_alphabet():
    assert not FUNCTIONS.keys() & ALPHABETS.keys()
