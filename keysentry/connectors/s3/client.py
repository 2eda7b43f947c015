"""S3 and SQS through boto3: the one place that imports it.

The SDK's own retries are off: `Pace` alone decides when a call is made again. Credentials are looked for when the first
call is made, and looked for anew after they turned out not to work, so that a new session token in a profile is found
without a restart.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError
from botocore.loaders import create_loader
from botocore.utils import parse_timestamp

from keysentry.connectors.objects.content import PIECE
from keysentry.connectors.objects.store import PAGE, CredentialsError, Entry, Level, Page, Position, Scope
from keysentry.connectors.pace import Pace
from keysentry.connectors.s3 import Options
from keysentry.connectors.s3.exposure import Exposures
from keysentry.connectors.s3.faults import SDK_ERRORS, told, told_of_object
from keysentry.connectors.s3.versions import newest_first
from keysentry.errors import ClosedError, GoneError, InputError, SourceError
from keysentry.model.location import Exposure

T = TypeVar("T")
_LEVEL_PAGES = 10
_LOADER = create_loader()
"""Reads the SDK's descriptions of services, once for all sessions."""
_ARCHIVES = {"GLACIER": "Glacier", "DEEP_ARCHIVE": "Glacier Deep Archive"}
"""Classes whose contents must be restored first; Glacier Instant Retrieval is not one of them.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html"""


