"""What every vault is made of.

A secret is put under a path that keysentry makes from the incident (`inc_...`), below the vault's `prefix`. Putting is
idempotent: what is kept is read first, and a secret that is there already is not written again.
"""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar, NamedTuple

import msgspec

from keysentry.errors import ConfigError, InputError
from keysentry.model.action import Receipt
from keysentry.response.outbound import Outbound

_PATH = re.compile(r"[0-9A-Za-z_.-]{1,100}(?:/[0-9A-Za-z_.-]{1,100}){0,8}")


class VaultOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every vault can be told; each kind's own options add to it.

    `name`: what playbooks call it. `prefix`: what the paths of secrets begin with.
    """

    name: str
    prefix: str = "keysentry/"

    kind: ClassVar[str] = ""
    environment: ClassVar[dict[str, tuple[str, ...]]] = {}
    """For each field that holds a credential: the variables that are looked at if the configuration does not name
    one."""
    paths: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""

    def path(self, path: str) -> str:
        """Where a secret is kept. Raises `InputError` for a path that could lead elsewhere."""
        whole = f"{self.prefix.strip('/')}/{path}".strip("/")
        parts = whole.split("/")
        if not _PATH.fullmatch(path) or not _PATH.fullmatch(whole) or any(set(part) == {"."} for part in parts):
            raise InputError(f"a secret cannot be kept under {whole!r}", place=self.name)
        return whole


class VaultTools(NamedTuple):
    """What vaults are made with, besides their options."""

    outbound: Outbound


def flat(path: str, letters: str, longest: int) -> str:
    """A path as a name of the given letters (a class of a regular expression). Where that changes it, a digest of the
    path follows, so that no two paths have one name.
    """
    name = re.sub(f"[^{letters}]", "-", path)
    if name == path and len(name) <= longest:
        return name
    digest = hashlib.sha256(path.encode()).hexdigest()[:10]
    return f"{name[: longest - 11]}-{digest}"


def kept_already(reference: str, evidence: dict[str, str]) -> Receipt:
    """The receipt of a secret that was there before."""
    return Receipt(outcome="already", note=f"it is kept as {reference}", evidence=evidence)


def kept_now(reference: str, evidence: dict[str, str]) -> Receipt:
    """The receipt of a secret that was put and read back."""
    return Receipt(outcome="done", note=f"it is kept as {reference}", evidence={**evidence, "read back": "equal"})


def needed(value: object, options: VaultOptions, field: str) -> None:
    """Raise `ConfigError` where a setting is missing."""
    if not value:
        raise ConfigError(f"{field} is missing", place=options.name, advice=f"a vault of kind {options.kind} needs it")
