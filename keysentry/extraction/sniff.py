"""What a file is, from its first bytes: text in some encoding, an archive, or something binary."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "text",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "utf-32-be",
    "zip",
    "gzip",
    "bz2",
    "xz",
    "tar",
    "ole",
    "sheet",
    "table",
    "binary",
]
"""`ole` is a compound file (xls, doc, msg), `sheet` a spreadsheet of a program of the eighties or nineties; `table` is
text that its name calls a table, which `sniff` never says."""

HEAD = 512
"""How many bytes `sniff` looks at; a file's first bytes up to this many are all it needs."""

FIRST_BYTES = frozenset(b"PB\x1f\xfd\xff\xfe\x00\xd0\x09")
"""The first bytes for which a full sniff is worth while. A hot loop also sniffs where the second byte is NUL (UTF-16
without a byte order mark) and where `data[257:262] == TAR_MAGIC` (a tar begins with a name, so with any byte)."""

TAR_MAGIC = b"ustar"
TAR_OFFSET = 257

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08PK\x03\x04", "zip"),
    (b"PK00PK\x03\x04", "zip"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    # The marks of UTF-32 come first: that of UTF-32-LE begins like that of UTF-16-LE.
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_OLD_SHEETS = (
    *(
        b"\x00\x00\x02\x00" + version
        for version in (b"\x04\x04", b"\x06\x04", b"\x20\x51", b"\x21\x51", b"\x01\x10", b"\x02\x10")
    ),
    *(b"\x00\x00\x1a\x00" + version for version in (b"\x00\x10", b"\x02\x10", b"\x03\x10", b"\x05\x10")),
    *(b"\xff\x00\x02\x00\x04\x04", b"\x09\x00\x04\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00"),
)
"""The first records of 1-2-3, Quattro and their kin (the beginning of a file, a length, a version), of Works, and of
Excel 2 to 4 ([MS-XLS] 2.4.21 tells the later ones)."""
_BZ2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
"""What follows `BZh` and a digit: the mark of a block, or that of the end in an empty file."""


def worth_sniffing(data: bytes | bytearray | memoryview) -> bool:
    """Whether the first bytes of a file may be anything but plain text with an ASCII-like encoding."""
    if not data:
        return False
    return data[0] in FIRST_BYTES or data[1:2] == b"\x00" or data[TAR_OFFSET : TAR_OFFSET + 5] == TAR_MAGIC


def sniff(head: bytes, name: str = "") -> Kind:
    """Tell what a file is from its first bytes (up to 512 are looked at). The name decides nothing but old tars."""
    head = head[:HEAD]
    if head and head[0] in FIRST_BYTES:
        for magic, kind in _MAGIC:
            if head.startswith(magic):
                return kind
        if head.startswith(_OLD_SHEETS):
            return "sheet"
        if head.startswith(b"BZh") and head[3:4] in b"123456789" and head[4:10] in _BZ2_BLOCKS:
            return "bz2"
    if head[TAR_OFFSET : TAR_OFFSET + 5] == TAR_MAGIC or (name.lower().endswith(".tar") and is_tar_header(head)):
        return "tar"
    if b"\x00" not in head:
        return "text"
    return _wide(head) or "binary"


def is_tar_header(block: bytes) -> bool:
    """Whether 512 bytes are the header of a tar member: the sum of its bytes is what its checksum field says."""
    if len(block) < HEAD or block[0] == 0:
        return False
    try:
        stated = int(block[148:156].strip(b"\x00 ") or b"-1", 8)
    except ValueError:
        return False
    return stated == sum(block[:148]) + 8 * 0x20 + sum(block[156:HEAD])


def _wide(head: bytes) -> Kind | None:
    """UTF-16 or UTF-32 without a byte order mark: NULs where mostly Latin text has them, and only there."""
    if len(head) < 4:
        return None
    quarters = [head[i::4].count(0) / max(len(head[i::4]), 1) for i in range(4)]
    if len(head) >= 8 and quarters[3] == quarters[2] == 1 and quarters[0] < 0.1:
        return "utf-32-le"
    if len(head) >= 8 and quarters[0] == quarters[1] == 1 and quarters[3] < 0.1:
        return "utf-32-be"
    even, odd = quarters[0] + quarters[2], quarters[1] + quarters[3]
    if odd >= 1.2 and even <= 0.1:
        return "utf-16-le"
    if even >= 1.2 and odd <= 0.1:
        return "utf-16-be"
    return None
