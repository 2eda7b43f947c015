"""What every revoker is made of, and which of several takes a credential."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import msgspec

from keysentry.errors import ConfigError, InputError
from keysentry.model.action import Credential, Receipt
from keysentry.response.base import Revoker
from keysentry.response.outbound import Outbound
from keysentry.rules.schema import RuleSet


class RevokerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every revoker can be told; each kind's own options add to it.

    `name`: what playbooks call it. `handles`: globs on the ids of rules whose credentials it takes; those that its kind
    is made for if there are none.
    """

    name: str
    handles: tuple[str, ...] = ()

    kind: ClassVar[str] = ""
    default_handles: ClassVar[tuple[str, ...]] = ()
    environment: ClassVar[dict[str, tuple[str, ...]]] = {}
    """For each field that holds a credential: the variables that are looked at if the configuration does not name
    one."""
    paths: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""

    @property
    def handled(self) -> tuple[str, ...]:
        """The globs that count."""
        return self.handles or self.default_handles


class Tools(NamedTuple):
    """What revokers are made with, besides their options."""

    outbound: Outbound
    rules: RuleSet | None = None


@runtime_checkable
class Choosy(Protocol):
    """A revoker that knows of a credential beforehand that it cannot take it."""

    def accepts(self, credential: Credential) -> bool:
        """Whether it can take it."""
        ...


@runtime_checkable
class Bulk(Protocol):
    """A revoker whose provider takes many credentials in one request."""

    largest: int
    """How many in one."""

    def revoke_many(self, credentials: Sequence[Credential], key: str) -> Receipt:
        """Revoke all of them, at most `largest`. Errors as of `revoke`."""
        ...


def revoker_for(credential: Credential, revokers: Iterable[Revoker]) -> Revoker | None:
    """The revoker whose globs tell most about the credential's rule; of equals the first. None where none takes it."""
    best: tuple[int, Revoker] | None = None
    for one in revokers:
        if isinstance(one, Choosy) and not one.accepts(credential):
            continue
        fit = max((specific(glob) for glob in one.handles if fnmatch.fnmatchcase(credential.rule, glob)), default=-1)
        if fit >= 0 and (best is None or fit > best[0]):
            best = (fit, one)
    return best[1] if best else None


def specific(glob: str) -> int:
    """How much a glob tells: its letters that stand for themselves; a whole id tells most."""
    letters = sum(letter not in "*?[]" for letter in glob)
    return letters * 2 + (letters == len(glob))


def needed(value: object, options: RevokerOptions, field: str) -> None:
    """Raise `ConfigError` where a setting is missing."""
    if not value:
        raise ConfigError(f"{field} is missing", place=options.name, advice=f"a {options.kind} revoker needs it")


def web_text(credential: Credential) -> str:
    """The secret as text that can be sent in a header. Raises `InputError`."""
    value = credential.secret.reveal().strip()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise InputError("the credential cannot be sent in a header", advice="a person must revoke it")
    return value
