"""What moto cannot play, played by a small S3 of our own: objects of 5 TB, listings of many thousands, times that the
test sets, uploads under way, archives, keys that cannot be used, and who can read.
"""

from __future__ import annotations

import tracemalloc
from itertools import islice
from typing import Any

import pytest

from keysentry.connectors.objects.source import ObjectSource
from keysentry.connectors.objects.store import Entry
from keysentry.connectors.pace import Pace
from keysentry.connectors.s3 import Options
from keysentry.connectors.s3.client import S3Store
from keysentry.connectors.s3.source import S3Source
from keysentry.errors import AccessError, InputError, SourceError
from keysentry.model.record import Record, Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.objects.bench import content, everything, held_after, read, records, told, units
from tests.servers.sparse_s3 import Bucket, Many, SparseS3, Thing
from tests.servers.sparse_s3 import sparse as made_up

TERA = 1 << 40
HOUR = 3600.0


def open_source(server: SparseS3, **options: Any) -> S3Source:
    keys = {"access_key_id": Sensitive("local-test"), "secret_access_key": Sensitive("local-test")}
    set_up = Options(**{"name": "test", "buckets": ("bucket",), "base_url": server.address, **keys, **options})
    pace = Pace("test", wait=lambda seconds: False)
    return S3Source(set_up, S3Store(set_up, pace), pace)


def bucket(server: SparseS3, *things: Thing, **more: Any) -> Bucket:
    made = server.buckets["bucket"] = Bucket(sorted(things, key=lambda thing: thing.key), **more)
    return made


def thing(server: SparseS3, key: str, size: int = 5, **more: Any) -> Thing:
    return Thing(key, size, more.pop("modified", server.now - 24 * HOUR), **more)


@pytest.fixture
def source(sparse: SparseS3) -> Any:
    opened = open_source(sparse)
    yield opened
    opened.close()


def one_record(source: ObjectSource) -> Record:
    [record] = everything(source)
    return record


def test_five_terabytes_are_asked_for_only_as_the_reader_goes_on(sparse: SparseS3, source: S3Source) -> None:
    bucket(sparse, thing(sparse, "big/disk.img", 5 * TERA))
    record = one_record(source)
    [part] = record.parts
    assert part.size == 5 * TERA and part.open is not None
    asked = len(sparse.asked)
    tracemalloc.start()
    read_so_far = b"".join(islice(part.open(), 24))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read_so_far == made_up(0, 24 << 20)
    ranges = [query["range"] for _, _, query in sparse.asked[asked:]]
    assert ranges == ["bytes=0-8388607", "bytes=8388608-16777215", "bytes=16777216-25165823"]
    assert peak < 120 << 20, "the 24 MiB that the test keeps, the server's copies, and a range"


def test_memory_is_flat_however_far_one_reads(sparse: SparseS3, source: S3Source) -> None:
    bucket(sparse, thing(sparse, "big/disk.img", 5 * TERA))
    [part] = one_record(source).parts
    assert part.open is not None
    peaks = []
    for pieces in (16, 160):
        tracemalloc.start()
        for _ in islice(part.open(), pieces):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


def test_the_end_of_five_terabytes_is_where_it_should_be(sparse: SparseS3, source: S3Source) -> None:
    size = 5 * TERA - 12_345
    bucket(sparse, thing(sparse, "big/disk.img", size))
    [unit] = units(source)
    store = source._store
    [page] = store.pages(_scope(unit), _position(), versions=False)
    [entry] = page.entries
    assert entry.size == size
    assert b"".join(store.read("bucket", entry, size - 1_000_000, size)) == made_up(size - 1_000_000, size)


def _scope(unit: Unit) -> Any:
    from keysentry.connectors.objects.store import Scope

    scope = Scope.of(unit.id)
    assert scope is not None
    return scope


def _position() -> Any:
    from keysentry.connectors.objects.store import Position

    return Position()


