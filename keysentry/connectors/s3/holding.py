"""S3 as a `Holder`: copies by the service itself, conditional writes, versions.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from keysentry.connectors.objects.content import stream
from keysentry.connectors.objects.holding import MARK, State
from keysentry.connectors.objects.quarantine import ObjectQuarantine
from keysentry.connectors.objects.store import Entry, Position, Scope
from keysentry.connectors.pace import Pace, Refused
from keysentry.connectors.s3 import Options
from keysentry.connectors.s3.client import S3Store
from keysentry.connectors.s3.faults import code_of, told
from keysentry.connectors.s3.quarantine import Options as HoldingOptions
from keysentry.errors import AccessError, ChangedError, GoneError, InputError, SourceError

T = TypeVar("T")

LARGEST_COPY = 5 << 30
"""What one call copies, at most. https://docs.aws.amazon.com/AmazonS3/latest/userguide/copy-object.html"""
PART = 512 << 20
_MOST_PARTS = 10_000
_AT_ONCE = 4
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "WebsiteRedirectLocation",
)
_GRANTS = {
    "FULL_CONTROL": "GrantFullControl",
    "READ": "GrantRead",
    "READ_ACP": "GrantReadACP",
    "WRITE_ACP": "GrantWriteACP",
}
_UNLOCK = "lift the lock or the legal hold on it, or let it expire"


def connect(options: HoldingOptions, source: Options) -> ObjectQuarantine:
    """A quarantine with these options. Nothing is asked of the network yet."""
    reading = options.reading(source)
    pace = options.pace(f"S3 (quarantine of {options.source})")
    return ObjectQuarantine(options, S3Holder(reading, S3Store(reading, pace), pace), pace)


