"""Google Cloud Storage: buckets by passes over their listings."""

from __future__ import annotations

import importlib.util

from keysentry.connectors.base import Source, SourceOptions
from keysentry.connectors.objects.options import ObjectOptions, split_target
from keysentry.errors import ConfigError, MissingExtraError

__all__ = ["Options", "open_source", "target_options"]


class Options(ObjectOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for Google Cloud Storage. Without `credentials`, the machine's own are used (Application Default
    Credentials).

    `buckets`: which buckets; all that the project has if there are none. `project`: the project whose buckets are
    listed. `credentials`: the key file of a service account, or of a user. `anonymous`: show no credentials at all (for
    public buckets and emulators). `user_project`: the project that pays for buckets whose requesters pay.
    """

    buckets: tuple[str, ...] = ()
    project: str = ""
    credentials: str = ""
    anonymous: bool = False
    user_project: str = ""

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        super().check()
        if self.anonymous and self.credentials:
            raise ConfigError("anonymous, with credentials", place=self.name, advice="leave one of the two out")


def target_options(target: str) -> dict[str, object]:
    """`gs://bucket/prefix`, or `gs://` for all buckets of the project. Raises `ConfigError`."""
    if target == "gs://":
        return {}
    bucket, prefix = split_target(target, "gs", 1)
    return {"buckets": [bucket], "prefixes": [prefix] if prefix else []}


def open_source(options: SourceOptions) -> Source:
    """Connect to Google Cloud Storage. Raises `ConfigError` and `MissingExtraError`; credentials are only asked for
    when something is read.
    """
    if not isinstance(options, Options):
        raise ConfigError("these are not options of Google Cloud Storage", place=options.name)
    options.check()
    if importlib.util.find_spec("google.cloud") is None or importlib.util.find_spec("google.cloud.storage") is None:
        raise MissingExtraError("Google Cloud Storage", "gcs")
    from keysentry.connectors.gcs.client import connect

    return connect(options)
