"""What is Azure's own. Azurite plays snapshots, access and signatures; versions, kept deletions and the account's ban
on public access are answers that the test gives through the proxy, written as the documentation shows them.
"""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest
from azure.storage.blob import ContentSettings, PublicAccess, StandardBlobTier

from keysentry.connectors.azure import Options, open_source, target_options
from keysentry.errors import AccessError, ConfigError, InputError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.sensitive import Sensitive
from tests.connectors.objects.bench import AzureBench, content, everything, held_after, read, records, told, units
from tests.servers.objectfaults import Fault

pytestmark = pytest.mark.xdist_group("azurite")

STATE = """<Blob><Name>{name}</Name>{more}<Properties><Last-Modified>{at}</Last-Modified><Etag>0x8D{tag}</Etag>
<Content-Length>3</Content-Length><BlobType>BlockBlob</BlobType>{properties}</Properties></Blob>"""


def at(minute: int) -> str:
    return f"Tue, 03 Mar 2026 12:{minute:02d}:00 GMT"


def version(minute: int) -> str:
    return f"2026-03-03T12:{minute:02d}:00.1234567Z"


def state(name: str, minute: int, more: str = "", properties: str = "") -> str:
    return STATE.format(name=name, at=at(minute), tag=f"{minute:04d}", more=more, properties=properties)


def listing(*states: str, marker: str = "") -> bytes:
    """https://learn.microsoft.com/rest/api/storageservices/list-blobs"""
    head = '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://here/" ContainerName="c">'
    return f"{head}<Blobs>{''.join(states)}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>".encode()


def lists(azure: AzureBench, minute: int, *states: str) -> None:
    """The next listing is this, at this minute of the platform's clock."""
    headers = {"Content-Type": "application/xml", "Date": at(minute)}
    azure.proxy.clear()
    azure.spoil_lists(status=200, headers=headers, body=listing(*states), times=-1)


