"""What a file is from its first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.extraction.sniff import sniff, worth_sniffing

TEXT = "name,token\nalice,1234\nžofie,5678\n" * 3


def _zip(empty: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if not empty:
            archive.writestr("a.txt", TEXT)
    return buffer.getvalue()


def _tar(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"abcd"))
    return buffer.getvalue()


def _v7() -> bytes:
    block = bytearray(_tar(tarfile.GNU_FORMAT))
    block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


CASES = [
    ("text", TEXT.encode()),
    ("text", b""),
    ("text", b"\xef\xbb\xbf" + TEXT.encode()),
    ("text", b"PK is a file type, BZh too"),
    ("text", b"\xff\xfb latin"),
    ("utf-16-le", b"\xff\xfe" + TEXT.encode("utf-16-le")),
    ("utf-16-be", b"\xfe\xff" + TEXT.encode("utf-16-be")),
    ("utf-16-le", TEXT.encode("utf-16-le")),
    ("utf-16-be", TEXT.encode("utf-16-be")),
    ("utf-32-le", TEXT.encode("utf-32-le")),
    ("utf-32-be", TEXT.encode("utf-32-be")),
    ("utf-32-le", b"\xff\xfe\x00\x00" + TEXT.encode("utf-32-le")),
    ("utf-32-be", b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be")),
    ("zip", _zip()),
    ("zip", _zip(empty=True)),
    ("gzip", gzip.compress(b"abc", mtime=0)),
    ("bz2", bz2.compress(b"abc")),
    ("bz2", bz2.compress(b"")),
    ("xz", lzma.compress(b"abc")),
    ("tar", _tar(tarfile.USTAR_FORMAT)),
    ("tar", _tar(tarfile.GNU_FORMAT)),
    ("tar", _tar(tarfile.PAX_FORMAT)),
    ("binary", b"\x7fELF\x02\x01\x01" + bytes(60)),
    ("binary", b"\x00\x01"),
    ("binary", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x00"),
]


@pytest.mark.parametrize(("kind", "data"), CASES)
def test_kinds(kind: str, data: bytes) -> None:
    assert sniff(data[:512], "file") == kind


def test_old_tar_needs_its_name_and_a_true_checksum() -> None:
    assert sniff(_v7()[:512], "old.tar") == "tar"
    assert sniff(_v7()[:512], "old.bin") == "binary"
    assert sniff(b"x" + _v7()[1:512], "old.tar") == "binary"


@pytest.mark.parametrize(("kind", "data"), CASES)
def test_the_hot_loop_misses_nothing_that_must_be_opened(kind: str, data: bytes) -> None:
    if kind not in ("text", "binary"):
        assert worth_sniffing(data)


@given(st.binary(max_size=600))
def test_never_raises(data: bytes) -> None:
    kind = sniff(data, "x.tar")
    assert kind != "text" or b"\x00" not in data[:512]


def test_plain_text_is_not_worth_a_sniff() -> None:
    assert not worth_sniffing(b"{}") and not worth_sniffing(b"")
