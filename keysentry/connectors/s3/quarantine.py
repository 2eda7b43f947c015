"""The acting side of S3: objects are copied into a bucket of their own, and replaced by a placeholder or deleted."""

from __future__ import annotations

from keysentry.connectors.base import Quarantine, SourceOptions
from keysentry.connectors.objects.holding import HoldOptions
from keysentry.connectors.s3 import Options as ReadingOptions
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_quarantine"]


class Options(HoldOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for the acting side of S3. Without any credentials here, those that the AWS command line would
    use are used, never those of the source.

    `region`: where the buckets are, if nothing else tells. `profile`: a profile of the AWS configuration files.
    `role_arn`, `external_id`: a role to take on, and the id that its owner asks for. `access_key_id`,
    `secret_access_key`, `session_token`: credentials, where no chain of the SDK shall be followed. `requester_pays`:
    agree to pay for buckets that ask for it.
    """

    region: str = ""
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    access_key_id: Sensitive | None = None
    secret_access_key: Sensitive | None = None
    session_token: Sensitive | None = None
    requester_pays: bool = False

    def reading(self, source: ReadingOptions) -> ReadingOptions:
        """The options of a client with these credentials, at the source's address. Raises `ConfigError`."""
        self.check()
        made = ReadingOptions(
            name=self.source,
            base_url=self.base_url or source.base_url,
            region=self.region or source.region,
            profile=self.profile,
            role_arn=self.role_arn,
            external_id=self.external_id,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            session_token=self.session_token,
            requester_pays=self.requester_pays,
        )
        made.check()
        return made


def open_quarantine(options: HoldOptions, source: SourceOptions) -> Quarantine:
    """Connect to S3. Raises `ConfigError`; credentials are only asked for when something is done."""
    if not isinstance(options, Options) or not isinstance(source, ReadingOptions):
        raise ConfigError("these are not options of S3", place=options.source)
    options.reading(source)
    options.check_apart("s3://", source.buckets, source)
    from keysentry.connectors.s3.holding import connect

    return connect(options, source)
