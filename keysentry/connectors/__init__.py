"""The platforms that keysentry reads: one folder and one line of this table each.

A platform is imported, and its SDK with it, only when a source of it is opened.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple, cast

from keysentry.connectors.base import PlatformModule
from keysentry.errors import ConfigError, MissingExtraError

__all__ = ["PLATFORMS", "Platform", "platform", "platform_of_target"]


class Platform(NamedTuple):
    """A platform: the name in the configuration, the prefixes of targets on the command line, and its extra."""

    name: str
    title: str
    schemes: tuple[str, ...]
    extra: str
    requires: tuple[str, ...]
    """Modules that the extra brings."""

    def load(self) -> PlatformModule:
        """Import the platform. Raises `MissingExtraError`, which says what to install."""
        for module in self.requires:
            try:
                found = importlib.util.find_spec(module)
            except ModuleNotFoundError:  # a package above it is missing
                found = None
            if found is None:
                raise MissingExtraError(self.title, self.extra)
        return cast(PlatformModule, importlib.import_module(f"keysentry.connectors.{self.name}"))


PLATFORMS: tuple[Platform, ...] = (
    Platform("files", "Files and folders", ("drop:",), "", ()),
    Platform("slack", "Slack", ("slack:",), "slack", ("slack_sdk",)),
    Platform(
        "microsoft", "Microsoft 365", ("teams:", "onedrive:", "sharepoint:", "outlook:"), "microsoft", ("msgraph",)
    ),
    Platform("google", "Google Workspace", ("gdrive:", "gmail:", "gchat:"), "google", ("googleapiclient",)),
    Platform("s3", "Amazon S3 and compatible storage", ("s3://",), "aws", ("boto3",)),
    Platform("gcs", "Google Cloud Storage", ("gs://",), "gcs", ("google.cloud.storage",)),
    Platform("azure", "Azure Blob Storage", ("az://",), "azure", ("azure.storage.blob",)),
)


def platform(name: str) -> Platform:
    """A platform by its name. Raises `ConfigError`."""
    for one in PLATFORMS:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in PLATFORMS)
    raise ConfigError(f"there is no platform {name!r}", advice=f"one of: {known}")


def platform_of_target(target: str) -> Platform | None:
    """The platform that a target of the command line names by its prefix; None for a path."""
    return next((one for one in PLATFORMS if target.startswith(one.schemes)), None)
