"""Google Cloud Storage, twice.

`emulator` runs gcp-storage-emulator, which is somebody else's reading of the interface: it keeps buckets and objects
and answers ranges, but has no conditions, no pages, no generations that count up and no policies.

`StrictGcs` is a server of our own that plays what the emulator lacks: conditions (412), pages, generations, deletions,
uploads, rewrites in several calls, holds, policies, grants, decompressive transcoding, tokens. It is checked against
Google's description of the interface, the discovery document within google-api-python-client: a parameter that a method
does not have is refused, and an answer that is not as the description says fails the test. Weaker than the platform: it
knows no roles of its own; what is denied is what the test has put into `denied`.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import google_crc32c
import jsonschema

from tests.servers.gcs_writing import Refused as _Refused
from tests.servers.gcs_writing import Writing
from tests.servers.process import free_port, serving


@contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """The address of a gcp-storage-emulator that runs as long as the context lasts."""
    port = free_port()
    program = "from gcp_storage_emulator.__main__ import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", program, "start", "--host", "127.0.0.1", "--port", str(port)]
    with serving([*command, "--in-memory"], port, folder):
        yield f"http://127.0.0.1:{port}"


@dataclass
class Generation:
    """One state of an object."""

    number: int
    data: bytes
    created: float
    deleted: float | None = None
    encoding: str = ""
    grants: list[str] = field(default_factory=list)
    refusal: tuple[int, str, str] | None = None
    described: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bucket:
    """Objects by name, each with its generations, the oldest first."""

    versioning: bool = False
    uniform: bool = True
    prevention: str = "inherited"
    bindings: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, list[Generation]] = field(default_factory=dict)


class StrictGcs:
    """The server. `now` is its clock (UTC seconds); `wrong` is what was not as the description says."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.now = 1_700_000_000.0
        self.token = "local-test-token"
        self.denied: set[str] = set()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.wrong: list[str] = []
        self.lock = threading.RLock()
        self.rewritten_at_once = 1 << 40
        self._number = 0
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

    def put(self, bucket: str, name: str, data: bytes, **more: Any) -> Generation:
        """Write an object, over the one that is there."""
        with self.lock:
            states = self.buckets[bucket].objects.setdefault(name, [])
            self._end(bucket, name)
            self._number = max(int(self.now * 1_000_000), self._number + 1)
            one = Generation(self._number, data, more.pop("created", self.now), **more)
            states.append(one)
            return one

    def delete(self, bucket: str, name: str) -> None:
        """Delete the live object."""
        with self.lock:
            self._end(bucket, name)

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _end(self, bucket: str, name: str) -> None:
        owner = self.buckets[bucket]
        states = owner.objects.get(name, [])
        if states and states[-1].deleted is None:
            if owner.versioning:
                states[-1].deleted = self.now
            else:
                states.clear()


_ALWAYS = frozenset(("alt", "prettyPrint", "fields", "key", "quotaUser", "uploadType"))


