"""What only the quarantine of Google Cloud Storage has: generations, grants, holds, rewrites in several calls. Our
strict server plays it.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from keysentry.errors import AccessError, InputError
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.objects.bench import GcsBench
from tests.connectors.objects.holding import GcsHold

pytestmark = pytest.mark.xdist_group("gcs")

TEXT = "[Removed by keysentry]"
TOKEN = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(4))
SECRET = Sensitive(TOKEN)
DATA = f"use {TOKEN}".encode()


@pytest.fixture
def hold(gcs: GcsBench) -> GcsHold:
    return GcsHold(gcs)


@pytest.fixture
def versioned(gcs: GcsBench) -> GcsHold:
    return GcsHold(gcs, versioned=True)


def put(hold: GcsHold, data: bytes = DATA, **more: Any) -> str:
    return str(hold.bench.server.put(hold.bench.bucket, "docs/a.txt", data, **more).number)


def test_all_that_describes_an_object_comes_back(hold: GcsHold) -> None:
    server = hold.bench.server
    server.buckets[hold.bench.bucket].uniform = False
    described = {
        "contentType": "text/x-notes",
        "cacheControl": "no-store",
        "contentDisposition": "attachment",
        "contentLanguage": "de",
        "customTime": "2026-01-31T00:00:00Z",
        "storageClass": "NEARLINE",
        "metadata": {"team": "blue"},
    }
    put(hold, described=described, grants=["allUsers", "user-ada@example.com"])
    place = hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    [copy] = [server.buckets[hold.quarantine].objects[key][-1] for key in hold.held() if key.endswith("/0")]
    assert copy.grants == [] and copy.described["metadata"] == {"team": "blue"}
    stub = server.buckets[hold.bench.bucket].objects["docs/a.txt"][-1]
    assert stub.described["contentType"].startswith("text/plain") and "keysentry-hold" in stub.described["metadata"]
    quarantine.release(place, original, receipt)
    after = server.buckets[hold.bench.bucket].objects["docs/a.txt"][-1]
    assert (after.data, after.described, after.grants) == (DATA, described, ["allUsers", "user-ada@example.com"])


def test_generations_with_the_secret_go_and_come_back_in_their_order(versioned: GcsHold) -> None:
    for data in (b"clean", f"old {TOKEN}".encode(), DATA):
        put(versioned, data)
    place = versioned.place("docs/a.txt")
    quarantine = versioned.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean", TEXT.encode()]
    quarantine.release(place, original, receipt)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean", f"old {TOKEN}".encode(), DATA]
    assert versioned.held() == []


def test_without_versions_the_receipt_says_who_still_reads_them(versioned: GcsHold) -> None:
    put(versioned)
    place = versioned.place("docs/a.txt")
    quarantine = versioned.open(versions=False)
    receipt = quarantine.hold(place, quarantine.inspect(place, [SECRET]), [SECRET], TEXT)
    assert "names its generation can still read" in receipt.note
    assert [data for _, data in versioned.versions("docs/a.txt")] == [DATA, TEXT.encode()]


def test_an_older_generation_is_held_by_itself(versioned: GcsHold) -> None:
    name = put(versioned)
    put(versioned, b"clean")
    place = versioned.place("docs/a.txt", name)
    quarantine = versioned.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean"]
    quarantine.release(place, original, receipt)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean", DATA, b"clean"]


def test_a_rewrite_takes_as_many_calls_as_it_takes(hold: GcsHold) -> None:
    hold.bench.server.rewritten_at_once = 10
    put(hold)
    place = hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    calls = [one for one in hold.bench.proxy.effects if "/rewriteTo/" in one.path]
    assert len(calls) == -(-len(DATA) // 10)
    quarantine.release(place, original, receipt)
    assert hold.get("docs/a.txt") == DATA


@pytest.mark.parametrize(
    "described",
    [{"temporaryHold": True}, {"eventBasedHold": True}, {"retentionExpirationTime": "2099-01-01T00:00:00Z"}],
    ids=["a hold", "a hold by events", "a retention"],
)
def test_what_is_kept_is_refused_with_advice(hold: GcsHold, described: dict[str, Any]) -> None:
    put(hold, described=described)
    with pytest.raises(InputError, match="release the hold"):
        hold.open().inspect(hold.place("docs/a.txt"), [SECRET])
    assert hold.get("docs/a.txt") == DATA


def test_a_hold_that_is_set_meanwhile_is_refused(hold: GcsHold) -> None:
    put(hold)
    place = hold.place("docs/a.txt")
    original = hold.open().inspect(place, [SECRET])
    hold.bench.server.buckets[hold.bench.bucket].objects["docs/a.txt"][-1].described["temporaryHold"] = True
    with pytest.raises(InputError):
        hold.open().hold(place, original, [SECRET], TEXT)
    assert hold.get("docs/a.txt") == DATA


def test_grants_that_may_not_be_read_do_not_hinder(hold: GcsHold) -> None:
    hold.bench.server.buckets[hold.bench.bucket].uniform = False
    hold.bench.server.denied.add("storage.objects.getIamPolicy")
    put(hold)
    place = hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    quarantine.release(place, original, receipt)
    assert hold.get("docs/a.txt") == DATA
    hold.bench.server.denied.add("storage.objects.get")
    with pytest.raises(AccessError, match=r"grant storage\.objects\.get"):
        hold.open().inspect(place, [SECRET])