def test_snapshots_are_records_of_their_own(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    taken = azure.client.get_blob_client(azure.bucket, "docs/a").create_snapshot()["snapshot"]
    azure.put("docs/a", b"two")
    source = azure.source(versions=True)
    [unit] = units(source)
    whole = read(source, unit)
    assert unit.id == f"tree:{azure.bucket}/"
    assert [(record.id, content(record)) for record in records(whole)] == [
        (f"{azure.bucket}/docs/a?version=snapshot={taken}", b"one"),
        (f"{azure.bucket}/docs/a", b"two"),
    ]
    assert records(whole)[0].uri.endswith(f"docs/a?snapshot={taken}")
    for cut, delivery in enumerate(whole):
        assert told(read(source, unit, delivery.cursor)) == told(whole)[cut + 1 :]
    again = azure.client.get_blob_client(azure.bucket, "docs/a").create_snapshot()["snapshot"]
    [record] = records(read(source, unit, whole[-1].cursor))
    assert record.id.endswith(again) and content(record) == b"two"
    assert told(read(azure.source(), unit)) == [(f"{azure.bucket}/docs/a", False)]


def test_an_account_that_keeps_versions_is_read_without_them(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    source = azure.source()
    [unit] = units(source)
    lists(azure, 10, state("docs/a", 1, f"<VersionId>{version(1)}</VersionId>"))
    assert told(read(source, unit)) == [(f"{azure.bucket}/docs/a", False)]


def test_a_version_that_is_covered_by_a_new_one_moves(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    source = azure.source(versions=True)
    [unit] = units(source)
    current = f"<VersionId>{version(1)}</VersionId><IsCurrentVersion>true</IsCurrentVersion>"
    lists(azure, 10, state("docs/a", 1, current))
    first = read(source, unit)
    assert told(first) == [(f"{azure.bucket}/docs/a", False)]
    older = f"<VersionId>{version(1)}</VersionId>"
    newer = f"<VersionId>{version(20)}</VersionId><IsCurrentVersion>true</IsCurrentVersion>"
    lists(azure, 30, state("docs/a", 1, older), state("docs/a", 20, newer), state("docs/b", 1, older))
    second = read(source, unit, first[-1].cursor)
    assert told(second) == [
        (f"{azure.bucket}/docs/a?version=versionid={version(1)}", False),
        (f"{azure.bucket}/docs/a", False),
    ]
    assert records(second)[0].uri.endswith(f"docs/a?versionid={version(1)}")
    for cut, delivery in enumerate(second):
        assert told(read(source, unit, delivery.cursor)) == told(second)[cut + 1 :]


def test_a_version_is_hidden_by_the_next_version_not_by_a_snapshot(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    source = azure.source(versions=True)
    [unit] = units(source)
    current = f"<VersionId>{version(1)}</VersionId><IsCurrentVersion>true</IsCurrentVersion>"
    taken = f"<Snapshot>{version(2)}</Snapshot>"
    lists(azure, 20, state("docs/a", 1, taken), state("docs/a", 1, current))
    first = read(source, unit)
    assert told(first) == [
        (f"{azure.bucket}/docs/a", False),
        (f"{azure.bucket}/docs/a?version=snapshot={version(2)}", False),
    ]
    older = f"<VersionId>{version(1)}</VersionId>"
    newer = f"<VersionId>{version(30)}</VersionId><IsCurrentVersion>true</IsCurrentVersion>"
    lists(azure, 40, state("docs/a", 1, taken), state("docs/a", 1, older), state("docs/a", 30, newer))
    assert told(read(source, unit, first[-1].cursor)) == [
        (f"{azure.bucket}/docs/a?version=versionid={version(1)}", False),
        (f"{azure.bucket}/docs/a", False),
    ]


def test_deletions_are_told_while_the_account_keeps_them(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    source = azure.source()
    [unit] = units(source)
    lists(azure, 2, state("docs/a", 1), state("docs/b", 1))
    first = read(source, unit)
    gone = f"<DeletedTime>{at(20)}</DeletedTime><RemainingRetentionDays>6</RemainingRetentionDays>"
    kept = f"<Snapshot>{version(15)}</Snapshot><Deleted>true</Deleted>"
    lists(
        azure,
        30,
        state("docs/a", 1, "<Deleted>true</Deleted>", gone),
        state("docs/b", 1, kept, gone),
        state("docs/b", 15),
    )
    second = read(source, unit, first[-1].cursor)
    assert told(second) == [(f"{azure.bucket}/docs/a", True), (f"{azure.bucket}/docs/b", False)]
    assert "include=deleted" in azure.proxy.seen[-1].path
    assert told(read(source, unit, second[-1].cursor)) == []


def test_an_account_that_does_not_tell_of_deletions_is_read_all_the_same(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    source = azure.source()
    headers = {"x-ms-error-code": "FeatureNotSupported"}
    body = b"<Error><Code>FeatureNotSupported</Code><Message>no</Message></Error>"
    azure.spoil_lists(status=409, headers=headers, body=body)
    [unit] = units(source)
    assert len(records(read(source, unit))) == 1


def test_what_is_archived_is_reported(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    azure.put("docs/b", b"two")
    azure.client.get_blob_client(azure.bucket, "docs/a").set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    source = azure.source()
    [unit] = units(source)
    deliveries = read(source, unit)
    assert told(deliveries) == [(f"{azure.bucket}/docs/b", False)]
    [skipped] = [one for delivery in deliveries for one in delivery.skipped]
    assert skipped.place == f"az://{azure.server.account}/{azure.bucket}/docs/a" and "rehydrate" in skipped.reason


def test_pages_are_followed_and_memory_is_flat(azure: AzureBench) -> None:
    """Ten thousand blobs, of which only the listing is there."""
    azure.put("docs/000000", b"x")
    source = azure.source()
    [unit] = units(source)
    assert len(records(read(source, unit))) == 1
    azure.proxy.clear()
    for page in range(10):
        states = [state(f"docs/{number:06d}", 1) for number in range(page * 1000, page * 1000 + 1000)]
        body = listing(*states, marker=f"page-{page + 1}" if page < 9 else "")
        azure.spoil_lists(status=200, headers={"Content-Type": "application/xml"}, body=body)
    count, blocks = held_after(source, unit)
    assert count == 10_000
    assert max(blocks[3:]) - max(blocks[:3]) < 1000
    asked = [one.path for one in azure.proxy.seen if azure.is_list(one)]
    assert ["marker=" in path for path in asked] == [False, *[True] * 9] and "marker=page-9" in asked[-1]


def test_a_gzipped_content_comes_as_it_is_stored(azure: AzureBench) -> None:
    data = gzip.compress(b"hello" * 100)
    blob = azure.client.get_blob_client(azure.bucket, "docs/a.gz")
    blob.upload_blob(data, content_settings=ContentSettings(content_encoding="gzip"))
    [record] = everything(azure.source())
    assert content(record) == data


def test_page_and_append_blobs_are_read(azure: AzureBench) -> None:
    azure.client.get_blob_client(azure.bucket, "docs/append").create_append_blob()
    azure.client.get_blob_client(azure.bucket, "docs/append").append_block(b"line\n")
    azure.client.get_blob_client(azure.bucket, "docs/page").upload_blob(b"p" * 512, blob_type="PageBlob")
    assert [content(record) for record in everything(azure.source())] == [b"line\n", b"p" * 512]


@pytest.mark.parametrize("access", [PublicAccess.BLOB, PublicAccess.CONTAINER])
def test_an_open_container_is_public_if_the_account_allows_it(azure: AzureBench, access: PublicAccess) -> None:
    azure.put("docs/a", b"one")
    azure.client.get_container_client(azure.bucket).set_container_access_policy({}, public_access=access)
    [record] = everything(azure.source())
    assert record.exposure.audience == "public"
    # Azurite lets every open container be read. An account that forbids it answers so:
    # https://learn.microsoft.com/azure/storage/blobs/anonymous-read-access-prevent
    azure.proxy.spoil(
        Fault(
            lambda request: "authorization" not in request.headers,
            status=409,
            headers={"x-ms-error-code": "PublicAccessNotPermitted"},
            times=-1,
        )
    )
    [record] = everything(azure.source())
    assert record.exposure.audience == "private"


def test_without_the_permission_to_see_the_container_it_is_unknown(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    azure.proxy.spoil(
        Fault(
            lambda request: "restype=container" in request.path and "comp=list" not in request.path,
            status=403,
            headers={"x-ms-error-code": "AuthorizationPermissionMismatch"},
            times=-1,
        )
    )
    [record] = everything(azure.source())
    assert record.exposure.audience == "unknown"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (409, "BlobArchived", "rehydrate"),
        (409, "BlobUsesCustomerSpecifiedEncryption", "owner"),
        (409, "SomethingNew", "SomethingNew"),
    ],
)
def test_a_blob_that_cannot_be_had_costs_only_itself(azure: AzureBench, status: int, code: str, words: str) -> None:
    azure.put("docs/a", b"one")
    [record] = everything(azure.source())
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    azure.spoil_reads(status=status, headers={"x-ms-error-code": code}, body=body)
    with pytest.raises(InputError, match=words) as caught:
        content(record)
    assert not isinstance(caught.value, SourceError)


def test_a_connection_string_and_a_signature_will_do(azure: AzureBench) -> None:
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    azure.put("docs/a", b"one")
    text = ";".join(
        (
            "DefaultEndpointsProtocol=http",
            f"AccountName={azure.server.account}",
            f"AccountKey={azure.server.key}",
            f"BlobEndpoint={azure.server.address}",
        )
    )
    by_string = azure.source(connection_string=Sensitive(text), account="", account_key=None, base_url="")
    [record] = everything(by_string)
    assert content(record) == b"one" and record.uri == f"{azure.server.address}/{azure.bucket}/docs/a"
    assert record.path == f"az://{azure.server.account}/{azure.bucket}/docs/a"
    token = generate_container_sas(
        azure.server.account,
        azure.bucket,
        account_key=azure.server.key,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    [record] = everything(azure.source(account_key=None, sas_token=Sensitive(f"?{token}")))
    assert content(record) == b"one" and "sig" not in record.uri


@pytest.mark.parametrize(
    "login",
    [
        {"account_key": Sensitive(base64.b64encode(b"not the key"))},
        {"account_key": Sensitive("no key")},
        {"account_key": None, "connection_string": Sensitive("AccountName=localtest;no string")},
        {"account_key": None, "sas_token": Sensitive("sv=2025-01-05&sig=no")},
    ],
)
def test_a_key_that_is_wrong_or_none_is_something_a_person_must_mend(azure: AzureBench, login: dict[str, Any]) -> None:
    azure.put("docs/a", b"one")
    with pytest.raises(AccessError) as caught:
        list(azure.source(**login).units())
    assert caught.value.advice  # Azurite calls a wrong signature what Azure calls a missing permission
    for value in login.values():
        assert value is None or value.reveal() not in str(caught.value)


def test_a_target_names_an_account_a_container_and_a_prefix() -> None:
    assert target_options("az://account/container/some/prefix") == {
        "account": "account",
        "containers": ["container"],
        "prefixes": ["some/prefix"],
    }
    assert target_options("az://account/container") == {
        "account": "account",
        "containers": ["container"],
        "prefixes": [],
    }
    assert target_options("az://account") == {"account": "account"}
    for wrong in ("az://", "az:///container"):
        with pytest.raises(ConfigError, match="az://account/container/prefix"):
            target_options(wrong)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="which account"):
        open_source(Options(name="test"))
    with pytest.raises(ConfigError, match="another account"):
        open_source(Options(name="test", account="one", connection_string=Sensitive("AccountName=two;AccountKey=eA==")))


def test_a_cursor_of_one_store_means_nothing_to_another(azure: AzureBench) -> None:
    azure.put("docs/a", b"one")
    [unit] = units(azure.source())
    assert len(records(read(azure.source(), unit, Cursor("from elsewhere")))) == 1
