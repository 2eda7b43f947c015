"""JSON Web Tokens: what a token says about itself, read without any key."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime

from keysentry.checks.base import Verdict
from keysentry.model.finding import Lifetime

_PART = re.compile(rb"[A-Za-z0-9_-]+")
_LONGEST_FACT = 120

_PUBLIC_CLAIMS = frozenset({
    "32cd61d7a4d1ae9f",  # RFC 7519, section 3.1
    "3373cfa8cfd3d256",  # jwt.io, sub name iat
    "25be1edd45a3a982",  # jwt.io, sub name admin iat
    "9cad21446b79d6b1",  # jwt.io, sub name admin
})  # fmt: skip
"""SHA-256 (16 hex digits) of the claims segments of tokens that were published as examples."""


def jwt(token: bytes) -> Verdict:
    """Read a signed JSON Web Token (RFC 7519 in the compact form of RFC 7515, section 7.1).

    Proves a token whose header and claims are JSON objects and whose header names an algorithm; kills one whose parts
    do not parse and the examples of RFC 7519 and jwt.io. A token with `exp` is ephemeral. There is no clock here: when
    it expires is a fact, not a judgement. The subject is never told.
    """
    parts = token.split(b".")
    if len(parts) != 3:
        return Verdict(False, "a signed JSON Web Token has three parts")
    header, claims = _object(parts[0]), _object(parts[1])
    if header is None:
        return Verdict(False, "the header is not a JSON object")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or not algorithm:
        return Verdict(False, "the header names no algorithm")
    if claims is None:
        return Verdict(False, "the claims are not a JSON object")
    if hashlib.sha256(parts[1]).hexdigest()[:16] in _PUBLIC_CLAIMS:
        return Verdict(False, "a published example token")
    lifetime = Lifetime.LONG_LIVED if claims.get("exp") is None else Lifetime.EPHEMERAL
    facts = _facts(algorithm, claims)
    if algorithm.lower() == "none":
        return Verdict(None, "the token is not signed (alg: none)", lifetime, facts)
    if not _decodes(parts[2]):
        return Verdict(False, "the signature is not base64url")
    return Verdict(True, "header and claims are those of a signed JSON Web Token", lifetime, facts)


def _facts(algorithm: str, claims: dict[str, object]) -> tuple[tuple[str, str], ...]:
    found = [("algorithm", algorithm[:_LONGEST_FACT])]
    if claims.get("exp") is not None:
        found.append(("expires", _time(claims["exp"])))
    for name, claim in (("issuer", "iss"), ("audience", "aud")):
        value = claims.get(claim)
        if isinstance(value, list):
            value = ", ".join(item for item in value if isinstance(item, str))
        if isinstance(value, str) and value:
            found.append((name, value[:_LONGEST_FACT]))
    return tuple(found)


def _time(value: object) -> str:
    """A NumericDate (RFC 7519, section 2) as UTC, or as it stands where it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError, OSError):
            pass
    return str(value)[:_LONGEST_FACT]


def _decodes(part: bytes) -> bytes | None:
    """The bytes of a base64url part without padding (RFC 7515, appendix C); None where it is none."""
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        return None
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _object(part: bytes) -> dict[str, object] | None:
    raw = _decodes(part)
    if raw is None:
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
