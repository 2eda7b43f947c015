"""Synthetic credentials: from a rule's `forge` template to values that pass the rule's own offline checks.

No real-looking credential is ever written into a file of this project; whoever needs one (tests, the demo, labelled
corpora) forges it when it is needed, from a seed.

A template is literal text with fields in braces; `{{` and `}}` are braces. A field is one of

    {alphabet:n}, {alphabet:n-m}   n (to m) characters of an alphabet: digit hex HEX lower upper alpha base62 base64
                                   base64url base32 base32lower alnum (a-z0-9) ALNUM (A-Z0-9) password
    {function} or {function:arg}   a function of FUNCTIONS, which may look at the text written so far (checksums)
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
import struct
import uuid
import zlib
from collections.abc import Callable

from keysentry.errors import ForgeError
from keysentry.rules.forge_keys import FUNCTIONS as KEY_FUNCTIONS

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ALPHABETS = {
    "digit": string.digits,
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "alpha": string.ascii_letters,
    "base62": _BASE62,
    "base64": string.ascii_letters + string.digits + "+/",
    "base64url": string.ascii_letters + string.digits + "-_",
    "base32": string.ascii_uppercase + "234567",
    "base32lower": string.ascii_lowercase + "234567",
    "alnum": string.ascii_lowercase + string.digits,
    "ALNUM": string.ascii_uppercase + string.digits,
    "password": string.ascii_letters + string.digits + "!#%*+-_=?^~",
}
_FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9-]+)(?::([^{}]*))?\}")

Function = Callable[[random.Random, str, str], str]
"""(randomness, argument, text written so far) -> text to append."""


def _base(number: int, alphabet: str) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    return digits


def base62(number: int, width: int) -> str:
    """Write `number` in base 62 (digits, capitals, small letters), padded on the left with zeros."""
    return _base(number, _BASE62).rjust(width, "0")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _crc32_base62(_rng: random.Random, arg: str, text: str) -> str:
    """GitHub's and npm's checksum: CRC-32 of the part after the last underscore, in base 62."""
    return base62(zlib.crc32(text.rpartition("_")[2].encode()), int(arg or 6))


def _crc32_base36(_rng: random.Random, _arg: str, text: str) -> str:
    """GitLab's checksum of routable tokens: CRC-32 of everything so far, in base 36, seven characters."""
    return _base(zlib.crc32(text.encode()), _BASE62[:10] + string.ascii_lowercase).rjust(7, "0")


def _gitlab_payload(rng: random.Random, _arg: str, _text: str) -> str:
    """What a routable GitLab token carries, its version, and its length in base 36."""
    lines = f"c:1\no:1\nu:{rng.randrange(1, 36**4)}".encode()
    body = _base64url(rng.randbytes(16) + lines + bytes((len(lines),)))
    return f"{body}.01.{_base(len(body), _BASE62[:10] + string.ascii_lowercase).rjust(2, '0')}"


def _aws_key_id(rng: random.Random, arg: str, _text: str) -> str:
    """An access key id with the prefix `arg` that holds an account id: 1, 40 bits of account, 39 of anything."""
    number = (1 << 79) | rng.randrange(10**11, 10**12) << 39 | rng.getrandbits(39)
    return arg + base64.b32encode(number.to_bytes(10, "big")).decode()


def _discord_token(rng: random.Random, _arg: str, _text: str) -> str:
    """A bot's id (a snowflake of 2016 to 2026) in base64, a time and a signature."""
    snowflake = rng.randrange(40_000_000_000, 350_000_000_000) << 22 | rng.getrandbits(22)
    size = rng.choice((27, 38))
    return f"{_base64url(str(snowflake).encode())}.{_pick(rng, 'base64url', 6)}.{_pick(rng, 'base62', size)}"


def _pypi_macaroon(rng: random.Random, arg: str, _text: str) -> str:
    """A macaroon (libmacaroons' second binary form): the location `arg`, an identifier, a caveat, a signature."""

    def field(kind: int, raw: bytes) -> bytes:
        return bytes((kind, len(raw))) + raw

    head = b"\x02" + field(1, arg.encode()) + field(2, str(uuid.UUID(int=rng.getrandbits(128))).encode()) + b"\x00"
    caveat = field(2, b'{"version": 1, "permissions": "user"}') + b"\x00"
    return _base64url(head + caveat + b"\x00" + field(6, rng.randbytes(32)))


