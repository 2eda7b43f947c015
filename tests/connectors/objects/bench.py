"""One bucket of a store, written through the platform's own SDK (or the server itself) and read through our source."""

from __future__ import annotations

import gc
import itertools
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, ClassVar

import boto3
from azure.storage.blob import BlobServiceClient
from botocore.config import Config

from keysentry.connectors import azure as azure_module
from keysentry.connectors import gcs as gcs_module
from keysentry.connectors import s3 as s3_module
from keysentry.connectors.azure.client import AzureStore
from keysentry.connectors.base import Delivery
from keysentry.connectors.gcs.client import GcsStore
from keysentry.connectors.objects.source import ObjectSource
from keysentry.connectors.pace import Pace
from keysentry.connectors.s3.client import S3Store
from keysentry.connectors.s3.source import S3Source
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record, Unit
from keysentry.model.sensitive import Sensitive
from tests.servers.azurite import Azurite
from tests.servers.gcs import Bucket as GcsBucket
from tests.servers.gcs import StrictGcs
from tests.servers.objectfaults import Fault, FaultProxy, Request, fault_proxy

_NUMBERS = itertools.count(1)


class Waits:
    """In place of sleeping: what would have been waited for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return False


class Bench(ABC):
    """A store under test."""

    denied: ClassVar[tuple[int, bytes]]
    expired: ClassVar[tuple[int, bytes, dict[str, str]]]
    gone: ClassVar[tuple[int, bytes, dict[str, str]]]
    permission: ClassVar[str]

    def __init__(self, address: str) -> None:
        self.bucket = f"test-bucket-{next(_NUMBERS)}"
        self.stack = ExitStack()
        self.proxy: FaultProxy = self.stack.enter_context(fault_proxy(address))
        self.waits = Waits()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()

    def source(self, *, sleeps: bool = False, **options: Any) -> ObjectSource:
        """A new source of this bucket, as a new process would open one. It only notes its waits, unless it `sleeps`."""
        pace = Pace("test", wait=None if sleeps else self.waits)
        source = self._open(pace, options)
        self.stack.callback(source.close)
        return source

    @abstractmethod
    def _open(self, pace: Pace, options: dict[str, Any]) -> ObjectSource: ...

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write an object."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object."""

    @abstractmethod
    def is_list(self, request: Request) -> bool:
        """Whether a request asks for a listing."""

    @abstractmethod
    def is_read(self, request: Request) -> bool:
        """Whether a request asks for a content."""

    def spoil_lists(self, **fault: Any) -> None:
        """Let the next listings fail."""
        self.proxy.spoil(Fault(self.is_list, **fault))

    def spoil_reads(self, **fault: Any) -> None:
        """Let the next reads fail."""
        self.proxy.spoil(Fault(self.is_read, **fault))


class S3Bench(Bench):
    """S3, played by moto."""

    denied = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    expired = (400, b"<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>", {})
    gone = (404, b"<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>", {})
    permission = "s3:ListBucket"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.client = self.sdk("s3", address)
        self.client.create_bucket(Bucket=self.bucket)
        # As every bucket is made since April 2023; moto does not do it by itself.
        rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        self.client.put_bucket_ownership_controls(Bucket=self.bucket, OwnershipControls=rules)

    def sdk(self, service: str, address: str) -> Any:
        """A client of the SDK."""
        client = boto3.client(
            service,
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="local-test",
            aws_secret_access_key="local-test",
            config=Config(s3={"addressing_style": "path"}),
        )
        self.stack.callback(client.close)
        return client

    def _open(self, pace: Pace, options: dict[str, Any]) -> S3Source:
        keys = {"access_key_id": Sensitive("local-test"), "secret_access_key": Sensitive("local-test")}
        buckets = options.pop("buckets", (self.bucket,))
        clock = options.pop("clock", None)
        address = {"base_url": self.proxy.address, "region": "us-east-1"}
        set_up = s3_module.Options(**{"name": "test", "buckets": buckets, **address, **keys, **options})
        set_up.check()
        more = {"clock": clock} if clock else {}
        return S3Source(set_up, S3Store(set_up, pace), pace, **more)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def is_list(self, request: Request) -> bool:
        return "list-type=2" in request.path

    def is_read(self, request: Request) -> bool:
        return "range" in request.headers


