"""A small S3 of our own, for what moto cannot play: objects of any size whose bytes are made when they are asked for,
listings of any length, a clock that the test sets, uploads under way, and refusals.

Stricter than S3: it answers only the calls that are written below, and refuses any parameter that it does not know, so
that a wrong request fails the test. It requires a precise range for large objects. Weaker: it checks no signatures,
only that there is one. Shapes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html,
API_GetObject.html, API_ListMultipartUploads.html and API_ListObjectVersions.html.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

BLOCK = 1 << 20
LARGEST_ANSWER = 16 << 20


def sparse(start: int, end: int) -> bytes:
    """Bytes of an endless content: each block of 1 MiB begins with its own number, in 16 digits."""
    pieces = []
    while start < end:
        block, offset = divmod(start, BLOCK)
        stop = min(end, (block + 1) * BLOCK)
        head = b"%016d" % block
        piece = head[offset : offset + stop - start]
        pieces.append(piece + b"." * (stop - start - len(piece)))
        start = stop
    return b"".join(pieces)


@dataclass
class Thing:
    """One object. `refusal` is the (status, code, message) that reading it gets."""

    key: str
    size: int
    modified: float
    tag: str = "0" * 32
    storage_class: str = "STANDARD"
    restored_until: float | None = None
    refusal: tuple[int, str, str] | None = None
    content: Callable[[int, int], bytes] = sparse


@dataclass
class Bucket:
    """`things` in order of their keys; a sequence of any kind. `settings`: what a subresource answers, as XML, or
    (status, code).
    """

    things: Sequence[Thing] = ()
    uploads: list[tuple[str, float]] = field(default_factory=list)
    settings: dict[str, str | tuple[int, str]] = field(default_factory=dict)


class Many(Sequence[Thing]):
    """So many small objects, none of which exists before it is asked for."""

    def __init__(self, count: int, modified: float, prefix: str = "many/") -> None:
        self._count = count
        self._modified = modified
        self._prefix = prefix

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Thing:  # type: ignore[override]
        key = f"{self._prefix}{index:09d}.txt"
        return Thing(key, 32, self._modified, hashlib.md5(key.encode()).hexdigest())


class SparseS3:
    """The server. `now` is its clock (UTC seconds); `asked` is what was asked of it."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.now = 1_700_000_000.0
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.payers = 0
        self.region = "eu-central-1"
        store = self

        class Handler(_Handler):
            owner = store

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


_LIST = frozenset(
    (
        "list-type",
        "prefix",
        "start-after",
        "continuation-token",
        "max-keys",
        "delimiter",
        "encoding-type",
        "fetch-owner",
    )
)
_UPLOADS = frozenset(("uploads", "prefix", "encoding-type"))
_SETTINGS = ("publicAccessBlock", "policyStatus", "ownershipControls", "acl")
_DEFAULTS: dict[str, str | tuple[int, str]] = {
    "publicAccessBlock": (404, "NoSuchPublicAccessBlockConfiguration"),
    "policyStatus": (404, "NoSuchBucketPolicy"),
    "ownershipControls": "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"
    "</OwnershipControls>",
    "acl": "<AccessControlPolicy><AccessControlList></AccessControlList></AccessControlPolicy>",
}


