"""Cutting, packing, threads and batches change nothing: what is in a text is found however it is read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import zipfile
from functools import cache

import pytest

from keysentry.extraction.sniff import Kind
from keysentry.scan import group, members, pieces, reader
from keysentry.scan.options import FileOptions
from tests.engine import compiled, corpus
from tests.scan.place import Place, places

SIZE = 1 << 20
FILES = 60


@cache
def text() -> bytes:
    return corpus.large(SIZE)


@cache
def expected() -> list[Place]:
    """What a scan of the whole text in memory finds."""
    return places(compiled.scanner().scan_text(text()))


@pytest.fixture
def small_pieces(monkeypatch):
    """Cut what is large into pieces that are much smaller than usual."""
    monkeypatch.setattr(pieces, "CORE", 100_003)
    monkeypatch.setattr(reader, "LARGE", 1 << 16)


@pytest.fixture
def small_members(monkeypatch):
    """Read every member of some size as a stream, in pieces."""
    monkeypatch.setattr(pieces, "CORE", 100_003)
    monkeypatch.setattr(members, "SMALL", 1 << 16)


def test_the_text_shows_what_is_to_be_shown():
    assert len(expected()) > 300
    assert any(len(line) > 1000 for line in text().splitlines())
    assert not text().isascii()


def test_a_file_in_one_piece(scanner, tmp_path):
    (tmp_path / "a.txt").write_bytes(text())
    scan = scanner.scan_path(tmp_path / "a.txt")
    assert places(scan) == expected()
    assert (scan.summary.files, scan.summary.bytes) == (1, len(text()))


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_file_in_many_pieces(scanner, tmp_path, small_pieces, jobs):
    (tmp_path / "a.txt").write_bytes(text())
    scan = scanner.scan_path(tmp_path / "a.txt", FileOptions(jobs=jobs))
    assert places(scan) == expected()
    assert (scan.summary.files, scan.summary.bytes) == (1, len(text()))


def test_what_is_below_the_threshold_is_counted_once(scanner, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(text())
    whole = scanner.scan_path(tmp_path / "a.txt")
    list(whole)
    assert whole.summary.below_threshold > 0
    monkeypatch.setattr(pieces, "CORE", 100_003)
    monkeypatch.setattr(reader, "LARGE", 1 << 16)
    cut = scanner.scan_path(tmp_path / "a.txt")
    list(cut)
    assert cut.summary.below_threshold == whole.summary.below_threshold


def pack_zip(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.txt", content)
    return out.getvalue()


def pack_tar(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        info = tarfile.TarInfo("a.txt")
        info.size = len(content)
        packed.addfile(info, io.BytesIO(content))
    return out.getvalue()


PACKINGS = {
    "zip": pack_zip,
    "tar": pack_tar,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=0),
    "tar.gz": lambda content: gzip.compress(pack_tar(content)),
    "zip in zip": lambda content: pack_zip(pack_zip(content)),
    "gzip in tar": lambda content: pack_tar(gzip.compress(content)),
}


@cache
def packed(packing: str) -> bytes:
    return PACKINGS[packing](text())


@pytest.mark.parametrize("packing", PACKINGS)
def test_from_an_archive(scanner, tmp_path, packing):
    (tmp_path / "a.bin").write_bytes(packed(packing))
    scan = scanner.scan_path(tmp_path / "a.bin")
    assert places(scan) == expected()
    assert scan.summary.skipped == []
    assert scan.summary.bytes == len(text())


@pytest.mark.parametrize("packing", PACKINGS)
def test_from_an_archive_in_pieces(scanner, tmp_path, small_members, packing):
    (tmp_path / "a.bin").write_bytes(packed(packing))
    scan = scanner.scan_path(tmp_path / "a.bin")
    assert places(scan) == expected()
    assert scan.summary.skipped == []
    assert scan.summary.bytes == len(text())


class _Pipe(io.RawIOBase):
    """Bytes that come a few at a time and can only be read forwards, as a pipe gives them."""

    def __init__(self, content: bytes, most: int) -> None:
        self._content = io.BytesIO(content)
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._content.read(min(len(buffer), self._most))
        buffer[: len(data)] = data
        return len(data)


class _StandardInput:
    def __init__(self, content: bytes, most: int) -> None:
        self.buffer = io.BufferedReader(_Pipe(content, most))


def from_pipe(scanner, monkeypatch, content: bytes, most: int):
    monkeypatch.setattr(sys, "stdin", _StandardInput(content, most))
    return scanner.scan_path("-")


@pytest.mark.parametrize("most", [1 << 16, 4099])
def test_from_standard_input(scanner, monkeypatch, most):
    monkeypatch.setattr(pieces, "CORE", 100_003)
    scan = from_pipe(scanner, monkeypatch, text(), most)
    assert places(scan) == expected()
    assert scan.summary.bytes == len(text())


@pytest.mark.parametrize("most", [1 << 16, 100, 1])
@pytest.mark.parametrize("packing", ["zip", "tar", "gzip"])
def test_an_archive_from_standard_input(scanner, monkeypatch, packing, most):
    content = text()[:100_000]
    scan = from_pipe(scanner, monkeypatch, PACKINGS[packing](content), most)
    assert places(scan) == places(scanner.scan_text(content))
    assert scan.summary.skipped == []


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("most", [1, 7, 4096])
def test_small_files_are_told_apart_in_any_grouping(scanner, tmp_path, monkeypatch, most, jobs):
    """Files in one buffer, and members in one group, in whatever number."""
    monkeypatch.setattr(group, "MOST", most)
    contents = {f"{number:03}.txt": segment for number, segment in enumerate(corpus.segments(FILES, 3))}
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as packed_files:
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
            packed_files.writestr(name, content)
    found = list(scanner.scan_path(tmp_path, FileOptions(jobs=jobs, allow_comments=False)))
    files = {name: [f for f in found if f.location.path == str(tmp_path / name)] for name in contents}
    inside = {name: [f for f in found if f.location.part == name] for name in contents}
    assert sum(map(len, files.values())) > FILES // 4
    for name, content in contents.items():
        if is_text(content):
            assert places(files[name]) == places(inside[name]) == places(scanner.scan_text(content))


def is_text(content: bytes) -> bool:
    return (
        b"\x00" not in content and content.lstrip()[:1] not in (b"{", b"[") and content[:1] not in b"PB\x1f\xfd\xff\xfe"
    )


@pytest.mark.parametrize("size", [1, 3, 64, 5000])
def test_texts_in_any_batch(scanner, monkeypatch, size):
    from keysentry.scan import texts as module

    monkeypatch.setattr(module, "BATCH", size)
    monkeypatch.setattr(module, "BATCH_BYTES", 2000 * size)
    texts = list(corpus.segments(1000, 4))
    alone = [(number, place) for number, text in enumerate(texts) for place in places(scanner.scan_text(text))]
    together = [(number, *places([finding])) for number, finding in scanner.scan_texts(iter(texts))]
    assert together == alone
    assert len(alone) > 250


def test_texts_of_both_kinds(scanner):
    texts = list(corpus.segments(200, 5))
    mixed = [text.decode() if number % 2 and is_utf8(text) else text for number, text in enumerate(texts)]
    assert [(n, *places([f])) for n, f in scanner.scan_texts(mixed)] == [
        (n, *places([f])) for n, f in scanner.scan_texts(texts)
    ]


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


KINDS: tuple[Kind, ...] = ("utf-16-le", "utf-16-be", "utf-32-le")


@pytest.mark.parametrize("kind", KINDS)
def test_a_wide_encoding(scanner, tmp_path, kind):
    content = corpus.large(100_000).decode(errors="replace")
    (tmp_path / "a.txt").write_bytes(("\ufeff" + content).encode(kind))
    found = list(scanner.scan_path(tmp_path / "a.txt"))
    narrow = scanner.scan_text(content)
    assert [(f.rule, f.secret.reveal(), f.location.line) for f in found] == [
        (f.rule, f.secret.reveal(), f.location.line) for f in narrow
    ]
