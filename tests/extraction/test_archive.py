"""Archives of every kind: what comes out of them, whole, damaged and hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.errors import BudgetExceeded, FormatError
from keysentry.extraction.archive import Leaf, Member, ZipIndex, leaves, members
from keysentry.extraction.budget import Account, Budget
from keysentry.extraction.sniff import sniff
from keysentry.model.finding import Skipped

FILES = {
    "a.txt": b"alpha " * 10,
    "empty": b"",
    "dir/größe.json": b'{"k": 1}' * 500,
    "dir/" + "long-name-" * 20 + ".txt": b"long",
    "big.bin": random.Random(7).randbytes(700_000) + bytes(3_000_000),
}


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Unseekable(io.RawIOBase):
    """A stream that only goes forward, as a pipe does: what makes zipfile write data descriptors."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.at = 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.data += data
        return len(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        piece = self.data[self.at : self.at + len(buffer)]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def streamed_zip(files: dict[str, bytes] = FILES) -> bytes:
    sink = Unseekable()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return bytes(sink.data)


def make_tar(form: int, files: dict[str, bytes] = FILES) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def read(data: bytes, name: str = "x", account: Account | None = None) -> tuple[dict[str, bytes], list[Skipped]]:
    found: dict[str, bytes] = {}
    lost: list[Skipped] = []
    for item in members(io.BytesIO(data), sniff(data[:512], name), name, account or Account()):
        if isinstance(item, Skipped):
            lost.append(item)
        else:
            found[item.name] = b"".join(item.chunks())
    return found, lost


ARCHIVES = {
    "deflated": zip_of(FILES),
    "stored": zip_of(FILES, zipfile.ZIP_STORED),
    "bzip2": zip_of(FILES, zipfile.ZIP_BZIP2),
    "lzma": zip_of(FILES, zipfile.ZIP_LZMA),
    "comment": zip_of(FILES, comment=b"PK\x05\x06 in a comment" * 20),
    "descriptors": streamed_zip(),
    "ustar": make_tar(tarfile.USTAR_FORMAT, {k: v for k, v in FILES.items() if len(k) < 90}),
    "gnu": make_tar(tarfile.GNU_FORMAT),
    "pax": make_tar(tarfile.PAX_FORMAT),
    "tar.gz": gzip.compress(make_tar(tarfile.GNU_FORMAT)),
    "tar.bz2": bz2.compress(make_tar(tarfile.GNU_FORMAT)),
    "tar.xz": lzma.compress(make_tar(tarfile.PAX_FORMAT)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_member_comes_out_as_it_went_in(name: str) -> None:
    found, lost = read(ARCHIVES[name])
    assert lost == []
    assert found == {k: v for k, v in FILES.items() if name != "ustar" or len(k) < 90}


def test_a_program_before_a_zip_is_no_hindrance() -> None:
    data = b"#!/bin/sh\n" * 9 + ARCHIVES["deflated"]
    index = ZipIndex(io.BytesIO(data), "x")
    assert index.damage is None
    assert {entry.name: index.read(entry) for entry in index.entries} == FILES


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, "gz"), (bz2.compress, "bz2"), (lzma.compress, "xz")])
def test_a_packed_file_is_an_archive_of_one(pack, suffix: str) -> None:
    assert read(pack(b"hello"), f"logs/notes.txt.{suffix}") == ({"notes.txt": b"hello"}, [])


def test_zip64() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"alpha")
    data = bytearray(buffer.getvalue())
    end = data.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", data, end + 10)
    record = b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, end, 1)
    tail = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    wide = bytes(data[:end]) + record + locator + tail
    assert zipfile.ZipFile(io.BytesIO(wide)).namelist() == ["a.txt"]
    assert read(wide) == ({"a.txt": b"alpha"}, [])


def test_names_without_the_flag() -> None:
    data = zip_of({"größe.txt": b"x"})
    unflagged = data.replace(struct.pack("<HH", 0x800, 8), struct.pack("<HH", 0, 8))
    assert list(read(unflagged)[0]) == ["größe.txt"]
    old = unflagged.replace("größe.txt".encode(), "grö.e.txt.".encode("cp437").ljust(11, b"_"))
    assert list(read(old)[0]) == ["grö.e.txt._"]