class S3Holder:
    """One account's objects."""

    older_readers = "whoever has s3:GetObjectVersion"

    def __init__(
        self, options: Options, store: S3Store, pace: Pace, *, largest: int = LARGEST_COPY, part: int = PART
    ) -> None:
        """Objects of more than `largest` bytes are copied in parts of `part` bytes."""
        self._store = store
        self._pace = pace
        self._payer = {"RequestPayer": "requester"} if options.requester_pays else {}
        self._largest = largest
        self._part = part

    def place(self, bucket: str, key: str = "") -> str:
        """`s3://bucket/key`."""
        return self._store.place(bucket, key)

    def look(self, bucket: str, key: str, version: str = "", title: str = "") -> State | None:
        """An object (a version of it) as it is now; None if there is nothing."""
        title = title or self.place(bucket, key)
        asks: dict[str, Any] = {"Bucket": bucket, "Key": key, "ChecksumMode": "ENABLED", **self._payer}
        asks |= {"VersionId": version} if version else {}
        permission = "s3:GetObjectVersion" if version else "s3:GetObject (and s3:ListBucket)"
        try:
            answer = self._call(lambda s3: s3.head_object(**asks), title, permission)
        except GoneError:
            return None
        current = not version or self._is_current(bucket, key, version, title)
        return _state(answer, key, current, title)

    def described(self, bucket: str, state: State) -> State:
        """The state with the grants of its own list, as headers of a copy, if there are any but its owner's.

        A store without such lists, and an account that may not read them, has none.
        """
        asks = {"Bucket": bucket, "Key": state.key} | ({"VersionId": state.version} if state.version else {})
        try:
            answer = self._call(lambda s3: s3.get_object_acl(**asks, **self._payer), state.title, "s3:GetObjectAcl")
        except SourceError as error:
            if type(error) not in (SourceError, AccessError):
                raise
            return state
        return msgspec.structs.replace(state, more={**state.more, "grants": _grants(answer)})

    def content(self, bucket: str, state: State) -> Iterator[bytes]:
        """The content in pieces."""
        return stream(self._store, self._pace, bucket, state.entry)

    def older(self, bucket: str, state: State) -> list[State]:
        """The versions before the current one, the oldest first."""
        if not state.version:
            return []
        found: list[State] = []
        for page in self._store.pages(Scope(bucket, state.key), Position(), versions=True):
            mine = [entry for entry in page.entries if entry.key == state.key]
            found += [_light(entry, state.title) for entry in mine if not entry.current and not entry.deleted]
            if len(mine) < len(page.entries):
                break
        return found[::-1]

    def save(self, bucket: str, state: State, to: tuple[str, str]) -> None:
        """Copy a state into the quarantine, encrypted as it is, shared with nobody."""
        self._copy((bucket, state), to, {**state.more["encryption"]}, state)

    def stub(self, bucket: str, state: State, text: bytes, mark: str) -> None:
        """Put a text in the place of the current object."""
        asks = {
            "Bucket": bucket,
            "Key": state.key,
            "Body": text,
            "ContentType": "text/plain; charset=utf-8",
            "Metadata": {MARK: mark},
            "IfMatch": state.tag,
            **self._payer,
        }
        self._call(lambda s3: s3.put_object(**asks), state.title, "s3:PutObject")

    def remove(self, bucket: str, state: State) -> None:
        """Delete the current object."""
        asks = {"Bucket": bucket, "Key": state.key, "IfMatch": state.tag, **self._payer}
        self._call(lambda s3: s3.delete_object(**asks), state.title, "s3:DeleteObject")

    def erase(self, bucket: str, state: State) -> None:
        """Delete a version for good."""
        asks = {"Bucket": bucket, "Key": state.key, "VersionId": state.version, **self._payer}
        self._call(lambda s3: s3.delete_object(**asks), state.title, "s3:DeleteObjectVersion")

    def put_back(self, copy: tuple[str, State], bucket: str, over: State | None, original: State) -> None:
        """Copy out of the quarantine, with the storage class, the encryption and the grants that it had."""
        more: dict[str, Any] = {**original.more["encryption"], **original.more["grants"]}
        if original.more["class"]:
            more["StorageClass"] = original.more["class"]
        more |= {"IfMatch": over.tag} if over is not None else {"IfNoneMatch": "*"}
        # The original's settings, the copy's content.
        self._copy(copy, (bucket, original.key), more, original)

    def keep(self, bucket: str, state: State) -> None:
        """S3 keeps older versions by itself."""

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object of ours."""
        asks = {"Bucket": bucket, "Key": key, "Body": data, "ContentType": "application/json", **self._payer}
        self._call(lambda s3: s3.put_object(**asks), self.place(bucket, key), "s3:PutObject")

    def fetch(self, bucket: str, key: str) -> bytes | None:
        """Read a small object of ours."""

        def get(s3: Any) -> bytes:
            with s3.get_object(Bucket=bucket, Key=key, **self._payer)["Body"] as body:
                return bytes(body.read())

        try:
            return self._call(get, self.place(bucket, key), "s3:GetObject (and s3:ListBucket)")
        except GoneError:
            return None

    def names(self, bucket: str, prefix: str) -> list[str]:
        """The keys of objects of ours that begin so."""
        pages = self._store.pages(Scope(bucket, prefix), Position(), versions=False)
        return [entry.key for page in pages for entry in page.entries]

    def drop(self, bucket: str, key: str) -> None:
        """Delete an object of ours. In a quarantine that keeps versions, its versions go as well."""
        state = self.look(bucket, key)
        if state is None:
            return
        for one in [state, *self.older(bucket, state)]:
            if one.version:
                self.erase(bucket, one)
            else:
                self.remove(bucket, one)

    def public(self, bucket: str) -> bool:
        """Whether everybody can read what is in a bucket."""
        return self._store.exposure(bucket, Entry(key="", modified=0.0)).audience == "public"

    def close(self) -> None:
        """Let go of connections."""
        self._store.close()

    # -- copying ------------------------------------------------------------------------------------------------------

    def _copy(self, source: tuple[str, State], to: tuple[str, str], more: Mapping[str, Any], like: State) -> None:
        bucket, state = source
        named = {"Bucket": bucket, "Key": state.key} | ({"VersionId": state.version} if state.version else {})
        if state.size > self._largest:
            self._copy_in_parts(source, named, to, more, like)
            return
        asks = {
            "Bucket": to[0],
            "Key": to[1],
            "CopySource": named,
            "CopySourceIfMatch": state.tag,
            "MetadataDirective": "COPY",
            "TaggingDirective": "COPY",
            "ChecksumAlgorithm": "SHA256",
            **more,
            **self._payer,
        }
        self._call(lambda s3: s3.copy_object(**asks), like.title, _COPYING)

    def _copy_in_parts(
        self,
        source: tuple[str, State],
        named: Mapping[str, str],
        to: tuple[str, str],
        more: Mapping[str, Any],
        like: State,
    ) -> None:
        """More than one call can copy. What an earlier try has left of it is dropped first."""
        state = source[1]
        target = {"Bucket": to[0], "Key": to[1], **self._payer}
        conditions = {name: more[name] for name in ("IfMatch", "IfNoneMatch") if name in more}
        if not conditions:  # into the quarantine, where every upload is ours; elsewhere one may be somebody's
            self._abort_uploads(to, like.title)
        tags = self._call(
            lambda s3: s3.get_object_tagging(**named, **self._payer), like.title, "s3:GetObjectTagging"
        ).get("TagSet")
        settings = {**state.more["headers"], "Metadata": state.more["metadata"], "ChecksumAlgorithm": "SHA256"}
        settings |= {"Tagging": urlencode({one["Key"]: one["Value"] for one in tags})} if tags else {}
        settings |= {name: value for name, value in more.items() if name not in conditions}
        upload = self._call(lambda s3: s3.create_multipart_upload(**target, **settings), like.title, _COPYING)[
            "UploadId"
        ]
        size = max(self._part, -(-state.size // _MOST_PARTS))

        def part(number: int) -> dict[str, Any]:
            start = (number - 1) * size
            span = f"bytes={start}-{min(start + size, state.size) - 1}"
            asks = {**target, "UploadId": upload, "PartNumber": number, "CopySource": named, "CopySourceRange": span}
            asks |= {"CopySourceIfMatch": state.tag}
            found = self._call(lambda s3: s3.upload_part_copy(**asks), like.title, _COPYING)["CopyPartResult"]
            sums = {name: value for name, value in found.items() if name == "ChecksumSHA256"}
            return {"PartNumber": number, "ETag": found["ETag"], **sums}

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                parts = list(pool.map(part, range(1, -(-state.size // size) + 1)))
            asks = {**target, "UploadId": upload, "MultipartUpload": {"Parts": parts}, **conditions}
            self._call(lambda s3: s3.complete_multipart_upload(**asks), like.title, _COPYING)
        except (ChangedError, GoneError, AccessError, InputError):
            asks = {**target, "UploadId": upload}
            self._call(partial(_abort, asks), like.title, "s3:AbortMultipartUpload")
            raise

    def _abort_uploads(self, to: tuple[str, str], title: str) -> None:
        found = self._call(
            lambda s3: s3.list_multipart_uploads(Bucket=to[0], Prefix=to[1], **self._payer),
            title,
            "s3:ListBucketMultipartUploads",
        )
        for one in found.get("Uploads") or ():
            if one["Key"] == to[1]:
                asks = {"Bucket": to[0], "Key": to[1], "UploadId": one["UploadId"], **self._payer}
                self._call(partial(_abort, asks), title, "s3:AbortMultipartUpload")

    def _is_current(self, bucket: str, key: str, version: str, title: str) -> bool:
        try:
            asks = {"Bucket": bucket, "Key": key, **self._payer}
            now = self._call(lambda s3: s3.head_object(**asks), title, "s3:GetObject")
        except GoneError:
            return False
        return str(now.get("VersionId") or "") == version

    def _call(self, operation: Callable[[Any], T], title: str, permission: str) -> T:
        return self._store.call(operation, title, permission, fault=_told)


_COPYING = "s3:GetObject, s3:GetObjectTagging, s3:PutObject, s3:PutObjectTagging (and s3:PutObjectAcl)"


def _abort(asks: dict[str, Any], s3: Any) -> None:
    s3.abort_multipart_upload(**asks)


def _state(answer: Mapping[str, Any], key: str, current: bool, title: str) -> State:
    metadata = dict(answer.get("Metadata") or {})
    encryption = {
        name: answer[field]
        for name, field in (
            ("ServerSideEncryption", "ServerSideEncryption"),
            ("SSEKMSKeyId", "SSEKMSKeyId"),
            ("BucketKeyEnabled", "BucketKeyEnabled"),
        )
        if answer.get(field)
    }
    modified = answer.get("LastModified")
    return State(
        key=key,
        size=int(answer.get("ContentLength") or 0),
        tag=str(answer.get("ETag") or ""),
        modified=modified.timestamp() if isinstance(modified, datetime) else 0.0,
        version=str(answer.get("VersionId") or ""),
        current=current,
        mark=str(metadata.get(MARK) or ""),
        locked=_locked(answer),
        archived=str(answer.get("StorageClass") or "") if answer.get("StorageClass") in _ARCHIVED else "",
        digests=_digests(answer),
        more={
            "encryption": encryption,
            "class": str(answer.get("StorageClass") or ""),
            "headers": {name: answer[name] for name in _HEADERS if answer.get(name)},
            "metadata": metadata,
            "grants": {},
        },
        title=title,
    )


_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


def _digests(answer: Mapping[str, Any]) -> dict[str, str]:
    """The ETag is a sum over the content unless a key of KMS encrypts it; one of an upload in parts depends on these.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    found: dict[str, str] = {}
    if not str(answer.get("ServerSideEncryption") or "").startswith("aws:kms"):
        found["md5"] = str(answer.get("ETag") or "").strip('"')
    if answer.get("ChecksumSHA256"):
        found["sha256"] = str(answer["ChecksumSHA256"])
    return {
        f"{kind}-{value.rpartition('-')[2]}" if "-" in value else kind: value for kind, value in found.items() if value
    }


