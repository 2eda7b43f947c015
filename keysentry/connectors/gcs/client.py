"""Google Cloud Storage through its SDK: the one place that imports it.

The SDK's own retries are off (`retry=None`): `Pace` alone decides when a call is made again. Credentials are looked for
when the first call is made, and anew after they turned out not to work.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import google.auth
import google.auth.credentials
import google.auth.exceptions
import google.auth.transport.requests
import google.oauth2.credentials
import google.oauth2.service_account
from google.cloud import storage

from keysentry.connectors.gcs import Options
from keysentry.connectors.gcs.exposure import Exposures
from keysentry.connectors.gcs.faults import SDK_ERRORS, told, told_of_object
from keysentry.connectors.objects.calling import Caller, Fault
from keysentry.connectors.objects.content import PIECE
from keysentry.connectors.objects.source import ObjectSource
from keysentry.connectors.objects.store import PAGE, CredentialsError, Entry, Level, Page, Position, Scope
from keysentry.connectors.pace import Pace
from keysentry.errors import AccessError
from keysentry.model.location import Exposure

T = TypeVar("T")

_auth: Any = google.auth
_oauth: Any = google.oauth2
"""Parts of these have types and parts have none."""

TIMEOUT = (10, 60)
"""Seconds to connect, and between two bytes."""
SCOPES = ("https://www.googleapis.com/auth/devstorage.full_control",)
"""What a token is for, at most. Reading who has access takes this scope; what may really be done is up to the roles.
https://cloud.google.com/storage/docs/oauth-scopes"""
_LEVEL_PAGES = 10


def connect(options: Options) -> ObjectSource:
    """A source with these options. Nothing is asked of the network yet."""
    pace = Pace(f"Google Cloud Storage ({options.name})")
    return ObjectSource(options, options.buckets, GcsStore(options, pace), pace)


class Connection:
    """The SDK's client, made when it is needed, and the clock of the other side."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._client: Any = None
        self._told = threading.local()

    @property
    def date(self) -> float:
        """The Date of the last answer in this thread (UTC seconds); where there was none, our own clock."""
        at: float = getattr(self._told, "at", 0.0)
        return at or time.time()

    def client(self) -> Any:
        """The client. Raises what the SDK raises for credentials that are not there."""
        with self._lock:
            if self._client is None:
                self._client = self._new()
            return self._client

    def drop(self) -> None:
        """Let go of the client; the next call makes a new one, with credentials as they are then."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _new(self) -> Any:
        credentials, project = self._credentials()
        session = _auth.transport.requests.AuthorizedSession(credentials)
        session.hooks["response"].append(self._note)
        address = {"client_options": {"api_endpoint": self._options.base_url}} if self._options.base_url else {}
        client: Any = storage.Client(
            project=self._options.project or project, credentials=credentials, _http=session, **address
        )
        # Newer ones ask for each bucket in a thread of their own, and again and again if that is refused, to tell
        # traces where it is.
        client._bucket_metadata_cache = None
        return client

    def _credentials(self) -> tuple[Any, str | None]:
        if self._options.anonymous:
            return _auth.credentials.AnonymousCredentials(), None
        if not self._options.credentials:
            found, project = _auth.default(scopes=SCOPES)
            return found, project
        path = Path(self._options.credentials)
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            kind, project = facts.get("type"), facts.get("project_id")
            if kind == "service_account":
                return _oauth.service_account.Credentials.from_service_account_info(facts, scopes=SCOPES), project
            if kind == "authorized_user":
                return _oauth.credentials.Credentials.from_authorized_user_info(facts, scopes=SCOPES), project
        except (OSError, ValueError, AttributeError) as error:
            raise _auth.exceptions.DefaultCredentialsError(f"{path} cannot be used ({type(error).__name__})") from None
        advice = "name a file of another kind in GOOGLE_APPLICATION_CREDENTIALS instead"
        raise _auth.exceptions.DefaultCredentialsError(f"{path} is no key of a service account or of a user; {advice}")

    def _note(self, response: Any, *_: object, **__: object) -> None:
        try:
            self._told.at = parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError):
            self._told.at = 0.0


