"""A secret's text does not survive beside its mask, however the place where it stands writes it."""

from __future__ import annotations

import html
import json
import random
import re
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from keysentry.store.masking import Masks
from tests.store.making import forged

PASSWORD = forge("{password:10}é\"/ \\+<{password:8}&'{password:6}", random.Random(4))

WRITINGS = {
    "raw": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "percent, slashes left": quote,
    "percent, lower case": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "form": quote_plus,
    "json": lambda text: json.dumps(text)[1:-1],
    "json, not ascii": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json, all escaped": lambda text: re.sub("....", r"\\u\g<0>", text.encode("utf-16-be").hex()),
    "html": html.escape,
    "html, numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "html, hex": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent in json": lambda text: json.dumps(quote(text))[1:-1],
    "json in percent": lambda text: quote(json.dumps(text)[1:-1]),
}


@pytest.mark.parametrize(
    "secret", [PASSWORD, forged(1), "50%25 \\u0041 &amp; \\n + 1"], ids=["password", "token", "looks escaped"]
)
@pytest.mark.parametrize("writing", WRITINGS)
def test_a_secret_is_masked_however_it_is_written(writing: str, secret: str) -> None:
    write = WRITINGS[writing]
    text = f"https://x.example/a%20b?q={write(secret)}&next=\\u00e9&amp;more#{write(secret)}."
    mask = str(Sensitive(secret))
    assert Masks([Sensitive(secret)])(text) == f"https://x.example/a%20b?q={mask}&next=\\u00e9&amp;more#{mask}."


def test_characters_beyond_the_first_plane_are_masked_in_json() -> None:
    secret = forge("{password:8}", random.Random(1)) + "🔑" + forge("{password:8}", random.Random(2))
    assert Masks([Sensitive(secret)])(f'{{"p": {json.dumps(secret)}}}') == f'{{"p": "{Sensitive(secret)}"}}'


def test_text_without_a_secret_stays_as_it_is() -> None:
    masks = Masks([Sensitive(forged(1))])
    for text in ("", "a%2Fb%zz%", "\\u00", "half \udcff and nul \0", "&#9999999;&#x110000;\\ud800", "…"):
        assert masks(text) == text
        assert masks(f"{text}{forged(1)}{text}") == f"{text}{Sensitive(forged(1))}{text}"
    assert Masks([])(forged(1)) == forged(1)


def test_secrets_that_overlap_leave_nothing_of_each_other() -> None:
    long = forged(1)
    inner, crossing = long[4:20], long[30:] + "tail"
    for secrets in ([long, inner], [inner, long], [inner, crossing, long]):
        masked = Masks(map(Sensitive, secrets))(f"<{long}tail>")
        assert masked in {f"<{Sensitive(long)}>", f"<{Sensitive(long)}tail>"}


def test_white_space_around_a_secret_does_not_hide_it() -> None:
    assert Masks([Sensitive(f" {forged(1)}\n")])(f"a/{forged(1)}/b") == f"a/{Sensitive(forged(1))}/b"


def test_what_is_too_short_to_mean_anything_is_left() -> None:
    assert Masks([Sensitive("abc"), Sensitive(""), Sensitive("  ")])("abc, abcdef") == "abc, abcdef"


def test_ten_thousand_secrets_are_looked_for_at_once() -> None:
    rng = random.Random(5)
    secrets = [forge("{base62:24}", rng) for _ in range(10_000)]
    began = time.perf_counter()
    masks = Masks(map(Sensitive, secrets))
    for number, secret in enumerate(secrets):
        assert secret not in masks(f"Sheet{number % 7}!B{number} {secret}")
    assert time.perf_counter() - began < 5


@settings(max_examples=200, deadline=None)
@given(
    secret=st.text(min_size=6, max_size=20).map(lambda text: f"<{text}>"),
    around=st.text(max_size=20),
    writing=st.sampled_from(sorted(WRITINGS)),
)
def test_any_text_is_masked_wherever_it_stands(secret: str, around: str, writing: str) -> None:
    written = WRITINGS[writing](secret)
    masked = Masks([Sensitive(secret)])(f"{around}|{written}|{around}")
    if written not in f"{around}|{Sensitive(secret)}|{around}":
        assert written not in masked
