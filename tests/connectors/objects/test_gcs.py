"""What is Google Cloud Storage's own. Our strict server plays it, whose answers are checked against Google's
description of the interface; gcp-storage-emulator, which is somebody else's, gives a second opinion.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from keysentry.connectors.gcs import Options, open_source, target_options
from keysentry.errors import AccessError, ConfigError, InputError, SourceError
from tests.connectors.objects.bench import GcsBench, content, everything, held_after, read, records, told, units
from tests.servers.gcs import Bucket, StrictGcs, emulator
from tests.servers.objectfaults import Fault

pytestmark = pytest.mark.xdist_group("gcs")


def versioned(gcs: GcsBench) -> Bucket:
    bucket = gcs.server.buckets[gcs.bucket]
    bucket.versioning = True
    return bucket


def test_older_generations_are_records_of_their_own(gcs: GcsBench) -> None:
    versioned(gcs)
    first = gcs.server.put(gcs.bucket, "docs/a", b"one")
    gcs.put("docs/a", b"two")
    gcs.put("docs/b", b"three")
    [unit] = units(gcs.source(versions=True))
    found = records(read(gcs.source(versions=True), unit))
    assert [(record.id, content(record)) for record in found] == [
        (f"{gcs.bucket}/docs/a?version={first.number}", b"one"),
        (f"{gcs.bucket}/docs/a", b"two"),
        (f"{gcs.bucket}/docs/b", b"three"),
    ]
    assert found[0].uri.endswith(f"?generation={first.number}")
    assert told(read(gcs.source(), unit)) == [(f"{gcs.bucket}/docs/a", False), (f"{gcs.bucket}/docs/b", False)]


def test_deletions_are_told_where_generations_are_kept(gcs: GcsBench) -> None:
    versioned(gcs)
    one = gcs.server.put(gcs.bucket, "docs/a", b"one")
    gcs.put("docs/b", b"two")
    source = gcs.source(versions=True)
    [unit] = units(source)
    cursor = read(source, unit)[-1].cursor
    gcs.server.now += 60
    gcs.delete("docs/a")
    second = read(source, unit, cursor)
    assert told(second) == [(f"{gcs.bucket}/docs/a?version={one.number}", False), (f"{gcs.bucket}/docs/a", True)]
    assert told(read(source, unit, second[-1].cursor)) == []
    gcs.server.now += 60
    gcs.put("docs/a", b"again")
    assert told(read(source, unit, second[-1].cursor)) == [(f"{gcs.bucket}/docs/a", False)]


def test_going_on_among_generations_gives_exactly_what_came_after(gcs: GcsBench) -> None:
    versioned(gcs)
    source = gcs.source(versions=True)
    for number in range(3):
        gcs.server.now += 1
        for key in ("docs/a", "docs/b", "docs/c"):
            gcs.put(key, f"{key} {number}".encode())
    [unit] = units(source)
    cursor = read(source, unit)[-1].cursor
    gcs.server.now += 1000
    gcs.delete("docs/b")
    gcs.delete("docs/c")
    for start, count in ((None, 9), (cursor, 4)):
        whole = read(source, unit, start)
        ids = told(whole)
        assert len(ids) == count
        for cut, delivery in enumerate(whole):
            assert told(read(source, unit, delivery.cursor)) == ids[cut + 1 :]


def test_pages_are_followed_and_memory_is_flat(gcs: GcsBench) -> None:
    for number in range(10_000):
        gcs.server.put(gcs.bucket, f"docs/{number:06d}", b"x", created=gcs.server.now - 1)
    source = gcs.source()
    [unit] = units(source)
    count, blocks = held_after(source, unit)
    assert count == 10_000
    assert max(blocks[3:]) - max(blocks[:3]) < 1000, "7,000 objects later, less than a block for seven of them"


def test_a_gzipped_content_comes_as_it_is_stored(gcs: GcsBench) -> None:
    """Whoever does not say that he takes gzip gets it unpacked, whatever range he asked for."""
    data = gzip.compress(b"hello" * 100)
    gcs.server.put(gcs.bucket, "docs/a.gz", data, encoding="gzip")
    [record] = everything(gcs.source())
    assert content(record) == data


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((403, "forbidden", "Permission denied on Cloud KMS key."), "encrypted"),
        (
            (400, "resourceIsEncryptedWithCustomerEncryptionKey", "The resource is encrypted with a customer key"),
            "owner",
        ),
        ((400, "somethingNew", "that nobody heard of"), "nobody heard of"),
    ],
)
def test_an_object_that_cannot_be_had_costs_only_itself(
    gcs: GcsBench, refusal: tuple[int, str, str], words: str
) -> None:
    gcs.server.put(gcs.bucket, "docs/a", b"x", refusal=refusal)
    gcs.put("docs/b", b"y")
    found = list(everything(gcs.source()))
    with pytest.raises(InputError, match=words) as caught:
        content(found[0])
    assert not isinstance(caught.value, SourceError) and "127.0.0.1" not in str(caught.value)
    assert content(found[1]) == b"y"


def binding(role: str, *members: str) -> dict[str, Any]:
    return {"role": role, "members": list(members)}


VIEWER = "roles/storage.objectViewer"


@pytest.mark.parametrize(
    ("settings", "denied", "grants", "audience"),
    [
        ({}, (), [], "private"),
        ({"bindings": [binding(VIEWER, "user:ada@example.com")]}, (), [], "private"),
        ({"bindings": [binding(VIEWER, "allUsers")]}, (), [], "public"),
        ({"bindings": [binding(VIEWER, "allAuthenticatedUsers")]}, (), [], "public"),
        ({"bindings": [binding(VIEWER, "domain:example.com")]}, (), [], "internal"),
        ({"bindings": [binding("roles/storage.legacyBucketReader", "allUsers")]}, (), [], "private"),
        ({"bindings": [binding(VIEWER, "allUsers")], "prevention": "enforced"}, (), [], "private"),
        ({"bindings": [binding(VIEWER, "allUsers")]}, ("storage.buckets.getIamPolicy",), [], "unknown"),
        ({"bindings": [binding(VIEWER, "allUsers")]}, ("storage.buckets.get",), [], "public"),
        ({"uniform": False}, (), ["allUsers"], "public"),
        ({"uniform": False}, (), ["user-ada@example.com"], "private"),
        ({"uniform": False, "prevention": "enforced"}, (), ["allUsers"], "private"),
        ({"uniform": False}, ("storage.objects.getIamPolicy",), ["allUsers"], "unknown"),
        ({"uniform": True}, (), ["allUsers"], "private"),
    ],
)
def test_who_can_read(
    gcs: GcsBench, settings: dict[str, Any], denied: tuple[str, ...], grants: list[str], audience: str
) -> None:
    gcs.server.buckets[gcs.bucket] = Bucket(**settings)
    gcs.server.denied = set(denied)
    gcs.server.put(gcs.bucket, "docs/a", b"x", grants=grants)
    [record] = everything(gcs.source())
    assert record.exposure.audience == audience


def test_the_owner_is_the_author_where_that_is_told(gcs: GcsBench) -> None:
    gcs.server.buckets[gcs.bucket].uniform = False
    gcs.put("docs/a", b"x")
    [record] = everything(gcs.source())
    assert (record.author, record.author_id) == ("ada@example.com", "7")
    gcs.server.denied = {"storage.objects.getIamPolicy"}
    [record] = everything(gcs.source())
    assert (record.author, record.author_id) == ("", "")


def test_a_bucket_whose_requesters_pay_names_what_to_set(gcs: GcsBench) -> None:
    gcs.put("docs/a", b"x")
    body = json.dumps({"error": {"code": 400, "message": "no", "errors": [{"reason": "userProjectMissing"}]}}).encode()
    gcs.spoil_lists(status=400, body=body, times=-1)
    with pytest.raises(AccessError, match="user_project"):
        units(gcs.source())
    gcs.proxy.clear()
    [record] = everything(gcs.source(user_project="payer"))
    assert content(record) == b"x"
    assert [one.path for one in gcs.proxy.seen if "userProject=payer" not in one.path] == []


def test_too_many_requests_also_come_as_403(gcs: GcsBench) -> None:
    gcs.put("docs/a", b"x")
    body = json.dumps({"error": {"code": 403, "message": "no", "errors": [{"reason": "rateLimitExceeded"}]}}).encode()
    gcs.spoil_lists(status=403, body=body)
    assert len(units(gcs.source())) == 1


def key_file(path: Path, token_uri: str) -> None:
    """The key file of a service account, with a key made for the occasion."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    facts = {"client_email": "scanner@local.test", "private_key": pem, "token_uri": token_uri, "project_id": "local"}
    path.write_text(json.dumps({"type": "service_account", **facts}))


