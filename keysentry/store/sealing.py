"""Sealing: what is kept but must not be readable, AES-256-GCM under keys that are not in the store.

Format of a sealed value: one byte of version (1), 8 bytes that name the key, a nonce of 12 bytes, then ciphertext and
tag (NIST SP 800-38D). What a value belongs to (its table and its row) is authenticated with it, so that a sealed value
that is moved to another row does not open.

Invariants. A value is sealed with the first key; it opens with any key that is known, so that keys can be changed while
the store is in use. A nonce is random and never used twice with one key in practice: 2^32 values a key keep the chance
of a repetition below 2^-32 (section 8.3 of the same publication).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keysentry.errors import ConfigError, SealError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = 1
_NAME = 8
_NONCE = 12
KEY_BYTES = 32


class Sealer:
    """Seals with the first of some keys, and opens with any of them. Safe to use from several threads."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` are of 32 bytes each, the current one first. Raises `ConfigError`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigError("a seal key has 32 bytes", place="seal key", advice="openssl rand -hex 32 makes one")
        self._keys: dict[bytes, AESGCM] = {_name(key): AESGCM(key) for key in reversed(keys)}
        self._current = _name(keys[0])

    @property
    def key_name(self) -> str:
        """Names the current key without telling it."""
        return self._current.hex()

    def seal(self, value: bytes, *belongs: str) -> bytes:
        """The value, sealed; `belongs` are the words that name where it is kept."""
        nonce = os.urandom(_NONCE)
        sealed = self._keys[self._current].encrypt(nonce, value, _words(belongs))
        return b"".join((bytes((_VERSION,)), self._current, nonce, sealed))

    def open(self, sealed: bytes, *belongs: str) -> bytes:
        """What was sealed. Raises `SealError`."""
        from cryptography.exceptions import InvalidTag

        name, nonce = sealed[1 : 1 + _NAME], sealed[1 + _NAME : 1 + _NAME + _NONCE]
        if not sealed or sealed[0] != _VERSION or len(nonce) < _NONCE:
            raise SealError("a sealed value is damaged", place="/".join(belongs))
        key = self._keys.get(name)
        if key is None:
            raise SealError(
                f"it was sealed with another key ({name.hex()})",
                place="/".join(belongs),
                advice="give that key as well, among the old seal keys",
            )
        try:
            return key.decrypt(nonce, sealed[1 + _NAME + _NONCE :], _words(belongs))
        except InvalidTag:
            raise SealError("a sealed value was changed, or moved from another row", place="/".join(belongs)) from None

    def current(self, sealed: bytes) -> bool:
        """Whether a value is sealed with the current key."""
        return sealed[1 : 1 + _NAME] == self._current


def read_key(text: str, place: str = "seal key") -> bytes:
    """A key as a person writes it: 64 hexadecimal digits, or 32 bytes in base64. Raises `ConfigError`."""
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        advice = "64 hexadecimal digits or 32 bytes in base64; openssl rand -hex 32 makes one"
        raise ConfigError("this is no seal key", place=place, advice=advice)
    return key


def derived(key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, of the installation's key: HKDF-SHA256 (RFC 5869) without salt."""
    import hmac

    pseudorandom = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(pseudorandom, b"keysentry " + purpose.encode() + b"\x01", hashlib.sha256).digest()


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"keysentry seal key" + key).digest()[:_NAME]


def _words(words: Sequence[str]) -> bytes:
    return "\x00".join(words).encode("utf-8", "surrogatepass")
