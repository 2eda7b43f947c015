"""Who could read an object of S3.

Public is what a bucket's policy gives to everyone, unless the block on public access takes it back, and what a list of
grants gives to everyone, where such lists still count: not if the bucket's owner owns everything in it, and not if the
block has them ignored. https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
The block of a whole account is not looked at: it takes a permission beyond the bucket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from keysentry.connectors.objects.store import CredentialsError, Entry
from keysentry.connectors.pace import Refused
from keysentry.connectors.s3.faults import code_of, told
from keysentry.errors import ClosedError
from keysentry.model.location import Exposure

_KEEP = 600.0
"""For how many seconds a bucket's settings are taken as they were."""
_EVERYONE = frozenset(f"http://acs.amazonaws.com/groups/global/{name}" for name in ("AllUsers", "AuthenticatedUsers"))
"""Anyone at all, and anyone with an account at AWS.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html"""
_NOT_SET = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchBucketPolicy",
        "OwnershipControlsNotFoundError",
    }
)


class _Call(Protocol):
    def __call__(
        self,
        operation: Callable[[Any], Any],
        place: str,
        permission: str,
        *,
        fault: Callable[[BaseException, str, str], Exception],
    ) -> Any: ...


class _NotTold(Exception):
    """The question was refused, or the store does not know it."""


class _Bucket(msgspec.Struct):
    """What is known of a bucket: None is not known."""

    asked: float
    policy: bool | None
    grants_count: bool
    grants: bool | None
    ask_objects: bool = True


class Exposures:
    """Asks for the settings of buckets, once in a while."""

    def __init__(self, call: _Call, payer: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        """`payer` is what a call about an object says of who pays."""
        self._call = call
        self._payer = payer
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def of(self, bucket: str, entry: Entry) -> Exposure:
        """Who could read this object."""
        known = self._bucket(bucket)
        if known.policy:
            # A policy for everyone speaks of s3:GetObject; older versions take s3:GetObjectVersion.
            return Exposure("public" if entry.current else "unknown")
        granted = self._granted(bucket, entry, known) if known.grants_count else False
        if granted:
            return Exposure("public")
        return Exposure("unknown" if granted is None or known.policy is None else "private")

    def _bucket(self, bucket: str) -> _Bucket:
        known = self._buckets.get(bucket)
        if known is None or self._clock() - known.asked > _KEEP:
            known = self._buckets[bucket] = self._ask_bucket(bucket)
        return known

    def _ask_bucket(self, bucket: str) -> _Bucket:
        block = self._ask(lambda s3: s3.get_public_access_block(Bucket=bucket), "PublicAccessBlockConfiguration")
        policy = self._ask(lambda s3: s3.get_bucket_policy_status(Bucket=bucket), "PolicyStatus")
        owner = self._ask(lambda s3: s3.get_bucket_ownership_controls(Bucket=bucket), "OwnershipControls")
        blocked = block or {}
        counts = not blocked.get("IgnorePublicAcls") and not _owner_enforced(owner or {})
        grants = self._ask(lambda s3: s3.get_bucket_acl(Bucket=bucket), "Grants") if counts else []
        public = None if policy is None else bool(policy.get("IsPublic") and not blocked.get("RestrictPublicBuckets"))
        return _Bucket(self._clock(), public, counts, None if grants is None else _to_everyone(grants))

    def _granted(self, bucket: str, entry: Entry, known: _Bucket) -> bool | None:
        """Whether the object's own grants name everyone; where they may not be asked for, what the bucket's suggest."""
        if known.ask_objects:
            more = {"VersionId": entry.version, **self._payer} if entry.version else self._payer
            try:
                return _to_everyone(self._grants(lambda s3: s3.get_object_acl(Bucket=bucket, Key=entry.key, **more)))
            except _NotTold as error:
                known.ask_objects = str(error) in ("NoSuchKey", "NoSuchVersion")
        return True if known.grants else None

    def _grants(self, operation: Callable[[Any], Any]) -> Any:
        return self._call(operation, "", "", fault=_fault).get("Grants") or ()

    def _ask(self, operation: Callable[[Any], Any], field: str) -> Any:
        """The field of the answer; empty where nothing is set; None where we are not told."""
        try:
            return self._call(operation, "", "", fault=_fault).get(field) or {}
        except _NotTold as error:
            return {} if str(error) in _NOT_SET else None


def _fault(error: BaseException, place: str, permission: str) -> Exception:
    """Only what is about the connection or the credentials is an error here."""
    ours = told(error, place, permission)
    return ours if isinstance(ours, (Refused, CredentialsError, ClosedError)) else _NotTold(code_of(error))


def _owner_enforced(controls: Mapping[str, Any]) -> bool:
    return any(rule.get("ObjectOwnership") == "BucketOwnerEnforced" for rule in controls.get("Rules") or ())


def _to_everyone(grants: Iterable[Mapping[str, Any]]) -> bool:
    return any(
        (grant.get("Grantee") or {}).get("URI") in _EVERYONE and grant.get("Permission") in ("READ", "FULL_CONTROL")
        for grant in grants
    )
