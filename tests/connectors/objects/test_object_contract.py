"""What every object store keeps to, on a real exchange over HTTP: S3 by moto, Google Cloud Storage by our strict
server, Azure by Azurite. Refusals and broken connections come from a proxy in front of them.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keysentry.errors import AccessError, ClosedError, GoneError, InputError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit
from keysentry.rules.forge import forge
from tests.connectors.objects.bench import AzureBench, Bench, content, everything, read, records, told, units

ODD = [
    "a b.txt",
    "a+b.txt",
    "a%20b.txt",
    "a?b#c&d=e.txt",
    "ä/ö/ü.txt",
    "日本/鍵.txt",
    "quote'\"<>.txt",
    "trailing/",
    "dots/./../x.txt",
    "emoji-🔑.txt",
    "back\\slash.txt",
    "tilde~!*().txt",
]


def filled(bench: Bench, count: int = 7) -> dict[str, bytes]:
    """Some objects under one prefix."""
    made = {f"docs/{number:02d}.txt": f"content {number}".encode() for number in range(count)}
    for key, data in made.items():
        bench.put(key, data)
    return made


def test_units_are_the_first_steps_of_keys_and_stay(bench: Bench) -> None:
    for key in ("top.txt", "a/1", "a/deeper/2", "b/3"):
        bench.put(key, b"x")
    first = units(bench.source())
    assert [unit.title.partition(bench.bucket)[2] for unit in first] == ["/ (keys without a further /)", "/a/", "/b/"]
    bench.put("c/new", b"x")
    assert [unit.id for unit in units(bench.source())] == [*(unit.id for unit in first), f"tree:{bench.bucket}/c/"]
    assert sorted(record.id for record in everything(bench.source())) == [
        f"{bench.bucket}/{key}" for key in ("a/1", "a/deeper/2", "b/3", "c/new", "top.txt")
    ]


def test_prefixes_limit_what_is_read_and_nothing_is_read_twice(bench: Bench) -> None:
    for key in ("logs/a/1", "logs/b/2", "logs-old/3", "other/4"):
        bench.put(key, b"x")
    found = [record.id for record in everything(bench.source(prefixes=("logs/", "logs/a/", "logs-old/")))]
    assert sorted(found) == [f"{bench.bucket}/{key}" for key in ("logs-old/3", "logs/a/1", "logs/b/2")]


def test_a_record_says_what_it_is_where_it_is_and_since_when(bench: Bench) -> None:
    bench.put("docs/keys.txt", b"hello")
    [unit] = units(bench.source())
    [record] = records(read(bench.source(), unit))
    assert record.id == f"{bench.bucket}/docs/keys.txt"
    assert record.unit == unit.id and record.container == bench.bucket
    assert record.uri.startswith("http") and record.uri.endswith("keys.txt")
    assert record.path.endswith(f"{bench.bucket}/docs/keys.txt")
    assert record.time is not None and record.time > 1_600_000_000
    assert [(part.name, part.size) for part in record.parts] == [("keys.txt", 5)]
    assert record.exposure.audience == "private"
    assert content(record) == b"hello"


def test_going_on_from_any_cursor_gives_exactly_what_came_after(bench: Bench) -> None:
    filled(bench)
    [unit] = units(bench.source())
    whole = read(bench.source(), unit)
    ids = [record.id for record in records(whole)]
    assert len(ids) == 7
    for cut, delivery in enumerate(whole):
        rest = read(bench.source(), unit, Cursor(str(delivery.cursor.value)))
        assert [record.id for record in records(rest)] == ids[cut + 1 :]
        assert len(delivery.cursor.value) < 4096


def test_a_second_pass_gives_what_is_new_or_changed_and_only_that(bench: Bench) -> None:
    filled(bench)
    [unit] = units(bench.source())
    cursor = read(bench.source(), unit)[-1].cursor
    assert told(read(bench.source(), unit, cursor)) == []
    bench.put("docs/03.txt", b"written anew")
    bench.put("docs/99.txt", b"new")
    second = read(bench.source(), unit, cursor)
    assert told(second) == [(f"{bench.bucket}/docs/03.txt", False), (f"{bench.bucket}/docs/99.txt", False)]
    assert [content(record) for record in records(second)] == [b"written anew", b"new"]
    assert told(read(bench.source(), unit, second[-1].cursor)) == []


def test_what_is_written_while_a_pass_is_on_its_way_is_given_once(bench: Bench) -> None:
    filled(bench)
    [unit] = units(bench.source())
    pass_one = bench.source().records(unit, None)
    before = [next(pass_one) for _ in range(4)]
    bench.put("docs/01.txt", b"behind, over an old one")
    bench.put("docs/00a.txt", b"behind, new")
    rest = [*before, *pass_one]
    second = read(bench.source(), unit, rest[-1].cursor)
    assert told(second) == [(f"{bench.bucket}/docs/00a.txt", False), (f"{bench.bucket}/docs/01.txt", False)]
    assert told(read(bench.source(), unit, second[-1].cursor)) == []


def test_many_objects_written_at_once_are_given_once(bench: Bench) -> None:
    """More than a cursor can remember one by one."""
    for number in range(300):
        bench.put(f"docs/{number:03d}", b"x")
    [unit] = units(bench.source())
    first = read(bench.source(), unit)
    assert len(records(first)) == 300
    second = read(bench.source(), unit, first[-1].cursor)
    assert told(second) == []
    assert max(len(one.cursor.value) for one in [*first, *second]) < 4096
    assert told(read(bench.source(), unit, second[-1].cursor)) == []


def test_odd_names_are_read(bench: Bench) -> None:
    # Azure's SDK, as every browser, takes dots as steps of a path.
    names = [name for name in ODD if not (isinstance(bench, AzureBench) and name.startswith("dots/"))]
    for name in names:
        bench.put(f"odd/{name}", name.encode())
    [unit] = units(bench.source())
    deliveries = read(bench.source(), unit)
    found = records(deliveries)
    assert sorted(content(record) for record in found) == sorted(name.encode() for name in names)
    assert len({record.id for record in found}) == len(names)
    for cut, delivery in enumerate(deliveries[:-1]):
        rest = read(bench.source(), unit, delivery.cursor)
        assert [record.id for record in records(rest)] == [record.id for record in found][cut + 1 :]


def test_an_empty_object_is_a_record_without_parts(bench: Bench) -> None:
    bench.put("docs/empty", b"")
    [record] = everything(bench.source())
    assert record.parts == ()


def test_a_content_larger_than_a_range_comes_whole_and_in_pieces(bench: Bench) -> None:
    data = random.Random(3).randbytes((17 << 20) + 123)
    bench.put("docs/large.bin", data)
    [record] = everything(bench.source())
    bench.proxy.clear()
    assert content(record) == data
    assert len([one for one in bench.proxy.seen if bench.is_read(one)]) == 3


def test_ranges_are_asked_for_as_the_reader_goes_on(bench: Bench) -> None:
    bench.put("docs/large.bin", bytes(20 << 20))
    [record] = everything(bench.source())
    [part] = record.parts
    assert part.open is not None
    bench.proxy.clear()
    stream = part.open()
    assert bench.proxy.seen == []
    next(stream)
    assert len(bench.proxy.seen) == 1


def test_a_connection_that_breaks_within_a_content_is_taken_up_again(bench: Bench) -> None:
    data = random.Random(5).randbytes(9 << 20)
    bench.put("docs/large.bin", data)
    [record] = everything(bench.source())
    bench.spoil_reads(cut=5_000_000)
    bench.spoil_reads(reset=True)
    bench.spoil_reads(cut=100)
    assert content(record) == data


def test_an_object_that_changed_since_it_was_listed_is_left_and_comes_again(bench: Bench) -> None:
    bench.put("docs/a", b"one")
    [unit] = units(bench.source())
    first = read(bench.source(), unit)
    [record] = records(first)
    bench.put("docs/a", b"another")
    with pytest.raises(InputError, match="changed while it was read; it comes again") as caught:
        content(record)
    assert not isinstance(caught.value, SourceError)
    [again] = records(read(bench.source(), unit, first[-1].cursor))
    assert again.id == record.id and content(again) == b"another"


def test_an_object_that_was_deleted_since_is_only_its_own_matter(bench: Bench) -> None:
    bench.put("docs/a", b"one")
    [record] = everything(bench.source())
    bench.delete("docs/a")
    with pytest.raises(InputError) as caught:
        content(record)
    assert not isinstance(caught.value, SourceError)


def test_one_object_that_is_denied_is_only_its_own_matter(bench: Bench) -> None:
    filled(bench)
    status, body = bench.denied
    found = list(everything(bench.source()))
    bench.spoil_reads(status=status, body=body)
    with pytest.raises(InputError, match="denied") as caught:
        content(found[0])
    assert not isinstance(caught.value, SourceError)
    assert content(found[1]) == b"content 1"


def test_when_nothing_may_be_read_a_person_must_act_and_nothing_is_lost(bench: Bench) -> None:
    filled(bench)
    status, body = bench.denied
    [unit] = units(bench.source())
    source = bench.source()
    bench.spoil_reads(status=status, body=body, times=-1)
    with pytest.raises(AccessError, match="not one of 5 may be read"):
        read(source, unit)
    bench.proxy.clear()
    assert len(records(read(source, unit))) == 7


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 2},
        {"status": 500},
        {"status": 429, "headers": {"Retry-After": "7"}},
        {"status": 429},
        {"reset": True, "times": 2},
        {"cut": 40},
    ],
    ids=["503", "500", "429-after-7", "429", "reset", "cut"],
)
def test_refusals_and_broken_connections_are_waited_out(bench: Bench, fault: dict[str, Any]) -> None:
    filled(bench)
    [unit] = units(bench.source())
    source = bench.source()
    bench.proxy.clear()
    bench.spoil_lists(**fault)
    assert len(records(read(source, unit))) == 7
    assert len(bench.waits.seconds) == fault.get("times", 1)
    if fault.get("headers"):
        assert bench.waits.seconds == [7.0]
    lists = [one for one in bench.proxy.seen if bench.is_list(one)]
    assert len(lists) == 1 + fault.get("times", 1), "only Pace makes a call again, not the SDK"


def test_who_refuses_for_too_long_is_left_for_later(bench: Bench) -> None:
    filled(bench)
    [unit] = units(bench.source())
    bench.spoil_lists(status=503, times=-1)
    with pytest.raises(SourceError, match="6 tries"):
        read(bench.source(), unit)


def test_a_missing_permission_is_named_and_reading_goes_on_once_it_is_there(bench: Bench) -> None:
    filled(bench)
    [unit] = units(bench.source())
    source = bench.source()
    status, body = bench.denied
    bench.spoil_lists(status=status, body=body, times=-1)
    with pytest.raises(AccessError) as caught:
        read(source, unit)
    assert bench.permission in caught.value.advice
    with pytest.raises(AccessError):
        list(source.units())
    bench.proxy.clear()
    assert len(records(read(source, unit))) == 7


def test_an_expired_token_stops_the_source_and_a_new_one_is_found_without_a_restart(bench: Bench) -> None:
    made = filled(bench)
    [unit] = units(bench.source())
    source = bench.source()
    status, body, headers = bench.expired
    passing = source.records(unit, None)
    first = [next(passing) for _ in range(3)]
    bench.spoil_reads(status=status, body=body, headers=headers)
    record = first[0].record
    assert record is not None
    with pytest.raises(AccessError) as caught:
        content(record)
    assert caught.value.advice
    rest = read(source, unit, first[-1].cursor)
    assert [content(one) for one in records([*first, *rest])] == list(made.values())


def test_a_bucket_that_is_gone_says_so(bench: Bench) -> None:
    filled(bench)
    [unit] = units(bench.source())
    status, body, headers = bench.gone
    bench.spoil_lists(status=status, body=body, headers=headers, times=-1)
    with pytest.raises(GoneError):
        read(bench.source(), unit)


def test_a_bucket_that_cannot_be_listed_is_skipped_and_the_others_go_on(bench: Bench) -> None:
    filled(bench)
    found = list(bench.source(buckets=("not-there-at-all", bench.bucket)).units())
    assert [one.id for one in found if isinstance(one, Unit)] == [f"tree:{bench.bucket}/docs/"]
    [skipped] = [one for one in found if isinstance(one, Skipped)]
    assert "not-there-at-all" in skipped.place
    with pytest.raises(GoneError):
        list(bench.source(buckets=("not-there-at-all",)).units())


def test_all_buckets_are_found_if_none_is_named(bench: Bench) -> None:
    filled(bench)
    more = {"project": "local"} if "Gcs" in type(bench).__name__ else {}
    assert f"tree:{bench.bucket}/docs/" in [unit.id for unit in units(bench.source(buckets=(), **more))]


def test_objects_over_the_limit_are_reported(bench: Bench) -> None:
    bench.put("docs/small", b"x" * 10)
    bench.put("docs/too-large", b"x" * 11)
    [unit] = units(bench.source())
    deliveries = read(bench.source(max_object=10), unit)
    assert [record.id for record in records(deliveries)] == [f"{bench.bucket}/docs/small"]
    [skipped] = [one for delivery in deliveries for one in delivery.skipped]
    assert skipped.place.endswith("docs/too-large") and "max_object" in skipped.reason


def test_closing_ends_what_waits(bench: Bench) -> None:
    filled(bench)
    [unit] = units(bench.source())
    source = bench.source(sleeps=True)
    bench.proxy.clear()
    bench.spoil_lists(status=503, headers={"Retry-After": "200"}, times=-1)
    caught: list[Exception] = []

    def run() -> None:
        try:
            read(source, unit)
        except SourceError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not any(bench.is_list(one) for one in bench.proxy.seen):
        thread.join(0.01)
    source.close()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(caught[0], ClosedError)
    with pytest.raises(ClosedError):
        read(source, unit)


def test_contents_are_read_from_several_threads(bench: Bench) -> None:
    for number in range(12):
        bench.put(f"docs/{number:02d}", bytes([number]) * 200_000)
    found = list(everything(bench.source()))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(content, found)) == [bytes([number]) * 200_000 for number in range(12)]


def test_a_planted_secret_comes_through_unchanged(bench: Bench) -> None:
    secret = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(11))
    bench.put("docs/notes.txt", f"token = {secret}\n".encode())
    [record] = everything(bench.source())
    assert secret.encode() in content(record)