class _Handler(BaseHTTPRequestHandler):
    owner: SparseS3
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        name, _, key = unquote(parts.path.lstrip("/")).partition("/")
        self.owner.payers += self.headers.get("x-amz-request-payer") == "requester"
        self.owner.asked.append((name, key, query | {"range": self.headers.get("Range", "")}))
        try:
            if not self.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 "):
                raise _Refused(403, "AccessDenied")
            bucket = self.owner.buckets.get(name)
            if bucket is None:
                raise _Refused(404, "NoSuchBucket")
            setting = next((one for one in _SETTINGS if one in query), None)
            if setting:
                self._xml(self._setting(bucket, f"{setting}:{key}" if key else setting))
            elif key:
                self._content(bucket, key, query)
            elif "uploads" in query:
                self._xml(self._uploads(bucket, query))
            else:
                self._xml(self._listing(bucket, query))
        except _Refused as error:
            text = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
            self._send(error.status, text.encode(), {"Content-Type": "application/xml"})

    def _setting(self, bucket: Bucket, name: str) -> str:
        found = bucket.settings.get(name, _DEFAULTS.get(name.partition(":")[0]))
        assert found is not None
        if isinstance(found, tuple):
            raise _Refused(*found)
        return found

    def _listing(self, bucket: Bucket, query: dict[str, str]) -> str:
        if not _LIST.issuperset(query) or query.get("list-type") != "2" or query.get("encoding-type") != "url":
            raise _Refused(400, "InvalidArgument", str(query))
        refusal = bucket.settings.get("list")
        if isinstance(refusal, tuple):
            raise _Refused(*refusal)
        most, prefix = int(query.get("max-keys", 1000)), query.get("prefix", "")
        start = query.get("continuation-token", query.get("start-after", ""))
        rows: list[str] = []
        things = bucket.things
        index = bisect_left(things, max(prefix, start), key=lambda thing: thing.key)
        last, seen, more = "", set(), False
        while index < len(things):
            thing = things[index]
            index += 1
            if thing.key <= start:
                continue
            if not thing.key.startswith(prefix):
                break
            step, slash, _ = thing.key[len(prefix) :].partition(query.get("delimiter") or "\0")
            whole = prefix + step + slash
            if slash and (whole in seen or (start and start.startswith(whole))):
                last = thing.key
                continue
            if len(rows) == most:
                more = True
                break
            seen.add(whole)
            rows.append(_common(whole) if slash else _row(thing, self.owner))
            last = thing.key
        next_token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{next_token}{''.join(rows)}</ListBucketResult>"
        )

    def _uploads(self, bucket: Bucket, query: dict[str, str]) -> str:
        if not _UPLOADS.issuperset(query):
            raise _Refused(400, "InvalidArgument", str(query))
        refusal = bucket.settings.get("uploads")
        if isinstance(refusal, tuple):
            raise _Refused(*refusal)
        rows = "".join(
            f"<Upload><Key>{quote(key)}</Key><UploadId>u</UploadId><Initiated>{_iso(at)}</Initiated></Upload>"
            for key, at in bucket.uploads
            if key.startswith(query.get("prefix", ""))
        )
        return f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}</ListMultipartUploadsResult>"

    def _content(self, bucket: Bucket, key: str, query: dict[str, str]) -> None:
        index = bisect_left(bucket.things, key, key=lambda thing: thing.key)
        thing = bucket.things[index] if index < len(bucket.things) else None
        if thing is None or thing.key != key:
            raise _Refused(404, "NoSuchKey")
        if thing.refusal is not None:
            raise _Refused(*thing.refusal)
        if self.headers.get("If-Match", "").strip('"') not in ("", thing.tag):
            raise _Refused(412, "PreconditionFailed")
        wanted = self.headers.get("Range", "")
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first or 0), min(int(last or thing.size - 1) + 1, thing.size)
        if start >= thing.size:
            raise _Refused(416, "InvalidRange")
        if end - start > LARGEST_ANSWER:
            raise _Refused(400, "EntityTooLarge", "the whole object was asked for")
        headers = {"ETag": f'"{thing.tag}"', "Content-Range": f"bytes {start}-{end - 1}/{thing.size}"}
        self._send(206 if wanted else 200, thing.content(start, end), headers)

    def _xml(self, text: str) -> None:
        self._send(200, text.encode(), {"Content-Type": "application/xml", "x-amz-bucket-region": self.owner.region})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        now = datetime.fromtimestamp(self.owner.now, UTC)
        for name, value in {**headers, "Date": format_datetime(now, usegmt=True)}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _row(thing: Thing, owner: SparseS3) -> str:
    restored = ""
    if thing.restored_until is not None:
        restored = f"<RestoreStatus><RestoreExpiryDate>{_iso(thing.restored_until)}</RestoreExpiryDate></RestoreStatus>"
    return (
        f"<Contents><Key>{quote(thing.key)}</Key><LastModified>{_iso(thing.modified)}</LastModified>"
        f"<ETag>&quot;{thing.tag}&quot;</ETag><Size>{thing.size}</Size>"
        f"<Owner><ID>owner-id</ID></Owner><StorageClass>{thing.storage_class}</StorageClass>{restored}</Contents>"
    )


def _common(prefix: str) -> str:
    return f"<CommonPrefixes><Prefix>{quote(prefix)}</Prefix></CommonPrefixes>"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@contextmanager
def sparse_s3() -> Iterator[SparseS3]:
    """A server as long as the context lasts."""
    server = SparseS3()
    try:
        yield server
    finally:
        server.close()
