"""Zip archives: the index of one, and its members, which several threads may read at the same time.

Every read names its own offset (`os.pread`), so there is no seek position to share and nothing to lock. The central
directory is read here rather than by the standard library's `zipfile`, which takes several times as long and as much
memory a member; where there is none (a truncated download) the members are found by their local headers.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from itertools import chain
from threading import Lock
from typing import BinaryIO, Final

import msgspec

from keysentry.errors import BudgetExceeded, FormatError
from keysentry.extraction.budget import Account
from keysentry.extraction.inflate import Decompressor, crc32, errors, raw_deflate, steps
from keysentry.extraction.member import CHUNK, Member, guarded, place_in, skipped
from keysentry.model.finding import Skipped

_LOCAL: Final = b"PK\x03\x04"
_CENTRAL: Final = b"PK\x01\x02"
_DESCRIPTOR: Final = b"PK\x07\x08"
_END: Final = b"PK\x05\x06"
_LOCAL_SIZE: Final = 30
_CENTRAL_FIELDS: Final = struct.Struct("<4s4xHHxxxxLLLHHHxxxxxxxxL")
_LOCAL_FIELDS: Final = struct.Struct("<4sxxHHxxxxLLLHH")
_NONE32: Final = 0xFFFFFFFF
_PIECE: Final = 256 << 10
_METHODS: Final = {1: "shrink", 6: "implode", 9: "deflate64", 93: "zstandard", 95: "xz", 98: "ppmd", 99: "AES"}
_LZMA_DICTIONARY: Final = 256 << 20


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A member as the index has it: how it is packed, its checksum and sizes, and where its local header is."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def folder(self) -> bool:
        """Whether it is a folder, which has no content."""
        return self.name.endswith("/")

    @property
    def refusal(self) -> str:
        """Why its content cannot be read at all; empty if it can."""
        if self.flags & 0x41:
            return "it is encrypted"
        if self.method in (0, 8, 12, 14):
            return ""
        name = _METHODS.get(self.method, "unknown")
        return f"it is packed by a method that is not supported ({self.method}, {name})"


class _Source:
    """Reads at an offset, from a file descriptor or from a stream without one."""

    def __init__(self, source: int | BinaryIO) -> None:
        descriptor = source if isinstance(source, int) else _descriptor(source)
        self._fd = descriptor if hasattr(os, "pread") else None
        self._stream = open(source, "rb", closefd=False) if isinstance(source, int) else source  # noqa: SIM115
        self._lock = Lock()
        self.size = os.fstat(self._fd).st_size if self._fd is not None else self._stream.seek(0, io.SEEK_END)

    def read(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes at `offset`; fewer only at the end."""
        if offset < 0:
            return b""
        if self._fd is not None:
            data = os.pread(self._fd, count, offset)
            while len(data) < count and (more := os.pread(self._fd, count - len(data), offset + len(data))):
                data += more
            return data
        with self._lock:
            self._stream.seek(offset)
            return self._stream.read(count)


def _descriptor(stream: BinaryIO) -> int | None:
    """The descriptor under a stream whose bytes are those of the file as it lies on disk (a GzipFile's are not)."""
    if not isinstance(stream, io.BufferedReader | io.BufferedRandom | io.FileIO):
        return None
    raw = stream if isinstance(stream, io.FileIO) else stream.raw
    return raw.fileno() if isinstance(raw, io.FileIO) else None