def test_memory_is_flat_however_many_objects_there_are(sparse: SparseS3, source: S3Source) -> None:
    sparse.buckets["bucket"] = Bucket(Many(10_000, sparse.now - 1))
    count, blocks = held_after(source, Unit("tree:bucket/many/", ""))
    assert count == 10_000
    assert max(blocks[3:]) - max(blocks[:3]) < 1000, "7,000 objects later, less than a block for seven of them"


def test_of_thousands_that_were_written_a_moment_ago_none_comes_again(sparse: SparseS3, source: S3Source) -> None:
    sparse.buckets["bucket"] = Bucket(Many(10_000, sparse.now - 1))
    unit = Unit("tree:bucket/many/", "")
    first = read(source, unit)
    assert len(records(first)) == 10_000
    assert told(read(source, unit, first[-1].cursor)) == []


def test_a_prefix_with_too_many_prefixes_is_one_unit(sparse: SparseS3, source: S3Source) -> None:
    bucket(sparse, *(thing(sparse, f"{number:05d}/x") for number in range(1001)))
    assert [unit.id for unit in units(source)] == ["tree:bucket/"]
    bucket(sparse, *(thing(sparse, f"{number:05d}/x") for number in range(1000)))
    assert len(units(source)) == 1000


def test_a_listing_for_units_ends_after_a_few_pages(sparse: SparseS3, source: S3Source) -> None:
    sparse.buckets["bucket"] = Bucket(Many(20_000, sparse.now, prefix=""))
    assert [unit.id for unit in units(source)] == ["tree:bucket/"]
    assert len(sparse.asked) == 10


def test_what_is_archived_is_reported_and_what_is_restored_is_read(sparse: SparseS3, source: S3Source) -> None:
    bucket(
        sparse,
        thing(sparse, "docs/a", storage_class="GLACIER"),
        thing(sparse, "docs/b", storage_class="DEEP_ARCHIVE"),
        thing(sparse, "docs/c", storage_class="GLACIER_IR"),
        thing(sparse, "docs/d", storage_class="GLACIER", restored_until=4_000_000_000),
        thing(sparse, "docs/e", storage_class="GLACIER", restored_until=1_000_000_000),
        thing(sparse, "docs/f", storage_class="INTELLIGENT_TIERING", refusal=(403, "InvalidObjectState", "no")),
    )
    [unit] = units(source)
    deliveries = read(source, unit)
    assert [record.id for record in records(deliveries)] == ["bucket/docs/c", "bucket/docs/d", "bucket/docs/f"]
    skipped = [one for delivery in deliveries for one in delivery.skipped]
    assert [one.place for one in skipped] == ["s3://bucket/docs/a", "s3://bucket/docs/b", "s3://bucket/docs/e"]
    assert "restore" in skipped[0].reason and "Deep Archive" in skipped[1].reason
    with pytest.raises(InputError, match="archived"):
        content(records(deliveries)[2])


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((403, "AccessDenied", "User is not authorized to perform: kms:Decrypt on resource"), "kms:Decrypt"),
        ((400, "KMS.DisabledException", "the key is disabled"), "KMS.DisabledException"),
        ((400, "InvalidRequest", "The object was stored using a form of Server Side Encryption."), "SSE-C"),
        ((403, "AccessDenied", "Access Denied"), "s3:GetObject"),
        ((400, "SomethingNew", "that nobody heard of"), "SomethingNew"),
    ],
)
def test_an_object_that_cannot_be_had_costs_only_itself(
    sparse: SparseS3, source: S3Source, refusal: tuple[int, str, str], words: str
) -> None:
    bucket(sparse, thing(sparse, "docs/a", refusal=refusal), thing(sparse, "docs/b"))
    found = list(everything(source))
    assert len(found) == 2
    with pytest.raises(InputError, match=words) as caught:
        content(found[0])
    assert not isinstance(caught.value, SourceError)
    assert content(found[1]) == made_up(0, 5)