def test_bad_checksum_and_encryption_leave_the_others_whole() -> None:
    data = bytearray(zip_of({"a": b"alpha", "b": b"beta", "c": b"gamma"}, zipfile.ZIP_STORED))
    data[data.index(b"beta")] ^= 1
    central = data.rindex(b"PK\x01\x02")  # that of c
    data[central + 8] |= 1
    found, lost = read(bytes(data), "x.zip")
    assert found["a"] == b"alpha"
    assert [(item.place, item.partial) for item in lost] == [("x.zip » b", True), ("x.zip » c", False)]
    assert "checksum" in lost[0].reason and "encrypted" in lost[1].reason


def test_unsupported_method() -> None:
    data = bytearray(zip_of({"a": b"alpha"}))
    data[data.rindex(b"PK\x01\x02") + 10] = 93
    assert read(bytes(data), "x.zip") == (
        {},
        [Skipped("x.zip » a", "it is packed by a method that is not supported (93, zstandard)")],
    )


@pytest.mark.parametrize("make", [zip_of, streamed_zip])
def test_a_zip_cut_off_gives_what_is_there(make) -> None:
    data = make(FILES)
    cut = data[: data.index(b"big.bin") + 300_000]
    found, lost = read(cut, "x.zip")
    assert {k: v for k, v in found.items() if k != "big.bin"} == {k: v for k, v in FILES.items() if k != "big.bin"}
    assert len(found["big.bin"]) > 200_000 and FILES["big.bin"].startswith(found["big.bin"])
    assert (lost[0].place, lost[0].partial) == ("x.zip", True) and "cut off" in lost[0].reason
    assert (lost[1].place, lost[1].partial) == ("x.zip » big.bin", True)
    assert len(lost) == 2


def test_a_zip_that_lost_its_directory_only() -> None:
    data = streamed_zip()
    found, lost = read(data[: data.index(b"PK\x01\x02")], "x.zip")
    assert found == FILES
    assert [item.place for item in lost] == ["x.zip"]