class ZipIndex:
    """The members of one zip archive. Reading them is safe from several threads at once.

    `entries` are the files (folders are left out), in the order of the directory; `damage` says what is wrong with
    the archive as a whole, None if nothing is.
    """

    def __init__(self, source: int | BinaryIO, name: str = "", account: Account | None = None) -> None:
        self.name = name
        self.account = account or Account()
        self.entries: list[Entry] = []
        self.damage: Skipped | None = None
        self._source = _Source(source)
        self.account.measure(self._source.size)
        try:
            self._index(_directory(self._source))
        except FormatError as error:
            self._salvage(error.reason)

    def _index(self, entries: Iterator[Entry]) -> None:
        for entry in entries:
            if entry.folder:
                continue
            try:
                self.account.entry(self.name)
            except BudgetExceeded as error:
                self.damage = skipped(error, self.name, partial=True)
                return
            self.entries.append(entry)

    def _salvage(self, reason: str) -> None:
        seen = {entry.offset for entry in self.entries}
        self.damage = Skipped(self.name, f"{reason}; its members were found one by one", partial=True)
        self._index(entry for entry in _local_headers(self._source) if entry.offset not in seen)

    def again(self, account: Account) -> ZipIndex:
        """The same archive, for reading on another account."""
        other = ZipIndex.__new__(ZipIndex)
        other.name, other.account, other.entries, other.damage = self.name, account, self.entries, self.damage
        other._source = self._source
        return other

    def read(self, entry: Entry) -> bytes:
        """The whole content of a member. Raises `FormatError` if it is damaged, `BudgetExceeded` if it is too large."""
        return b"".join(self.chunks(entry))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The content of a member in pieces of up to 1 MiB.

        Raises `FormatError` or `BudgetExceeded` after what is good of it.
        """
        place = place_in(self.name, entry.name)
        if entry.refusal:
            raise FormatError(entry.refusal, place=place)
        total = check = 0
        try:
            for chunk in self._unpacked(entry, place):
                total += len(chunk)
                self.account.expand(place, len(chunk), total)
                check = crc32(chunk, check)
                yield chunk
        except errors() as error:
            raise FormatError(f"its packed data is damaged: {error}", place=place) from error
        if total != entry.size and entry.size >= 0:
            raise FormatError(f"it has {total:,} bytes where the archive says {entry.size:,}", place=place)
        if check != entry.crc and entry.size >= 0:
            raise FormatError("its checksum is wrong: the content is not what was packed", place=place)

    def _unpacked(self, entry: Entry, place: str) -> Iterator[bytes]:
        pieces = self._packed(entry, place)
        if entry.method == 0:
            yield from pieces
            return
        if entry.method == 14:
            engine, first = _lzma(next(pieces, b""))
            pieces = chain((first,), pieces)
        else:
            engine = _engine(entry.method)
        for piece in pieces:
            yield from steps(engine, piece)
            if engine.eof:
                return
        if entry.size < 0 or entry.method != 14:  # LZMA need not mark its end; the size will tell
            raise FormatError("its packed data ends too early", place=place)

    def _packed(self, entry: Entry, place: str) -> Iterator[bytes]:
        """The packed bytes of a member: those of a small one come with its local header in one read."""
        guess = _LOCAL_SIZE + len(entry.name) + 64
        head = self._source.read(guess + min(max(entry.packed, 0), _PIECE), entry.offset)
        if len(head) < _LOCAL_SIZE or not head.startswith(_LOCAL):
            raise FormatError("it is not where the archive's directory says", place=place)
        name, extra = struct.unpack_from("<HH", head, 26)
        start = _LOCAL_SIZE + name + extra
        data = head[start : start + entry.packed]
        done = len(data)
        if data:
            yield data
        while done < entry.packed:
            data = self._source.read(min(_PIECE, entry.packed - done), entry.offset + start + done)
            if not data:
                raise FormatError("the archive ends inside it", place=place)
            done += len(data)
            yield data


def zip_members(source: int | BinaryIO, name: str, account: Account) -> Iterator[Member | Skipped]:
    """The members of a zip archive one after the other, and a `Skipped` after each that is less than whole."""
    index = ZipIndex(source, name, account)
    problems: list[Skipped] = []

    def content(entry: Entry) -> Callable[[], Iterator[bytes]]:
        return lambda: guarded(index.chunks(entry), place_in(name, entry.name), problems)

    if index.damage is not None:
        yield index.damage
    for entry in index.entries:
        if entry.refusal:
            yield Skipped(place_in(name, entry.name), entry.refusal)
            continue
        yield Member(entry.name, entry.size if entry.size >= 0 else None, content(entry))
        yield from problems
        problems.clear()
        if account.refusal is not None:
            return


def _directory(source: _Source) -> Iterator[Entry]:
    """The entries of the central directory. Raises `FormatError` where it is missing or damaged."""
    end, count, size, offset = _end_record(source)
    start = end - size
    shift = start - offset  # what was put before the archive (a self-extracting program)
    if start < 0 or shift < 0:
        raise FormatError("its directory is damaged")
    directory = source.read(size, start)
    position = 0
    for _ in range(count):
        try:
            fields = _CENTRAL_FIELDS.unpack_from(directory, position)
        except struct.error:
            raise FormatError("its directory is damaged") from None
        mark, flags, method, crc, packed, plain, names, extras, comments, place = fields
        if mark != _CENTRAL:
            raise FormatError("its directory is damaged")
        position += 46
        raw = directory[position : position + names]
        if _NONE32 in (packed, plain, place):
            extra = directory[position + names : position + names + extras]
            plain, packed, place = _wide_fields(extra, plain, packed, place)
        position += names + extras + comments
        yield Entry(_name(raw, flags), method, flags, crc, packed, plain, place + shift)


def _end_record(source: _Source) -> tuple[int, int, int, int]:
    """End of the directory, number of entries, its size, and its offset as the archive states it."""
    tail_at = max(source.size - 22 - 0xFFFF, 0)
    tail = source.read(source.size - tail_at, tail_at)
    at = len(tail)
    while (at := tail.rfind(_END, 0, at)) >= 0:
        if len(tail) - at >= 22 and struct.unpack_from("<H", tail, at + 20)[0] <= len(tail) - at - 22:
            break
    if at < 0:
        raise FormatError("it has no directory at its end: it was cut off")
    count, size, offset = struct.unpack_from("<HLL", tail, at + 10)
    end = tail_at + at
    locator = source.read(20, end - 20)
    if locator.startswith(b"PK\x06\x07") and (count == 0xFFFF or _NONE32 in (size, offset)):
        # The stated place is tried first; where something was put before the archive the record is just before.
        for place in (struct.unpack_from("<Q", locator, 8)[0], end - 20 - 56):
            record = source.read(56, place) if place < end else b""
            if len(record) == 56 and record.startswith(b"PK\x06\x06"):
                count, size, offset = struct.unpack_from("<QQQ", record, 32)
                return place, count, size, offset
        raise FormatError("its directory is damaged")
    return end, count, size, offset


def _wide_fields(extra: bytes, plain: int, packed: int, place: int) -> tuple[int, int, int]:
    """Sizes and offset of more than 4 GiB, from the zip64 extra field: only those that the record has no room for."""
    position = 0
    while position + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if tag == 1:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - position) // 8}Q", extra, position))
            plain = next(values, plain) if plain == _NONE32 else plain
            packed = next(values, packed) if packed == _NONE32 else packed
            place = next(values, place) if place == _NONE32 else place
            break
        position += length
    return plain, packed, place


def _name(raw: bytes, flags: int) -> str:
    """A name is UTF-8 by flag; without the flag many tools write it all the same, and the rest code page 437."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace") if flags & 0x800 else raw.decode("cp437")


