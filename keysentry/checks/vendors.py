"""Checks of the tokens of code hosts, package registries and chat services.

Each function says in its docstring where the provider documents the form. A function that is given something else than
the form it knows says nothing (None), so that a rule may name several.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from datetime import UTC, datetime

from keysentry.checks.base import Verdict

_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE36 = b"0123456789abcdefghijklmnopqrstuvwxyz"
_GITHUB = re.compile(rb"gh[pousr]_([0-9A-Za-z]{30,250})([0-9A-Za-z]{6})")
_NPM = re.compile(rb"npm_([0-9A-Za-z]{30})([0-9A-Za-z]{6})")
_GITLAB = re.compile(rb"(([a-z]{2,16}-(?:t[0-9]_)?)([\w-]{27,300})\.(?:01\.)?([0-9a-z]{2}))([0-9a-z]{7})")
_GITLAB_ROUTES = {"o": "organization id", "u": "user id", "p": "project id", "g": "group id"}
_SLACK = re.compile(
    rb"xox[abprs]-(?:[0-9]{5,16}-){1,3}([0-9A-Za-z]{6,64})"
    rb"|xapp-[0-9]-(A[0-9A-Z]{8,14})-[0-9]{9,16}-([0-9a-f]{64})"
    rb"|xoxe(?:\.xox[bp])?-[0-9]-([\w+/=-]{20,600})"
)
_DISCORD_EPOCH = 1_420_070_400
_TELEGRAM = re.compile(rb"([1-9][0-9]{5,11}):([0-9A-Za-z_-]{35})")
_STRIPE = re.compile(rb"(?:sk|rk)_(live|test)_([0-9A-Za-z]{10,250})")
_HEX = re.compile(rb"(?:[0-9a-f]+|[0-9A-F]+)")


def _digits(number: int, alphabet: bytes, width: int) -> bytes:
    out = bytearray()
    while number:
        number, digit = divmod(number, len(alphabet))
        out.append(alphabet[digit])
    return bytes(reversed(out)).rjust(width, alphabet[:1])


def decode_base64(raw: bytes) -> bytes | None:
    """Decode base64 or base64url, padded or not; None if it is neither."""
    body = raw.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _crc32_base62(body: bytes, checksum: bytes) -> Verdict:
    if _digits(zlib.crc32(body), _BASE62, 6) == checksum:
        return Verdict(True, "the CRC-32 in its last six characters holds")
    return Verdict(False, "the CRC-32 in its last six characters does not hold")


def github_crc32(value: bytes) -> Verdict:
    """The checksum of GitHub's 40-character tokens: the last six are the CRC-32 of the random part in base 62.

    https://github.blog/engineering/behind-githubs-new-authentication-token-formats/ documents it. Refresh tokens of
    other lengths were issued before; for them only a checksum that holds says something.
    """
    match = _GITHUB.fullmatch(value)
    if not match:
        return Verdict(None, "not a GitHub token of the form that has a checksum")
    verdict = _crc32_base62(match[1], match[2])
    if not verdict.valid and len(value) != 40:
        return Verdict(None, "a GitHub token of a length without a documented checksum")
    return verdict


def npm_crc32(value: bytes) -> Verdict:
    """The checksum of npm's tokens, made as GitHub's.

    https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/
    """
    match = _NPM.fullmatch(value)
    return _crc32_base62(match[1], match[2]) if match else Verdict(None, "not an npm token that has a checksum")


def gitlab_routable(value: bytes) -> Verdict:
    """The checksum of GitLab's routable tokens, and the ids that they carry.

    prefix, base64url(16 random bytes, routing lines, their length), a full stop, perhaps a version and a full stop, the
    length of the base64 part in base 36, and seven characters of CRC-32 (base 36) of all that stands before them.
    https://handbook.gitlab.com/handbook/engineering/architecture/design-documents/cells/routable_tokens/
    """
    match = _GITLAB.fullmatch(value)
    if not match:
        return Verdict(None, "not a routable GitLab token")
    if _digits(zlib.crc32(match[1]), _BASE36, 7) != match[5]:
        return Verdict(False, "the CRC-32 in its last seven characters does not hold")
    return Verdict(True, "the CRC-32 in its last seven characters holds", facts=_gitlab_facts(match[3]))


def _gitlab_facts(payload: bytes) -> tuple[tuple[str, str], ...]:
    raw = decode_base64(payload) or b""
    facts = []
    for line in raw[16:-1].decode("latin-1").split("\n"):
        key, _, number = line.partition(":")
        if key in _GITLAB_ROUTES and re.fullmatch(r"[0-9a-z]{1,12}", number):
            facts.append((_GITLAB_ROUTES[key], str(int(number, 36))))
    return tuple(facts)


def slack_token(value: bytes) -> Verdict:
    """The parts of a Slack token: its kind, numeric ids, and a random part.

    https://docs.slack.dev/authentication/tokens shows the forms.
    """
    if not value.startswith((b"xox", b"xapp-")):
        return Verdict(None, "not a Slack token")
    match = _SLACK.fullmatch(value)
    if not match:
        return Verdict(False, "not built as Slack builds its tokens")
    random_part = match[1] or match[3] or match[4]
    if len(set(random_part)) < 4:
        return Verdict(False, "its random part repeats a few characters")
    facts = (("app id", match[2].decode()),) if match[2] else ()
    return Verdict(None, "built as Slack builds its tokens", facts=facts)


def discord_token(value: bytes) -> Verdict:
    """The first part of a Discord bot token is the bot's id, a snowflake written in decimal, in base64.

    https://docs.discord.com/developers/reference#snowflakes and the token diagram of the Discord reference.
    """
    head, _, rest = value.partition(b".")
    digits = decode_base64(head)
    if not digits or not rest:
        return Verdict(False, "its first part is not base64")
    if not re.fullmatch(rb"[1-9][0-9]{16,18}", digits):
        return Verdict(False, "its first part is not an id")
    seconds = (int(digits) >> 22) // 1000 + _DISCORD_EPOCH
    created = datetime.fromtimestamp(seconds, UTC).date().isoformat()
    return Verdict(
        True, "its first part is a Discord id", facts=(("bot id", digits.decode()), ("bot created", created))
    )


def telegram_token(value: bytes) -> Verdict:
    """A Telegram bot token is the bot's id, a colon and 35 characters.

    https://core.telegram.org/bots/api#authorizing-your-bot
    """
    match = _TELEGRAM.fullmatch(value)
    if not match:
        return Verdict(False, "not an id, a colon and 35 characters")
    if len(set(match[2])) < 10:
        return Verdict(False, "its random part repeats a few characters")
    return Verdict(None, "built as Telegram builds its tokens", facts=(("bot id", match[1].decode()),))


def stripe_key(value: bytes) -> Verdict:
    """A Stripe key says which of the two modes it is for.

    https://docs.stripe.com/keys
    """
    match = _STRIPE.fullmatch(value)
    if not match:
        return Verdict(None, "not a Stripe key")
    if len(set(match[2])) < 5:
        return Verdict(False, "its random part repeats a few characters")
    return Verdict(None, "built as Stripe builds its keys", facts=(("mode", match[1].decode()),))


def pypi_macaroon(value: bytes) -> Verdict:
    """A PyPI token is a macaroon in base64url whose location is pypi.org or test.pypi.org.

    https://pypi.org/help/#apitoken and https://packaging.python.org/en/latest/specifications/; the binary form (version
    byte 2, then fields of type, length, bytes) is libmacaroons' second one.
    """
    if not value.startswith(b"pypi-"):
        return Verdict(None, "not a PyPI token")
    raw = decode_base64(value[5:])
    if raw is None:
        return Verdict(False, "not base64")
    for location in (b"pypi.org", b"test.pypi.org"):
        if raw.startswith(b"\x02\x01" + bytes((len(location),)) + location + b"\x02"):
            return Verdict(True, "a macaroon of the package index", facts=(("location", location.decode()),))
    return Verdict(False, "not a macaroon of the package index")


def not_hex(value: bytes) -> Verdict:
    """Kills what is only hexadecimal digits: a commit id or a digest where a key in base64 is looked for."""
    if _HEX.fullmatch(value):
        return Verdict(False, "only hexadecimal digits: an id or a digest, not a key")
    return Verdict(None, "not only hexadecimal digits")
