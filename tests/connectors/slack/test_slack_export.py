"""Slack exports as a source: made here, and real ones where they are at hand (`../shared/data/slack-export`)."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack import Options, open_source
from keysentry.connectors.slack.export import ExportSource
from keysentry.errors import ClosedError, GoneError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit
from tests.connectors.slack.backends import content, last, skips, texts
from tests.servers.process import ROOT

SHARED = ROOT.parent / "shared" / "data" / "slack-export"
CHANNELS = [
    {"id": "C1", "name": "general", "members": ["U1", "U2"]},
    {"id": "C2", "name": "dev", "is_ext_shared": True},
]
USERS = [{"id": "U1", "name": "alice"}, {"id": "U2", "profile": {"display_name": "bob"}}]


def message(ts: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": "U1", "ts": ts, "text": text, **more}


def make(target: Path, days: dict[str, Any], **lists: Any) -> Path:
    """An export: a day is a list of messages, or the bytes of a file that is none."""
    tops = {"channels.json": CHANNELS, "users.json": USERS, **{f"{key}.json": value for key, value in lists.items()}}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in {**tops, **days}.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return target


def units(source: ExportSource) -> list[Unit]:
    return [one for one in source.units() if isinstance(one, Unit)]


def read(source: ExportSource, id: str, cursor: Any = None) -> list[Delivery]:
    return list(source.records(Unit(id, id), cursor))


DAYS = {
    "general/2024-01-02.json": [message("1704153600.000100", "one"), message("1704153601.000100", "two")],
    "general/2024-01-03.json": [message("1704240000.000100", "three")],
    "dev/2024-01-02.json": [message("1704153700.000100", "in dev", user="U2")],
}


def test_units_are_conversations(tmp_path: Path) -> None:
    direct = [{"id": "D1", "members": ["U1", "U2"]}]
    path = make(tmp_path / "x.zip", {**DAYS, "D1/2024-01-02.json": [message("1704153600.000100", "hush")]}, dms=direct)
    source = ExportSource(str(path))
    assert [(one.id, one.title) for one in units(source)] == [
        ("C2", "#dev"),
        ("C1", "#general"),
        ("D1", "@alice, @bob"),
    ]
    [hush] = read(source, "D1")
    assert hush.record and hush.record.exposure.audience == "private"
    [dev] = read(source, "C2")
    assert dev.record and dev.record.exposure.audience == "external" and dev.record.author == "bob"
    assert dev.record.member == "dev/2024-01-02.json" and dev.record.path == str(path)
    source.close()


def test_a_later_export_is_read_on(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", DAYS)
    source = ExportSource(str(path))
    units(source)
    given = read(source, "C1")
    assert texts(given) == ["one", "two", "three"]
    assert read(source, "C1", last(given)) == []
    more = [*DAYS["general/2024-01-03.json"], message("1704240001.000100", "four")]
    later = {"general/2024-01-03.json": more, "general/2024-01-05.json": [message("1704412800.000100", "five")]}
    make(tmp_path / "x.zip", {**DAYS, **later})
    units(source)
    assert texts(read(source, "C1", last(given))) == ["four", "five"]
    source.close()


@pytest.mark.parametrize("bad", [b"[", b"null, null", b"\x00\x01", b'{"not": "a list"}'])
def test_a_day_that_cannot_be_read_is_told_once(tmp_path: Path, bad: bytes) -> None:
    path = make(tmp_path / "x.zip", {**DAYS, "general/2024-01-04.json": bad})
    source = ExportSource(str(path))
    given = read(source, "C1")
    assert texts(given) == ["one", "two", "three"]
    [skipped] = skips(given)
    assert "2024-01-04.json" in skipped.place
    assert read(source, "C1", last(given)) == []
    # Once the day is whole it is read.
    make(path, {**DAYS, "general/2024-01-04.json": [message("1704330000.000100", "whole")]})
    units(source)
    assert texts(read(source, "C1", last(given))) == ["whole"]
    source.close()


def test_a_day_whose_bytes_are_damaged_in_the_zip(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", DAYS)
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("general/2024-01-02.json").header_offset
    data = bytearray(path.read_bytes())
    for place in range(at + 60, at + 75):
        data[place] ^= 0xFF
    path.write_bytes(data)
    source = ExportSource(str(path))
    given = read(source, "C1")
    assert texts(given) == ["three"]
    assert "2024-01-02.json" in skips(given)[0].place and "cannot be read" in skips(given)[0].reason
    source.close()


def test_a_list_that_is_damaged_costs_only_its_names(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", DAYS, users=b"[{]")
    source = ExportSource(str(path))
    found = list(source.units())
    assert [one for one in found if isinstance(one, Skipped) and "users.json" in one.place]
    assert [one.record.author for one in read(source, "C1") if one.record] == ["U1"] * 3
    source.close()


def test_messages_that_are_none_and_messages_without_a_time(tmp_path: Path) -> None:
    odd = [None, 7, "words", {"text": "no time"}, message("1704153600.000100", "good"), []]
    path = make(tmp_path / "x.zip", {"general/2024-01-02.json": odd})
    source = ExportSource(str(path))
    given = read(source, "C1")
    source.close()
    assert [one for one in texts(given) if one in ("no time", "good")] == ["no time", "good"]
    ids = [one.record.id for one in given if one.record]
    assert len(set(ids)) == len(ids) and "C1/2024-01-02#4" in ids


def test_files_that_the_export_holds_are_parts_and_others_are_counted(tmp_path: Path) -> None:
    shared = [{"id": "F1AAAAAAA", "name": "a.txt"}, {"id": "F2AAAAAAA"}, {"id": "F3AAAAAAA"}, None]
    days = {
        "general/2024-01-02.json": [message("1704153600.000100", "see", files=shared)],
        "__uploads/F1AAAAAAA/a.txt": b"in the first",
        "general/attachments/F2AAAAAAA-b.txt": b"in the second",
    }
    path = make(tmp_path / "x.zip", days)
    source = ExportSource(str(path))
    given = read(source, "C1")
    assert given[0].record and content(given[0].record) == {"a.txt": b"in the first", "b.txt": b"in the second"}
    assert "2 files are named" in skips(given)[0].reason
    assert read(source, "C1", last(given)) == []
    small = ExportSource(str(path), max_file=12)
    assert "13 bytes" in skips(read(small, "C1"))[0].reason
    without = ExportSource(str(path), files=False)
    assert skips(read(without, "C1")) == []
    for one in (source, small, without):
        one.close()


def test_options_choose(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", DAYS)

    def given(**options: Any) -> dict[str, list[str]]:
        source = open_source(Options(name="x", export=str(path), **options))
        found = {one.title: texts(list(source.records(one, None))) for one in source.units() if isinstance(one, Unit)}
        source.close()
        return found

    assert given() == {"#dev": ["in dev"], "#general": ["one", "two", "three"]}
    assert given(channels=("#dev",)) == {"#dev": ["in dev"]}
    assert given(include=("gen*",)) == {"#general": ["one", "two", "three"]}
    assert given(exclude=("#dev",), since="2024-01-02T00:00:01Z") == {"#general": ["two", "three"]}


@pytest.mark.parametrize("kind", ["absent", "half", "no export", "text"])
def test_what_is_no_export_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.zip"
    if kind == "half":  # still being written: no directory at its end yet
        data = make(path, DAYS).read_bytes()
        path.write_bytes(data[: len(data) // 4])
    elif kind == "no export":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing")
    elif kind == "text":
        path.write_text("nothing")
    source = ExportSource(str(path))
    with pytest.raises(SourceError) as caught:
        list(source.units())
    assert caught.value.place == str(path)
    source.close()


def test_an_export_that_was_cut_off_is_read_after_a_while_and_anew_when_it_is_whole(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", dict(reversed(DAYS.items())))
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        path.write_bytes(whole[: archive.getinfo("general/2024-01-02.json").header_offset])
    source = ExportSource(str(path))
    with pytest.raises(SourceError, match="written to a moment ago"):
        units(source)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert any(isinstance(one, Skipped) and one.partial for one in source.units())
    given = read(source, "C1")
    assert texts(given) == ["three"]
    path.write_bytes(whole)
    units(source)
    assert texts(read(source, "C1", last(given))) == ["one", "two", "three"]
    source.close()


def test_a_conversation_that_is_not_there(tmp_path: Path) -> None:
    source = ExportSource(str(make(tmp_path / "x.zip", DAYS)))
    with pytest.raises(GoneError):
        read(source, "C9")
    source.close()


def test_closing_ends_a_read(tmp_path: Path) -> None:
    source = ExportSource(str(make(tmp_path / "x.zip", DAYS)))
    reading = source.records(Unit("C1", ""), None)
    next(reading)
    source.close()
    with pytest.raises(ClosedError):
        list(reading)


def test_several_threads_read_at_the_same_time(tmp_path: Path) -> None:
    days = {
        f"general/2024-01-{day:02d}.json": [message(f"17041{day:02d}600.000100", f"day {day}") for _ in range(50)]
        for day in range(1, 25)
    }
    source = ExportSource(str(make(tmp_path / "x.zip", days)))
    units(source)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(len(read(source, "C1")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.close()
    assert counts == [1200] * 4


def test_memory_is_that_of_a_day(tmp_path: Path) -> None:
    day = [message(f"1704153{number:03d}.000100", "words " * 40) for number in range(250)]
    path = make(tmp_path / "x.zip", {f"general/{2000 + number}-01-02.json": day for number in range(48)})
    source = ExportSource(str(path))
    [general] = units(source)
    tracemalloc.start()
    try:
        given = sum(1 for _ in source.records(general, None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    source.close()
    assert given == 12_000
    assert peak < 2_000_000  # a day is 83 kB, all of them 4 MB


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here")
@pytest.mark.parametrize("name", ["export-dir", "slackdump-export.zip", "viewer-testarchive.zip"])
def test_real_exports(name: str) -> None:
    """Every message of what real tools wrote is given once, with its author and its day, and nothing is lost."""
    source = ExportSource(str(SHARED / name))
    expected = 0
    if name.endswith(".zip"):
        with zipfile.ZipFile(SHARED / name) as archive:
            for member in archive.namelist():
                if "/2" in member:
                    expected += len(json.loads(archive.read(member)))
    else:
        expected = sum(len(json.loads(day.read_bytes())) for day in SHARED.glob(f"{name}/*/2*.json"))
    given = [one for unit in units(source) for one in source.records(unit, None)]
    records = [one.record for one in given if one.record]
    source.close()
    assert len(records) == expected > 0
    assert len({(record.unit, record.id) for record in records}) == expected
    assert all(record.time and record.author and record.container.startswith("#") and record.uri for record in records)
    assert all("files are named" in skipped.reason for skipped in skips(given))