def _google_service_account(rng: random.Random, _arg: str, _text: str) -> str:
    """The JSON file of a service account key (IAM's documentation shows its fields)."""
    rsa = _der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    key = _der(0x30, _der(0x02, b"\x00") + rsa + _der(0x04, _der_key(rng)))
    body = base64.b64encode(key).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    data = {
        "type": "service_account",
        "project_id": "demo-" + _pick(rng, "digit", 6),
        "private_key_id": _pick(rng, "hex", 40),
        "private_key": "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""]),
        "client_email": "bot@demo.iam.gserviceaccount.com",
    }
    return json.dumps(data, indent=2)


def _uuid(rng: random.Random, _arg: str, _text: str) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _segment(data: object) -> str:
    return _base64url(json.dumps(data, separators=(",", ":")).encode())


def _jwt(rng: random.Random, arg: str, _text: str) -> str:
    """A signed-looking JSON Web Token; the argument is its lifetime in seconds, none means without `exp`."""
    issued = 1_700_000_000 + rng.randrange(40_000_000)
    claims: dict[str, object] = {"sub": _pick(rng, "digit", 10), "iat": issued}
    if arg:
        claims["exp"] = issued + int(arg)
    head = {"alg": "HS256", "typ": "JWT"}
    return f"{_segment(head)}.{_segment(claims)}.{_pick(rng, 'base64url', 43)}"


def _der(tag: int, body: bytes) -> bytes:
    """One DER element: tag, definite length, contents (X.690, 8.1)."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def _der_key(rng: random.Random) -> bytes:
    """A DER sequence with the outline of an RSA private key (RFC 8017, A.1.2) and random numbers in it."""
    sizes = (1, 256, 3, 256, 128, 128, 128, 128, 128)
    numbers = [b"\x00" if size == 1 else b"\x01" + rng.randbytes(size - 1) for size in sizes]
    return _der(0x30, b"".join(_der(0x02, number) for number in numbers))


def _openssh_key(rng: random.Random) -> bytes:
    """The outline of an unencrypted openssh-key-v1 file (OpenSSH's PROTOCOL.key)."""

    def text(raw: bytes) -> bytes:
        return struct.pack(">I", len(raw)) + raw

    public = text(b"ssh-ed25519") + text(rng.randbytes(32))
    check = rng.randbytes(4)
    private = check + check + public + text(rng.randbytes(64)) + text(b"") + b"\x01\x02\x03"
    return b"openssh-key-v1\x00" + text(b"none") * 2 + text(b"") + struct.pack(">I", 1) + text(public) + text(private)


def _pem(rng: random.Random, arg: str, _text: str) -> str:
    """A PEM block with the label `arg` (RFC 7468)."""
    raw = _openssh_key(rng) if arg.startswith("OPENSSH") else _der_key(rng)
    body = base64.b64encode(raw).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {arg}-----", *lines, f"-----END {arg}-----"])


def _b64(rng: random.Random, arg: str, _text: str) -> str:
    """The base64 form of what the template `arg` (with brackets for braces) gives."""
    inner = forge(arg.replace("[", "{").replace("]", "}"), rng)
    return base64.b64encode(inner.encode()).decode()


def _choice(rng: random.Random, arg: str, _text: str) -> str:
    return rng.choice(arg.split("|"))


FUNCTIONS: dict[str, Function] = {
    "aws-key-id": _aws_key_id,
    "crc32-base36": _crc32_base36,
    "crc32-base62": _crc32_base62,
    "discord-token": _discord_token,
    "gitlab-payload": _gitlab_payload,
    "google-service-account": _google_service_account,
    "pypi-macaroon": _pypi_macaroon,
    "uuid": _uuid,
    "jwt": _jwt,
    "pem": _pem,
    "b64": _b64,
    "choice": _choice,
    **KEY_FUNCTIONS,
}


def _pick(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(ALPHABETS[alphabet], k=count))


def _length(rng: random.Random, arg: str) -> int:
    low, dash, high = arg.partition("-")
    return rng.randint(int(low), int(high)) if dash else int(low)


def forge(template: str, rng: random.Random) -> str:
    """Write one credential after `template`.

    Raises `ForgeError` if the template names an alphabet or function that does not exist, or a bad length.
    """
    out = ""
    at = 0
    for field in _FIELD.finditer(template):
        out += template[at : field.start()]
        at = field.end()
        name, arg = field.group(1), field.group(2) or ""
        if name is None:
            out += field.group()[0]
        elif name in FUNCTIONS:
            out += FUNCTIONS[name](rng, arg, out)
        elif name in ALPHABETS:
            try:
                out += _pick(rng, name, _length(rng, arg))
            except ValueError:
                raise ForgeError(f"{arg!r} is not a length", place=template, advice="write n or n-m") from None
        else:
            known = ", ".join(sorted([*ALPHABETS, *FUNCTIONS]))
            raise ForgeError(f"unknown field {name!r}", place=template, advice=f"known: {known}")
    return out + template[at:]
