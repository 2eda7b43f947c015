"""The acting side of Google Cloud Storage: objects are copied into a bucket of their own, and replaced by a placeholder
or deleted.
"""

from __future__ import annotations

import importlib.util

from keysentry.connectors.base import Quarantine, SourceOptions
from keysentry.connectors.gcs import Options as ReadingOptions
from keysentry.connectors.objects.holding import HoldOptions
from keysentry.errors import ConfigError, MissingExtraError

__all__ = ["Options", "open_quarantine"]


class Options(HoldOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for the acting side of Google Cloud Storage. Without `credentials`, the machine's own are used
    (Application Default Credentials), never those of the source.

    `credentials`: the key file of a service account, or of a user. `anonymous`: show no credentials at all (for
    emulators). `user_project`: the project that pays for buckets whose requesters pay.
    """

    credentials: str = ""
    anonymous: bool = False
    user_project: str = ""

    def reading(self, source: ReadingOptions) -> ReadingOptions:
        """The options of a client with these credentials, at the source's address. Raises `ConfigError`."""
        self.check()
        made = ReadingOptions(
            name=self.source,
            base_url=self.base_url or source.base_url,
            project=source.project,
            credentials=self.credentials,
            anonymous=self.anonymous,
            user_project=self.user_project or source.user_project,
        )
        made.check()
        return made


def open_quarantine(options: HoldOptions, source: SourceOptions) -> Quarantine:
    """Connect to Google Cloud Storage. Raises `ConfigError` and `MissingExtraError`; credentials are only asked for
    when something is done.
    """
    if not isinstance(options, Options) or not isinstance(source, ReadingOptions):
        raise ConfigError("these are not options of Google Cloud Storage", place=options.source)
    options.reading(source)
    options.check_apart("gs://", source.buckets, source)
    if importlib.util.find_spec("google.cloud") is None or importlib.util.find_spec("google.cloud.storage") is None:
        raise MissingExtraError("Google Cloud Storage", "gcs")
    from keysentry.connectors.gcs.holding import connect

    return connect(options, source)
