"""Azure Blob Storage: containers by passes over their listings."""

from __future__ import annotations

import importlib.util
from typing import ClassVar

from keysentry.connectors.base import Source, SourceOptions
from keysentry.connectors.objects.options import ObjectOptions, split_target
from keysentry.errors import ConfigError, MissingExtraError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_source", "target_options"]


class Options(ObjectOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for Azure Blob Storage. Of several credentials the first of this list is used; without any, those
    of the environment, the machine or the Azure command line (DefaultAzureCredential).

    `account`: the storage account. `containers`: which containers; all that the account has if there are none.
    `connection_string`: what the portal calls so. `account_key`: one of the account's keys. `sas_token`: a shared
    access signature.
    """

    account: str = ""
    containers: tuple[str, ...] = ()
    connection_string: Sensitive | None = None
    account_key: Sensitive | None = None
    sas_token: Sensitive | None = None

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "connection_string": ("AZURE_STORAGE_CONNECTION_STRING",),
        "account_key": ("AZURE_STORAGE_KEY",),
        "sas_token": ("AZURE_STORAGE_SAS_TOKEN",),
    }

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        super().check()
        if not (self.account or self.base_url or self.connection_string):
            raise ConfigError("which account?", place=self.name, advice="set account, or a connection_string")
        if self.connection_string and self.account and f"AccountName={self.account};" not in self._parts:
            raise ConfigError(
                f"connection_string is for another account than {self.account}",
                place=self.name,
                advice="leave account out, or set the connection string of this account",
            )

    @property
    def _parts(self) -> str:
        return f"{self.connection_string.reveal().rstrip(';')};" if self.connection_string else ""


def target_options(target: str) -> dict[str, object]:
    """`az://account/container/prefix`, or `az://account` for all of its containers. Raises `ConfigError`."""
    account = target.removeprefix("az://").rstrip("/")
    if account and "/" not in account:
        return {"account": account}
    account, container, prefix = split_target(target, "az", 2)
    return {"account": account, "containers": [container], "prefixes": [prefix] if prefix else []}


def open_source(options: SourceOptions) -> Source:
    """Connect to Azure Blob Storage. Raises `ConfigError` and `MissingExtraError`; credentials are only asked for when
    something is read.
    """
    if not isinstance(options, Options):
        raise ConfigError("these are not options of Azure Blob Storage", place=options.name)
    options.check()
    if importlib.util.find_spec("azure.storage") is None or importlib.util.find_spec("azure.storage.blob") is None:
        raise MissingExtraError("Azure Blob Storage", "azure")
    from keysentry.connectors.azure.client import connect

    return connect(options)