def test_one_key_for_all_that_may_not_be_used_does_not_stop_the_listing(sparse: SparseS3, source: S3Source) -> None:
    refusal = (403, "AccessDenied", "User is not authorized to perform: kms:Decrypt on resource")
    bucket(sparse, *(thing(sparse, f"docs/{number}", refusal=refusal) for number in range(9)))
    assert len(list(everything(source))) == 9


def test_reading_that_is_not_permitted_at_all_is(sparse: SparseS3, source: S3Source) -> None:
    refused = [thing(sparse, f"docs/{number}", refusal=(403, "AccessDenied", "no")) for number in range(9)]
    bucket(sparse, *refused)
    [unit] = units(source)
    with pytest.raises(AccessError, match="not one of 5 may be read") as caught:
        read(source, unit)
    assert "s3:GetObject" in caught.value.advice
    refused[4].refusal = None
    assert len(records(read(source, unit))) == 9


def test_objects_that_appear_with_an_older_time_are_found_within_the_margin(sparse: SparseS3, source: S3Source) -> None:
    """An upload carries the time of its beginning, and the clocks of a store may differ."""
    here = [thing(sparse, "docs/a"), thing(sparse, "docs/b", modified=sparse.now - 10)]
    bucket(sparse, *here)
    [unit] = units(source)
    cursor = read(source, unit)[-1].cursor
    sparse.now += 60
    here += [thing(sparse, "docs/c", modified=sparse.now - 200), thing(sparse, "docs/d", modified=sparse.now + 90)]
    bucket(sparse, *here)
    second = read(source, unit, cursor)
    assert told(second) == [("bucket/docs/c", False), ("bucket/docs/d", False)]
    sparse.now += 1000
    third = read(source, unit, second[-1].cursor)
    assert told(third) == []
    assert told(read(source, unit, third[-1].cursor)) == []


def test_the_clock_is_the_stores_own_not_ours(sparse: SparseS3) -> None:
    """A store that lives years before us: everything works the same."""
    sparse.now = 1_000_000_000.0
    opened = open_source(sparse, margin=0)
    bucket(sparse, thing(sparse, "docs/a", modified=sparse.now))
    [unit] = units(opened)
    cursor = read(opened, unit)[-1].cursor
    bucket(
        sparse, thing(sparse, "docs/a", modified=sparse.now), thing(sparse, "docs/b", modified=sparse.now, tag="1" * 32)
    )
    second = read(opened, unit, cursor)
    assert told(second) == [("bucket/docs/b", False)], "in the very second in which the first pass began"
    opened.close()


def test_an_upload_in_parts_that_took_hours_is_found(sparse: SparseS3, source: S3Source) -> None:
    """It appears with the time at which it was started, long before the last pass."""
    begun = sparse.now - 5 * HOUR
    bucket(sparse, thing(sparse, "docs/a"), uploads=[("docs/näw", begun), ("docs/never", begun)])
    [unit] = units(source)
    cursor = read(source, unit)[-1].cursor
    sparse.now += 2 * HOUR
    bucket(sparse, thing(sparse, "docs/a"), thing(sparse, "docs/näw", modified=begun, tag="a-7"))
    second = read(source, unit, cursor)
    assert told(second) == [("bucket/docs/näw", False)]
    assert told(read(source, unit, second[-1].cursor)) == []


def test_without_the_permission_to_see_uploads_everything_else_is_read(sparse: SparseS3, source: S3Source) -> None:
    bucket(sparse, thing(sparse, "docs/a"), settings={"uploads": (403, "AccessDenied")})
    assert len(list(everything(source))) == 1


def acl(*grantees: str, permission: str = "READ") -> str:
    grants = "".join(
        f'<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>{uri}</URI>'
        f"</Grantee><Permission>{permission}</Permission></Grant>"
        for uri in grantees
    )
    return f"<AccessControlPolicy><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"