def _locked(answer: Mapping[str, Any]) -> str:
    until = answer.get("ObjectLockRetainUntilDate")
    if answer.get("ObjectLockLegalHoldStatus") == "ON":
        return f"it is under a legal hold: {_UNLOCK}"
    if isinstance(until, datetime) and until > datetime.now(UTC):
        return f"an object lock keeps it until {until:%Y-%m-%d}: {_UNLOCK}"
    return ""


def _grants(answer: Mapping[str, Any]) -> dict[str, str]:
    owner = (answer.get("Owner") or {}).get("ID")
    found: dict[str, list[str]] = {}
    others = False
    for grant in answer.get("Grants") or ():
        grantee, header = grant.get("Grantee") or {}, _GRANTS.get(str(grant.get("Permission")))
        who = f'uri="{grantee["URI"]}"' if grantee.get("URI") else f'id="{grantee.get("ID", "")}"'
        others = others or grantee.get("ID") != owner
        if header:
            found.setdefault(header, []).append(who)
    return {header: ", ".join(who) for header, who in found.items()} if others else {}


def _light(entry: Entry, title: str) -> State:
    return State(
        key=entry.key,
        size=entry.size,
        tag=entry.tag,
        modified=entry.modified,
        version=entry.version,
        current=False,
        title=title,
    )


def _told(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about one object that failed.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    code = code_of(error)
    if code in ("PreconditionFailed", "412"):
        return ChangedError("it is not any more what was looked at", place=place)
    if code in ("NoSuchKey", "NoSuchVersion", "404", "405", "MethodNotAllowed", "NoSuchUpload"):
        return GoneError("it is not there any more", place=place)
    if code == "ConditionalRequestConflict":
        return Refused("something else is written there at the same time")
    answer: dict[str, Any] = getattr(error, "response", None) or {}
    words = str(answer.get("Error", {}).get("Message", ""))
    if code in ("AccessDenied", "InvalidRequest") and ("lock" in words.lower() or "WORM" in words):
        return InputError(f"an object lock keeps it: {_UNLOCK}", place=place)
    if code == "InvalidObjectState":
        return InputError("it is archived: restore it first", place=place)
    if code in ("InvalidRequest", "400") and "ncryption" in words:
        return InputError("it is encrypted with a key that its owner keeps (SSE-C)", place=place)
    return told(error, place, permission)
