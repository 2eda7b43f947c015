"""The checks of tokens and cloud keys at their edges: valid, one character off, another version, anything at all."""

from __future__ import annotations

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.checks import CHECKS
from keysentry.model.finding import Lifetime
from keysentry.rules.forge import base62, forge

MINE = (
    "aws-account-id", "aws-bedrock", "discord-token", "github-crc32", "gitlab-routable", "google-service-account",
    "not-hex", "npm-crc32", "pypi-macaroon", "slack-token", "stripe-key", "telegram-token",
)  # fmt: skip
PREFIXES = (
    b"", b"ghp_", b"ghr_", b"npm_", b"glpat-", b"pypi-", b"pypi-AgE", b"xoxb-1-", b"xapp-1-A", b"xoxe-1-", b"ABSK",
    b"AKIA", b"bedrock-api-key-", b"sk_live_", b"-----BEGIN PRIVATE KEY-----", b"1234567890:AA", b"MTIzNDU2Nzg5MDEyMz.",
)  # fmt: skip


def make(template: str, seed: int = 0) -> bytes:
    return forge(template, random.Random(seed)).encode()


def off_by_one(value: bytes, at: int = -1) -> bytes:
    changed = bytearray(value)
    changed[at] = ord("7") if changed[at] != ord("7") else ord("8")
    return bytes(changed)


@pytest.mark.parametrize("name", MINE)
@given(prefix=st.sampled_from(PREFIXES), rest=st.binary(max_size=120))
def test_no_bytes_make_a_check_raise_or_repeat_them(name: str, prefix: bytes, rest: bytes) -> None:
    verdict = CHECKS[name](prefix + rest)
    assert verdict.valid in (True, False, None)
    assert verdict.text
    assert len(rest) < 12 or rest.decode("latin-1") not in verdict.text


@pytest.mark.parametrize("name", MINE)
@given(text=st.text(alphabet="abcMNOADTjz0123456789_.-:=/", max_size=60))
def test_no_text_makes_a_check_raise(name: str, text: str) -> None:
    CHECKS[name](text.encode())


def test_the_table_is_sorted() -> None:
    assert list(CHECKS) == sorted(CHECKS)
    assert set(MINE) <= set(CHECKS)


# --- GitHub and npm