EVERYONE = "http://acs.amazonaws.com/groups/global/AllUsers"
PUBLIC = "<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>"
CLOSED = "<PolicyStatus><IsPublic>false</IsPublic></PolicyStatus>"
RESTRICTED = "<Configuration><RestrictPublicBuckets>true</RestrictPublicBuckets></Configuration>"
ANY_OWNER = "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
DENIED = (403, "AccessDenied")


@pytest.mark.parametrize(
    ("settings", "audience"),
    [
        ({}, "private"),
        ({"policyStatus": PUBLIC}, "public"),
        ({"policyStatus": CLOSED}, "private"),
        ({"policyStatus": PUBLIC, "publicAccessBlock": RESTRICTED}, "private"),
        ({"policyStatus": PUBLIC, "publicAccessBlock": DENIED}, "public"),
        ({"policyStatus": DENIED}, "unknown"),
        ({"policyStatus": (501, "NotImplemented")}, "unknown"),
        ({"ownershipControls": ANY_OWNER}, "private"),
        ({"ownershipControls": ANY_OWNER, "acl:docs/a": acl(EVERYONE)}, "public"),
        ({"ownershipControls": ANY_OWNER, "acl:docs/a": acl(EVERYONE, permission="WRITE")}, "private"),
        ({"ownershipControls": ANY_OWNER, "acl": acl(EVERYONE), "acl:docs/a": acl()}, "private"),
        ({"ownershipControls": ANY_OWNER, "acl": acl(EVERYONE), "acl:docs/a": DENIED}, "public"),
        ({"ownershipControls": ANY_OWNER, "acl:docs/a": DENIED}, "unknown"),
        ({"ownershipControls": DENIED, "acl": DENIED, "acl:docs/a": DENIED}, "unknown"),
        ({"acl:docs/a": acl(EVERYONE)}, "private"),
        ({"policyStatus": DENIED, "ownershipControls": ANY_OWNER, "acl:docs/a": acl(EVERYONE)}, "public"),
    ],
)
def test_who_can_read(sparse: SparseS3, source: S3Source, settings: dict[str, Any], audience: str) -> None:
    bucket(sparse, thing(sparse, "docs/a"), settings=settings)
    assert one_record(source).exposure.audience == audience


def test_settings_of_a_bucket_are_asked_for_once(sparse: SparseS3, source: S3Source) -> None:
    bucket(sparse, *(thing(sparse, f"docs/{number}") for number in range(20)))
    assert len(list(everything(source))) == 20
    assert len([1 for _, _, query in sparse.asked if "policyStatus" in query]) == 1


def test_the_owner_is_the_author(sparse: SparseS3, source: S3Source) -> None:
    bucket(sparse, thing(sparse, "docs/a"))
    assert one_record(source).author_id == "owner-id"


def test_at_amazon_the_link_is_the_consoles() -> None:
    options = Options(name="test", region="eu-west-1")
    store = S3Store(options, Pace("test"))
    entry = Entry(key="a b/ü?.txt", modified=0.0, version="v/1", current=False)
    assert store.link("bucket", entry) == (
        "https://eu-west-1.console.aws.amazon.com/s3/object/bucket?region=eu-west-1&prefix=a%20b%2F%C3%BC%3F.txt&versionId=v%2F1"
    )
    china = S3Store(Options(name="test", region="cn-north-1"), Pace("test"))
    assert china.link("bucket", entry).startswith("https://cn-north-1.console.amazonaws.cn/")


def test_whoever_asks_for_payment_is_told_that_we_agree(sparse: SparseS3) -> None:
    """The server refuses parameters that it does not know; this one travels as a header."""
    bucket(sparse, thing(sparse, "docs/a"))
    opened = open_source(sparse, requester_pays=True)
    assert content(one_record(opened)) == made_up(0, 5)
    assert sparse.payers == len(sparse.asked) - 3, (
        "every listing and every read; not what is asked of the bucket itself"
    )
    opened.close()