class _Listed(NamedTuple):
    """One page as the SDK gives it."""

    blobs: list[Any]
    prefixes: list[str]
    token: str | None
    at: float


class GcsStore:
    """Google Cloud Storage as an `ObjectStore`."""

    scheme = "gs"
    permissions = ("storage.objects.list", "storage.objects.get")

    def __init__(self, options: Options, pace: Pace) -> None:
        self._options = options
        self._connection = Connection(options)
        self._calls: Caller[Any] = Caller(pace, self._connection, SDK_ERRORS)
        self._exposures = Exposures(self.call, self._bucket)
        self._without_grants: set[str] = set()

    def call(self, operation: Callable[[Any], T], place: str, permission: str, *, fault: Fault = told) -> T:
        """Make a call of the SDK, as often as it is refused. Its exceptions become ours by `fault`."""
        return self._calls.call(operation, place, permission, fault)

    def place(self, bucket: str, key: str = "") -> str:
        """`gs://bucket/key`."""
        return f"gs://{bucket}/{key}"

    def link(self, bucket: str, entry: Entry) -> str:
        """The address that asks a person to log in and gives the object, or the one at another endpoint.

        https://cloud.google.com/storage/docs/request-endpoints#cookieauth
        """
        address = self._options.base_url.rstrip("/") or "https://storage.cloud.google.com"
        version = f"?generation={entry.version}" if not entry.current and entry.version else ""
        return f"{address}/{bucket}/{quote(entry.key)}{version}"

    def buckets(self) -> Iterator[str]:
        """All buckets of the project."""
        if not self._options.project and self.call(lambda client: client.project, "gs://", "") is None:
            raise AccessError("which project?", place="gs://", advice="set project, or name buckets")
        token: str | None = None
        while True:
            names, token = self.call(partial(_buckets, token), "gs://", "storage.buckets.list")
            yield from names
            if not token:
                return

    def level(self, bucket: str, prefix: str, versions: bool, most: int) -> Level:
        """Prefixes and keys directly under a prefix, from a few pages of a listing."""
        prefixes: list[str] = []
        keys = False
        for number, listed in enumerate(self._listed(Scope(bucket, prefix, top=True), "", versions), 1):
            prefixes += listed.prefixes
            keys = keys or bool(listed.blobs)
            if len(prefixes) > most or (number == _LEVEL_PAGES and listed.token):
                return Level([], keys, complete=False)
        return Level(prefixes, keys, complete=True)

    def pages(self, scope: Scope, after: Position, versions: bool) -> Iterator[Page]:
        """The listing of a scope, from behind a position.

        Versions come the oldest first, each with the time since when it is not the live one. A key whose newest one is
        not live was deleted then: an entry of its own says so, as the last one of the key.
        https://cloud.google.com/storage/docs/json_api/v1/objects/list
        """
        last: Entry | None = None
        at = 0.0
        for listed in self._listed(scope, after.key, versions):
            entries: list[Entry] = []
            at = listed.at
            for blob in listed.blobs:
                entry = _entry(blob, versions)
                entries += _deletion(last, entry.key)
                entries.append(entry)
                last = entry
            yield Page([entry for entry in entries if not _passed(entry, after)], at)
        yield Page([entry for entry in _deletion(last, None) if not _passed(entry, after)], at)

    def unfinished(self, scope: Scope) -> tuple[tuple[str, int], ...]:
        """An object's time is that at which it is complete, so there is nothing to remember."""
        return ()

    def read(self, bucket: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """A range of the content, as it is stored. What came before a connection broke is given all the same."""
        sink = io.BytesIO()
        broken: Exception | None = None
        try:
            self._download(bucket, entry, start, end, sink)
        except SDK_ERRORS as error:
            broken = self._calls.fault(told_of_object, error, self.place(bucket, entry.key), self.permissions[1])
        data = sink.getbuffer()
        for offset in range(0, min(len(data), end - start), PIECE):
            yield bytes(data[offset : min(offset + PIECE, end - start)])
        if broken is not None:
            raise broken

    def exposure(self, bucket: str, entry: Entry) -> Exposure:
        """From the prevention of public access, the bucket's policy, and the object's own grants where they count."""
        return self._exposures.of(bucket, entry)

    def close(self) -> None:
        """Let go of connections."""
        self._connection.drop()

    def _download(self, bucket: str, entry: Entry, start: int, end: int, sink: io.BytesIO) -> None:
        client = self._connection.client()
        older = not entry.current
        blob = self._bucket(client, bucket).blob(entry.key, generation=int(entry.tag) if older and entry.tag else None)
        blob.download_to_file(
            sink,
            start=start,
            end=end - 1,
            raw_download=True,
            if_generation_match=int(entry.tag) if entry.tag and not older else None,
            checksum=None,
            retry=None,
            timeout=TIMEOUT,
        )

    def _listed(self, scope: Scope, start: str, versions: bool) -> Iterator[_Listed]:
        token: str | None = None
        while True:
            listed = self._page(scope, start, versions, token)
            yield listed
            token = listed.token
            if not token:
                return

    def _page(self, scope: Scope, start: str, versions: bool, token: str | None) -> _Listed:
        """One page, with owners where these may be known."""
        place, permission = self.place(scope.bucket), self.permissions[0]
        if scope.bucket not in self._without_grants:
            try:
                return self.call(partial(self._ask, scope, start, versions, token, "full"), place, permission)
            except CredentialsError:
                raise
            except AccessError:
                self._without_grants.add(scope.bucket)
        return self.call(partial(self._ask, scope, start, versions, token, "noAcl"), place, permission)

    def _ask(
        self, scope: Scope, start: str, versions: bool, token: str | None, projection: str, client: Any
    ) -> _Listed:
        found = client.list_blobs(
            self._bucket(client, scope.bucket),
            prefix=scope.prefix or None,
            delimiter="/" if scope.top else None,
            start_offset=start or None,
            versions=versions or None,
            projection=projection,
            page_size=PAGE,
            page_token=token,
            timeout=TIMEOUT,
            retry=None,
        )
        blobs = list(next(found.pages, ()))
        return _Listed(blobs, sorted(found.prefixes), found.next_page_token, self._connection.date)

    def _bucket(self, client: Any, name: str) -> Any:
        return client.bucket(name, user_project=self._options.user_project or None)


def _buckets(token: str | None, client: Any) -> tuple[list[str], str | None]:
    found = client.list_buckets(page_token=token, timeout=TIMEOUT, retry=None)
    return [str(bucket.name) for bucket in next(found.pages, ())], found.next_page_token


def _entry(blob: Any, versions: bool) -> Entry:
    """An object of a listing; any field may be missing."""
    generation = str(blob.generation or "")
    owner = str((blob.owner or {}).get("entity") or "")
    return Entry(
        key=str(blob.name),
        modified=_time(blob.time_created),
        size=int(blob.size or 0),
        tag=generation,
        version=generation if versions else "",
        current=blob.time_deleted is None,
        hidden=_time(blob.time_deleted) or None,
        author=owner.removeprefix("user-"),
        author_id=str((blob.owner or {}).get("entityId") or owner),
    )


def _deletion(last: Entry | None, following: str | None) -> list[Entry]:
    """What is to be said between two entries: that there is nothing under the first one's key any more."""
    if last is None or last.current or last.key == following:
        return []
    return [Entry(key=last.key, modified=last.hidden or last.modified, deleted=True)]


def _passed(entry: Entry, after: Position) -> bool:
    """Whether an entry is one of those up to the position. The listing begins with the position's own key."""
    if entry.key != after.key:
        return False
    return not after.version or bool(entry.version and int(entry.version) <= int(after.version))


def _time(value: Any) -> float:
    return float(value.timestamp()) if value is not None else 0.0
