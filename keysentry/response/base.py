"""What those who carry out actions offer: revokers, vaults, and the check whether a credential lives."""

from __future__ import annotations

from typing import Protocol

import msgspec

from keysentry.model.action import Credential, Liveness, Receipt
from keysentry.model.sensitive import Sensitive


class Revoker(Protocol):
    """Kills credentials at their provider.

    Errors: `AccessError` (our own permission is missing; the advice names it), `InputError` (this credential cannot be
    revoked like this, however often it is tried), `UnclearError` (sent, outcome unknown), other `SourceError`s (try
    again later).
    """

    name: str
    handles: tuple[str, ...]
    """Globs on rule ids."""

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Revoke it. `key` is the idempotency key of the action, for providers that take one."""
        ...

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """After an interrupted attempt: whether it is revoked already. None: it is not, or revoking it again does
        no harm. Raises `UnclearError` where a second attempt could do harm and nobody can be asked.
        """
        ...


class Rotator(Protocol):
    """Replaces a credential by a new one at its provider, and kills the old one."""

    name: str
    handles: tuple[str, ...]

    def rotate(self, credential: Credential, key: str) -> tuple[Sensitive, Receipt]:
        """The new secret, which goes to the vault and nowhere else, and what was done."""
        ...


class Vault(Protocol):
    """Keeps secrets for an organisation. Errors as in `Revoker`."""

    name: str

    def reference(self, path: str) -> str:
        """What stands for a secret that is kept under a path (`vault:secret/keysentry/inc_...#value`). Known before
        anything is written.
        """
        ...

    def put(self, path: str, secret: Sensitive, facts: dict[str, str]) -> Receipt:
        """Keep a secret, and read back that it is there. Putting the same again changes nothing (`already`)."""
        ...

    def kept(self, path: str, secret: Sensitive) -> Receipt | None:
        """After an interrupted attempt: whether this secret is kept there already."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a credential lives, and what its provider told of it. `evidence` is free of payload."""

    liveness: Liveness
    evidence: dict[str, str] = {}
    identity: str = ""
    scopes: tuple[str, ...] = ()


class Verifier(Protocol):
    """Asks providers whether credentials live."""

    def verify(self, credential: Credential) -> Verdict | None:
        """The verdict; None where no rule tells how to ask. `unknown` where the answer says neither."""
        ...