@pytest.mark.parametrize("prefix", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"])
def test_github_checksum(prefix: str) -> None:
    check = CHECKS["github-crc32"]
    for seed in range(50):
        token = make(f"{prefix}{{base62:30}}{{crc32-base62:6}}", seed)
        assert check(token).valid is True
        assert check(off_by_one(token)).valid is False
        assert check(off_by_one(token, 10)).valid is False
        assert check(token[:-1]).valid is None


def test_github_checksum_is_over_the_random_part_without_the_prefix() -> None:
    body = "0" * 30
    checksum = base62(zlib.crc32(body.encode()), 6)
    assert CHECKS["github-crc32"](f"ghp_{body}{checksum}".encode()).valid is True
    over_all = base62(zlib.crc32(f"ghp_{body}".encode()), 6)
    assert CHECKS["github-crc32"](f"ghp_{body}{over_all}".encode()).valid is False


def test_a_checksum_is_padded_with_zeros() -> None:
    token = next(
        token for seed in range(100_000) if (token := make("ghp_{base62:30}{crc32-base62:6}", seed))[-6:-5] == b"0"
    )
    assert CHECKS["github-crc32"](token).valid is True


def test_tokens_without_a_checksum_are_left_alone() -> None:
    check = CHECKS["github-crc32"]
    for template in (
        "github_pat_{base62:22}_{base62:59}",
        "ghs_{digit:7}_{jwt:3600}",
        "ghr_{base62:76}",
        "xyz_{base62:36}",
    ):
        assert check(make(template)).valid is None


def test_npm_checksum() -> None:
    token = make("npm_{base62:30}{crc32-base62:6}")
    assert CHECKS["npm-crc32"](token).valid is True
    assert CHECKS["npm-crc32"](off_by_one(token)).valid is False
    assert CHECKS["npm-crc32"](token + b"0").valid is None
    assert CHECKS["github-crc32"](token).valid is None


# --- GitLab


def test_gitlab_checksum_and_ids() -> None:
    check = CHECKS["gitlab-routable"]
    for prefix in ("glpat-", "gldt-", "glrt-t1_", "gloas-"):
        token = make(prefix + "{gitlab-payload}{crc32-base36}")
        verdict = check(token)
        assert verdict.valid is True
        assert dict(verdict.facts)["organization id"] == "1"
        assert dict(verdict.facts)["user id"].isdecimal()
        assert check(off_by_one(token)).valid is False
        assert check(off_by_one(token, 8)).valid is False
        assert check(prefix.encode() + token[len(prefix) + 1 :]).valid is False


def test_gitlab_first_version_has_no_version_field() -> None:
    body = base64.urlsafe_b64encode(bytes(16) + b"o:1" + b"\x03").rstrip(b"=").decode()
    head = f"glpat-{body}.0r"
    crc = zlib.crc32(head.encode())
    digits = ""
    while crc:
        crc, digit = divmod(crc, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    verdict = CHECKS["gitlab-routable"](f"{head}{digits.rjust(7, '0')}".encode())
    assert verdict.valid is True
    assert verdict.facts == (("organization id", "1"),)


def test_gitlab_token_of_twenty_characters_has_no_checksum() -> None:
    assert CHECKS["gitlab-routable"](make("glpat-{base62:20}")).valid is None


# --- Slack, Discord, Telegram


@pytest.mark.parametrize(
    "template",
    [
        "xoxb-{digit:12}-{digit:13}-{base62:24}",
        "xoxb-{digit:12}-{base62:24}",
        "xoxp-{digit:12}-{digit:12}-{digit:12}-{hex:32}",
        "xoxe.xoxp-1-{base62:166}",
        "xoxe-1-{base62:147}",
    ],
)
def test_slack_structure(template: str) -> None:
    assert CHECKS["slack-token"](make(template)).valid is None


def test_slack_app_token_names_its_app() -> None:
    verdict = CHECKS["slack-token"](make("xapp-1-A0{ALNUM:9}-{digit:13}-{hex:64}"))
    assert verdict.valid is None
    assert verdict.facts[0][0] == "app id"
    assert verdict.facts[0][1].startswith("A0")


@pytest.mark.parametrize(
    "value",
    [
        b"xoxb-not-a-real-token",
        b"xoxb-" + b"1" * 12 + b"-" + b"2" * 12 + b"-" + b"x" * 24,
        b"xapp-1-A012-34-" + b"0" * 64,
        b"xoxb-",
    ],
)
def test_slack_placeholders_are_killed(value: bytes) -> None:
    assert CHECKS["slack-token"](value).valid is False


def test_discord_id() -> None:
    verdict = CHECKS["discord-token"](make("{discord-token}"))
    assert verdict.valid is True
    facts = dict(verdict.facts)
    assert 17 <= len(facts["bot id"]) <= 19
    assert "2016" <= facts["bot created"][:4] <= "2026"


@pytest.mark.parametrize("first", [b"not an id", b"12345", b"0" * 18, b"1" * 25, b"\xff" * 18])
def test_discord_other_first_parts(first: bytes) -> None:
    head = base64.urlsafe_b64encode(first).rstrip(b"=")
    assert CHECKS["discord-token"](head + b".abcdef." + b"x" * 27).valid is False


def test_discord_id_without_the_rest() -> None:
    assert CHECKS["discord-token"](base64.b64encode(b"1" * 18)).valid is False


def test_telegram() -> None:
    verdict = CHECKS["telegram-token"](make("7{digit:9}:AA{base64url:33}"))
    assert verdict.valid is None
    assert verdict.facts[0][0] == "bot id"
    assert CHECKS["telegram-token"](make("7{digit:9}:AA{base64url:32}")).valid is False
    assert CHECKS["telegram-token"](b"1234567890:AA" + b"x" * 33).valid is False
    assert CHECKS["telegram-token"](b"0234567890:" + make("{base62:35}")).valid is False


# --- Stripe, PyPI


def test_stripe_mode() -> None:
    assert CHECKS["stripe-key"](make("sk_live_{base62:24}")).facts == (("mode", "live"),)
    assert CHECKS["stripe-key"](make("rk_test_{base62:99}")).facts == (("mode", "test"),)
    assert CHECKS["stripe-key"](b"sk_live_" + b"x" * 24).valid is False
    assert CHECKS["stripe-key"](make("pk_live_{base62:24}")).valid is None


@pytest.mark.parametrize("location", ["pypi.org", "test.pypi.org"])
def test_pypi_macaroon(location: str) -> None:
    token = make(f"pypi-{{pypi-macaroon:{location}}}")
    verdict = CHECKS["pypi-macaroon"](token)
    assert verdict.valid is True
    assert verdict.facts == (("location", location),)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01\x01\x08pypi.org\x02",
        b"\x02\x01\x08pypi.com\x02",
        b"\x02\x01\x09pypi.org\x02",
        b"\x02\x01\x08pypi.org\x03",
        b"",
    ],
)
def test_pypi_other_macaroons(raw: bytes) -> None:
    assert CHECKS["pypi-macaroon"](b"pypi-" + base64.urlsafe_b64encode(raw + b"x" * 50)).valid is False