def test_a_damaged_directory_falls_back_to_the_headers() -> None:
    data = bytearray(ARCHIVES["deflated"])
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second] = 0
    found, lost = read(bytes(data), "x.zip")
    assert found == FILES
    assert len(lost) == 1 and "directory is damaged" in lost[0].reason


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_cut_off_gives_what_is_there(form: int, pack) -> None:
    data = pack(make_tar(form))
    found, lost = read(data[: len(data) - 3_100_000 if pack is bytes else len(data) // 2], "x.tar")
    assert {k: v for k, v in found.items() if k != "big.bin"} == {k: v for k, v in FILES.items() if k != "big.bin"}
    assert found["big.bin"] and FILES["big.bin"].startswith(found["big.bin"])
    assert [(item.place, item.partial) for item in lost] == [("x.tar » big.bin", True)]


def test_a_damaged_tar_header_costs_one_member() -> None:
    data = bytearray(make_tar(tarfile.USTAR_FORMAT, {"a": b"alpha", "b": b"beta", "c": b"gamma"}))
    data[1024 + 5] ^= 1  # in the header of b
    found, lost = read(bytes(data), "x.tar")
    assert found == {"a": b"alpha", "c": b"gamma"}
    assert len(lost) == 1 and "header is damaged" in lost[0].reason


def test_links_are_quiet_and_devices_are_told() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in [("sym", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "n" * 150
            archive.addfile(info)
        info = tarfile.TarInfo("dir")
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
        info = tarfile.TarInfo("a" * 150)
        info.size = 2
        archive.addfile(info, io.BytesIO(b"hi"))
    assert read(buffer.getvalue(), "x.tar") == (
        {"a" * 150: b"hi"},
        [Skipped("x.tar » pipe", "it is a pipe, which has no content")],
    )


def test_tars_one_after_the_other() -> None:
    data = make_tar(tarfile.GNU_FORMAT, {"a": b"alpha"}) + make_tar(tarfile.GNU_FORMAT, {"b": b"beta"})
    assert read(data) == ({"a": b"alpha", "b": b"beta"}, [])


def test_large_numbers_in_tar_headers() -> None:
    data = bytearray(make_tar(tarfile.GNU_FORMAT, {"a": b"alpha", "b": b"beta"}))
    data[124:136] = b"\x80" + (5).to_bytes(11, "big")
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert read(bytes(data)) == ({"a": b"alpha", "b": b"beta"}, [])


def test_members_that_are_not_read_are_passed_over() -> None:
    for name in ("deflated", "gnu", "tar.gz"):
        names = []
        for item in members(io.BytesIO(ARCHIVES[name]), sniff(ARCHIVES[name][:512]), "x", Account()):
            assert isinstance(item, Member)
            names.append(item.name)
        assert names == list(FILES)


def test_pipes_can_be_read_through() -> None:
    found = {}
    stream = io.BufferedReader(Unseekable(ARCHIVES["tar.gz"]))
    account = Account()
    for item in members(stream, "gzip", "stdin", account):
        assert isinstance(item, Member)
        found[item.name] = b"".join(item.chunks())
    assert found == FILES
    assert account.packed == len(ARCHIVES["tar.gz"])


def test_threads_share_an_index(tmp_path: Path) -> None:
    files = {f"{i}.txt": random.Random(i).randbytes(5000) * 30 for i in range(60)}
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of(files))
    with path.open("rb") as stream, ThreadPoolExecutor(4) as pool:
        for source in (stream.fileno(), stream, io.BytesIO(path.read_bytes())):
            index = ZipIndex(source, "x.zip")
            assert dict(zip(files, pool.map(index.read, index.entries), strict=True)) == files


def test_reading_from_an_index_raises_what_is_wrong() -> None:
    data = bytearray(zip_of({"a": b"alpha"}, zipfile.ZIP_STORED))
    data[data.index(b"alpha")] ^= 1
    index = ZipIndex(io.BytesIO(data), "x.zip")
    with pytest.raises(FormatError, match=r"x\.zip » a: its checksum is wrong"):
        index.read(index.entries[0])


# -- hostile --------------------------------------------------------------------------------------------------------


def nested_bomb(levels: int) -> bytes:
    """A zip of ten zips of ten zips ... of 100 MB of zeros: a few kilobytes that want terabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("0", "w") as member:
        for _ in range(100):
            member.write(bytes(1_000_000))
    data = buffer.getvalue()
    for _ in range(levels):
        data = zip_of({f"{i}.zip": data for i in range(10)})
    return data


def drain(data: bytes, account: Account) -> tuple[int, list[Skipped]]:
    total, lost = 0, []
    for item in leaves(io.BytesIO(data), sniff(data[:512]), "bomb", account):
        if isinstance(item, Leaf):
            total += sum(map(len, item.chunks))
        else:
            lost.append(item)
    return total, lost


@pytest.mark.parametrize("budget", [Budget(), Budget(ratio=10**9, expanded=50_000_000)], ids=["ratio", "expanded"])
def test_a_nested_bomb_is_stopped_soon_and_in_flat_memory(budget: Budget) -> None:
    data = nested_bomb(4)
    assert len(data) < 100_000
    begun = time.process_time()
    total, lost = drain(data, Account(budget))
    assert time.process_time() - begun < 1
    assert total < 60_000_000
    assert lost and all("budget." in item.reason for item in lost)
    tracemalloc.start()
    drain(data, Account(budget))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16_000_000


def test_depth_is_bounded() -> None:
    data = b"deep secret"
    for level in range(4):
        data = zip_of({f"{level}": data})
    assert drain(data, Account())[0] == len(b"deep secret")
    for level in range(4, 8):
        data = zip_of({f"{level}": data})
    total, lost = drain(data, Account())
    assert total == 0
    assert [item.place for item in lost] == ["bomb » 7 » 6 » 5 » 4 » 3"] and "budget.depth" in lost[0].reason


def test_members_that_share_their_bytes_are_counted_each() -> None:
    """A zip whose directory names one packed run of zeros a thousand times."""
    data = zip_of({"0": bytes(10_000_000)})
    end, central = data.rindex(b"PK\x05\x06"), data.index(b"PK\x01\x02")
    tail = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 1000, 1000, 1000 * (end - central), central, 0)
    bomb = data[:central] + data[central:end] * 1000 + tail
    account = Account()
    total, lost = drain(bomb, account)
    assert total < 100_000_000
    assert "budget.ratio" in lost[-1].reason


def test_a_member_that_is_too_large_is_cut_and_the_rest_still_comes() -> None:
    budget = Budget(member=1_000_000)
    for data in (ARCHIVES["deflated"], ARCHIVES["gnu"]):
        found, lost = read(data, "x", Account(budget))
        assert {k: v for k, v in found.items() if k != "big.bin"} == {k: v for k, v in FILES.items() if k != "big.bin"}
        assert len(found["big.bin"]) <= 1_000_000
        assert [item.place for item in lost] == ["x » big.bin"] and "budget.member" in lost[0].reason


@pytest.mark.parametrize("name", ["deflated", "gnu"])
def test_too_many_members(name: str) -> None:
    found, lost = read(ARCHIVES[name], "x", Account(Budget(entries=2)))
    assert list(found) == ["a.txt", "empty"]
    assert len(lost) == 1 and "budget.entries" in lost[0].reason


def test_an_inner_archive_too_large_to_hold() -> None:
    inner = zip_of({"a": random.Random(1).randbytes(50_000)})
    total, lost = drain(zip_of({"inner.zip": inner, "b": b"beta"}), Account(Budget(held=10_000)))
    assert total == 4
    assert [item.place for item in lost] == ["bomb » inner.zip"] and "budget.held" in lost[0].reason


def test_leaves_go_through_every_kind() -> None:
    data = zip_of({"a.tar.gz": gzip.compress(make_tar(tarfile.GNU_FORMAT, {"d/b.txt.xz": lzma.compress(b"found")}))})
    data = make_tar(tarfile.PAX_FORMAT, {"z.zip": data, "plain": "wide".encode("utf-16")})
    found = {}
    for item in leaves(io.BytesIO(data), "tar", "o.tar", Account()):
        assert isinstance(item, Leaf)
        found[item.place] = (item.kind, b"".join(item.chunks))
    assert found == {
        "o.tar » z.zip » a.tar.gz » d/b.txt.xz » b.txt": ("text", b"found"),
        "o.tar » plain": ("utf-16-le", "wide".encode("utf-16")),
    }


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ARCHIVES)), st.randoms(use_true_random=False), st.integers(1, 6))
def test_damage_never_raises(name: str, rng: random.Random, count: int) -> None:
    small = {"deflated": SMALL_ZIP, "gnu": SMALL_TAR}.get(name, SMALL_GZ)
    data = bytearray(small)
    for _ in range(count):
        data[rng.randrange(4, len(data))] = rng.randrange(256)
    del data[rng.randrange(4, 2 * len(data)) :]
    kind = {"deflated": "zip", "gnu": "tar"}.get(name, "gzip")
    for item in leaves(io.BytesIO(data), kind, "x", Account(Budget(expanded=10_000_000))):
        if isinstance(item, Leaf):
            list(item.chunks)


SMALL_ZIP = streamed_zip({"a": b"alpha" * 20, "b.gz": gzip.compress(b"beta")})
SMALL_TAR = make_tar(tarfile.PAX_FORMAT, {"a" * 120: b"alpha" * 200, "z.zip": SMALL_ZIP})
SMALL_GZ = gzip.compress(SMALL_TAR)


def test_budget_errors_of_an_index_are_raised() -> None:
    index = ZipIndex(io.BytesIO(ARCHIVES["deflated"]), "x", Account(Budget(member=10)))
    with pytest.raises(BudgetExceeded, match=r"x » a\.txt"):
        index.read(index.entries[0])