class Clients:
    """The SDK's clients, made when they are needed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}

    def s3(self) -> Any:
        """For S3."""
        options = self._options
        style = {"addressing_style": "path"} if options.base_url else {}
        return self._client("s3", options.base_url, options.region, style)

    def sqs(self) -> Any:
        """For SQS, where the queue is: its URL tells the address and, at AWS, the region."""
        parts = urlsplit(self._options.queue)
        labels = (parts.hostname or "").split(".")
        region = labels[1] if labels[0] == "sqs" and len(labels) > 2 else self._options.region
        return self._client("sqs", f"{parts.scheme}://{parts.netloc}", region, {})

    def drop(self) -> None:
        """Let go of all clients; the next call makes new ones, with credentials as they are then."""
        with self._lock:
            made, self._made = self._made, {}
        for client in made.values():
            client.close()

    def _client(self, service: str, address: str, region: str, style: dict[str, str]) -> Any:
        with self._lock:
            if service not in self._made:
                config = Config(
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    connect_timeout=10,
                    read_timeout=60,
                    s3=style or None,
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    user_agent_extra="keysentry",
                )
                session = self._session()
                self._made[service] = session.client(
                    service,
                    endpoint_url=address or None,
                    region_name=region or session.region_name or "us-east-1",
                    config=config,
                )
            return self._made[service]

    def _session(self) -> Any:
        options = self._options
        inner = _new_session(options)
        session = boto3.Session(
            botocore_session=inner,
            aws_access_key_id=options.access_key_id.reveal() if options.access_key_id else None,
            aws_secret_access_key=options.secret_access_key.reveal() if options.secret_access_key else None,
            aws_session_token=options.session_token.reveal() if options.session_token else None,
            region_name=options.region or None,
        )
        return self._as_role(inner, session) if options.role_arn else session

    def _as_role(self, inner: Any, session: Any) -> Any:
        """A session that takes on the role, and takes it on again before its hour is over.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        """
        options = self._options
        host = urlsplit(options.base_url).hostname or ""
        sts = options.base_url if host and not host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else None
        region = options.region or session.region_name or "us-east-1"
        extra = {"RoleSessionName": "keysentry"} | ({"ExternalId": options.external_id} if options.external_id else {})
        own = session.get_credentials()
        if own is None:
            raise NoCredentialsError
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=partial(inner.create_client, endpoint_url=sts, region_name=region),
            source_credentials=own,
            role_arn=options.role_arn,
            extra_args=extra,
        )
        assumed = _new_session(options)
        assumed._credentials = DeferredRefreshableCredentials(
            method="assume-role", refresh_using=fetcher.fetch_credentials
        )
        return boto3.Session(botocore_session=assumed, region_name=region)


def _new_session(options: Options) -> Any:
    session = botocore.session.Session(profile=options.profile or None)
    session.register_component("data_loader", _LOADER)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return session


def _moment(value: Any) -> Any:
    """A time of an answer. Of a listing's work the SDK's own parser, which knows every format, is the larger half."""
    if isinstance(value, str) and value.endswith("Z"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value)
    return parse_timestamp(value)


class S3Store:
    """S3 as an `ObjectStore`."""

    scheme = "s3"
    permissions = ("s3:ListBucket", "s3:GetObject")

    def __init__(self, options: Options, pace: Pace) -> None:
        self._options = options
        self._pace = pace
        self._clients = Clients(options)
        self._regions: dict[str, str] = {}
        self._payer = {"RequestPayer": "requester"} if options.requester_pays else {}
        self._exposures = Exposures(self.call, self._payer)

    def call(
        self,
        operation: Callable[[Any], T],
        place: str,
        permission: str,
        *,
        fault: Callable[[BaseException, str, str], Exception] = told,
        service: str = "s3",
    ) -> T:
        """Make a call of the SDK, as often as it is refused. Its exceptions become ours by `fault`."""
        return self._pace.call(partial(self._once, operation, place, permission, fault, service))

    def place(self, bucket: str, key: str = "") -> str:
        """`s3://bucket/key`."""
        return f"s3://{bucket}/{key}"

    def link(self, bucket: str, entry: Entry) -> str:
        """The object's page in the console, or its address at a compatible store."""
        version = f"versionId={quote(entry.version, safe='')}" if not entry.current and entry.version else ""
        if self._options.base_url:
            address = f"{self._options.base_url.rstrip('/')}/{bucket}/{quote(entry.key)}"
            return f"{address}?{version}" if version else address
        region = self._regions.get(bucket, self._options.region) or "us-east-1"
        query = f"region={region}&prefix={quote(entry.key, safe='')}" + (f"&{version}" if version else "")
        return f"https://{_console(region)}/s3/object/{bucket}?{query}"

    def buckets(self) -> Iterator[str]:
        """All buckets of the account. Directory buckets are not among them."""
        asks: dict[str, str] = {}
        while True:
            answer = self.call(partial(_list_buckets, asks), "s3://", "s3:ListAllMyBuckets")
            yield from (str(bucket["Name"]) for bucket in answer.get("Buckets") or ())
            if not answer.get("ContinuationToken"):
                return
            asks = {"ContinuationToken": answer["ContinuationToken"]}

    def level(self, bucket: str, prefix: str, versions: bool, most: int) -> Level:
        """Prefixes and keys directly under a prefix, from a few pages of a listing."""
        prefixes: list[str] = []
        keys = False
        answers = self._answers(Scope(bucket, prefix, top=True), Position(), versions)
        for number, answer in enumerate(answers, 1):
            prefixes += [str(one["Prefix"]) for one in answer.get("CommonPrefixes") or ()]
            keys = keys or any(answer.get(name) for name in ("Contents", "Versions"))
            if len(prefixes) > most or (number == _LEVEL_PAGES and answer.get("IsTruncated")):
                return Level([], keys, complete=False)
        return Level(prefixes, keys, complete=True)

    def pages(self, scope: Scope, after: Position, versions: bool) -> Iterator[Page]:
        """The listing of a scope, from behind a position."""
        last = (after.key, float(after.modified))
        for answer in self._answers(scope, after, versions):
            headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            if region := headers.get("x-amz-bucket-region"):
                self._regions[scope.bucket] = region
            if versions:
                entries, last = newest_first(answer, _entry, last)
            else:
                entries = [_entry(item) for item in answer.get("Contents") or ()]
            yield Page(entries, _date(headers))

    def unfinished(self, scope: Scope) -> list[tuple[str, int]]:
        """Uploads in parts that are under way: such an object will carry the time at which its upload began.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html (Last-Modified). Without the permission
        (s3:ListBucketMultipartUploads), and at stores that do not list them, none are known.
        """
        try:
            answer = self.call(
                lambda s3: s3.list_multipart_uploads(
                    Bucket=scope.bucket, Prefix=scope.prefix, EncodingType="url", **self._payer
                ),
                self.place(scope.bucket),
                "s3:ListBucketMultipartUploads",
                fault=told_of_object,
            )
        except GoneError:
            return []  # the listing will say so
        except SourceError:
            raise
        except InputError:
            return []
        uploads = answer.get("Uploads") or ()
        return [(unquote(str(one["Key"])), int(_time(one.get("Initiated")))) for one in uploads]

    def stat(self, bucket: str, key: str) -> Entry | None:
        """The current state of a key, None if there is nothing.

        Listed rather than asked for by HEAD, whose answers carry no reason when they are refusals.
        """
        answer = self.call(
            lambda s3: s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1, **self._wanted()),
            self.place(bucket),
            "s3:ListBucket",
        )
        entries = [_entry(item) for item in answer.get("Contents") or ()]
        return entries[0] if entries and entries[0].key == key else None

    def read(self, bucket: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """A range of the content, as it is stored."""
        place = self.place(bucket, entry.key)
        fault = partial(self._fault, told_of_object)
        asks: dict[str, Any] = {"Bucket": bucket, "Key": entry.key, "Range": f"bytes={start}-{end - 1}", **self._payer}
        if entry.tag:
            asks["IfMatch"] = entry.tag
        if entry.version:
            asks["VersionId"] = entry.version
        permission = "s3:GetObjectVersion" if entry.version else "s3:GetObject"
        try:
            body = self._clients.s3().get_object(**asks)["Body"]
            try:
                while piece := body.read(PIECE):
                    yield piece
            finally:
                body.close()
        except SDK_ERRORS as error:
            raise fault(error, place, permission) from error

    def exposure(self, bucket: str, entry: Entry) -> Exposure:
        """From the block on public access, the bucket's policy, and lists of grants where they count."""
        return self._exposures.of(bucket, entry)

    def sqs(self, operation: Callable[[Any], T], place: str, permission: str) -> T:
        """Make a call of SQS."""
        return self.call(operation, place, permission, service="sqs")

    def close(self) -> None:
        """Let go of connections."""
        self._clients.drop()

    def _answers(self, scope: Scope, after: Position, versions: bool) -> Iterator[Mapping[str, Any]]:
        """The pages of a listing as the SDK gives them."""
        delimiter = {"Delimiter": "/"} if scope.top else {}
        method = "list_object_versions" if versions else "list_objects_v2"
        permission = "s3:ListBucketVersions" if versions else "s3:ListBucket"
        asks = _first(after, versions)
        while True:

            def ask(s3: Any, asks: dict[str, str] = asks) -> Any:
                wanted = {"Bucket": scope.bucket, "Prefix": scope.prefix, "MaxKeys": PAGE, **delimiter, **asks}
                return getattr(s3, method)(**wanted, **self._wanted(owner=not versions))

            answer = self.call(ask, self.place(scope.bucket), permission)
            yield answer
            if not answer.get("IsTruncated"):
                return
            asks = _next(answer, versions)

    def _wanted(self, *, owner: bool = True) -> dict[str, Any]:
        wanted: dict[str, Any] = {"OptionalObjectAttributes": ["RestoreStatus"], **self._payer}
        return wanted | {"FetchOwner": True} if owner else wanted

    def _once(
        self,
        operation: Callable[[Any], T],
        place: str,
        permission: str,
        fault: Callable[[BaseException, str, str], Exception],
        service: str,
    ) -> T:
        try:
            return operation(self._clients.s3() if service == "s3" else self._clients.sqs())
        except SDK_ERRORS as error:
            raise self._fault(fault, error, place, permission) from error

    def _fault(
        self,
        fault: Callable[[BaseException, str, str], Exception],
        error: BaseException,
        place: str,
        permission: str,
    ) -> Exception:
        if self._pace.closed:
            return ClosedError("closed while it waited", place=place)
        ours = fault(error, place, permission)
        if isinstance(ours, CredentialsError):
            self._clients.drop()
        return ours


def _list_buckets(asks: dict[str, str], s3: Any) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = s3.list_buckets(**asks)
    return answer


def _first(after: Position, versions: bool) -> dict[str, str]:
    if not after.key:
        return {}
    if not versions:
        return {"StartAfter": after.key}
    return {"KeyMarker": after.key} | ({"VersionIdMarker": after.version} if after.version else {})


def _next(answer: Mapping[str, Any], versions: bool) -> dict[str, str]:
    if not versions:
        return {"ContinuationToken": answer["NextContinuationToken"]}
    asks = {"KeyMarker": answer["NextKeyMarker"]}
    return asks | ({"VersionIdMarker": answer["NextVersionIdMarker"]} if answer.get("NextVersionIdMarker") else {})


def _entry(item: Mapping[str, Any]) -> Entry:
    """An item of a listing, of objects or of versions; any field may be missing."""
    owner = item.get("Owner") or {}
    return Entry(
        key=str(item["Key"]),
        modified=_time(item.get("LastModified")),
        size=int(item.get("Size") or 0),
        tag=str(item.get("ETag") or ""),
        version=str(item.get("VersionId") or ""),
        current=bool(item.get("IsLatest", True)),
        archived=_archived(item),
        author=str(owner.get("DisplayName") or ""),
        author_id=str(owner.get("ID") or ""),
    )


def _archived(item: Mapping[str, Any]) -> str:
    """Why the content cannot be had for now; empty if it can, also because a restored copy is there."""
    name = _ARCHIVES.get(str(item.get("StorageClass") or ""))
    restored = (item.get("RestoreStatus") or {}).get("RestoreExpiryDate")
    if name is None or (restored is not None and _time(restored) > time.time()):
        return ""
    return f"it is archived ({name}): restore it, and have its prefix read anew"


def _time(value: object) -> float:
    return value.timestamp() if isinstance(value, datetime) else 0.0


def _date(headers: Mapping[str, str]) -> float:
    """The store's clock; where it does not tell, ours."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()


def _console(region: str) -> str:
    if region.startswith("cn-"):
        return f"{region}.console.amazonaws.cn"
    if region.startswith("us-gov-"):
        return "console.amazonaws-us-gov.com"
    return f"{region}.console.aws.amazon.com"
