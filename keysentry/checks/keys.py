"""Private keys: PEM of every kind, PuTTY's files, age identities, read as far as their outline without a passphrase.

A block that is whole but does not parse is still worth a person's look (most of a damaged key is a key), so it is left
undecided; killed is only what holds no key at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from collections.abc import Callable

from keysentry.checks.base import Verdict

SMALLEST_KEY = 40
"""Bytes. An unencrypted Ed25519 key in PKCS#8 has 48; what is shorter than this is a placeholder."""

_BEGIN = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----|---- BEGIN (SSH2 ENCRYPTED PRIVATE KEY) ----"
)
_END = re.compile(rb"-{4,6} ?END [A-Z0-9 ]{0,40}PRIVATE KEY")
_HEADER = re.compile(rb"(?:\A|(?<=[\r\n\"']))[ \t>#*+|]*[A-Z][A-Za-z0-9-]{2,30}:[ \t]+(?:\"[^\"\r\n]*\"|[^\r\n\"']*)")
_INLINE_HEADER = re.compile(rb"Proc-Type: ?4,ENCRYPTED|DEK-Info: ?[A-Z0-9-]+,[0-9A-Fa-f]+")
_JUNCTION = re.compile(rb"[\"'`]\s*[+.,;)]*\s*[\"'`]?")
_ESCAPED_LINE_END = re.compile(rb"\\+r\\+n|\\+[nr]")
_DATA = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_ELLIPSIS = re.compile(rb"\.\.\.|\xe2\x80\xa6|<[a-z]|\*\*\*|(?i:xxxx|your|redacted|snip)")
_CRC24 = re.compile(rb"(?<=[\s\"'>#*+|])=([A-Za-z0-9+/]{4})(?=[\s\"']|\Z)")


def pem(block: bytes) -> Verdict:
    """Read a private key between `BEGIN` and `END` lines (RFC 7468, RFC 1421, RFC 9580, OpenSSH's PROTOCOL.key).

    Lines may be joined as source code joins them. Proves a block whose body has the outline its label promises, and
    says whether it is encrypted; kills a body that is empty, a row of dots, or too short to be a key.
    """
    begin = _BEGIN.search(block)
    if begin is None:
        return Verdict(None, "no BEGIN line of a private key")
    label = (begin.group(1) or begin.group(2)).decode()
    end = _END.search(block, begin.end())
    body = block[begin.end() : end.start() if end else len(block)]
    data, noise = _body(body)
    if len(data) * 3 // 4 < SMALLEST_KEY:
        return Verdict(False, "the body is too short to be a key")
    if any(_ELLIPSIS.search(line) for line in noise) or len(set(data)) < 12:
        return Verdict(False, "the body is a placeholder")
    if noise:
        return Verdict(None, f"a {label} with other text in it", facts=(("kind", label),))
    if end is None:
        return Verdict(None, f"a {label} whose end is missing", facts=(("kind", label),))
    return _outline(label, body, data)


def der_key(value: bytes) -> Verdict:
    """Read a private key in base64 without BEGIN and END (PKCS #1, RFC 8017; PKCS #8, RFC 5958)."""
    try:
        raw = base64.b64decode(value, validate=True)
        whole = _rsa(raw) or _pkcs8(raw)
    except (binascii.Error, IndexError, ValueError):
        whole = None
    if whole is None:
        return Verdict(None, "the bytes do not parse as a private key")
    return Verdict(True, "the bytes parse as a private key", facts=(("encrypted", "no"),))


def _outline(label: str, body: bytes, data: bytes) -> Verdict:
    """Whether the body holds what the label promises."""
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error:
        return Verdict(None, f"a {label} whose body is not whole base64", facts=(("kind", label),))
    if b"Proc-Type" in body and b"ENCRYPTED" in body:
        return Verdict(True, f"an encrypted {label}", facts=(("kind", label), ("encrypted", "yes")))
    reader: Callable[[bytes], str | None] = _READERS.get(label, _der_encrypted)
    try:
        encrypted = reader(raw)
    except (IndexError, ValueError, struct.error):
        encrypted = None
    if encrypted is None:
        return Verdict(None, f"a {label} whose body does not parse", facts=(("kind", label),))
    facts = (("kind", label), ("encrypted", encrypted))
    if label.startswith("PGP") and not _crc24_holds(body, raw):
        return Verdict(None, f"a {label} whose checksum does not fit", facts=facts)
    text = f"a whole {label}" if encrypted == "no" else f"an encrypted {label}"
    return Verdict(True, text, facts=facts)


def _body(body: bytes) -> tuple[bytes, list[bytes]]:
    """The base64 of a body without line ends, source-code junctions and headers; and the lines that are none."""
    body = _ESCAPED_LINE_END.sub(b"\n", body)
    body = _HEADER.sub(b"", _INLINE_HEADER.sub(b"", body))
    body = _CRC24.sub(b"\n", body)
    lines = _JUNCTION.sub(b"\n", body).replace(b"\\", b"\n").split()
    while (
        len(lines) > 2
        and len(first := {line[:1] for line in lines}) == 1
        and first & {b"+", b"-", b">", b"#", b"*", b"|"}
    ):
        lines = [line[1:] for line in lines if line[1:]]
    data, noise = [], []
    for line in lines:
        if _DATA.fullmatch(line):
            data.append(line)
        elif line.strip(b"+-;,()>#*|"):
            noise.append(line)
    return b"".join(data), noise


