"""What only the quarantine of Azure Blob Storage has: snapshots, leases, types of blobs. Azurite plays it; it knows no
versions, no legal hold and no immutability policy.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from azure.storage.blob import BlobClient, BlobType, ContentSettings, StandardBlobTier

from keysentry.errors import AccessError, InputError
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.objects.bench import AzureBench
from tests.connectors.objects.holding import AzureHold

pytestmark = pytest.mark.xdist_group("azurite")

TEXT = "[Removed by keysentry]"
TOKEN = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(4))
SECRET = Sensitive(TOKEN)
DATA = f"use {TOKEN}".encode()


@pytest.fixture
def hold(azure: AzureBench) -> AzureHold:
    return AzureHold(azure)


def blob(hold: AzureHold) -> BlobClient:
    return hold.bench.client.get_blob_client(hold.bench.bucket, "docs/a.txt")


def facts(hold: AzureHold) -> dict[str, Any]:
    found = blob(hold).get_blob_properties()
    settings = found.content_settings
    return {
        "data": bytes(blob(hold).download_blob().readall()),
        "type": found.blob_type,
        "settings": (settings.content_type, settings.content_language, settings.cache_control),
        "metadata": found.metadata,
        "tier": found.blob_tier,
        "tags": blob(hold).get_blob_tags(),
    }


def snapshots(hold: AzureHold) -> list[bytes]:
    """What the snapshots hold, the oldest first."""
    container = hold.bench.client.get_container_client(hold.bench.bucket)
    names = sorted(str(one.snapshot) for one in container.list_blobs(include=["snapshots"]) if one.snapshot)
    return [hold.get("docs/a.txt", name) or b"" for name in names]


def test_all_that_describes_a_blob_comes_back(hold: AzureHold) -> None:
    settings = ContentSettings(content_type="text/x-notes", content_language="de", cache_control="no-store")
    blob(hold).upload_blob(
        DATA,
        content_settings=settings,
        metadata={"team": "blue"},
        tags={"project": "apollo"},
        standard_blob_tier=StandardBlobTier.COOL,
    )
    before, place = facts(hold), hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    stub = facts(hold)
    assert stub["data"] == TEXT.encode() and stub["settings"][0].startswith("text/plain") and not stub["tags"]
    quarantine.release(place, original, receipt)
    assert facts(hold) == before


def test_an_append_blob_stays_one(hold: AzureHold) -> None:
    blob(hold).upload_blob(DATA, blob_type=BlobType.APPENDBLOB)
    before, place = facts(hold), hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert facts(hold)["data"] == TEXT.encode()
    assert quarantine.held(place, original, TEXT) is not None
    quarantine.release(place, original, receipt)
    assert facts(hold) == before


def test_a_page_blob_is_refused(hold: AzureHold) -> None:
    data = DATA.ljust(512, b" ")
    blob(hold).upload_blob(data, blob_type=BlobType.PAGEBLOB)
    with pytest.raises(InputError, match="page blob"):
        hold.open().inspect(hold.place("docs/a.txt"), [SECRET])


def test_snapshots_with_the_secret_go_and_come_back_in_their_order(hold: AzureHold) -> None:
    for data in (b"clean", f"old {TOKEN}".encode()):
        blob(hold).upload_blob(data, overwrite=True)
        blob(hold).create_snapshot()
    blob(hold).upload_blob(DATA, overwrite=True)
    place = hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert snapshots(hold) == [b"clean"] and hold.get("docs/a.txt") == TEXT.encode()
    quarantine.release(place, original, receipt)
    assert snapshots(hold) == [b"clean", f"old {TOKEN}".encode()] and hold.get("docs/a.txt") == DATA
    assert hold.held() == []


def test_a_blob_with_clean_snapshots_is_not_deleted(hold: AzureHold) -> None:
    """Azure deletes a blob only with all of its snapshots."""
    blob(hold).upload_blob(b"clean")
    blob(hold).create_snapshot()
    blob(hold).upload_blob(DATA, overwrite=True)
    place = hold.place("docs/a.txt")
    original = hold.open(mode="delete").inspect(place, [SECRET])
    with pytest.raises(InputError, match='mode = "stub"'):
        hold.open(mode="delete").hold(place, original, [SECRET], TEXT)
    assert hold.get("docs/a.txt") == DATA and snapshots(hold) == [b"clean"]


def test_a_snapshot_is_held_by_itself(hold: AzureHold) -> None:
    blob(hold).upload_blob(DATA)
    name = str(blob(hold).create_snapshot()["snapshot"])
    blob(hold).upload_blob(b"clean", overwrite=True)
    place = hold.place("docs/a.txt", f"snapshot={name}")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert snapshots(hold) == [] and hold.get("docs/a.txt") == b"clean"
    quarantine.release(place, original, receipt)
    assert snapshots(hold) == [DATA] and hold.get("docs/a.txt") == b"clean"


def test_a_lease_is_told(hold: AzureHold) -> None:
    blob(hold).upload_blob(DATA)
    lease = blob(hold).acquire_lease()
    place = hold.place("docs/a.txt")
    original = hold.open().inspect(place, [SECRET])
    with pytest.raises(AccessError, match="break the lease"):
        hold.open().hold(place, original, [SECRET], TEXT)
    assert hold.get("docs/a.txt") == DATA
    lease.release()
    assert hold.open().hold(place, original, [SECRET], TEXT).outcome == "done"
