"""What is S3's own, played by moto: versions, roles, credentials, who can read; and how options are understood."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from keysentry.connectors.s3 import Options, open_source, target_options
from keysentry.errors import AccessError, ConfigError, SourceError
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.objects.bench import S3Bench, content, everything, read, records, told, units
from tests.servers.objectfaults import Fault

pytestmark = pytest.mark.xdist_group("moto")


def versioned(s3: S3Bench) -> S3Bench:
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    return s3


def put(s3: S3Bench, key: str, data: bytes) -> str:
    return str(s3.client.put_object(Bucket=s3.bucket, Key=key, Body=data)["VersionId"])


def test_older_versions_are_records_of_their_own(s3: S3Bench) -> None:
    versioned(s3)
    first = put(s3, "docs/a", b"one")
    second = put(s3, "docs/a", b"two")
    put(s3, "docs/b", b"three")
    [unit] = units(s3.source(versions=True))
    found = records(read(s3.source(versions=True), unit))
    assert [(record.id, content(record)) for record in found] == [
        (f"{s3.bucket}/docs/a", b"two"),
        (f"{s3.bucket}/docs/a?version={first}", b"one"),
        (f"{s3.bucket}/docs/b", b"three"),
    ]
    assert f"versionId={first}" in found[1].uri and second not in found[0].uri
    assert told(read(s3.source(), unit)) == [(f"{s3.bucket}/docs/a", False), (f"{s3.bucket}/docs/b", False)]


def test_a_version_that_is_covered_by_a_new_one_moves_and_a_deletion_is_told(s3: S3Bench) -> None:
    versioned(s3)
    first = put(s3, "docs/a", b"one")
    [unit] = units(s3.source(versions=True))
    cursor = read(s3.source(versions=True), unit)[-1].cursor
    second = put(s3, "docs/a", b"two")
    passed = read(s3.source(versions=True), unit, cursor)
    assert [(record.id, content(record)) for record in records(passed)] == [
        (f"{s3.bucket}/docs/a", b"two"),
        (f"{s3.bucket}/docs/a?version={first}", b"one"),
    ]
    s3.delete("docs/a")
    passed = read(s3.source(versions=True), unit, passed[-1].cursor)
    assert told(passed) == [(f"{s3.bucket}/docs/a", True), (f"{s3.bucket}/docs/a?version={second}", False)]
    assert told(read(s3.source(versions=True), unit, passed[-1].cursor)) == []
    assert [unit.id for unit in units(s3.source(versions=True))] == [unit.id], (
        "a prefix of old versions alone is a unit"
    )


def test_going_on_among_versions_gives_exactly_what_came_after(s3: S3Bench) -> None:
    versioned(s3)
    for number in range(3):
        for key in ("docs/a", "docs/b", "docs/c"):
            put(s3, key, f"{key} {number}".encode())
    s3.delete("docs/b")
    source = s3.source(versions=True)
    [unit] = units(source)
    whole = read(source, unit)
    ids = told(whole)
    assert len(ids) == 9, "that something is deleted is no news in a first pass"
    for cut, delivery in enumerate(whole):
        assert told(read(source, unit, delivery.cursor)) == ids[cut + 1 :]


def test_a_gzipped_content_comes_as_it_is_stored(s3: S3Bench) -> None:
    import gzip

    data = gzip.compress(b"hello" * 100)
    s3.client.put_object(Bucket=s3.bucket, Key="docs/a.gz", Body=data, ContentEncoding="gzip")
    [record] = everything(s3.source())
    assert content(record) == data


def test_an_object_uploaded_in_parts_is_read(s3: S3Bench) -> None:
    data = bytes(range(256)) * 40_000
    s3.client.upload_fileobj(io.BytesIO(data), s3.bucket, "docs/parts")
    [record] = everything(s3.source())
    assert content(record) == data


def public_policy(bucket: str) -> str:
    return (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", '
        f'"Resource": "arn:aws:s3:::{bucket}/*"}}]}}'
    )


def acls_count(s3: S3Bench) -> None:
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.client.put_bucket_ownership_controls(Bucket=s3.bucket, OwnershipControls=rules)


def test_grants_to_everyone_make_an_object_public_where_they_count(s3: S3Bench) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="docs/open", Body=b"x", ACL="public-read")
    s3.client.put_object(Bucket=s3.bucket, Key="docs/shared", Body=b"x", ACL="authenticated-read")
    s3.client.put_object(Bucket=s3.bucket, Key="docs/closed", Body=b"x")

    def audiences() -> dict[str, str]:
        return {record.id.rpartition("/")[2]: record.exposure.audience for record in everything(s3.source())}

    assert set(audiences().values()) == {"private"}, "the bucket's owner owns all: grants do not count"
    acls_count(s3)
    assert audiences() == {"open": "public", "shared": "public", "closed": "private"}
    block = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    s3.client.put_public_access_block(Bucket=s3.bucket, PublicAccessBlockConfiguration=block)
    assert set(audiences().values()) == {"private"}


def test_a_role_is_taken_on(s3: S3Bench) -> None:
    s3.put("docs/a", b"x")
    role = {"role_arn": "arn:aws:iam::123456789012:role/keysentry", "external_id": "local"}
    [record] = everything(s3.source(**role))
    assert content(record) == b"x"
    asked = [one for one in s3.proxy.seen if one.method == "POST"]
    assert len(asked) == 1, "the role is taken on once, at the same address"
    users = {one.headers["authorization"].partition("Credential=")[2].partition("/")[0] for one in s3.proxy.seen}
    assert len(users) == 2


def test_a_role_that_may_not_be_taken_on_says_so(s3: S3Bench) -> None:
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    s3.proxy.spoil(Fault(lambda request: request.method == "POST", status=403, body=body, times=-1))
    with pytest.raises(AccessError, match="sts:AssumeRole"):
        units(s3.source(role_arn="arn:aws:iam::123456789012:role/keysentry"))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "InvalidAccessKeyId", "no such access key"),
        (403, "SignatureDoesNotMatch", "secret access key"),
        (400, "ExpiredToken", "expired"),
        (403, "RequestTimeTooSkewed", "clock of this machine"),
        (403, "AccessDenied", "s3:ListBucket"),
    ],
)
def test_what_a_person_must_do_is_said(s3: S3Bench, status: int, code: str, words: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    s3.spoil_lists(status=status, body=body, times=-1)
    with pytest.raises(AccessError, match=words) as caught:
        list(s3.source().units())
    assert s3.bucket in caught.value.place and "local-test" not in str(caught.value)


def test_credentials_that_come_later_are_found_without_a_restart(
    s3: S3Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own chain: a profile in the file that AWS_SHARED_CREDENTIALS_FILE names."""
    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    s3.put("docs/a", b"x")
    source = s3.source(access_key_id=None, secret_access_key=None, profile="scanner")
    with pytest.raises(AccessError, match="scanner"):
        list(source.units())
    file.write_text("[scanner]\naws_access_key_id = local-test\naws_secret_access_key = local-test\n")
    assert len(units(source)) == 1
    file.write_text("[scanner]\naws_access_key_id = local-new\naws_secret_access_key = local-test\n")
    s3.spoil_lists(status=400, body=b"<Error><Code>ExpiredToken</Code></Error>")
    with pytest.raises(AccessError, match="expired"):
        list(source.units())
    s3.proxy.clear()
    assert len(units(source)) == 1
    assert "Credential=local-new/" in s3.proxy.seen[-1].headers["authorization"]


