"""Records with contents: any format and size, in flat memory, and what cannot be had is told."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keysentry import Scanner
from keysentry.errors import InputError, SourceError
from keysentry.model.finding import Skipped
from keysentry.model.location import Exposure, Step
from keysentry.model.record import Part, Record, Segment
from keysentry.rules.forge import forge


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


def token(seed: int = 1) -> str:
    return forge("ghp_{base62:30}{crc32-base62:6}", random.Random(seed))


def record(*parts: Part, **more: object) -> Record:
    fields = {"id": "C1/1", "uri": "https://example.test/1", "container": "#general", "author": "ann", "time": 0.0}
    return Record(parts=parts, **{**fields, **more})  # type: ignore[arg-type]


def pieces(*chunks: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(chunks)


def test_a_streamed_content_is_scanned_across_its_pieces(scanner: Scanner) -> None:
    secret = token()
    text = f"one\ntwo {secret}\n".encode()
    chunks = [text[i : i + 7] for i in range(0, len(text), 7)]
    exposure = Exposure("internal", 12)
    [(owner, found)] = scanner.scan_records(
        [record(Part(open=pieces(*chunks), name="notes.txt"), author_id="U1", exposure=exposure)]
    )
    assert owner.id == "C1/1" and found.secret.reveal() == secret
    location = found.location
    assert (location.line, location.column) == (2, 5)
    assert location.route == (Step("file", "notes.txt"),)
    assert (location.uri, location.container, location.author) == ("https://example.test/1", "#general", "ann")
    assert (location.author_id, location.exposure, location.time) == ("U1", exposure, "1970-01-01T00:00:00Z")


def test_an_archive_that_is_streamed(scanner: Scanner) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("deep/app.env", f"KEY={token()}\n")
    [(_, found)] = scanner.scan_records([record(Part(open=pieces(buffer.getvalue()), name="backup.zip"))])
    assert found.location.part == "backup.zip » deep/app.env"


def test_texts_and_contents_keep_the_order_of_the_records(scanner: Scanner) -> None:
    secrets = [token(number) for number in range(4)]
    records = [
        record(Part(open=pieces(secrets[0].encode())), id="1"),
        record(Part(segment=Segment(secrets[1].encode())), id="2"),
        record(Part(content=secrets[2].encode(), name="a.txt"), id="3"),
        record(Part(segment=Segment(secrets[3].encode())), id="4"),
    ]
    found = list(scanner.scan_records(records))
    assert [(owner.id, finding.secret.reveal()) for owner, finding in found] == list(zip("1234", secrets, strict=True))


def test_what_cannot_be_had_is_told_and_what_came_before_is_scanned(scanner: Scanner) -> None:
    def broken() -> Iterator[bytes]:
        yield f"x {token()}\n".encode()
        raise InputError("it was deleted while it was read")

    def forbidden() -> Iterator[bytes]:
        raise InputError("no permission", advice="give the app files:read")

    skipped: list[Skipped] = []
    parts = (Part(open=broken, name="a.txt"), Part(open=forbidden, name="b.txt"))
    found = list(scanner.scan_records([record(*parts)], skipped))
    assert len(found) == 1
    assert [(one.place, one.reason, one.partial) for one in skipped] == [
        ("https://example.test/1 » a.txt", "it was deleted while it was read", True),
        ("https://example.test/1 » b.txt", "no permission (give the app files:read)", False),
    ]


@pytest.mark.parametrize("name", ["a.txt", "a.zip", "a.tar", "a.gz"])
def test_what_may_be_had_later_is_not_taken_for_lost(scanner: Scanner, name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "x" * 9999)
    begin = {"a.txt": b"text", "a.zip": buffer.getvalue()[:60], "a.gz": b"\x1f\x8b\x08" + bytes(20)}
    tar = b"a.txt".ljust(100, b"\0") + b"0000644\0" + bytes(16) + b"00000001000\0" + bytes(12)

    def reset() -> Iterator[bytes]:
        yield begin.get(name, tar)
        raise SourceError("the connection was reset")

    with pytest.raises(SourceError):
        list(scanner.scan_records([record(Part(open=reset, name=name))], []))


def test_memory_is_flat_whatever_the_size(scanner: Scanner) -> None:
    secret = token()
    line = b"nothing to see here, move along please\n" * 1000

    def large() -> Iterator[bytes]:
        for _ in range(3000):
            yield line
        yield f"end {secret}\n".encode()

    list(scanner.scan_records([record(Part(segment=Segment(b"warm")))]))
    tracemalloc.start()
    [(_, found)] = scanner.scan_records([record(Part(open=large, name="big.log"))])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.location.line == 3000 * 1000 + 1
    assert peak < 60 << 20


def test_a_path_is_scanned_like_any_file_and_owned_by_its_record(scanner: Scanner, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        archive.writestr("x.env", f"KEY={token()}  # keysentry:allow\n")
    (folder / "a.txt").write_text("nothing")
    owner = record(Part(path=str(folder)), id="drop", author="", container="drop", exposure=Exposure("private"))
    [(_, found)] = scanner.scan_records([owner])
    assert found.location.path == str(folder / "b.zip")
    assert (found.location.part, found.location.container) == ("x.env", "drop")
    assert found.location.exposure.audience == "private"


def test_a_path_that_is_gone_is_told(scanner: Scanner, tmp_path: Path) -> None:
    skipped: list[Skipped] = []
    assert list(scanner.scan_records([record(Part(path=str(tmp_path / "no")))], skipped)) == []
    assert [one.place for one in skipped] == [str(tmp_path / "no")]
