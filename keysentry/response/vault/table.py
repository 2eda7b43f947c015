"""The kinds of vaults: one module and one line of this table each, imported when first asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple, Protocol, cast

from keysentry.errors import ConfigError, MissingExtraError
from keysentry.response.base import Vault
from keysentry.response.vault.base import VaultOptions, VaultTools

__all__ = ["VAULTS", "VaultKind", "open_vault", "vault_kind"]


class VaultModule(Protocol):
    """What a module of this folder offers. It imports its SDK, if it has one, only when it is opened."""

    Options: type[VaultOptions]

    def open_vault(self, options: VaultOptions, tools: VaultTools) -> Vault:
        """Make it. Nothing is asked of the network yet. Raises `ConfigError`."""
        ...


class VaultKind(NamedTuple):
    """A kind of vault: its name in the configuration, a title, and the extra that it needs."""

    name: str
    title: str
    extra: str = ""
    requires: tuple[str, ...] = ()

    def load(self) -> VaultModule:
        """Its module."""
        return cast(VaultModule, importlib.import_module(f"keysentry.response.vault.{self.name}"))


VAULTS: tuple[VaultKind, ...] = (
    VaultKind("hashicorp", "HashiCorp Vault and OpenBao", "vault", ("hvac",)),
    VaultKind("aws", "AWS Secrets Manager", "aws", ("boto3",)),
    VaultKind("azure", "Azure Key Vault"),
    VaultKind("google", "Google Secret Manager", "google", ("google.auth",)),
)


def vault_kind(name: str) -> VaultKind:
    """A kind by its name. Raises `ConfigError`."""
    for kind in VAULTS:
        if kind.name == name:
            return kind
    known = ", ".join(kind.name for kind in VAULTS)
    raise ConfigError(f"there is no kind of vault {name!r}", advice=f"one of: {known}")


def open_vault(options: VaultOptions, tools: VaultTools) -> Vault:
    """A vault with these options. Raises `ConfigError` and `MissingExtraError`."""
    kind = vault_kind(options.kind)
    for module in kind.requires:
        if not _there(module):
            raise MissingExtraError(kind.title, kind.extra)
    options.check()
    return kind.load().open_vault(options, tools)


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
