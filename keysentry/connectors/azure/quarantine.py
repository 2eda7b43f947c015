"""The acting side of Azure Blob Storage: blobs are copied into a container of their own, and replaced by a placeholder
or deleted.
"""

from __future__ import annotations

import importlib.util
from typing import ClassVar

from keysentry.connectors.azure import Options as ReadingOptions
from keysentry.connectors.base import Quarantine, SourceOptions
from keysentry.connectors.objects.holding import HoldOptions
from keysentry.errors import ConfigError, MissingExtraError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_quarantine"]


class Options(HoldOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for the acting side of Azure Blob Storage. `quarantine` is a container of the same account. Of
    several credentials the first of this list is used; without any, those of the environment, the machine or the Azure
    command line (DefaultAzureCredential), never those of the source.

    `connection_string`: what the portal calls so. `account_key`: one of the account's keys. `sas_token`: a shared
    access signature.
    """

    connection_string: Sensitive | None = None
    account_key: Sensitive | None = None
    sas_token: Sensitive | None = None

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "connection_string": ("AZURE_QUARANTINE_CONNECTION_STRING",),
        "account_key": ("AZURE_QUARANTINE_KEY",),
        "sas_token": ("AZURE_QUARANTINE_SAS_TOKEN",),
    }
    named: ClassVar[str] = "container"

    def reading(self, source: ReadingOptions) -> ReadingOptions:
        """The options of a client with these credentials, at the source's address. Raises `ConfigError`."""
        self.check()
        made = ReadingOptions(
            name=self.source,
            base_url=self.base_url or source.base_url,
            account=source.account,
            connection_string=self.connection_string,
            account_key=self.account_key,
            sas_token=self.sas_token,
        )
        made.check()
        return made


def open_quarantine(options: HoldOptions, source: SourceOptions) -> Quarantine:
    """Connect to Azure Blob Storage. Raises `ConfigError` and `MissingExtraError`; credentials are only asked for when
    something is done.
    """
    if not isinstance(options, Options) or not isinstance(source, ReadingOptions):
        raise ConfigError("these are not options of Azure Blob Storage", place=options.source)
    options.reading(source)
    options.check_apart(f"az://{source.account}/", source.containers, source)
    if importlib.util.find_spec("azure.storage") is None or importlib.util.find_spec("azure.storage.blob") is None:
        raise MissingExtraError("Azure Blob Storage", "azure")
    from keysentry.connectors.azure.holding import connect

    return connect(options, source)