def test_credentials_that_come_later_are_found_without_a_restart(gcs: GcsBench, tmp_path: Path) -> None:
    """The file of a service account appears, its token is asked for at its own address, is refused, and then given."""
    gcs.put("docs/a", b"x")
    gcs.server.token = "local-test-token"
    file = tmp_path / "key.json"
    source = gcs.source(anonymous=False, credentials=str(file))
    for text in (None, "[]", "no JSON"):
        if text is not None:
            file.write_text(text)
        with pytest.raises(AccessError, match="cannot be used"):
            list(source.units())
    file.write_text("{}")
    with pytest.raises(AccessError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        list(source.units())
    key_file(file, f"{gcs.proxy.address}/token")

    def tokens(status: int, **body: object) -> None:
        gcs.proxy.clear()
        headers = {"Content-Type": "application/json"}
        text = json.dumps(body).encode()
        gcs.proxy.spoil(Fault(lambda one: one.path == "/token", status=status, headers=headers, body=text, times=-1))

    tokens(400, error="invalid_grant", error_description="Invalid JWT Signature.")
    with pytest.raises(AccessError, match="invalid_grant"):
        list(source.units())
    tokens(200, access_token="local-test-token", expires_in=3600, token_type="Bearer")
    [record] = everything(source)
    assert content(record) == b"x"
    assert [one.path for one in gcs.proxy.seen].count("/token") == 1
    tokens(200, access_token="local-test-other", expires_in=3600, token_type="Bearer")
    gcs.server.token = "local-test-other"
    assert content(record) == b"x", "a token that is not accepted any more is asked for anew"


def test_a_token_that_is_not_accepted_stops_the_source(gcs: GcsBench) -> None:
    gcs.server.token = "local-test-token"
    with pytest.raises(AccessError, match="gcloud auth"):
        list(gcs.source().units())


def test_all_buckets_need_a_project(gcs: GcsBench) -> None:
    with pytest.raises(AccessError, match="project"):
        list(gcs.source(buckets=()).units())


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("gcs")) as address:
        yield address


