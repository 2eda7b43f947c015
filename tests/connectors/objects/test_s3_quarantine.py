"""What only the quarantine of S3 has: versions, tags, grants, encryption, copies in parts, locks. Moto plays S3.

Moto ignores `CopySourceIfMatch` and the conditions of a copy and of a deletion, and keeps no sums of copies made in
parts: what holds there is that we look before and after.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keysentry.connectors.s3 import Options as ReadingOptions
from keysentry.connectors.s3.quarantine import Options, open_quarantine
from keysentry.errors import ChangedError, ConfigError, GoneError, InputError
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.objects.bench import S3Bench
from tests.connectors.objects.holding import S3Hold

pytestmark = pytest.mark.xdist_group("moto")

TEXT = "[Removed by keysentry]"
TOKEN = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(4))
SECRET = Sensitive(TOKEN)
DATA = f"use {TOKEN}".encode()


@pytest.fixture
def hold(s3: S3Bench) -> S3Hold:
    return S3Hold(s3)


@pytest.fixture
def versioned(s3: S3Bench) -> S3Hold:
    return S3Hold(s3, versioned=True)


def facts(hold: S3Hold, key: str = "docs/a.txt", bucket: str = "") -> dict[str, Any]:
    """All that is said of an object."""
    client, names = hold.bench.client, {"Bucket": bucket or hold.bench.bucket, "Key": key}
    head = client.head_object(**names)
    said = {
        name: value for name, value in head.items() if name not in ("ResponseMetadata", "LastModified", "VersionId")
    }
    return {**said, "tags": client.get_object_tagging(**names)["TagSet"]}


def put(hold: S3Hold, data: bytes = DATA, **more: Any) -> None:
    hold.bench.client.put_object(Bucket=hold.bench.bucket, Key="docs/a.txt", Body=data, **more)


def test_all_that_describes_an_object_comes_back(hold: S3Hold) -> None:
    put(
        hold,
        ContentType="text/x-notes",
        ContentLanguage="de",
        CacheControl="no-store",
        ContentDisposition="attachment",
        Metadata={"team": "blue"},
        Tagging="project=apollo&stage=test",
        StorageClass="STANDARD_IA",
        ServerSideEncryption="AES256",
    )
    before, place = facts(hold), hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    stub = facts(hold)
    assert stub["ContentType"].startswith("text/plain") and stub["tags"] == []
    assert stub["Metadata"] == {"keysentry-hold": hold.held()[0].split("/")[1]}
    copy = facts(hold, next(key for key in hold.held() if key.endswith("/0")), hold.quarantine)
    for name in ("ContentType", "Metadata", "tags", "ServerSideEncryption"):
        assert copy[name] == before[name]
    quarantine.release(place, original, receipt)
    after = facts(hold)
    for changed in ("ChecksumSHA256", "ChecksumCRC32", "ChecksumType"):
        before.pop(changed, None)
        after.pop(changed, None)
    assert after == before


def test_grants_come_back_where_they_count(hold: S3Hold) -> None:
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    hold.bench.client.put_bucket_ownership_controls(Bucket=hold.bench.bucket, OwnershipControls=rules)
    put(hold, ACL="public-read")
    place = hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)

    def everyone(bucket: str, key: str) -> bool:
        grants = hold.bench.client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
        return any("AllUsers" in grant["Grantee"].get("URI", "") for grant in grants)

    assert not any(everyone(hold.quarantine, key) for key in hold.held())
    quarantine.release(place, original, receipt)
    assert everyone(hold.bench.bucket, "docs/a.txt")


def test_versions_with_the_secret_go_and_come_back_in_their_order(versioned: S3Hold) -> None:
    for data in (b"clean, first", f"old {TOKEN}".encode(), b"clean, second", DATA):
        put(versioned, data)
    place = versioned.place("docs/a.txt")
    quarantine = versioned.open()
    original = quarantine.inspect(place, [SECRET])
    assert "1 older version" in original.note
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean, first", b"clean, second", TEXT.encode()]
    assert "1 older version" in receipt.note and receipt.evidence["copies"] == "2"
    quarantine.release(place, original, receipt)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [
        b"clean, first",
        b"clean, second",
        f"old {TOKEN}".encode(),
        DATA,
    ]
    assert versioned.held() == []


def test_without_versions_the_receipt_says_who_still_reads_them(versioned: S3Hold) -> None:
    put(versioned, f"old {TOKEN}".encode())
    put(versioned)
    place = versioned.place("docs/a.txt")
    quarantine = versioned.open(versions=False)
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert "s3:GetObjectVersion can still read" in receipt.note
    assert [data for _, data in versioned.versions("docs/a.txt")][-1] == TEXT.encode()
    assert len(versioned.versions("docs/a.txt")) == 3
    quarantine.release(place, original, receipt)
    assert versioned.get("docs/a.txt") == DATA


def test_stopped_between_versions_it_is_finished(versioned: S3Hold) -> None:
    """At every call, of a hold of two versions and of its release."""
    for before in (True, False):
        number, more = 0, True
        while more:
            number += 1
            key = f"docs/{before}-{number}.txt"
            for data in (f"one {TOKEN}".encode(), DATA):
                versioned.bench.put(key, data)
            place = versioned.place(key)
            original = versioned.open().inspect(place, [SECRET])
            more = stopped(versioned, number, before, lambda: versioned.open().hold(place, original, [SECRET], TEXT))  # noqa: B023
            receipt = versioned.open().held(place, original, TEXT)
            if receipt is None:
                receipt = versioned.open().hold(place, versioned.open().inspect(place, [SECRET]), [SECRET], TEXT)
            assert [data for _, data in versioned.versions(key)] == [TEXT.encode()], number
            more |= stopped(versioned, number, before, lambda: versioned.open().release(place, original, receipt))  # noqa: B023
            if versioned.open().released(place, original, receipt) is None:
                versioned.open().release(place, original, receipt)
            back = [data for _, data in versioned.versions(key)]
            assert back == [f"one {TOKEN}".encode(), DATA], number
            assert versioned.held() == []
        assert number > 6


def stopped(hold: S3Hold, number: int, before: bool, act: Any) -> bool:
    from keysentry.errors import KeysentryError

    with hold.bench.proxy.stop(number, before=before):
        try:
            act()
        except KeysentryError:
            return True
    return False


def test_an_older_version_is_held_by_itself_and_comes_back_below_the_current_one(versioned: S3Hold) -> None:
    put(versioned)
    put(versioned, b"clean")
    [(name, _), _] = versioned.versions("docs/a.txt")
    place = versioned.place("docs/a.txt", name)
    quarantine = versioned.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean"]
    assert quarantine.held(place, original, TEXT) is not None
    quarantine.release(place, original, receipt)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean", DATA, b"clean"]
    assert quarantine.released(place, original, receipt) is not None and versioned.held() == []


def test_an_older_version_of_what_is_deleted_comes_back_as_such(versioned: S3Hold) -> None:
    put(versioned)
    [(name, _)] = versioned.versions("docs/a.txt")
    place = versioned.place("docs/a.txt", name)
    versioned.bench.delete("docs/a.txt")
    quarantine = versioned.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert versioned.versions("docs/a.txt") == []
    quarantine.release(place, original, receipt)
    assert versioned.get("docs/a.txt") is None
    assert [data for _, data in versioned.versions("docs/a.txt")] == [DATA]


def test_a_bucket_whose_versions_are_suspended(hold: S3Hold) -> None:
    """The version without a name is the placeholder by then, and must not be taken for the original."""
    put(hold)
    hold.keep_versions()
    hold.keep_versions("Suspended")
    place = hold.place("docs/a.txt")
    quarantine = hold.open()
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert hold.get("docs/a.txt") == TEXT.encode()
    quarantine.release(place, original, receipt)
    assert hold.get("docs/a.txt") == DATA


def test_a_copy_in_parts_is_the_same_and_what_was_begun_is_dropped(hold: S3Hold) -> None:
    rng = random.Random(2)
    data = DATA + rng.randbytes(12 << 20)
    put(hold, data, ContentType="text/x-notes", Metadata={"team": "blue"}, Tagging="project=apollo")
    place = hold.place("docs/a.txt")
    sizes = {"largest": 5 << 20, "part": 5 << 20}
    original = hold.open(**sizes).inspect(place, [SECRET])
    assert stopped(hold, 4, True, lambda: hold.open(**sizes).hold(place, original, [SECRET], TEXT))
    left = hold.bench.client.list_multipart_uploads(Bucket=hold.quarantine).get("Uploads", [])
    assert len(left) == 1
    receipt = hold.open(**sizes).hold(place, original, [SECRET], TEXT)
    assert not hold.bench.client.list_multipart_uploads(Bucket=hold.quarantine).get("Uploads", [])
    key = next(key for key in hold.held() if key.endswith("/0"))
    assert facts(hold, key, hold.quarantine)["ETag"].endswith('-3"')
    hold.open(**sizes).release(place, original, receipt)
    assert hold.get("docs/a.txt") == data
    said = facts(hold)
    assert (said["ContentType"], said["Metadata"]) == ("text/x-notes", {"team": "blue"})
    assert said["tags"] == [{"Key": "project", "Value": "apollo"}]


@pytest.mark.parametrize("kind", ["hold", "lock"])
def test_what_is_locked_is_refused_with_advice(s3: S3Bench, kind: str) -> None:
    bucket = f"{s3.bucket}-locked"
    s3.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.bucket = bucket
    hold = S3Hold(s3)
    until = datetime.now(UTC) + timedelta(days=3)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    put(hold, **({"ObjectLockLegalHoldStatus": "ON"} if kind == "hold" else lock))
    with pytest.raises(InputError, match=r"legal hold: lift|until \d{4}-.*: lift"):
        hold.open().inspect(hold.place("docs/a.txt"), [SECRET])
    assert hold.get("docs/a.txt") == DATA


def test_a_source_that_changes_while_it_is_copied_is_left(hold: S3Hold) -> None:
    """Moto ignores the condition of the copy, so what was copied is compared, and forgotten."""
    from tests.servers.objectfaults import Fault

    put(hold)
    place = hold.place("docs/a.txt")
    original = hold.open().inspect(place, [SECRET])

    def write(request: Any) -> bool:
        if "x-amz-copy-source" in request.headers:
            put(hold, b"written meanwhile")
        return False

    hold.bench.proxy.standing.append(Fault(write))
    with pytest.raises(ChangedError):
        hold.open().hold(place, original, [SECRET], TEXT)
    assert hold.get("docs/a.txt") == b"written meanwhile" and hold.held() == []


def test_deleting_in_a_bucket_with_versions_leaves_none_with_the_secret(versioned: S3Hold) -> None:
    put(versioned, b"clean")
    put(versioned)
    place = versioned.place("docs/a.txt")
    quarantine = versioned.open(mode="delete")
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert versioned.get("docs/a.txt") is None
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean"]
    quarantine.release(place, original, receipt)
    assert [data for _, data in versioned.versions("docs/a.txt")] == [b"clean", DATA]


def test_a_version_that_is_gone_is_gone(versioned: S3Hold) -> None:
    put(versioned)
    with pytest.raises(GoneError):
        versioned.open().inspect(versioned.place("docs/a.txt", "00000000-0000-4000-8000-000000000000"), [SECRET])


def test_options_are_checked() -> None:
    source = ReadingOptions(name="lake")
    with pytest.raises(ConfigError, match="reads the quarantine"):
        open_quarantine(Options(source="lake", quarantine="acme-held/x"), source)
    apart = ReadingOptions(name="lake", exclude=("s3://acme-held/*",))
    open_quarantine(Options(source="lake", quarantine="acme-held/x"), apart).close()
    prefixed = ReadingOptions(name="lake", buckets=("acme",), prefixes=("logs/",))
    open_quarantine(Options(source="lake", quarantine="acme/held"), prefixed).close()
    with pytest.raises(ConfigError, match="belong together"):
        open_quarantine(Options(source="lake", quarantine="x", access_key_id=SECRET), apart)


def test_somebodys_upload_under_the_same_key_goes_on_through_a_release(hold: S3Hold) -> None:
    data = DATA + bytes(6 << 20)
    client, names = hold.bench.client, {"Bucket": hold.bench.bucket, "Key": "docs/7"}
    hold.bench.put("docs/7", data)
    place = hold.place("docs/7")
    sizes = {"largest": 5 << 20, "part": 5 << 20}
    original = hold.open(**sizes).inspect(place, [SECRET])
    receipt = hold.open(**sizes).hold(place, original, [SECRET], TEXT)
    theirs = client.create_multipart_upload(**names)["UploadId"]
    hold.open(**sizes).release(place, original, receipt)
    assert hold.get("docs/7") == data
    assert [one["UploadId"] for one in client.list_multipart_uploads(Bucket=hold.bench.bucket)["Uploads"]] == [theirs]