def test_pypi_not_base64() -> None:
    assert CHECKS["pypi-macaroon"](b"pypi-AgEIcHlwaS5vcmc!!!").valid is False
    assert CHECKS["pypi-macaroon"](b"pypi_AgEIcHlwaS5vcmc").valid is None


# --- AWS


def key_id(prefix: str, account: int, rest: int = 5, first: int = 1) -> bytes:
    number = first << 79 | account << 39 | rest
    return prefix.encode() + base64.b32encode(number.to_bytes(10, "big"))


@pytest.mark.parametrize("account", [1, 123_456_789_012, 999_999_999_999])
def test_aws_account(account: int) -> None:
    verdict = CHECKS["aws-account-id"](key_id("AKIA", account))
    assert verdict.valid is None
    assert verdict.facts == (("AWS account", f"{account:012d}"),)
    assert verdict.lifetime is Lifetime.LONG_LIVED
    assert CHECKS["aws-account-id"](key_id("AKIA", account, rest=2**39 - 1)).facts == verdict.facts


def test_aws_temporary_key() -> None:
    assert CHECKS["aws-account-id"](key_id("ASIA", 123_456_789_012)).lifetime is Lifetime.EPHEMERAL


def test_aws_ids_without_an_account() -> None:
    assert CHECKS["aws-account-id"](key_id("AKIA", 123_456_789_012, first=0)).facts == ()
    assert CHECKS["aws-account-id"](key_id("AKIA", 1_000_000_000_000)).facts == ()
    for other in (key_id("AROA", 1), key_id("AKIA", 1)[:-1], key_id("AKIA", 1).lower(), b"AKIA0189" + b"A" * 12):
        verdict = CHECKS["aws-account-id"](other)
        assert (verdict.valid, verdict.facts, verdict.lifetime) == (None, (), None)


def test_bedrock() -> None:
    check = CHECKS["aws-bedrock"]
    verdict = check(make("ABSK{b64:BedrockAPIKey-[alnum:4]-at-123456789012:[base62:61]}"))
    assert (verdict.valid, verdict.facts) == (True, (("AWS account", "123456789012"),))
    assert check(make("ABSK{base64:128}")).valid is False
    short = check(make("bedrock-api-key-{b64:bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Expires=43200}"))
    assert (short.valid, short.lifetime) == (True, Lifetime.EPHEMERAL)
    assert check(make("bedrock-api-key-{base64:128}")).valid is False
    assert check(b"ABCD").valid is None


# --- Google


def service_key(seed: int = 0) -> str:
    value = forge("{google-service-account}", random.Random(seed))
    return value[value.index("-----BEGIN") : value.index("-----END PRIVATE KEY-----") + 25]


def test_service_account_key_escaped_or_not() -> None:
    check = CHECKS["google-service-account"]
    key = service_key()
    assert "\\n" in key
    for text in (
        key,
        key.replace("\\n", "\n"),
        key.replace("\\n", "\r\n"),
        key.replace("\\n", "\\\\n"),
        key.replace("\\n", ""),
    ):
        assert check(text.encode()).valid is True


def test_service_account_key_broken() -> None:
    check = CHECKS["google-service-account"]
    key = service_key()
    body = key.index("\\n") + 2
    assert check((key[:body] + "!" + key[body + 1 :]).encode()).valid is False
    assert check((key[:body] + "A" + key[body + 1 :]).encode()).valid is False
    assert check(key.replace("PRIVATE", "PUBLIC").encode()).valid is None
    assert check(key[:200].encode()).valid is None
    assert check(b"-----BEGIN PRIVATE KEY-----" + b"A" * 400 + b"-----END PRIVATE KEY-----").valid is False


# --- Not hexadecimal


@pytest.mark.parametrize(
    ("value", "valid"), [("{hex:40}", False), ("{HEX:40}", False), ("{base64:40}", None), ("", None)]
)
def test_not_hex(value: str, valid: bool | None) -> None:
    assert CHECKS["not-hex"](make(value)).valid is valid