def test_an_address_where_nobody_listens_is_worth_another_try(s3: S3Bench) -> None:
    with pytest.raises(SourceError, match="6 tries"):
        list(s3.source(base_url="http://127.0.0.1:9").units())
    assert len(s3.waits.seconds) == 5


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("s3://bucket", {"buckets": ["bucket"], "prefixes": []}),
        ("s3://bucket/", {"buckets": ["bucket"], "prefixes": []}),
        ("s3://bucket/some/prefix", {"buckets": ["bucket"], "prefixes": ["some/prefix"]}),
        ("s3://bucket/a b?c", {"buckets": ["bucket"], "prefixes": ["a b?c"]}),
        ("s3://", {}),
    ],
)
def test_a_target_names_a_bucket_and_a_prefix(target: str, options: dict[str, object]) -> None:
    assert target_options(target) == options


def test_a_target_without_a_bucket_is_refused() -> None:
    with pytest.raises(ConfigError, match="s3://bucket/prefix"):
        target_options("s3:///prefix")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"access_key_id": Sensitive("a")}, "belong together"),
        ({"session_token": Sensitive("a")}, "without a key"),
        ({"external_id": "a"}, "role_arn"),
        ({"queue": "arn:aws:sqs:eu-central-1:1:news"}, "ARN"),
        ({"buckets": ("fast--euc1-az1--x-s3",)}, "directory bucket"),
        ({"visibility": 1}, "visibility"),
        ({"max_object": -1}, "max_object"),
        ({"margin": -1}, "margin"),
        ({"base_url": "127.0.0.1:9000"}, "base_url"),
    ],
)
def test_options_that_do_not_fit_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_source(Options(name="test", **values))


def test_a_unit_of_nobodys_is_gone(s3: S3Bench) -> None:
    with pytest.raises(SourceError):
        read(s3.source(), Unit("something else", ""))
