"""What of a store is sealed, with which key, and what each sealed value belongs to.

Two kinds of keys. Those that are derived from the installation's key cover cursors and authenticate the audit trail:
they are always there. The seal key, which is somebody's own, seals secrets, their places and originals; without one
nothing of these is kept.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import msgspec

from keysentry.errors import SealError
from keysentry.installation import key_id
from keysentry.model.action import Credential, Original, Place
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Finding, Lifetime
from keysentry.model.sensitive import Sensitive
from keysentry.store import exact
from keysentry.store.sealing import Sealer, derived

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADVICE = "set KEYSENTRY_SEAL_KEY; openssl rand -hex 32 makes a key"


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """An occurrence's place and secret, as they are sealed: a `Credential` has no form of its own that tells it."""

    place: Place
    fingerprint: str
    rule: str
    title: str
    provider: str
    category: str
    lifetime: str
    secret: bytes
    companions: dict[str, bytes]


class Seals:
    """The keys of a store. Safe to use from several threads.

    `key` is the installation's, `sealer` has the seal keys, if there are any.
    """

    def __init__(self, key: bytes, sealer: Sealer | None = None) -> None:
        self.key_id = key_id(key)
        self.audit = derived(key, "audit trail")
        self.sealer = sealer
        self._names = derived(key, "names of cursors")
        self._cover = Sealer([derived(key, "cursors")])

    def required(self, place: str) -> Sealer:
        """The sealer. Raises `SealError` if there is none."""
        if self.sealer is None:
            raise SealError("there is no seal key", place=place, advice=_ADVICE)
        return self.sealer

    # Cursors.

    def cursor_id(self, source: str, unit: str) -> str:
        """The key of a cursor's row: 128 bits in hex, which tell nobody the unit's name."""
        words = source.encode("utf-8", "surrogatepass"), unit.encode("utf-8", "surrogatepass")
        message = b"%d:%b%b" % (len(words[0]), *words)
        return hmac.digest(self._names, message, hashlib.sha256).hex()[:32]

    def cover(self, id: str, unit: str, cursor: Cursor) -> bytes:
        """A cursor as it is stored."""
        return self._cover.seal(exact.encode((unit, cursor.value)), "cursor", id)

    def uncover(self, id: str, covered: bytes) -> tuple[str, Cursor]:
        """The unit and the cursor that a row holds. Raises `SealError`."""
        unit, value = exact.decode(self._cover.open(covered, "cursor", id), tuple[str, str])
        return unit, Cursor(value)

    # Occurrences.

    def seal_finding(self, id: str, place: Place, finding: Finding, title: str) -> bytes | None:
        """A finding's exact place and secret, sealed for the occurrence with an id; None without a sealer."""
        if self.sealer is None:
            return None
        found = _Found(
            place=place,
            fingerprint=finding.fingerprint,
            rule=finding.rule,
            title=title,
            provider=finding.provider,
            category=finding.category,
            lifetime=finding.lifetime.value,
            secret=finding.secret.reveal_bytes(),
            companions={name: value.reveal_bytes() for name, value in finding.companions},
        )
        return self.sealer.seal(exact.encode(found), "occurrence", id)

    def open_finding(self, id: str, incident: str, sealed: bytes) -> tuple[Place, Credential]:
        """What `seal_finding` was given. Raises `SealError`."""
        raw = self.required(f"occurrence/{id}").open(sealed, "occurrence", id)
        found = exact.decode(raw, _Found)
        return found.place, Credential(
            incident=incident,
            fingerprint=found.fingerprint,
            rule=found.rule,
            title=found.title,
            provider=found.provider,
            category=found.category,
            lifetime=Lifetime(found.lifetime),
            secret=Sensitive(found.secret),
            companions={name: Sensitive(value) for name, value in found.companions.items()},
        )

    # Originals, and what undoing needs.

    def seal_original(self, key: str, place: Place, original: Original) -> tuple[bytes, bytes]:
        """The place and the original of a record that is to be held. Raises `SealError`."""
        sealer = self.required(f"original/{key}")
        return sealer.seal(exact.encode(place), "place", key), sealer.seal(exact.encode(original), "original", key)

    def open_original(self, key: str, place: bytes, original: bytes) -> tuple[Place, Original]:
        """What `seal_original` was given. Raises `SealError`."""
        sealer = self.required(f"original/{key}")
        return (
            exact.decode(sealer.open(place, "place", key), Place),
            exact.decode(sealer.open(original, "original", key), Original),
        )

    def seal_undo(self, action: str, undo: bytes) -> bytes | None:
        """What undoing an action needs; None if that is nothing. Raises `SealError`."""
        return self.required(f"receipt/{action}").seal(undo, "receipt", action) if undo else None

    def open_undo(self, action: str, sealed: bytes | None) -> bytes:
        """What `seal_undo` was given. Raises `SealError`."""
        return self.required(f"receipt/{action}").open(sealed, "receipt", action) if sealed else b""


def secrets_of(credential: Credential) -> Iterator[Sensitive]:
    """All that is secret in a credential."""
    yield credential.secret
    yield from credential.companions.values()
