"""Who could read an object of Google Cloud Storage.

Public is what the bucket's policy gives to everyone, and what an object's own list of grants gives to everyone where
such lists count (not with uniform bucket-level access), unless public access is prevented.
https://cloud.google.com/storage/docs/access-control, https://cloud.google.com/storage/docs/public-access-prevention
Policies of the project or above, which the bucket inherits, are not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from keysentry.connectors.gcs.faults import told
from keysentry.connectors.objects.store import CredentialsError, Entry
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, ClosedError
from keysentry.model.location import Audience, Exposure

_KEEP = 600.0
"""For how many seconds a bucket's settings are taken as they were."""
_TIMEOUT = (10, 60)
_EVERYONE = frozenset({"allUsers", "allAuthenticatedUsers"})
"""Anyone at all, and anyone with an account at Google."""
_NO_READING = frozenset(
    {
        "roles/storage.legacyBucketReader",
        "roles/storage.legacyBucketWriter",
        "roles/storage.objectCreator",
        "roles/storage.folderAdmin",
    }
)
"""Roles that give no contents. https://cloud.google.com/storage/docs/access-control/iam-roles"""


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
    """The question was refused, or what it was about is gone."""

    def __init__(self, denied: bool) -> None:
        super().__init__()
        self.denied = denied


class _Bucket(msgspec.Struct):
    """What is known of a bucket."""

    asked: float
    audience: Audience
    grants_count: bool


class Exposures:
    """Asks for the settings of buckets, once in a while."""

    def __init__(
        self, call: _Call, handle: Callable[[Any, str], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._call = call
        self._handle = handle
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def of(self, bucket: str, entry: Entry) -> Exposure:
        """Who could read this object."""
        known = self._buckets.get(bucket)
        if known is None or self._clock() - known.asked > _KEEP:
            known = self._buckets[bucket] = self._ask_bucket(bucket)
        if known.audience == "public" or not known.grants_count:
            return Exposure(known.audience)
        try:
            granted = self._call(lambda client: self._granted(client, bucket, entry), "", "", fault=_fault)
        except _NotTold as error:
            if error.denied:  # and so it will be for all others
                known.grants_count = False
                known.audience = "unknown"
            return Exposure("unknown")
        return Exposure("public") if granted else Exposure(known.audience)

    def _ask_bucket(self, bucket: str) -> _Bucket:
        settings = self._ask(lambda client: self._settings(client, bucket))
        policy = self._ask(lambda client: self._policy(client, bucket))
        prevented, uniform = settings or (False, False)
        audience: Audience = "unknown" if policy is None else _audience(policy)
        if prevented and audience == "public":
            audience = "private"
        return _Bucket(self._clock(), audience, not uniform and not prevented)

    def _settings(self, client: Any, bucket: str) -> tuple[bool, bool]:
        """Whether public access is prevented, and whether only the bucket's policy counts."""
        handle = self._handle(client, bucket)
        handle.reload(timeout=_TIMEOUT, retry=None)
        settings = handle.iam_configuration
        return settings.public_access_prevention == "enforced", bool(settings.uniform_bucket_level_access_enabled)

    def _policy(self, client: Any, bucket: str) -> list[Mapping[str, Any]]:
        handle = self._handle(client, bucket)
        return list(handle.get_iam_policy(requested_policy_version=3, timeout=_TIMEOUT, retry=None).bindings)

    def _granted(self, client: Any, bucket: str, entry: Entry) -> bool:
        """Whether the object's own grants name everyone."""
        grants = self._handle(client, bucket).blob(entry.key, generation=int(entry.tag) if entry.tag else None).acl
        grants.reload(timeout=_TIMEOUT, retry=None)
        return any(grant["entity"] in _EVERYONE for grant in grants)

    def _ask(self, operation: Callable[[Any], Any]) -> Any:
        """The answer; None where we are not told."""
        try:
            return self._call(operation, "", "", fault=_fault)
        except _NotTold:
            return None


def _fault(error: BaseException, place: str, permission: str) -> Exception:
    """Only what is about the connection or the credentials is an error here."""
    ours = told(error, place, permission)
    return (
        ours if isinstance(ours, (Refused, CredentialsError, ClosedError)) else _NotTold(isinstance(ours, AccessError))
    )


def _audience(bindings: Iterable[Mapping[str, Any]]) -> Audience:
    """The widest audience that a policy gives contents to."""
    audience: Audience = "private"
    for binding in bindings:
        if binding.get("role") in _NO_READING:
            continue
        members = [str(member) for member in binding.get("members") or ()]
        if _EVERYONE.intersection(members):
            return "public"
        if any(member.startswith("domain:") for member in members):
            audience = "internal"
    return audience
