"""Azure Blob Storage as a `Holder`: copies within the account, ETags, snapshots and versions.

https://learn.microsoft.com/rest/api/storageservices/copy-blob,
https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from azure.core import MatchConditions
from azure.storage.blob import BlobClient, BlobServiceClient, ContentSettings, StandardBlobTier

from keysentry.connectors.azure import Options
from keysentry.connectors.azure.client import AzureStore
from keysentry.connectors.azure.faults import code_of, told
from keysentry.connectors.azure.quarantine import Options as HoldingOptions
from keysentry.connectors.objects.content import stream
from keysentry.connectors.objects.holding import State
from keysentry.connectors.objects.quarantine import ObjectQuarantine
from keysentry.connectors.objects.store import CredentialsError, Entry, Position, Scope
from keysentry.connectors.pace import Pace
from keysentry.errors import AccessError, ChangedError, GoneError, InputError, SourceError

T = TypeVar("T")

_MARK = "keysentry_hold"
"""As `MARK`; a name of metadata is an identifier here."""
_ROLE = "Storage Blob Data Contributor (with a shared access signature: read, write, delete)"
_SOON = 0.5
"""Seconds between two looks at a copy that is not done yet."""


def connect(options: HoldingOptions, source: Options) -> ObjectQuarantine:
    """A quarantine with these options. Nothing is asked of the network yet."""
    reading = options.reading(source)
    pace = options.pace(f"Azure Blob Storage (quarantine of {options.source})")
    return ObjectQuarantine(options, AzureHolder(reading, AzureStore(reading, pace), pace), pace)


class AzureHolder:
    """One account's blobs."""

    older_readers = "whoever may read the blob"

    def __init__(self, options: Options, store: AzureStore, pace: Pace) -> None:
        self._options = options
        self._store = store
        self._pace = pace

    def place(self, bucket: str, key: str = "") -> str:
        """`az://account/container/blob`."""
        return self._store.place(bucket, key)

    def look(self, bucket: str, key: str, version: str = "", title: str = "") -> State | None:
        """A blob (a version or a snapshot of it) as it is now."""
        title = title or self.place(bucket, key)

        def ask(client: BlobServiceClient) -> Any:
            blob, named = _blob(client, bucket, key, version)
            return blob.get_blob_properties(**named)

        try:
            found = self._call(ask, title)
        except GoneError:
            return None
        return _state(found, key, version, title)

    def described(self, bucket: str, state: State) -> State:
        """The state with its tags."""
        if not state.more["tagged"]:
            return state

        def ask(client: BlobServiceClient) -> dict[str, str]:
            blob, named = _blob(client, bucket, state.key, "" if state.current else state.version)
            return dict(blob.get_blob_tags(**named) or {})

        return msgspec.structs.replace(state, more={**state.more, "tags": self._call(ask, state.title)})

    def content(self, bucket: str, state: State) -> Iterator[bytes]:
        """The content in pieces, as it is stored."""
        return stream(self._store, self._pace, bucket, state.entry)

    def older(self, bucket: str, state: State) -> list[State]:
        """The versions and snapshots before the blob, the oldest first."""
        found: list[State] = []
        for page in self._store.pages(Scope(bucket, state.key), Position(), versions=True):
            mine = [entry for entry in page.entries if entry.key == state.key]
            found += [_light(entry, state.title) for entry in mine if not entry.current and not entry.deleted]
            if len(mine) < len(page.entries):
                break
        return found

    def save(self, bucket: str, state: State, to: tuple[str, str]) -> None:
        """Copy a state into the quarantine."""
        self._copy((bucket, state), to, {"tags": state.more["tags"] or None}, state.title)

    def stub(self, bucket: str, state: State, text: bytes, mark: str) -> None:
        """Put a text in the place of the blob; it is of the same type."""

        def upload(client: BlobServiceClient) -> None:
            blob, _ = _blob(client, bucket, state.key)
            described = {
                "metadata": {_MARK: mark},
                "content_settings": ContentSettings(content_type="text/plain; charset=utf-8"),
                **_if(state),
            }
            if state.more["type"] == "AppendBlob":
                blob.create_append_blob(**described)
                blob.append_block(text, appendpos_condition=0)
            else:
                blob.upload_blob(text, overwrite=True, **described)

        self._call(upload, state.title)

    def remove(self, bucket: str, state: State) -> None:
        """Delete the blob; not if it has snapshots."""
        self._call(lambda client: _blob(client, bucket, state.key)[0].delete_blob(**_if(state)), state.title)

    def erase(self, bucket: str, state: State) -> None:
        """Delete a version or a snapshot for good."""

        def ask(client: BlobServiceClient) -> None:
            blob, named = _blob(client, bucket, state.key, state.version)
            blob.delete_blob(**named)

        self._call(ask, state.title)

    def put_back(self, copy: tuple[str, State], bucket: str, over: State | None, original: State) -> None:
        """Copy out of the quarantine, with the tags and the tier that it had."""
        more: dict[str, Any] = {"tags": original.more["tags"] or None}
        if original.more["tier"]:
            more["standard_blob_tier"] = StandardBlobTier(original.more["tier"])
        more |= _if(over) if over is not None else {"match_condition": MatchConditions.IfMissing}
        self._copy(copy, (bucket, original.key), more, original.title)

    def keep(self, bucket: str, state: State) -> None:
        """Take a snapshot, unless there is one of this state, or the account keeps versions."""
        older = self.older(bucket, state)
        if not state.version and not (older and older[-1].tag == state.tag):
            self._call(lambda client: _blob(client, bucket, state.key)[0].create_snapshot(**_if(state)), state.title)

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Write a blob of ours."""
        settings = ContentSettings(content_type="application/json")

        def upload(client: BlobServiceClient) -> None:
            _blob(client, bucket, key)[0].upload_blob(data, overwrite=True, content_settings=settings)

        self._call(upload, self.place(bucket, key))

    def fetch(self, bucket: str, key: str) -> bytes | None:
        """Read a small blob of ours."""

        def get(client: BlobServiceClient) -> bytes:
            return bytes(_blob(client, bucket, key)[0].download_blob().readall())

        try:
            return self._call(get, self.place(bucket, key))
        except GoneError:
            return None

    def names(self, bucket: str, prefix: str) -> list[str]:
        """The names of blobs of ours that begin so."""
        pages = self._store.pages(Scope(bucket, prefix), Position(), versions=False)
        return [entry.key for page in pages for entry in page.entries if not entry.deleted]

    def drop(self, bucket: str, key: str) -> None:
        """Delete a blob of ours, with its versions."""
        state = self.look(bucket, key)
        if state is None:
            return
        self.remove(bucket, state)
        for version in self.older(bucket, state) if state.version else []:
            self.erase(bucket, version)

    def public(self, bucket: str) -> bool:
        """Whether a container is set to be read by everybody, also where the account forbids that for now."""

        def ask(client: BlobServiceClient) -> bool:
            return bool(client.get_container_client(bucket).get_container_properties().public_access)

        try:
            return self._call(ask, self.place(bucket))
        except CredentialsError:
            raise
        except AccessError:
            return False  # who may only use the container's blobs is not told

    def close(self) -> None:
        """Let go of connections."""
        self._store.close()

    def _copy(self, source: tuple[str, State], to: tuple[str, str], more: dict[str, Any], title: str) -> None:
        """Copy, and wait until it is done: the service may take its time for it."""
        bucket, state = source
        asked = {name: value for name, value in more.items() if value is not None}

        def start(client: BlobServiceClient) -> Any:
            address = f"{client.url.partition('?')[0].rstrip('/')}/{bucket}/{quote(state.key)}"
            named = [] if state.current or not state.version else [state.version]
            if self._options.sas_token:
                named.append(self._options.sas_token.reveal().lstrip("?"))
            conditions: dict[str, Any] = {
                "source_etag": state.tag,
                "source_match_condition": MatchConditions.IfNotModified,
            }
            return _blob(client, *to)[0].start_copy_from_url(
                f"{address}?{'&'.join(named)}" if named else address, **conditions, **asked
            )

        status = self._call(start, title).get("copy_status")
        while status == "pending":
            self._pace.pause(_SOON)
            found = self._call(lambda client: _blob(client, *to)[0].get_blob_properties(), title)
            status = found.copy.status
        if status != "success":
            raise SourceError("the copy was not made", place=title)

    def _call(self, operation: Callable[[BlobServiceClient], T], title: str) -> T:
        return self._store.call(operation, title, _ROLE, fault=_told)


def _blob(client: BlobServiceClient, bucket: str, key: str, version: str = "") -> tuple[BlobClient, dict[str, Any]]:
    """A client for a blob, and what its calls need to be about this version."""
    kind, _, when = version.partition("=")
    blob = client.get_blob_client(bucket, key, snapshot=when if kind == "snapshot" else None)
    return blob, {"version_id": when} if kind == "versionid" else {}


def _if(state: State) -> dict[str, Any]:
    return {"etag": state.tag, "match_condition": MatchConditions.IfNotModified}


def _state(found: Any, key: str, version: str, title: str) -> State:
    settings = found.content_settings
    metadata = dict(found.metadata or {})
    digest = bytes(settings.content_md5 or b"").hex()
    own = f"versionid={found.version_id}" if found.get("version_id") else ""
    current = not version or bool(found.get("is_current_version"))
    inferred = bool(found.get("blob_tier_inferred"))
    return State(
        key=key,
        size=int(found.size or 0),
        tag=_quoted(str(found.etag or "")),
        modified=found.last_modified.timestamp() if found.last_modified is not None else 0.0,
        version=version or own,
        current=current,
        mark=str(metadata.get(_MARK) or ""),
        locked=_locked(found),
        archived="Archive" if found.blob_tier == "Archive" else "",
        digests={"md5": digest} if digest else {},
        more={
            "type": str(getattr(found.blob_type, "value", found.blob_type)),
            "tier": "" if inferred else str(found.blob_tier or ""),
            "tagged": bool(found.get("tag_count")),
            "tags": {},
        },
        title=title,
    )


def _locked(found: Any) -> str:
    """https://learn.microsoft.com/azure/storage/blobs/immutable-storage-overview"""
    policy = found.get("immutability_policy")
    until = getattr(policy, "expiry_time", None)
    if found.get("has_legal_hold"):
        return "it is under a legal hold: clear the hold"
    if isinstance(until, datetime) and until > datetime.now(UTC):
        return f"an immutability policy keeps it until {until:%Y-%m-%d}: remove the policy, or let it expire"
    if str(getattr(found.blob_type, "value", found.blob_type)) == "PageBlob":
        return "it is a page blob (a disk), which is not held"
    return ""


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


def _quoted(tag: str) -> str:
    return tag if not tag or tag.startswith(('"', "W/")) else f'"{tag}"'


def _told(error: BaseException, place: str, permission: str) -> Exception:
    """What to raise for a call about one blob that failed.

    https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
    """
    status, code = int(getattr(error, "status_code", None) or 0), code_of(error)
    if code in ("LeaseIdMissing", "LeaseAlreadyPresent", "LeaseIdMismatchWithBlobOperation"):
        return AccessError("somebody has a lease on it", place=place, advice="break the lease, or wait until it ends")
    if code == "SnapshotsPresent":
        return InputError('it has snapshots: set mode = "stub"', place=place)
    if code in ("BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"):
        return InputError("an immutability policy or a legal hold keeps it: clear it first", place=place)
    if code == "BlobArchived":
        return InputError("it is archived: rehydrate it first", place=place)
    if status == 412 or code in ("BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"):
        return ChangedError("it is not any more what was looked at", place=place)
    if status == 404 or code == "InvalidResourceName":
        return GoneError("it is not there any more", place=place)
    return told(error, place, permission)
