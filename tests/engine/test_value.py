"""What can be told of a value from itself, in a table: value -> what it is."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.engine.rarity import rarity
from keysentry.engine.value import changes, classes, entropy, is_hex_digest, lookalike, placeholder, strong_placeholder
from keysentry.rules.forge import forge

PLACEHOLDERS = {
    "your_api_key_here": "reads like a placeholder",
    "<your-token>": "reads like a placeholder",
    "${DB_PASSWORD}": "reads like a placeholder",
    "{{ vault.password }}": "reads like a placeholder",
    "%(password)s": "reads like a placeholder",
    "$(cat secret)": "reads like a placeholder",
    "changeme": "reads like a placeholder",
    "change-me-now": "reads like a placeholder",
    "EXAMPLEKEY12": "reads like a placeholder",
    "xxxxxxxxxxxx": "reads like a placeholder",
    "****************": "reads like a placeholder",
    "sk-1234567890abcdef12345678": "reads like a placeholder",
    "todo-set-this": "reads like a placeholder",
    "REDACTED": "reads like a placeholder",
    "aaaaaaaaaaaa": "repeats one character",
    "ababababab": "repeats one character",
    "zzzzzzzz9k": "repeats one character",
}
LOOKALIKES = {
    "3f2b8c1e-9d4a-4b6f-8e7d-5a1c2b3d4e5f": "a UUID",
    "{3f2b8c1e-9d4a-4b6f-8e7d-5a1c2b3d4e5f}": "a UUID",
    "2024-05-17T10:30:00Z": "a number or a date",
    "31.12.2024": "a number or a date",
    "1_000".replace("_", ","): "a number or a date",
    "https://internal.corp/login?next=1": "an address",
    "ann.lee@corp.internal": "an address",
    "//cdn.internal/x.js": "an address",
    "/etc/ssl/private/server.key": "a path",
    "../config/secrets.yaml": "a path",
    "C:\\Users\\ann\\key.pem": "a path",
    "config.auth.token": "an expression of code",
    "getToken(user)": "an expression of code",
    "process->key": "an expression of code",
    "$password": "an expression of code",
    "sha256:0f1e2d3c": "a marked digest",
    "user_session_token": "an identifier",
    "getAccessToken": "an identifier",
    "AccessTokenProvider": "an identifier",
    "MAX_TOKEN_LENGTH": "an identifier",
}


@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_placeholders(value):
    assert PLACEHOLDERS[value] in placeholder(value.encode())


@pytest.mark.parametrize("value", LOOKALIKES)
def test_what_a_value_looks_like(value):
    assert lookalike(value.encode()) == LOOKALIKES[value]


def values(template: str, count: int = 300) -> list[bytes]:
    rng = random.Random(template)
    return [forge(template, rng).encode() for _ in range(count)]


@pytest.mark.parametrize(
    ("template", "share"),
    # Two slashes in a value of base64 and no plus sign are those of a path, too.
    [("{base62:24}", 0.02), ("{base62:40}", 0.02), ("{password:16}", 0.06), ("{hex:32}", 0.0), ("{base64:40}", 0.12)],
)
def test_few_random_values_look_like_something_else(template, share):
    found = values(template)
    assert sum(bool(placeholder(value)) for value in found) <= 0.01 * len(found)
    assert sum(bool(lookalike(value)) for value in found) <= share * len(found)
    assert not any(strong_placeholder(value) for value in found)


@pytest.mark.parametrize("value", ["ghp_xxxxxxxxxxxxxxxx", "AKIAEXAMPLE", "sk_test_1234567", "glpat-**********"])
def test_strong_placeholders(value):
    assert strong_placeholder(value.encode())


def test_strong_placeholders_are_few():
    """What a random value shows by chance says nothing where a form of its own says much."""
    for value in (b"AKIAtodoZQ27", b"abcd0000efgh", b"https://example.com/hook"):
        assert strong_placeholder(value) == ""


def test_entropy():
    assert entropy(b"") == 0.0
    assert entropy(b"aaaa") == 0.0
    assert entropy(b"abab") == pytest.approx(1.0)
    assert entropy(bytes(range(256))) == pytest.approx(8.0)


@given(st.binary(min_size=1, max_size=60))
def test_entropy_is_bounded(value):
    assert 0 <= entropy(value) <= math.log2(len(set(value))) + 1e-9


@given(st.binary(max_size=80))
def test_nothing_here_raises(value):
    for ask in (placeholder, strong_placeholder, lookalike):
        assert isinstance(ask(value), str)
    assert 0 <= classes(value) <= 4
    assert 0 <= changes(value) < max(len(value), 1)
    assert rarity(value) >= 0
    assert is_hex_digest(value) in (True, False)


def test_classes_and_changes():
    assert [classes(value) for value in (b"", b"abc", b"aB", b"aB1", b"aB1!")] == [0, 1, 2, 3, 4]
    assert [changes(value) for value in (b"", b"abc", b"abc123", b"a1b2", b"a-1")] == [0, 0, 1, 3, 2]


@pytest.mark.parametrize(("size", "digest"), [(32, True), (40, True), (64, True), (33, False), (24, False)])
def test_digests(size, digest):
    [value] = values(f"{{hex:{size}}}", 1)
    assert is_hex_digest(value) is digest
    assert not is_hex_digest(b"g" + value[1:])


def test_words_are_common_and_random_values_rare():
    words = [b"password", b"database_connection", b"getUserName", b"the-quick-brown-fox", b"application/json"]
    assert max(map(rarity, words)) < 4.6
    assert min(map(rarity, values("{base62:32}", 100))) > 4.6
    assert rarity(b"") == 0.0
