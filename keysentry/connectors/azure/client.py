"""Azure Blob Storage through its SDK: the one place that imports it.

The SDK's own retries are off, but for one: where a connection breaks in the middle of a range, it asks for that range
again, at most twice. Everything else `Pace` decides. Credentials are looked for when the first call is made, and anew
after they turned out not to work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobClient, BlobPrefix, BlobProperties, BlobServiceClient

from keysentry.connectors.azure import Options
from keysentry.connectors.azure.exposure import Exposures
from keysentry.connectors.azure.faults import SDK_ERRORS, code_of, told, told_of_object
from keysentry.connectors.objects.calling import Caller, Fault
from keysentry.connectors.objects.content import PIECE, RANGE
from keysentry.connectors.objects.source import ObjectSource
from keysentry.connectors.objects.store import PAGE, Entry, Level, Page, Position, Scope
from keysentry.connectors.pace import Pace
from keysentry.errors import SourceError
from keysentry.model.location import Exposure

T = TypeVar("T")

_SETTINGS: dict[str, Any] = {
    "retry_total": 0,
    "connection_timeout": 10,
    "read_timeout": 60,
    "max_single_get_size": RANGE,
    "max_chunk_get_size": RANGE,
    "user_agent": "keysentry",
}
_LEVEL_PAGES = 10
_MOST_WAITING = 5 * PAGE
"""A blob with more versions than this does not wait to be complete."""


def connect(options: Options) -> ObjectSource:
    """A source with these options. Nothing is asked of the network yet."""
    pace = Pace(f"Azure Blob Storage ({options.name})")
    return ObjectSource(options, options.containers, AzureStore(options, pace), pace)


class Connection:
    """The SDK's client, made when it is needed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._client: BlobServiceClient | None = None
        self._identity: DefaultAzureCredential | None = None

    @property
    def address(self) -> str:
        """Where the account is, without a slash at the end."""
        if self._options.base_url:
            return self._options.base_url.rstrip("/")
        if self._options.connection_string and not self._options.account:
            return self.client().url.partition("?")[0].rstrip("/")
        return f"https://{self._options.account}.blob.core.windows.net"

    def client(self) -> BlobServiceClient:
        """The client. Raises what the SDK raises for credentials that are none."""
        with self._lock:
            if self._client is None:
                self._client = self._new()
            return self._client

    def anonymous(self, bucket: str, key: str) -> BlobClient:
        """A client for one blob that shows no credentials."""
        return BlobClient(self.address, bucket, key, **_SETTINGS)

    def drop(self) -> None:
        """Let go of the client; the next call makes a new one, with credentials as they are then."""
        with self._lock:
            client, self._client = self._client, None
            identity, self._identity = self._identity, None
        if client is not None:
            client.close()
        if identity is not None:
            identity.close()

    def _new(self) -> BlobServiceClient:
        options = self._options
        if options.connection_string:
            return BlobServiceClient.from_connection_string(options.connection_string.reveal(), **_SETTINGS)
        credential: Any
        if options.account_key:
            account = options.account or self.address.rpartition("/")[2].partition(".")[0]
            credential = AzureNamedKeyCredential(account, options.account_key.reveal())
        elif options.sas_token:
            credential = AzureSasCredential(options.sas_token.reveal().lstrip("?"))
        else:
            credential = self._identity = DefaultAzureCredential()
        return BlobServiceClient(self.address, credential=credential, **_SETTINGS)


class _Listed(NamedTuple):
    """One page as the SDK gives it."""

    blobs: list[BlobProperties]
    prefixes: list[str]
    token: str | None
    at: float