def _elements(raw: bytes) -> list[tuple[int, bytes]]:
    """The DER elements that fill `raw` to its end (X.690, 8.1). Raises `ValueError` where they do not."""
    found = []
    at = 0
    while at < len(raw):
        tag, size = raw[at], raw[at + 1]
        at += 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4:
                raise ValueError("not a definite length")
            size = int.from_bytes(raw[at : at + width], "big")
            at += width
        if at + size > len(raw):
            raise ValueError("longer than its contents")
        found.append((tag, raw[at : at + size]))
        at += size
    return found


def _der(raw: bytes, *tags: int) -> str | None:
    outer = _elements(raw)
    if len(outer) != 1 or outer[0][0] != 0x30:
        return None
    inner = [tag for tag, _ in _elements(outer[0][1])]
    return "no" if tuple(inner[: len(tags)]) == tags else None


def _pkcs8(raw: bytes) -> str | None:
    """PrivateKeyInfo (RFC 5958): version, algorithm, key."""
    return _der(raw, 0x02, 0x30, 0x04)


def _rsa(raw: bytes) -> str | None:
    """RSAPrivateKey (RFC 8017, A.1.2): a version and eight numbers."""
    return _der(raw, *[0x02] * 9)


def _dsa(raw: bytes) -> str | None:
    """OpenSSL's DSA key: a version, p, q, g, y, x."""
    return _der(raw, *[0x02] * 6)


def _ec(raw: bytes) -> str | None:
    """ECPrivateKey (RFC 5915): version and key."""
    return _der(raw, 0x02, 0x04)


def _der_encrypted(raw: bytes) -> str | None:
    """EncryptedPrivateKeyInfo (RFC 5958): algorithm and data."""
    return "yes" if _der(raw, 0x30, 0x04) else None


def _strings(raw: bytes, count: int) -> tuple[list[bytes], bytes]:
    """Some SSH strings (RFC 4251, section 5: a length of four bytes, then as many) and what is behind them.

    Raises `ValueError` if they are cut off.
    """
    found = []
    at = 0
    for _ in range(count):
        (size,) = struct.unpack_from(">I", raw, at)
        at += 4
        if at + size > len(raw):
            raise ValueError("longer than its contents")
        found.append(raw[at : at + size])
        at += size
    return found, raw[at:]


def _openssh(raw: bytes) -> str | None:
    """openssh-key-v1: cipher, key derivation, its options, the number of keys, the public keys, the private part."""
    magic = b"openssh-key-v1\x00"
    if not raw.startswith(magic):
        return None
    (cipher, derivation, _), rest = _strings(raw[len(magic) :], 3)
    (keys,) = struct.unpack_from(">I", rest)
    _, behind = _strings(rest[4:], keys + 1) if keys <= 8 else ([], b"too many")
    # An authenticated cipher keeps its tag behind the private part.
    if len(behind) not in (0, 16):
        return None
    return "no" if cipher == b"none" and derivation == b"none" else "yes"


def _ssh2(raw: bytes) -> str | None:
    """ssh.com's private keys: a magic number, a length, the key's type, the cipher, the encrypted part."""
    if raw[:4] != b"\x3f\x6f\xf9\xeb" or int.from_bytes(raw[4:8], "big") != len(raw):
        return None
    (_kind, cipher, _private), _ = _strings(raw[8:], 3)
    return "no" if cipher == b"none" else "yes"


def _pgp(raw: bytes) -> str | None:
    """The secret-key packet that a transferable secret key starts with (RFC 9580, sections 4.2, 5.5.3 and 10.2)."""
    tag = raw[0]
    if not tag & 0x80:
        return None
    if tag & 0x40:
        kind, head = tag & 0x3F, 2 + (raw[1] >= 192) + 3 * (raw[1] == 255)
    else:
        kind, head = (tag >> 2) & 0x0F, 1 + (1, 2, 4, 0)[tag & 3]
    if kind != 5 or raw[head] not in (3, 4, 5, 6):
        return None
    return _pgp_protection(raw[head:]) if raw[head] == 4 else "unknown"


def _pgp_protection(packet: bytes) -> str:
    """Whether the secret numbers of a version 4 key are encrypted: the octet after its public numbers."""
    algorithm, at = packet[5], 6
    if algorithm in (18, 19, 22):
        at = _after_number(packet, at + 1 + packet[at])
        at += 1 + packet[at] if algorithm == 18 else 0
    elif algorithm in (25, 26, 27, 28):
        at += {25: 32, 26: 56, 27: 32, 28: 57}[algorithm]
    else:
        for _ in range({16: 3, 17: 4}.get(algorithm, 2)):
            at = _after_number(packet, at)
    return "no" if packet[at] == 0 else "yes"


