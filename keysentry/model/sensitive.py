"""Secrets that cannot be printed by accident, and an identity for them that cannot be guessed back."""

from __future__ import annotations

_KEEP = 4
"""How many characters a mask may show at each end, at most."""


def mask(value: str) -> str:
    """Show enough of `value` for its owner to recognise it, and not enough for anyone else to use it.

    A value of 16 characters or more keeps four at the start and, from 24 on, two at the end; a shorter one keeps only
    its first character; the length of what is hidden is not shown. Of a PEM block the label is shown, which is no
    secret.
    """
    if value.startswith("-----BEGIN "):
        return f"{value.partition(chr(10))[0].rstrip()[:48]}…"
    if len(value) >= 24:
        return f"{value[:_KEEP]}…{value[-2:]}"
    if len(value) >= 16:
        return f"{value[:_KEEP]}…"
    return f"{value[:1]}…"


class Sensitive:
    """Matched bytes. `str`, `repr`, format, logging, JSON and pickle give the mask; `reveal()` is the one way in."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)

    def reveal(self) -> str:
        """Return the secret itself. Every call is a decision: never log or store what it returns."""
        return self._value.decode("utf-8", "replace")

    def reveal_bytes(self) -> bytes:
        """Return the secret itself as the bytes that were matched."""
        return self._value

    def __str__(self) -> str:
        return mask(self.reveal())

    def __repr__(self) -> str:
        return f"Sensitive({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sensitive):
            return NotImplemented
        import hmac

        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type[Sensitive], tuple[str]]:
        return (Sensitive, (str(self),))


def fingerprint(key: bytes, kind: str, secret: Sensitive) -> str:
    """Name a secret without telling it: HMAC-SHA256 over its kind and value, under the installation's key, in hex.

    The same secret found in twelve places has one fingerprint; without the key nobody can test guesses against it.
    """
    import hashlib  # here and not above: a scan that finds nothing need not wait for them
    import hmac

    message = kind.encode() + b"\x00" + secret.reveal_bytes().strip()
    return hmac.new(key, message, hashlib.sha256).hexdigest()