class _Handler(BaseHTTPRequestHandler):
    owner: StrictGcs
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.owner.asked.append((self.command, unquote(parts.path), query))
        try:
            if self.owner.token and self.headers.get("Authorization") != f"Bearer {self.owner.token}":
                raise _Refused(401, "authError", "Invalid Credentials")
            with self.owner.lock:
                self._route(parts.path, query)
        except _Refused as error:
            detail = {"message": error.message, "domain": "global", "reason": error.reason}
            body = {"error": {"code": error.status, "message": error.message, "errors": [detail]}}
            self._send(error.status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    do_POST = do_DELETE = do_GET

    def _route(self, path: str, query: dict[str, str]) -> None:
        if self.command != "GET":
            self._change(path, query)
            return
        media = path.startswith("/download/")
        steps = [unquote(step) for step in path.removeprefix("/download").split("/")[1:]]
        assert steps[:3] == ["storage", "v1", "b"], path
        match steps[3:]:
            case []:
                self._json("buckets.list", query, lambda: self._buckets())
            case [name]:
                self._json("buckets.get", query, lambda: self._bucket(name))
            case [name, "iam"]:
                self._json("buckets.getIamPolicy", query, lambda: self._policy(name))
            case [name, "o"]:
                self._json("objects.list", query, lambda: self._listing(name, query))
            case [name, "o", key, "acl"]:
                self._json("objectAccessControls.list", query, lambda: self._grants(name, key))
            case [name, "o", key] if media:
                self._check("objects.get", query)
                self._media(name, key, query)
            case [name, "o", key]:
                self._json("objects.get", query, lambda: self._object(name, key, query))
            case _:
                raise _Refused(404, "notFound", path)

    def _json(self, method: str, query: dict[str, str], make: Any) -> None:
        self._check(method, query)
        body = make()
        shown = {**body, "items": body["items"][:20]} if "items" in body else body  # the others are made as these are
        for error in _validator(_method(method)["response"]["$ref"]).iter_errors(shown):
            self.owner.wrong.append(f"{method}: {error.json_path}: {error.message}")
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _change(self, path: str, query: dict[str, str]) -> None:
        """https://cloud.google.com/storage/docs/json_api/v1/objects: insert, rewrite, delete."""
        upload = path.startswith("/upload/")
        steps = [unquote(step) for step in path.removeprefix("/upload").split("/")[4:]]
        writing = Writing(self.owner, query)
        match self.command, steps:
            case "POST", [name, "o"] if upload:
                self._get(name)
                kind = self.headers.get("Content-Type", "")
                self._json("objects.insert", query, lambda: self._made(*writing.insert(name, kind, self.body)))
            case "POST", [name, "o", key, "rewriteTo", "b", to, "o", new]:
                self._live(name, key, query.get("sourceGeneration"))
                self._get(to)
                body = json.loads(self.body or b"{}")
                self._json("objects.rewrite", query, lambda: writing.rewrite((name, key), (to, new), body, self._made))
            case "DELETE", [name, "o", key]:
                self._check("objects.delete", query)
                self._live(name, key, query.get("generation"))
                writing.delete(name, key)
                self._send(204, b"", {})
            case _:
                raise _Refused(404, "notFound", path)

    def _made(self, bucket: str, key: str) -> dict[str, Any]:
        return _row(bucket, key, self._live(bucket, key), full=False)

    def _object(self, name: str, key: str, query: dict[str, str]) -> dict[str, Any]:
        if "storage.objects.get" in self.owner.denied:
            raise _Refused(403, "forbidden", "no storage.objects.get")
        full = query.get("projection") == "full" and not self._get(name).uniform
        return _row(name, key, self._live(name, key, query.get("generation")), full)

    def _check(self, method: str, query: dict[str, str]) -> None:
        unknown = set(query) - set(_method(method)["parameters"]) - _ALWAYS
        if unknown:
            self.owner.wrong.append(f"{method}: there is no parameter {unknown}")
            raise _Refused(400, "invalidParameter", str(unknown))
        permission = {"getIamPolicy": "storage.buckets.getIamPolicy", "objects.list": "storage.objects.list"}
        for name, wanted in {**permission, "buckets.get": "storage.buckets.get"}.items():
            if method.endswith(name) and wanted in self.owner.denied:
                raise _Refused(403, "forbidden", f"no {wanted}")
        full = query.get("projection") == "full"
        reading = {"objectAccessControls.list"} | ({"objects.list", "objects.get"} if full else set())
        if method in reading and "storage.objects.getIamPolicy" in self.owner.denied:
            raise _Refused(403, "forbidden", "no storage.objects.getIamPolicy")

    def _buckets(self) -> dict[str, Any]:
        return {"kind": "storage#buckets", "items": [self._bucket(name) for name in sorted(self.owner.buckets)]}

    def _bucket(self, name: str) -> dict[str, Any]:
        bucket = self._get(name)
        return {
            "kind": "storage#bucket",
            "name": name,
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": bucket.uniform},
                "publicAccessPrevention": bucket.prevention,
            },
        }

    def _policy(self, name: str) -> dict[str, Any]:
        return {"kind": "storage#policy", "version": 3, "etag": "CAE=", "bindings": self._get(name).bindings}

    def _grants(self, name: str, key: str) -> dict[str, Any]:
        if self._get(name).uniform:
            raise _Refused(400, "invalid", "Cannot use ACL API when uniform bucket-level access is enabled.")
        items = [
            {"kind": "storage#objectAccessControl", "entity": who, "role": "READER"}
            for who in self._live(name, key).grants
        ]
        return {"kind": "storage#objectAccessControls", "items": items}

    def _listing(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        """Pages begin where the token says; keys in the order of their UTF-8 bytes, generations counting up."""
        bucket = self._get(name)
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start, most = query.get("startOffset", ""), int(query.get("maxResults", 1000))
        token: list[Any] = json.loads(query["pageToken"]) if query.get("pageToken") else ["", 0]
        rows: list[dict[str, Any]] = []
        prefixes: list[str] = []
        full = query.get("projection") == "full" and not bucket.uniform
        for key in sorted(bucket.objects, key=str.encode):
            if not key.startswith(prefix) or key.encode() < start.encode() or key.encode() < str(token[0]).encode():
                continue
            step, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            for one in bucket.objects[key]:
                if (key, one.number) <= (token[0], token[1]) or (
                    one.deleted and query.get("versions", "").lower() != "true"
                ):
                    continue
                if slash:
                    if prefix + step + slash not in prefixes:
                        prefixes.append(prefix + step + slash)
                    continue
                if len(rows) == most:
                    last = rows[-1]
                    token_text = json.dumps([last["name"], int(last["generation"])])
                    return {"kind": "storage#objects", "items": rows, "prefixes": prefixes, "nextPageToken": token_text}
                rows.append(_row(name, key, one, full))
        return {"kind": "storage#objects", "items": rows, "prefixes": prefixes}

    def _media(self, name: str, key: str, query: dict[str, str]) -> None:
        one = self._live(name, key, query.get("generation"))
        if one.refusal is not None:
            raise _Refused(*one.refusal)
        if "storage.objects.get" in self.owner.denied:
            raise _Refused(403, "forbidden", "no storage.objects.get")
        if query.get("ifGenerationMatch", str(one.number)) != str(one.number):
            raise _Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        headers = {"x-goog-generation": str(one.number), "x-goog-stored-content-length": str(len(one.data))}
        if one.encoding == "gzip":
            headers["x-goog-stored-content-encoding"] = "gzip"
            if "gzip" not in self.headers.get("Accept-Encoding", ""):
                # Decompressive transcoding: the range is ignored.
                self._send(200, gzip.decompress(one.data), {**headers, "Warning": "214 UploadServer gunzipped"})
                return
            headers["Content-Encoding"] = "gzip"
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        start, end = int(first or 0), min(int(last or len(one.data) - 1) + 1, len(one.data))
        if start >= len(one.data):
            raise _Refused(416, "requestedRangeNotSatisfiable", "The requested range cannot be satisfied.")
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(one.data)}"
        self._send(206, one.data[start:end], headers)

    def _get(self, name: str) -> Bucket:
        if name not in self.owner.buckets:
            raise _Refused(404, "notFound", "The specified bucket does not exist.")
        return self.owner.buckets[name]

    def _live(self, name: str, key: str, generation: str | None = None) -> Generation:
        for one in self._get(name).objects.get(key, []):
            if one.deleted is None if generation is None else str(one.number) == generation:
                return one
        raise _Refused(404, "notFound", f"No such object: {name}/{key}")

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        moment = datetime.fromtimestamp(self.owner.now, UTC)
        for name, value in {**headers, "Date": moment.strftime("%a, %d %b %Y %H:%M:%S GMT")}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _row(bucket: str, key: str, one: Generation, full: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": "storage#object",
        "bucket": bucket,
        "name": key,
        "size": str(len(one.data)),
        "generation": str(one.number),
        "metageneration": "1",
        "timeCreated": _iso(one.created),
        "updated": _iso(one.created),
        "storageClass": "STANDARD",
        "md5Hash": base64.b64encode(md5(one.data, usedforsecurity=False).digest()).decode(),
        "crc32c": base64.b64encode(google_crc32c.Checksum(one.data).digest()).decode(),
        **one.described,
    }
    if one.deleted is not None:
        row["timeDeleted"] = _iso(one.deleted)
    if full:
        acl = [{"kind": "storage#objectAccessControl", "entity": who, "role": "READER"} for who in one.grants]
        row["acl"] = acl
        row["owner"] = {"entity": "user-ada@example.com", "entityId": "7"}
    return row


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@cache
def _description() -> dict[str, Any]:
    text = (files("googleapiclient.discovery_cache.documents") / "storage.v1.json").read_text(encoding="utf-8")
    description: dict[str, Any] = json.loads(text)
    return description


def _method(name: str) -> dict[str, Any]:
    resource, method = name.split(".")
    found: dict[str, Any] = _description()["resources"][resource]["methods"][method]
    return found


@cache
def _validator(schema: str) -> Any:
    definitions = {name: _closed(one) for name, one in _description()["schemas"].items()}
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": definitions})


def _closed(node: Any) -> Any:
    """A schema of the description as JSON Schema: references by path, and no property that is not named."""
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _closed(value)
        for key, value in node.items()
        if key not in ("id", "annotations", "default", "enumDescriptions")
    }
    if isinstance(node.get("$ref"), str):
        return {"$ref": f"#/$defs/{node['$ref']}"}
    if node.get("type") == "any":
        kept.pop("type")
    if isinstance(node.get("required"), bool):
        kept.pop("required")
    if isinstance(node.get("properties"), dict):
        kept["properties"] = {name: _closed(value) for name, value in node["properties"].items()}
        kept.setdefault("additionalProperties", False)
    return kept


@contextmanager
def strict_gcs() -> Iterator[StrictGcs]:
    """A server as long as the context lasts. Fails if anything was not as the description says."""
    server = StrictGcs()
    try:
        yield server
    finally:
        server.close()
    assert not server.wrong, server.wrong