def _after_number(packet: bytes, at: int) -> int:
    return at + 2 + (int.from_bytes(packet[at : at + 2], "big") + 7) // 8


def _crc24_holds(body: bytes, raw: bytes) -> bool:
    """The optional checksum of an armoured block (RFC 9580, section 6.1.1)."""
    found = _CRC24.search(_ESCAPED_LINE_END.sub(b"\n", body))
    return found is None or base64.b64decode(found.group(1)) == crc24(raw).to_bytes(3, "big")


def crc24(raw: bytes) -> int:
    """The 24-bit cyclic redundancy check of OpenPGP's armour."""
    crc = 0xB704CE
    for byte in raw:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc & 0xFFFFFF


_READERS: dict[str, Callable[[bytes], str | None]] = {
    "PRIVATE KEY": _pkcs8,
    "RSA PRIVATE KEY": _rsa,
    "EC PRIVATE KEY": _ec,
    "DSA PRIVATE KEY": _dsa,
    "ENCRYPTED PRIVATE KEY": _der_encrypted,
    "OPENSSH PRIVATE KEY": _openssh,
    "SSH2 ENCRYPTED PRIVATE KEY": _ssh2,
    "PGP PRIVATE KEY BLOCK": _pgp,
}

_PPK = re.compile(
    rb"PuTTY-User-Key-File-([23]): ([a-z0-9@.-]{3,60})\s+Encryption: ([a-z0-9-]{3,30})\s+Comment: ?([^\r\n]*)\s+"
    rb"Public-Lines: \d{1,4}\s+([A-Za-z0-9+/=\s]+?)\s+(?:Key-Derivation: [^:]+\s+(?:Argon2-[^\r\n]+\s+){0,4})?"
    rb"Private-Lines: \d{1,4}\s+([A-Za-z0-9+/=\s]+?)\s+Private-MAC: ([0-9a-f]{40,64})"
)


def putty(block: bytes) -> Verdict:
    """Read a PuTTY private key file, version 2 or 3 (PuTTY's manual, appendix C).

    An unencrypted file carries a MAC under a key that is known: it proves the file. Encrypted files are
    proved by their outline.
    """
    found = _PPK.search(_ESCAPED_LINE_END.sub(b"\n", block))
    if found is None:
        return Verdict(None, "not the whole of a PuTTY private key")
    version, kind, cipher, comment, public, private, mac = found.groups()
    facts = (("kind", f"PuTTY {kind.decode()}"), ("encrypted", "no" if cipher == b"none" else "yes"))
    try:
        parts = [
            kind,
            cipher,
            comment,
            *(base64.b64decode(b"".join(text.split()), validate=True) for text in (public, private)),
        ]
    except binascii.Error:
        return Verdict(None, "a PuTTY private key whose body is not whole base64", facts=facts)
    if len(parts[4]) < 32:
        return Verdict(False, "the body is too short to be a key")
    if cipher != b"none":
        return Verdict(True, "an encrypted PuTTY private key", facts=facts)
    if not hmac.compare_digest(putty_mac(version, parts), mac):
        return Verdict(None, "a PuTTY private key whose MAC does not fit", facts=facts)
    return Verdict(True, "a whole PuTTY private key: its MAC holds", facts=facts)


def putty_mac(version: bytes, parts: list[bytes]) -> bytes:
    """The MAC of an unencrypted file over type, cipher, comment, public and private part, as hex digits."""
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    if version == b"2":
        key = hashlib.sha1(b"putty-private-key-file-mac-key", usedforsecurity=False).digest()
        return hmac.new(key, message, hashlib.sha1).hexdigest().encode()
    return hmac.new(b"", message, hashlib.sha256).hexdigest().encode()


BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_AGE = re.compile(rb"AGE-SECRET-KEY-1([%b]{52})([%b]{6})" % (BECH32.upper(), BECH32.upper()))


def age(identity: bytes) -> Verdict:
    """Prove or kill an age X25519 identity by its checksum (age's specification; Bech32, BIP 173)."""
    found = _AGE.fullmatch(identity)
    if found is None:
        return Verdict(False, "not the form of an age identity")
    values = [BECH32.index(byte) for byte in (found.group(1) + found.group(2)).lower()]
    if bech32_polymod([*bech32_prefix("age-secret-key-"), *values]) != 1:
        return Verdict(False, "the checksum does not hold")
    return Verdict(True, "the checksum holds")


def bech32_prefix(prefix: str) -> list[int]:
    """A human-readable part as the values that go into the checksum."""
    raw = prefix.encode()
    return [byte >> 5 for byte in raw] + [0] + [byte & 31 for byte in raw]


def bech32_polymod(values: list[int]) -> int:
    """The remainder that makes Bech32's checksum (BIP 173)."""
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if (top >> bit) & 1 else 0
    return check
