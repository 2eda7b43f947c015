"""Compound files (OLE2): what streams one has, and whether the workbook in it is encrypted.

Formats: [MS-CFB] 2.2 to 2.6 for the file, [MS-XLS] 2.4.117 (FilePass) and 2.4.21 (BOF) for the workbook.

Limits. Of the allocation table as much is followed as the header itself names: that of a file of up to about 7 MB, or
440 MB with large sectors. Beyond that streams are taken to lie in one piece, as they mostly do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple

MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NONE: Final = 0xFFFFFFFA
"""Sector numbers from here on mean an end or a gap."""
_ENTRY: Final = 128
_SMALL: Final = 64
_BOOKS: Final = ("workbook", "book")
_QUATTRO: Final = ("perfectoffice_main", "nativecontent_main")
_FILE_PASS: Final = 0x2F
_MOST_SECTORS: Final = 1 << 16


class Stream(NamedTuple):
    """A stream of a compound file: its name, its first sector, and its size."""

    name: str
    start: int
    size: int


class Compound:
    """The directory of a compound file that is in memory. A damaged one has fewer streams, or none."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.streams: list[Stream] = []
        if len(content) < 512 or not content.startswith(MAGIC):
            return
        (shift,) = struct.unpack_from("<H", content, 30)
        self._size = 1 << shift if 7 <= shift <= 16 else 512
        first, self._cutoff = struct.unpack_from("<L4xL", content, 48)
        table = struct.unpack_from("<109L", content, 76)
        self._table = [sector for sector in table if sector < _NONE]
        self.streams = list(self._directory(first))

    def _sector(self, number: int) -> bytes:
        start = (number + 1) * self._size
        return self._content[start : start + self._size]

    def _chain(self, sector: int) -> Iterator[bytes]:
        """The sectors from one on, as the allocation table links them."""
        each = self._size // 4
        for _ in range(_MOST_SECTORS):
            if sector >= _NONE:
                return
            data = self._sector(sector)
            if not data:
                return
            yield data
            part, place = divmod(sector, each)
            if part >= len(self._table):
                sector += 1  # beyond what the header names: streams mostly lie in one piece
                continue
            entry = self._sector(self._table[part])[4 * place : 4 * place + 4]
            if len(entry) < 4:
                return
            sector = int.from_bytes(entry, "little")

    def _directory(self, first: int) -> Iterator[Stream]:
        for data in self._chain(first):
            for at in range(0, len(data) - _ENTRY + 1, _ENTRY):
                length = int.from_bytes(data[at + 64 : at + 66], "little")
                if data[at + 66] == 0 or not 2 <= length <= 64:
                    continue
                name = data[at : at + length - 2].decode("utf-16-le", "replace")
                start, size = struct.unpack_from("<LL", data, at + 116)
                yield Stream(name, start, size)

    @property
    def names(self) -> frozenset[str]:
        """The names of the streams and storages, in small letters."""
        return frozenset(stream.name.lower() for stream in self.streams)

    @property
    def is_workbook(self) -> bool:
        """Whether it is a workbook of Excel 5 or later."""
        return not self.names.isdisjoint(_BOOKS)

    @property
    def is_old_workbook(self) -> bool:
        """Whether it is a workbook of Quattro Pro."""
        return not self.names.isdisjoint(_QUATTRO)

    @property
    def encrypted(self) -> bool:
        """Whether what is in it is encrypted: a package (docx, xlsx, pptx), or the workbook itself."""
        return "encryptedpackage" in self.names or any(map(self._has_file_pass, self.streams))

    def _has_file_pass(self, stream: Stream) -> bool:
        """Whether a stream is a workbook that has a FilePass record before its first sheet."""
        if stream.name.lower() not in _BOOKS:
            return False
        data, at = self._beginning(stream), 0
        while at + 4 <= len(data):
            kind, length = struct.unpack_from("<HH", data, at)
            if kind == _FILE_PASS:
                return True
            if kind in (0x0A, 0x85):  # the end, or the first sheet's name
                return False
            at += 4 + length
        return False

    def _beginning(self, stream: Stream) -> bytes:
        if stream.size >= self._cutoff:
            return next(self._chain(stream.start), b"")
        return self.content(stream)

    def content(self, stream: Stream) -> bytes:
        """The content of a stream, as far as the tables lead to it."""
        if stream.size >= self._cutoff:
            return b"".join(self._chain(stream.start))[: stream.size]
        small, table = self._small
        found = bytearray()
        sector = stream.start
        while len(found) < stream.size and 4 * sector + 4 <= len(table):
            found += small[_SMALL * sector : _SMALL * (sector + 1)]
            sector = int.from_bytes(table[4 * sector : 4 * sector + 4], "little")
            if len(found) > self._cutoff:  # no small stream is as large: the table leads in a circle
                break
        return bytes(found[: stream.size])

    @cached_property
    def _small(self) -> tuple[bytes, bytes]:
        """The stream that holds all small ones, and the table that links their sectors."""
        root = next((one for one in self.streams if one.name == "Root Entry"), None)
        first = int.from_bytes(self._content[60:64], "little")
        return b"" if root is None else b"".join(self._chain(root.start)), b"".join(self._chain(first))