def test_the_other_emulator_is_read_too(emulated: str) -> None:
    session = requests.Session()
    client = storage.Client(
        project="local", credentials=AnonymousCredentials(), client_options={"api_endpoint": emulated}, _http=session
    )
    bucket = client.create_bucket("emulated-bucket")
    for name, data in (("docs/a b.txt", b"one"), ("docs/b", b"x" * 9_000_000), ("top", b"three")):
        bucket.blob(name).upload_from_string(data)
    client.close()
    source = open_source(Options(name="test", buckets=("emulated-bucket",), base_url=emulated, anonymous=True))
    found = {record.id: content(record) for record in everything(source)}
    assert found == {
        "emulated-bucket/docs/a b.txt": b"one",
        "emulated-bucket/docs/b": b"x" * 9_000_000,
        "emulated-bucket/top": b"three",
    }
    source.close()


def test_a_target_names_a_bucket_and_a_prefix() -> None:
    assert target_options("gs://bucket/some/prefix") == {"buckets": ["bucket"], "prefixes": ["some/prefix"]}
    assert target_options("gs://bucket") == {"buckets": ["bucket"], "prefixes": []}
    assert target_options("gs://") == {}
    with pytest.raises(ConfigError, match="gs://bucket/prefix"):
        target_options("gs:///prefix")


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="anonymous"):
        open_source(Options(name="test", anonymous=True, credentials="key.json"))


def test_at_google_the_link_asks_a_person_to_log_in(gcs_server: StrictGcs) -> None:
    from keysentry.connectors.gcs.client import GcsStore
    from keysentry.connectors.objects.store import Entry
    from keysentry.connectors.pace import Pace

    store = GcsStore(Options(name="test"), Pace("test"))
    assert store.link("bucket", Entry(key="a b/ü?.txt", modified=0.0)) == (
        "https://storage.cloud.google.com/bucket/a%20b/%C3%BC%3F.txt"
    )
