"""Decompression in bounded steps, by isal or by zlib."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
from collections.abc import Iterator

import pytest

from keysentry.errors import FormatError
from keysentry.extraction import inflate
from keysentry.extraction.budget import Account
from keysentry.extraction.inflate import unpack
from keysentry.extraction.member import CHUNK

PACK = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
DATA = random.Random(1).randbytes(30_000) + b"lines of text\n" * 20_000


@pytest.fixture(params=["isal", "zlib"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run with isal, and as if it were not installed; what was chosen then is forgotten afterwards."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    for chosen in (inflate.errors, inflate._crc32):
        chosen.cache_clear()
    yield
    for chosen in (inflate.errors, inflate._crc32):
        chosen.cache_clear()


def pieces(data: bytes, size: int):
    return (data[i : i + size] for i in range(0, len(data), size))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("size", [1 << 20, 1000, 7])
def test_whole(kind, size: int) -> None:
    data = DATA if size > 7 else DATA[:2000]
    out = list(unpack(pieces(PACK[kind](data), size), kind, "x", Account()))
    assert b"".join(out) == data
    assert max(map(len, out)) <= CHUNK


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("size", [1 << 20, 5])
def test_several_streams_and_padding(kind, size: int) -> None:
    packed = PACK[kind](b"one") + PACK[kind](b"two") + bytes(700)
    assert b"".join(unpack(pieces(packed, size), kind, "x", Account())) == b"onetwo"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", PACK)
def test_cut_short(kind) -> None:
    packed = PACK[kind](DATA)
    out = []
    with pytest.raises(FormatError, match="x: its packed data ends too early"):
        for piece in unpack(pieces(packed[: len(packed) // 2], 5000), kind, "x", Account()):
            out.append(piece)
    assert DATA.startswith(b"".join(out))
    if kind != "bz2":  # one block of bz2 is as large as all of this
        assert out


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", PACK)
def test_damaged(kind) -> None:
    packed = bytearray(PACK[kind](DATA))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(FormatError, match=r"damaged|too early"):
        list(unpack(pieces(bytes(packed), 5000), kind, "x", Account()))


@pytest.mark.usefixtures("engine")
def test_wrong_checksum() -> None:
    packed = bytearray(gzip.compress(b"hello" * 100))
    packed[-6] ^= 1
    with pytest.raises(FormatError, match="damaged"):
        list(unpack(iter([bytes(packed)]), "gzip", "x", Account()))


@pytest.mark.parametrize("kind", PACK)
def test_something_else_behind(kind) -> None:
    with pytest.raises(FormatError, match="something else follows"):
        list(unpack(iter([PACK[kind](b"one") + b"plain text behind it"]), kind, "x", Account()))


@pytest.mark.usefixtures("engine")
def test_crc32() -> None:
    assert inflate.crc32(b"def", inflate.crc32(b"abc")) == inflate.crc32(b"abcdef") == 0x4B8E39EF
