"""A bucket of a store with a quarantine over it: the acting side of `bench`."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any, ClassVar

from keysentry.connectors import azure as azure_module
from keysentry.connectors import gcs as gcs_module
from keysentry.connectors import s3 as s3_module
from keysentry.connectors.azure.client import AzureStore
from keysentry.connectors.azure.holding import AzureHolder
from keysentry.connectors.azure.quarantine import Options as AzureOptions
from keysentry.connectors.base import Quarantine
from keysentry.connectors.gcs.client import GcsStore
from keysentry.connectors.gcs.holding import GcsHolder
from keysentry.connectors.gcs.quarantine import Options as GcsOptions
from keysentry.connectors.objects.quarantine import ObjectQuarantine
from keysentry.connectors.pace import Pace
from keysentry.connectors.s3.client import S3Store
from keysentry.connectors.s3.holding import S3Holder
from keysentry.connectors.s3.quarantine import Options as S3Options
from keysentry.model.action import Place
from keysentry.model.location import Route
from keysentry.model.sensitive import Sensitive
from tests.connectors.objects.bench import AzureBench, Bench, GcsBench, S3Bench
from tests.connectors.objects.killed import told
from tests.servers.gcs import Bucket as GcsBucket
from tests.servers.objectfaults import Fault


class HoldBench(ABC):
    """A bucket and its quarantine. What people read is read without our code."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.quarantine = f"{bench.bucket}-held"

    def open(self, **options: Any) -> ObjectQuarantine:
        """A new quarantine, as a new process would open one; it does not wait."""
        pace = Pace("test", wait=self.bench.waits, tries=2)
        options = {"source": "test", "quarantine": f"{self.quarantine}/kept", **options}
        return self._open(pace, options)

    @abstractmethod
    def _open(self, pace: Pace, options: dict[str, Any]) -> ObjectQuarantine: ...

    @abstractmethod
    def get(self, key: str, version: str = "") -> bytes | None:
        """What somebody reads who asks for an object."""

    @abstractmethod
    def modified(self, key: str) -> float:
        """When it was written."""

    platform: ClassVar[str]

    @abstractmethod
    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What to open a source and a quarantine with, for `tests.connectors.objects.killed`."""

    def opened(self, **options: Any) -> Quarantine:
        """As a configuration opens it."""
        reading: Any = importlib.import_module(f"keysentry.connectors.{self.platform}")
        acting: Any = importlib.import_module(f"keysentry.connectors.{self.platform}.quarantine")
        source, settings = self.settings()
        quarantine: Quarantine = acting.open_quarantine(
            acting.Options(**{**told(settings), **options}), reading.Options(**told(source))
        )
        return quarantine

    @abstractmethod
    def empty(self) -> None:
        """Lose what is in the quarantine."""

    @abstractmethod
    def publish(self) -> None:
        """Let everybody read the quarantine."""

    @abstractmethod
    def held(self) -> list[str]:
        """The keys in the quarantine."""

    def place(self, key: str, version: str = "", route: Route = ()) -> Place:
        """Where a secret was found."""
        moment = datetime.fromtimestamp(int(self.modified(key)), UTC).isoformat().replace("+00:00", "Z")
        record = f"{self.bench.bucket}/{key.replace('%', '%25').replace('?', '%3F')}"
        record += f"?version={version}" if version else ""
        unit = f"tree:{self.bench.bucket}/docs/"
        return Place(source="test", platform="it", unit=unit, record=record, time=moment, route=route)


class S3Hold(HoldBench):
    """S3, played by moto."""

    platform = "s3"
    bench: S3Bench

    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        source = {"name": "test", "buckets": [self.bench.bucket], "base_url": self.bench.proxy.address}
        keys = {"access_key_id!": "local-test", "secret_access_key!": "local-test", "region": "us-east-1"}
        return source, {"source": "test", "quarantine": f"{self.quarantine}/kept", **keys}

    def empty(self) -> None:
        for key in self.held():
            self.bench.client.delete_object(Bucket=self.quarantine, Key=key)

    def publish(self) -> None:
        # Moto does not say whether a policy is public: the proxy does.
        body = b"<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>"
        self.bench.proxy.standing.append(Fault(lambda request: "policyStatus" in request.path, status=200, body=body))

    def __init__(self, bench: S3Bench, *, versioned: bool = False) -> None:
        super().__init__(bench)
        bench.client.create_bucket(Bucket=self.quarantine)
        rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        bench.client.put_bucket_ownership_controls(Bucket=self.quarantine, OwnershipControls=rules)
        if versioned:
            self.keep_versions()

    def keep_versions(self, status: str = "Enabled") -> None:
        setting = {"Status": status}
        self.bench.client.put_bucket_versioning(Bucket=self.bench.bucket, VersioningConfiguration=setting)

    def _open(self, pace: Pace, options: dict[str, Any]) -> ObjectQuarantine:
        keys = {"access_key_id": Sensitive("local-test"), "secret_access_key": Sensitive("local-test")}
        sizes = {name: options.pop(name) for name in ("largest", "part") if name in options}
        set_up = S3Options(**keys, **options)
        reading = set_up.reading(s3_module.Options(name="test", base_url=self.bench.proxy.address, region="us-east-1"))
        return ObjectQuarantine(set_up, S3Holder(reading, S3Store(reading, pace), pace, **sizes), pace)

    def get(self, key: str, version: str = "") -> bytes | None:
        asks = {"VersionId": version} if version else {}
        try:
            with self.bench.client.get_object(Bucket=self.bench.bucket, Key=key, **asks)["Body"] as body:
                return bytes(body.read())
        except self.bench.client.exceptions.ClientError:
            return None

    def modified(self, key: str) -> float:
        return float(self.bench.client.head_object(Bucket=self.bench.bucket, Key=key)["LastModified"].timestamp())

    def held(self) -> list[str]:
        found = self.bench.client.list_objects_v2(Bucket=self.quarantine)
        return [str(one["Key"]) for one in found.get("Contents", ())]

    def versions(self, key: str) -> list[tuple[str, bytes]]:
        """The versions, the oldest first, each with its content."""
        found = self.bench.client.list_object_versions(Bucket=self.bench.bucket, Prefix=key).get("Versions", ())
        names = [one["VersionId"] for one in found if one["Key"] == key][::-1]
        return [(name, self.get(key, name) or b"") for name in names]


class GcsHold(HoldBench):
    """Google Cloud Storage, played by our strict server."""

    platform = "gcs"
    bench: GcsBench

    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        source = {"name": "test", "buckets": [self.bench.bucket], "base_url": self.bench.proxy.address}
        return source, {"source": "test", "quarantine": f"{self.quarantine}/kept", "anonymous": True}

    def empty(self) -> None:
        self.bench.server.buckets[self.quarantine].objects.clear()

    def publish(self) -> None:
        binding = {"role": "roles/storage.objectViewer", "members": ["allUsers"]}
        self.bench.server.buckets[self.quarantine] = GcsBucket(bindings=[binding])

    def __init__(self, bench: GcsBench, *, versioned: bool = False) -> None:
        super().__init__(bench)
        bench.server.buckets[self.quarantine] = GcsBucket(prevention="enforced")
        bench.server.buckets[bench.bucket].versioning = versioned

    def _open(self, pace: Pace, options: dict[str, Any]) -> ObjectQuarantine:
        set_up = GcsOptions(anonymous=True, **options)
        reading = set_up.reading(gcs_module.Options(name="test", base_url=self.bench.proxy.address))
        return ObjectQuarantine(set_up, GcsHolder(reading, GcsStore(reading, pace), pace), pace)

    def get(self, key: str, version: str = "") -> bytes | None:
        states = self.bench.server.buckets[self.bench.bucket].objects.get(key, [])
        chosen = [one for one in states if (str(one.number) == version if version else one.deleted is None)]
        return chosen[0].data if chosen else None

    def modified(self, key: str) -> float:
        return self.bench.server.buckets[self.bench.bucket].objects[key][-1].created

    def held(self) -> list[str]:
        objects = self.bench.server.buckets[self.quarantine].objects
        return sorted(key for key, states in objects.items() if states)

    def versions(self, key: str) -> list[tuple[str, bytes]]:
        """The generations, the oldest first, each with its content."""
        return [(str(one.number), one.data) for one in self.bench.server.buckets[self.bench.bucket].objects[key]]


class AzureHold(HoldBench):
    """Azure Blob Storage, played by Azurite."""

    platform = "azure"
    bench: AzureBench

    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        account = {"account": self.bench.server.account, "base_url": self.bench.proxy.address}
        source = {"name": "test", "containers": [self.bench.bucket], **account}
        keys = {"account_key!": self.bench.server.key}
        return source, {"source": "test", "quarantine": f"{self.quarantine}/kept", **keys}

    def empty(self) -> None:
        container = self.bench.client.get_container_client(self.quarantine)
        for key in self.held():
            container.delete_blob(key)

    def publish(self) -> None:
        container = self.bench.client.get_container_client(self.quarantine)
        container.set_container_access_policy({}, public_access="blob")

    def __init__(self, bench: AzureBench) -> None:
        super().__init__(bench)
        bench.client.create_container(self.quarantine)

    def _open(self, pace: Pace, options: dict[str, Any]) -> ObjectQuarantine:
        set_up = AzureOptions(account_key=Sensitive(self.bench.server.key), **options)
        source = azure_module.Options(name="test", account=self.bench.server.account, base_url=self.bench.proxy.address)
        reading = set_up.reading(source)
        return ObjectQuarantine(set_up, AzureHolder(reading, AzureStore(reading, pace), pace), pace)

    def get(self, key: str, version: str = "") -> bytes | None:
        blob = self.bench.client.get_blob_client(self.bench.bucket, key, snapshot=version or None)
        return bytes(blob.download_blob().readall()) if blob.exists() else None

    def modified(self, key: str) -> float:
        blob = self.bench.client.get_blob_client(self.bench.bucket, key)
        return blob.get_blob_properties().last_modified.timestamp()

    def held(self) -> list[str]:
        return [str(one.name) for one in self.bench.client.get_container_client(self.quarantine).list_blobs()]
