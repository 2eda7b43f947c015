"""JSON Web Tokens: parts, algorithm, lifetime, facts, and what is never told."""

from __future__ import annotations

import base64
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.checks.jose import jwt
from keysentry.model.finding import Lifetime
from keysentry.rules.forge import forge


def segment(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


SIGNATURE = segment(random.Random(1).randbytes(32))


def token(header: object, claims: object, signature: bytes = SIGNATURE) -> bytes:
    return b".".join((segment(header), segment(claims), signature))


def test_a_forged_token_is_proved() -> None:
    for seed in range(20):
        assert jwt(forge("{jwt:3600}", random.Random(seed)).encode()).valid is True


def test_exp_makes_it_ephemeral_and_is_told_in_utc() -> None:
    verdict = jwt(token({"alg": "HS256"}, {"exp": 1_700_000_000}))
    assert verdict.lifetime is Lifetime.EPHEMERAL
    assert ("expires", "2023-11-14T22:13:20Z") in verdict.facts


def test_without_exp_it_is_long_lived() -> None:
    verdict = jwt(token({"alg": "RS256"}, {"iss": "https://id.example.org"}))
    assert verdict.lifetime is Lifetime.LONG_LIVED
    assert ("issuer", "https://id.example.org") in verdict.facts
    assert ("algorithm", "RS256") in verdict.facts


@pytest.mark.parametrize("audience", ["a", ["a"], ["a", 7]])
def test_audience_may_be_a_list(audience: object) -> None:
    assert ("audience", "a") in jwt(token({"alg": "HS256"}, {"aud": audience})).facts


def test_the_subject_is_never_told() -> None:
    verdict = jwt(token({"alg": "HS256"}, {"sub": "jane.roe", "email": "jane@example.org", "name": "Jane Roe"}))
    assert "jane" not in repr(verdict).lower()


@pytest.mark.parametrize("exp", [1e30, -1e30, float("inf"), float("nan"), "soon", [1], True, 10**400])
def test_an_odd_exp_is_told_as_it_stands(exp: object) -> None:
    verdict = jwt(token({"alg": "HS256"}, {"exp": exp}))
    assert verdict.lifetime is Lifetime.EPHEMERAL
    assert "expires" in dict(verdict.facts)


def test_an_unsigned_token_is_noted_and_not_proved() -> None:
    verdict = jwt(token({"alg": "none"}, {"iss": "x"}, b""))
    assert verdict.valid is None
    assert "not signed" in verdict.text


@pytest.mark.parametrize(
    "value",
    [
        token({"typ": "JWT"}, {}),
        token({"alg": 7}, {}),
        token([], {}),
        token({"alg": "HS256"}, []),
        token({"alg": "HS256"}, b"not json"),
        token({"alg": "HS256"}, {}, b"A"),
        token({"alg": "HS256"}, {}, b"a+b/"),
        token({"alg": "HS256"}, {}, b""),
        token({"alg": "HS256"}, {})[1:],
        token({"alg": "HS256"}, {}) + b".x",
        b"",
        b"..",
        token({"alg": "HS256"}, b"[" * 100_000),
    ],
)
def test_what_does_not_parse_is_killed(value: bytes) -> None:
    assert jwt(value).valid is False


@pytest.mark.parametrize(
    "claims",
    [
        b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}',
        {"sub": "1234567890", "name": "John Doe", "iat": 1516239022},
        {"sub": "1234567890", "name": "John Doe", "admin": True, "iat": 1516239022},
        {"sub": "1234567890", "name": "John Doe", "admin": True},
    ],
)
def test_published_examples_are_killed_under_any_signature(claims: object) -> None:
    assert jwt(token({"alg": "HS256", "typ": "JWT"}, claims)).text == "a published example token"


@given(st.binary(max_size=200))
def test_it_never_raises(value: bytes) -> None:
    jwt(value)
    jwt(segment({"alg": "HS256"}) + b"." + segment(value) + b"." + SIGNATURE)
