"""Synthetic private keys and tokens with checksums, for the forge: each passes the check of its kind."""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable

from keysentry.checks.keys import BECH32, bech32_polymod, bech32_prefix, crc24, putty_mac


def _ssh_string(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def _base64_lines(raw: bytes) -> list[str]:
    body = base64.b64encode(raw).decode()
    return [body[i : i + 64] for i in range(0, len(body), 64)]


def _putty(rng: random.Random, arg: str, _text: str) -> str:
    """An unencrypted PuTTY private key; the argument is the version of the format, 2 or 3."""
    kind, cipher, comment = b"ssh-ed25519", b"none", b"synthetic"
    public = _ssh_string(kind) + _ssh_string(rng.randbytes(32))
    private = _ssh_string(rng.randbytes(32))
    version = arg or "3"
    mac = putty_mac(version.encode(), [kind, cipher, comment, public, private]).decode()
    lines = [
        f"PuTTY-User-Key-File-{version}: {kind.decode()}",
        f"Encryption: {cipher.decode()}",
        f"Comment: {comment.decode()}",
    ]
    for name, raw in (("Public", public), ("Private", private)):
        body = _base64_lines(raw)
        lines += [f"{name}-Lines: {len(body)}", *body]
    return "\n".join([*lines, f"Private-MAC: {mac}"])


def _age(rng: random.Random, _arg: str, _text: str) -> str:
    """An age identity whose Bech32 checksum holds."""
    number = rng.getrandbits(256) << 4
    values = [number >> shift & 31 for shift in range(255, -1, -5)]
    check = bech32_polymod([*bech32_prefix("age-secret-key-"), *values, *[0] * 6]) ^ 1
    values += [check >> shift & 31 for shift in range(25, -1, -5)]
    return "AGE-SECRET-KEY-1" + bytes(BECH32[value] for value in values).decode().upper()


def _pgp(rng: random.Random, _arg: str, _text: str) -> str:
    """An armoured OpenPGP secret key: the outline of an unencrypted version 4 RSA key, and its checksum."""

    def number(size: int) -> bytes:
        return struct.pack(">H", size * 8) + b"\x80" + rng.randbytes(size - 1)

    packet = b"\x04" + struct.pack(">I", 1_700_000_000 + rng.randrange(40_000_000)) + b"\x01" + number(256) + number(3)
    packet += b"\x00" + number(256) + number(128) * 1 + number(128) + number(128) + rng.randbytes(2)
    raw = b"\x95" + struct.pack(">H", len(packet)) + packet
    check = base64.b64encode(crc24(raw).to_bytes(3, "big")).decode()
    label = "PGP PRIVATE KEY BLOCK"
    return "\n".join([f"-----BEGIN {label}-----", "", *_base64_lines(raw), f"={check}", f"-----END {label}-----"])


def _ssh2(rng: random.Random, _arg: str, _text: str) -> str:
    """The outline of an encrypted private key of ssh.com's implementation."""
    inner = _ssh_string(b"if-modn{sign{rsa-pkcs1-sha1},encrypt{rsa-pkcs1v2-oaep}}") + _ssh_string(b"3des-cbc")
    inner += _ssh_string(rng.randbytes(256))
    raw = b"\x3f\x6f\xf9\xeb" + struct.pack(">I", len(inner) + 8) + inner
    label = "SSH2 ENCRYPTED PRIVATE KEY"
    return "\n".join(
        [f"---- BEGIN {label} ----", 'Comment: "synthetic"', *_base64_lines(raw), f"---- END {label} ----"]
    )


def _pem_cut(rng: random.Random, arg: str, _text: str) -> str:
    """A PEM block with the label `arg` of which only the first lines are left."""
    return "\n".join([f"-----BEGIN {arg}-----", *_base64_lines(b"\x30\x82\x04\xa4\x02\x01\x00" + rng.randbytes(425))])


def _der_key(rng: random.Random, arg: str, _text: str) -> str:
    """A private key in base64 without its frame; the argument is its kind, `rsa` or `ed25519`."""
    if arg == "ed25519":
        return base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + rng.randbytes(32)).decode()
    numbers = b"".join(
        b"\x02" + (b"\x82" + size.to_bytes(2, "big") if size > 255 else b"\x81\x80") + b"\x01" + rng.randbytes(size - 1)
        for size in (256, 256, 128, 128, 128, 128, 128)
    )
    # The version first, and the public exponent behind the modulus, which takes 260 bytes.
    body = b"\x02\x01\x00" + numbers[:260] + b"\x02\x03\x01\x00\x01" + numbers[260:]
    return base64.b64encode(b"\x30\x82" + len(body).to_bytes(2, "big") + body).decode()


def _crc32_le_hex(_rng: random.Random, _arg: str, text: str) -> str:
    """Grafana's checksum: CRC-32 of everything before the last underscore, low byte first, in hexadecimal."""
    return zlib.crc32(text.removesuffix("_").encode()).to_bytes(4, "little").hex()


def _json64(rng: random.Random, arg: str, _text: str) -> str:
    """A JSON object in base64: the argument is `name=length,...`, each value that many random characters."""
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    fields = (item.partition("=") for item in arg.split(","))
    data = {name: "".join(rng.choices(alphabet, k=int(size))) for name, _, size in fields}
    return base64.b64encode(json.dumps(data, separators=(",", ":")).encode()).decode()


FUNCTIONS: dict[str, Callable[[random.Random, str, str], str]] = {
    "putty": _putty,
    "age": _age,
    "pgp": _pgp,
    "ssh2": _ssh2,
    "pem-cut": _pem_cut,
    "der-key": _der_key,
    "crc32-le-hex": _crc32_le_hex,
    "json64": _json64,
}