class GcsBench(Bench):
    """Google Cloud Storage, played by our strict server."""

    denied = (403, b'{"error": {"code": 403, "message": "no", "errors": [{"reason": "forbidden"}]}}')
    expired = (401, b'{"error": {"code": 401, "message": "no", "errors": [{"reason": "authError"}]}}', {})
    gone = (404, b'{"error": {"code": 404, "message": "no", "errors": [{"reason": "notFound"}]}}', {})
    permission = "storage.objects.list"

    def __init__(self, server: StrictGcs) -> None:
        super().__init__(server.address)
        self.server = server
        server.token = ""
        server.buckets[self.bucket] = GcsBucket()

    def _open(self, pace: Pace, options: dict[str, Any]) -> ObjectSource:
        buckets = options.pop("buckets", (self.bucket,))
        set_up = gcs_module.Options(
            **{"name": "test", "buckets": buckets, "base_url": self.proxy.address, "anonymous": True, **options}
        )
        set_up.check()
        return ObjectSource(set_up, set_up.buckets, GcsStore(set_up, pace), pace)

    def put(self, key: str, data: bytes) -> None:
        self.server.put(self.bucket, key, data)

    def delete(self, key: str) -> None:
        self.server.delete(self.bucket, key)

    def is_list(self, request: Request) -> bool:
        return request.path.partition("?")[0].endswith("/o")

    def is_read(self, request: Request) -> bool:
        return "alt=media" in request.path


class AzureBench(Bench):
    """Azure Blob Storage, played by Azurite."""

    denied = (403, b"<Error><Code>AuthorizationPermissionMismatch</Code><Message>no</Message></Error>")
    expired = (
        403,
        b"<Error><Code>AuthenticationFailed</Code><Message>no</Message></Error>",
        {"x-ms-error-code": "AuthenticationFailed"},
    )
    gone = (
        404,
        b"<Error><Code>ContainerNotFound</Code><Message>no</Message></Error>",
        {"x-ms-error-code": "ContainerNotFound"},
    )
    permission = "Storage Blob Data Reader"

    def __init__(self, server: Azurite) -> None:
        super().__init__(server.address)
        self.server = server
        self.client = BlobServiceClient(
            server.address, credential={"account_name": server.account, "account_key": server.key}
        )
        self.stack.callback(self.client.close)
        self.client.create_container(self.bucket)
        # Azurite allows it; Azure does not.
        self.proxy.standing.append(
            Fault(
                lambda request: "delimiter=" in request.path and "snapshots" in request.path,
                status=400,
                headers={"x-ms-error-code": "InvalidQueryParameterValue"},
            )
        )

    def _open(self, pace: Pace, options: dict[str, Any]) -> ObjectSource:
        containers = options.pop("buckets", (self.bucket,))
        login = {"account": self.server.account, "account_key": Sensitive(self.server.key)}
        set_up = azure_module.Options(
            **{"name": "test", "containers": containers, "base_url": self.proxy.address, **login, **options}
        )
        set_up.check()
        return ObjectSource(set_up, set_up.containers, AzureStore(set_up, pace), pace)

    def put(self, key: str, data: bytes) -> None:
        self.client.get_blob_client(self.bucket, key).upload_blob(data, overwrite=True)

    def delete(self, key: str) -> None:
        self.client.get_blob_client(self.bucket, key).delete_blob()

    def is_list(self, request: Request) -> bool:
        return "comp=list" in request.path

    def is_read(self, request: Request) -> bool:
        return request.method == "GET" and ("x-ms-range" in request.headers or "range" in request.headers)


def units(source: ObjectSource) -> list[Unit]:
    """The units alone; that nothing was skipped is part of it."""
    found = list(source.units())
    assert not [one for one in found if isinstance(one, Skipped)]
    return [one for one in found if isinstance(one, Unit)]


def records(deliveries: list[Delivery]) -> list[Record]:
    """The records of deliveries."""
    return [one.record for one in deliveries if one.record is not None]


def told(deliveries: list[Delivery]) -> list[tuple[str, bool]]:
    """Ids, and whether they are said to be gone."""
    return [(record.id, record.deleted) for record in records(deliveries)]


def read(source: ObjectSource, unit: Unit, cursor: Cursor | None = None) -> list[Delivery]:
    """A whole pass."""
    return list(source.records(unit, cursor))


def content(record: Record) -> bytes:
    """What the parts of a record hold."""
    pieces: list[bytes] = []
    for part in record.parts:
        assert part.open is not None
        for piece in part.open():
            assert 0 < len(piece) <= 1 << 20
            pieces.append(piece)
    return b"".join(pieces)


def everything(source: ObjectSource) -> Iterator[Record]:
    """All records of all units, from the beginning."""
    for unit in units(source):
        yield from records(read(source, unit))


def held_after(source: ObjectSource, unit: Unit) -> tuple[int, list[int]]:
    """A whole pass: how many records it gave, and how many blocks of memory were in use after each thousand of them."""
    count, blocks = 0, []
    for delivery in source.records(unit, None):
        assert len(delivery.cursor.value) < 4096
        count += delivery.record is not None
        if count % 1000 == 0:
            gc.collect()  # the objects of Google's SDK refer to each other
            blocks.append(sys.getallocatedblocks())
    return count, blocks
