"""Amazon S3 and what speaks its language: buckets by passes, and changes from an SQS queue as they happen."""

from __future__ import annotations

from keysentry.connectors.base import Source, SourceOptions
from keysentry.connectors.objects.options import ObjectOptions, split_target
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_source", "target_options"]


class Options(ObjectOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for S3. Without any credentials here, those that the AWS command line would use are used.

    `buckets`: which buckets; all that the account has if there are none. `region`: where the buckets are, if nothing
    else tells. `profile`: a profile of the AWS configuration files. `role_arn`, `external_id`: a role to take on, and
    the id that its owner asks for. `access_key_id`, `secret_access_key`, `session_token`: credentials, where no chain
    of the SDK shall be followed. `requester_pays`: agree to pay for buckets that ask for it. `queue`: the URL of an SQS
    queue that gets the buckets' notifications. `queue_wait`: how many seconds to wait for news before the queue's
    unit ends for this time. `visibility`: for how many seconds a message that is being worked on is hidden from
    others; it is prolonged as long as the work lasts.
    """

    buckets: tuple[str, ...] = ()
    region: str = ""
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    access_key_id: Sensitive | None = None
    secret_access_key: Sensitive | None = None
    session_token: Sensitive | None = None
    requester_pays: bool = False
    queue: str = ""
    queue_wait: float = 20.0
    visibility: int = 300

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        super().check()
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ConfigError("access_key_id and secret_access_key belong together", place=self.name, advice="set both")
        if self.session_token is not None and self.access_key_id is None:
            raise ConfigError("session_token without a key", place=self.name, advice="set access_key_id as well")
        if self.external_id and not self.role_arn:
            raise ConfigError("external_id without role_arn", place=self.name, advice="name the role")
        if self.queue and not self.queue.startswith(("https://", "http://")):
            raise ConfigError("queue is not the URL of a queue", place=self.name, advice="its ARN will not do")
        if not 30 <= self.visibility <= 43_200:
            raise ConfigError(
                "visibility is not between 30 and 43200 seconds", place=self.name, advice="the default is 300"
            )
        unordered = [bucket for bucket in self.buckets if bucket.endswith("--x-s3")]
        if unordered:
            # A directory bucket lists in no order, and offers no place to go on from.
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-differences.html
            raise ConfigError(f"{unordered[0]} is a directory bucket", place=self.name, advice="these cannot be read")


def target_options(target: str) -> dict[str, object]:
    """`s3://bucket/prefix`, or `s3://` for all buckets. Raises `ConfigError`."""
    if target == "s3://":
        return {}
    bucket, prefix = split_target(target, "s3", 1)
    return {"buckets": [bucket], "prefixes": [prefix] if prefix else []}


def open_source(options: SourceOptions) -> Source:
    """Connect to S3. Raises `ConfigError`; credentials are only asked for when something is read."""
    from keysentry.connectors.s3.source import S3Source

    if not isinstance(options, Options):
        raise ConfigError("these are not options of S3", place=options.name)
    options.check()
    return S3Source.connect(options)