class AzureStore:
    """Azure Blob Storage as an `ObjectStore`."""

    scheme = "az"
    permissions = (
        "Storage Blob Data Reader (with a shared access signature: list)",
        "Storage Blob Data Reader (with a shared access signature: read)",
    )

    def __init__(self, options: Options, pace: Pace) -> None:
        self._options = options
        self._connection = Connection(options)
        self._calls: Caller[BlobServiceClient] = Caller(pace, self._connection, SDK_ERRORS)
        self._exposures = Exposures(self.call, self._connection.anonymous)
        self._with_deleted = not options.versions

    def call(
        self, operation: Callable[[BlobServiceClient], T], place: str, permission: str, *, fault: Fault = told
    ) -> T:
        """Make a call of the SDK, as often as it is refused. Its exceptions become ours by `fault`."""
        return self._calls.call(operation, place, permission, fault)

    def place(self, bucket: str, key: str = "") -> str:
        """`az://account/container/blob`."""
        account = self._options.account or self._connection.address.rpartition("/")[2].partition(".")[0]
        return f"az://{account}/{bucket}/{key}"

    def link(self, bucket: str, entry: Entry) -> str:
        """The blob's own address."""
        version = f"?{entry.version}" if not entry.current and entry.version else ""
        return f"{self._connection.address}/{bucket}/{quote(entry.key)}{version}"

    def buckets(self) -> Iterator[str]:
        """All containers of the account."""
        token: str | None = None
        while True:
            names, token = self.call(partial(_containers, token), self.place(""), self.permissions[0])
            yield from names
            if not token:
                return

    def level(self, bucket: str, prefix: str, versions: bool, most: int) -> Level:
        """Prefixes and names directly under a prefix, from a few pages of a listing.

        Snapshots cannot be listed by steps of names, so with versions a container is one unit.
        """
        prefixes: list[str] = []
        if versions:
            return Level([], keys=True, complete=False)
        keys = False
        for number, listed in enumerate(self._listed(Scope(bucket, prefix, top=True), "", versions), 1):
            prefixes += listed.prefixes
            keys = keys or bool(listed.blobs)
            if len(prefixes) > most or (number == _LEVEL_PAGES and listed.token):
                return Level([], keys, complete=False)
        return Level(prefixes, keys, complete=True)

    def pages(self, scope: Scope, after: Position, versions: bool) -> Iterator[Page]:
        """The listing of a scope, from behind a position.

        Snapshots and versions of a blob come the oldest first, and the blob itself last. Since when a version is not
        the current one is told by the version after it, so the last blob of a page waits for the next page.
        https://learn.microsoft.com/rest/api/storageservices/list-blobs
        """
        behind = _Behind(after)
        waiting: list[Entry] = []
        for listed in self._listed(scope, after.key, versions):
            found = (_entry(blob, versions) for blob in listed.blobs)
            entries = [*waiting, *(entry for entry in found if entry is not None)]
            waiting = []
            if listed.token and len(entries) < _MOST_WAITING:
                last = entries[-1].key if entries else ""
                waiting = [entry for entry in entries if entry.key == last]
                entries = [entry for entry in entries if entry.key != last]
            in_order = chain.from_iterable(_in_order(list(run)) for _, run in groupby(entries, lambda one: one.key))
            yield Page([entry for entry in in_order if behind(entry)], listed.at)

    def unfinished(self, scope: Scope) -> tuple[tuple[str, int], ...]:
        """A blob's time is that at which it is complete, so there is nothing to remember."""
        return ()

    def read(self, bucket: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """A range of the content, as it is stored."""
        try:
            data = self._download(bucket, entry, start, end)
        except SDK_ERRORS as error:
            place = self.place(bucket, entry.key)
            raise self._calls.fault(told_of_object, error, place, self.permissions[1]) from error
        for offset in range(0, len(data), PIECE):
            yield data[offset : offset + PIECE]

    def exposure(self, bucket: str, entry: Entry) -> Exposure:
        """From the container's public access, and whether the account allows it."""
        return self._exposures.of(bucket, entry)

    def close(self) -> None:
        """Let go of connections."""
        self._connection.drop()

    def _download(self, bucket: str, entry: Entry, start: int, end: int) -> bytes:
        kind, _, when = "" if entry.current else entry.version, "", ""
        kind, _, when = kind.partition("=")
        blob = self._connection.client().get_blob_client(
            bucket, entry.key, snapshot=when if kind == "snapshot" else None
        )
        condition: dict[str, Any] = {"version_id": when} if kind == "versionid" else {}
        if entry.tag and not kind:
            condition = {"etag": entry.tag, "match_condition": MatchConditions.IfNotModified}
        found = blob.download_blob(offset=start, length=end - start, max_concurrency=1, decompress=False, **condition)
        return bytes(found.readall())

    def _listed(self, scope: Scope, start: str, versions: bool) -> Iterator[_Listed]:
        token: str | None = None
        while True:
            listed = self._page(scope, start, versions, token)
            yield listed
            token = listed.token
            if not token:
                return

    def _page(self, scope: Scope, start: str, versions: bool, token: str | None) -> _Listed:
        """One page, with what was deleted where the account tells of it."""
        place, permission = self.place(scope.bucket), self.permissions[0]
        if self._with_deleted and not versions:
            try:
                return self.call(partial(self._ask, scope, start, ["deleted"], token), place, permission)
            except _NotOffered:
                self._with_deleted = False
        include = ["snapshots", "versions"] if versions else []
        return self.call(partial(self._ask, scope, start, include, token), place, permission)

    def _ask(
        self, scope: Scope, start: str, include: list[str], token: str | None, client: BlobServiceClient
    ) -> _Listed:
        dates: list[float] = []
        container = client.get_container_client(scope.bucket)
        ask = container.walk_blobs if scope.top else container.list_blobs
        asks: dict[str, Any] = {"start_from": start} if start else {}
        try:
            pages: Any = ask(
                name_starts_with=scope.prefix or None,
                include=include or None,
                results_per_page=PAGE,
                raw_response_hook=lambda answer: dates.append(_date(answer.http_response.headers)),
                **asks,
            ).by_page(continuation_token=token)
            items = list(next(pages, ()))
        except SDK_ERRORS as error:
            if "deleted" in include and code_of(error) in ("FeatureNotSupported", "InvalidQueryParameterValue"):
                raise _NotOffered from error
            raise
        prefixes = [item.name for item in items if isinstance(item, BlobPrefix)]
        blobs = [item for item in items if not isinstance(item, BlobPrefix)]
        return _Listed(blobs, prefixes, pages.continuation_token or None, dates[-1] if dates else time.time())


class _NotOffered(SourceError):
    """The account does not list what was deleted."""

    def __init__(self) -> None:
        super().__init__("what was deleted cannot be listed")


class _Behind:
    """Whether an entry is behind a position. The listing begins with the position's own key.

    Within a key the entries are passed up to the position's own; if that is gone, up to its time.
    """

    def __init__(self, after: Position) -> None:
        self._after = after
        self._when = after.version.partition("=")[2]
        self._met = False

    def __call__(self, entry: Entry) -> bool:
        if entry.key != self._after.key or self._met:
            return True
        if entry.version == self._after.version:
            self._met = True
            return False
        return bool(self._when) and (not entry.version or entry.version.partition("=")[2] > self._when)


def _containers(token: str | None, client: BlobServiceClient) -> tuple[list[str], str | None]:
    pages: Any = client.list_containers().by_page(continuation_token=token)
    return [str(one.name) for one in next(pages, ())], pages.continuation_token or None


def _entry(blob: BlobProperties, versions: bool) -> Entry | None:
    """An item of a listing; any field may be missing. None for what is only kept to be restored."""
    if blob.deleted:
        # A snapshot that is kept is the state before a blob was written over, not the end of the blob.
        gone = Entry(key=blob.name, modified=_time(blob.deleted_time), deleted=True)
        return None if blob.snapshot or blob.version_id else gone
    version = ""
    if blob.snapshot:
        version = f"snapshot={blob.snapshot}"
    elif blob.version_id and versions:
        version = f"versionid={blob.version_id}"
    return Entry(
        key=str(blob.name),
        modified=_time(blob.last_modified),
        size=int(blob.size or 0),
        tag=_quoted(str(blob.etag or "")),
        version=version,
        current=not blob.snapshot and (not version or bool(blob.is_current_version)),
        hidden=_stamp(str(blob.snapshot)) if blob.snapshot else None,
        archived="it is archived: rehydrate it, and have its prefix read anew" if blob.blob_tier == "Archive" else "",
    )


def _in_order(entries: list[Entry]) -> list[Entry]:
    """The states of one blob, the oldest first and the blob itself last, each older version with the time since when
    it is hidden: that of the version after it.
    """
    entries.sort(key=lambda one: (not one.version, one.version.partition("=")[2]))
    following: float | None = None
    for number in range(len(entries) - 1, -1, -1):
        entry = entries[number]
        if entry.hidden is None and not entry.current:
            entries[number] = msgspec.structs.replace(entry, hidden=following)
        if not entry.version.startswith("snapshot="):
            following = entry.modified
    return entries


def _quoted(tag: str) -> str:
    """A listing gives tags bare, a condition wants them in quotes."""
    return tag if not tag or tag.startswith(('"', "W/")) else f'"{tag}"'


def _time(value: datetime | None) -> float:
    return value.timestamp() if value is not None else 0.0


def _stamp(text: str) -> float | None:
    """The time that a snapshot is named by, with its seven digits of a second."""
    try:
        return datetime.fromisoformat(f"{text[:19]}+00:00").timestamp()
    except ValueError:
        return None


def _date(headers: Any) -> float:
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return time.time()
