"""Checks of the keys of the large clouds: what an id or a key says about the account it belongs to."""

from __future__ import annotations

import base64
import binascii
import re

from keysentry.checks.base import Verdict
from keysentry.checks.vendors import decode_base64
from keysentry.model.finding import Lifetime

_AWS_ID = re.compile(rb"(A[KS]IA)([A-Z2-7]{16})")
_AWS_ACCOUNT_LIMIT = 1_000_000_000_000
_BEDROCK_SHORT = b"bedrock-api-key-"
_BEDROCK_OWNER = re.compile(rb"BedrockAPIKey-[\w+=,.@-]{1,60}?(?:-at-([0-9]{12}))?:")
_PKCS8 = re.compile(rb"-----BEGIN PRIVATE KEY-----(.{40,20000}?)-----END PRIVATE KEY-----", re.DOTALL)
_RSA_OID = bytes.fromhex("06092a864886f70d010101")


def aws_account_id(value: bytes) -> Verdict:
    """The account that an AWS access key id belongs to, and whether the key is temporary.

    The prefixes: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes. The
    account: the 16 characters are base 32, and 40 bits after the first hold it (sts:GetAccessKeyInfo agrees; the
    arithmetic is published at https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489). Ids from before
    2019, whose first bit is 0, hold none.
    """
    match = _AWS_ID.fullmatch(value)
    if not match:
        return Verdict(None, "not an AWS access key id")
    lifetime = Lifetime.EPHEMERAL if match[1] == b"ASIA" else Lifetime.LONG_LIVED
    head = int.from_bytes(base64.b32decode(match[2])[:6], "big")
    account = (head & 0x7FFFFFFFFF80) >> 7
    if not head >> 47 or account >= _AWS_ACCOUNT_LIMIT:
        return Verdict(None, "an AWS access key id that does not tell its account", lifetime=lifetime)
    facts = (("AWS account", f"{account:012d}"),)
    return Verdict(None, "an AWS access key id that tells its account", lifetime=lifetime, facts=facts)


def aws_bedrock(value: bytes) -> Verdict:
    """What an Amazon Bedrock API key holds in base64: its owner and secret, or a signed request.

    https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-how.html: a long-term key is a service-specific
    credential of an IAM user, a short-term one a pre-signed URL for twelve hours at most.
    """
    if value.startswith(_BEDROCK_SHORT):
        raw = decode_base64(value[len(_BEDROCK_SHORT) :]) or b""
        held = b"Action=CallWithBearerToken" in raw
        text = "holds a signed Bedrock request" if held else "does not hold a signed Bedrock request"
        return Verdict(held, text, lifetime=Lifetime.EPHEMERAL)
    if not value.startswith(b"ABSK"):
        return Verdict(None, "not a Bedrock API key")
    match = _BEDROCK_OWNER.match(decode_base64(value[4:]) or b"")
    if not match:
        return Verdict(False, "does not hold a Bedrock user and secret")
    facts = (("AWS account", match[1].decode()),) if match[1] else ()
    return Verdict(True, "holds a Bedrock user and secret", lifetime=Lifetime.LONG_LIVED, facts=facts)


def google_service_account(value: bytes) -> Verdict:
    r"""The private key of a service account is an unencrypted PKCS #8 RSA key, its line ends written as \n in JSON.

    https://cloud.google.com/iam/docs/keys-create-delete and RFC 5958: a sequence that begins with a small integer and
    the algorithm's identifier.
    """
    match = _PKCS8.search(value)
    if not match:
        return Verdict(None, "not a PKCS #8 private key")
    body = re.sub(rb"\\+[nr]|\s+", b"", match[1])
    try:
        raw = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return Verdict(False, "what stands between the marks is not base64")
    if raw[:1] != b"\x30" or b"\x02\x01\x00\x30" not in raw[:12]:
        return Verdict(False, "not the outline of a private key")
    if _RSA_OID not in raw[:32]:
        return Verdict(None, "a private key, not an RSA one")
    return Verdict(True, "the outline of an RSA private key", lifetime=Lifetime.LONG_LIVED)