def _engine(method: int) -> Decompressor:
    if method == 8:
        return raw_deflate()
    import bz2

    return bz2.BZ2Decompressor()


def _lzma(head: bytes) -> tuple[Decompressor, bytes]:
    """LZMA as zip has it: version, length of the properties, properties, data; and what of `head` is data."""
    import lzma

    if len(head) < 9:
        raise lzma.LZMAError("too short")
    properties, dictionary = struct.unpack_from("<BL", head, 4)
    if properties >= 225 or dictionary > _LZMA_DICTIONARY:
        raise lzma.LZMAError("unusual properties")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": max(dictionary, 4096), "lc": lc, "lp": lp, "pb": pb}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters), head[9:]


def _local_headers(source: _Source) -> Iterator[Entry]:
    """The members of an archive without a directory, by the headers before each of them."""
    position = 0
    while (position := _find(source, _LOCAL, position)) >= 0:
        head = source.read(_LOCAL_SIZE, position)
        if len(head) < _LOCAL_SIZE:
            return
        _, flags, method, crc, packed, plain, names, extras = _LOCAL_FIELDS.unpack(head)
        rest = source.read(names + extras, position + _LOCAL_SIZE)
        if _NONE32 in (packed, plain):
            plain, packed, _ = _wide_fields(rest[names:], plain, packed, 0)
        data = position + _LOCAL_SIZE + names + extras
        if flags & 8 and not packed:  # sizes and checksum were not known yet and follow the data
            packed, plain, crc = _described(source, data)
        yield Entry(_name(rest[:names], flags), method, flags, crc, packed, plain, position)
        position = min(data + packed, source.size) if packed else data


def _described(source: _Source, data: int) -> tuple[int, int, int]:
    """Packed size, size and checksum from the descriptor after the data; size -1 where there is none to be found.

    A descriptor is one only if the packed size that it states is that which lies before it.
    """
    position = data
    while (position := _find(source, _DESCRIPTOR, position)) >= 0:
        record = source.read(24, position)
        for form in ("<LLL", "<LQQ"):
            if len(record) >= 4 + struct.calcsize(form):
                crc, packed, plain = struct.unpack_from(form, record, 4)
                if packed == position - data:
                    return packed, plain, crc
        position += 4
    following = _find(source, _LOCAL, data)
    return (following if following >= 0 else source.size) - data, -1, 0


def _find(source: _Source, mark: bytes, position: int) -> int:
    """Where a mark is next at or after `position`; -1 if nowhere."""
    while position < source.size:
        window = source.read(CHUNK, position)
        if (at := window.find(mark)) >= 0:
            return position + at
        if len(window) < len(mark):
            return -1
        position += len(window) - len(mark) + 1
        if position + len(mark) > source.size:
            return -1
    return -1
