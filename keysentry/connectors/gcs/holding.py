"""Google Cloud Storage as a `Holder`: rewrites, generations and conditions on them.

https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite,
https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.cloud.storage import Blob

from keysentry.connectors.gcs import Options
from keysentry.connectors.gcs.client import TIMEOUT, GcsStore
from keysentry.connectors.gcs.faults import told
from keysentry.connectors.gcs.quarantine import Options as HoldingOptions
from keysentry.connectors.objects.content import stream
from keysentry.connectors.objects.holding import MARK, State
from keysentry.connectors.objects.quarantine import ObjectQuarantine
from keysentry.connectors.objects.store import CredentialsError, Entry, Position, Scope
from keysentry.connectors.pace import Pace
from keysentry.errors import AccessError, ChangedError, GoneError, InputError

T = TypeVar("T")

_KEPT = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "metadata",
)
"""What describes a content, and goes with it everywhere."""
_UNLOCK = "release the hold on it, or let the retention end"


def connect(options: HoldingOptions, source: Options) -> ObjectQuarantine:
    """A quarantine with these options. Nothing is asked of the network yet."""
    reading = options.reading(source)
    pace = options.pace(f"Google Cloud Storage (quarantine of {options.source})")
    return ObjectQuarantine(options, GcsHolder(reading, GcsStore(reading, pace), pace), pace)


class GcsHolder:
    """One project's objects."""

    older_readers = "whoever has storage.objects.get and names its generation"

    def __init__(self, options: Options, store: GcsStore, pace: Pace) -> None:
        self._options = options
        self._store = store
        self._pace = pace

    def place(self, bucket: str, key: str = "") -> str:
        """`gs://bucket/key`."""
        return self._store.place(bucket, key)

    def look(self, bucket: str, key: str, version: str = "", title: str = "") -> State | None:
        """An object (a generation of it) as it is now, with its grants where these may be read."""
        title = title or self.place(bucket, key)

        def ask(client: Any, projection: str) -> Any:
            blob = self._blob(client, bucket, key, version)
            blob.reload(projection=projection, timeout=TIMEOUT, retry=None)
            return blob

        try:
            try:
                blob = self._call(lambda client: ask(client, "full"), title, "storage.objects.get")
            except CredentialsError:
                raise
            except AccessError:
                blob = self._call(lambda client: ask(client, "noAcl"), title, "storage.objects.get")
        except GoneError:
            return None
        return _state(blob, title)

    def described(self, bucket: str, state: State) -> State:
        """Everything is in the object's own description."""
        return state

    def content(self, bucket: str, state: State) -> Iterator[bytes]:
        """The content in pieces, as it is stored."""
        return stream(self._store, self._pace, bucket, state.entry)

    def older(self, bucket: str, state: State) -> list[State]:
        """The generations before the live one, the oldest first."""
        found: list[State] = []
        for page in self._store.pages(Scope(bucket, state.key), Position(), versions=True):
            mine = [entry for entry in page.entries if entry.key == state.key]
            found += [_light(entry, state.title) for entry in mine if not entry.current and not entry.deleted]
            if len(mine) < len(page.entries):
                break
        return found

    def save(self, bucket: str, state: State, to: tuple[str, str]) -> None:
        """Copy a state into the quarantine, with the grants that every new object there has."""
        self._rewrite((bucket, state), to, _properties(state), "0", state.title)

    def stub(self, bucket: str, state: State, text: bytes, mark: str) -> None:
        """Put a text in the place of the live object."""

        def upload(client: Any) -> None:
            blob = self._blob(client, bucket, state.key)
            blob.metadata = {MARK: mark}
            blob.upload_from_string(
                text,
                content_type="text/plain; charset=utf-8",
                if_generation_match=int(state.tag),
                timeout=TIMEOUT,
                retry=None,
            )

        self._call(upload, state.title, "storage.objects.create and storage.objects.delete")

    def remove(self, bucket: str, state: State) -> None:
        """Delete the live object; a bucket that keeps versions keeps it as one."""
        self._delete(bucket, state.key, "", int(state.tag), state.title)

    def erase(self, bucket: str, state: State) -> None:
        """Delete a generation for good."""
        self._delete(bucket, state.key, state.version, None, state.title)

    def put_back(self, copy: tuple[str, State], bucket: str, over: State | None, original: State) -> None:
        """Copy out of the quarantine, with storage class, key and grants that it had."""
        properties = _properties(original) | {
            name: original.more[name] for name in ("storageClass", "acl", "kmsKeyName") if original.more.get(name)
        }
        self._rewrite(copy, (bucket, original.key), properties, over.tag if over is not None else "0", original.title)

    def keep(self, bucket: str, state: State) -> None:
        """A bucket that keeps versions does so by itself."""

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object of ours."""

        def upload(client: Any) -> None:
            blob = self._blob(client, bucket, key)
            blob.upload_from_string(data, content_type="application/json", timeout=TIMEOUT, retry=None)

        self._call(upload, self.place(bucket, key), "storage.objects.create")

    def fetch(self, bucket: str, key: str) -> bytes | None:
        """Read a small object of ours."""

        def get(client: Any) -> bytes:
            return bytes(self._blob(client, bucket, key).download_as_bytes(timeout=TIMEOUT, retry=None, checksum=None))

        try:
            return self._call(get, self.place(bucket, key), "storage.objects.get")
        except GoneError:
            return None

    def names(self, bucket: str, prefix: str) -> list[str]:
        """The keys of objects of ours that begin so."""
        pages = self._store.pages(Scope(bucket, prefix), Position(), versions=False)
        return [entry.key for page in pages for entry in page.entries]

    def drop(self, bucket: str, key: str) -> None:
        """Delete an object of ours, its older generations as well."""
        state = self.look(bucket, key)
        if state is None:
            return
        for one in [state, *self.older(bucket, state)]:
            self.erase(bucket, one)

    def public(self, bucket: str) -> bool:
        """Whether everybody can read what is in a bucket."""
        return self._store.exposure(bucket, Entry(key="", modified=0.0)).audience == "public"

    def close(self) -> None:
        """Let go of connections."""
        self._store.close()

    def _rewrite(
        self, source: tuple[str, State], to: tuple[str, str], properties: dict[str, Any], over: str, title: str
    ) -> None:
        """Copy by as many calls as it takes; none of them sees a half of it in the target."""
        bucket, state = source
        token: str | None = None
        while True:

            def step(client: Any, token: str | None = token) -> str | None:
                blob = self._blob(client, *to)
                blob._properties.update(properties)
                found: str | None = blob.rewrite(
                    self._blob(client, bucket, state.key, state.tag),
                    token=token,
                    if_generation_match=int(over),
                    if_source_generation_match=int(state.tag),
                    timeout=TIMEOUT,
                    retry=None,
                )[0]
                return found

            token = self._call(step, title, "storage.objects.get, storage.objects.create and storage.objects.delete")
            if not token:
                return

    def _delete(self, bucket: str, key: str, version: str, condition: int | None, title: str) -> None:
        def ask(client: Any) -> None:
            self._blob(client, bucket, key, version).delete(if_generation_match=condition, timeout=TIMEOUT, retry=None)

        self._call(ask, title, "storage.objects.delete")

    def _blob(self, client: Any, bucket: str, key: str, version: str = "") -> Any:
        owner = client.bucket(bucket, user_project=self._options.user_project or None)
        return Blob(key, owner, generation=int(version) if version else None)

    def _call(self, operation: Callable[[Any], T], title: str, permission: str) -> T:
        return self._store.call(operation, title, permission, fault=_told)


def _state(blob: Any, title: str) -> State:
    found: dict[str, Any] = blob._properties
    metadata = found.get("metadata") or {}
    digests = {"md5": found.get("md5Hash"), "crc32c": found.get("crc32c")}
    more = {name: found[name] for name in (*_KEPT, "storageClass") if found.get(name)}
    if found.get("kmsKeyName"):
        more["kmsKeyName"] = str(found["kmsKeyName"]).partition("/cryptoKeyVersions/")[0]
    if found.get("acl"):
        more["acl"] = [{"entity": one["entity"], "role": one["role"]} for one in found["acl"]]
    generation = str(found.get("generation") or "")
    created = blob.time_created
    return State(
        key=str(blob.name),
        size=int(found.get("size") or 0),
        tag=generation,
        modified=created.timestamp() if created is not None else 0.0,
        version=generation,
        current=not found.get("timeDeleted"),
        mark=str(metadata.get(MARK) or ""),
        locked=_locked(blob),
        digests={kind: str(value) for kind, value in digests.items() if value},
        more=more,
        title=title,
    )


def _properties(state: State) -> dict[str, Any]:
    return {name: state.more[name] for name in _KEPT if name in state.more}


def _locked(blob: Any) -> str:
    """https://cloud.google.com/storage/docs/object-holds"""
    until = blob.retention_expiration_time
    if blob.temporary_hold or blob.event_based_hold:
        return f"a hold keeps it: {_UNLOCK}"
    if until is not None and until > datetime.now(UTC):
        return f"a retention keeps it until {until:%Y-%m-%d}: {_UNLOCK}"
    if blob._properties.get("customerEncryption"):
        return "it is encrypted with a key that its owner keeps"
    return ""


def _light(entry: Entry, title: str) -> State:
    return State(
        key=entry.key,
        size=entry.size,
        tag=entry.tag,
        modified=entry.modified,
        version=entry.tag,
        current=False,
        title=title,
    )


def _told(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about one object that failed."""
    code = int(getattr(error, "code", None) or 0)
    if code in (412, 304):
        return ChangedError("it is not any more what was looked at", place=place)
    if code == 404:
        return GoneError("it is not there any more", place=place)
    words = str(getattr(error, "message", "") or "").lower()
    if code == 403 and ("retention" in words or "hold" in words):
        return InputError(f"a hold or a retention keeps it: {_UNLOCK}", place=place)
    return told(error, place, permission)
