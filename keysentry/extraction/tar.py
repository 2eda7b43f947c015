"""Tar archives as a stream: ustar, pax and GNU long names, in one pass, without a list of what was seen.

Ten times as fast on small members as the standard library's `tarfile`, which also keeps every member it has read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial
from typing import Final

import msgspec

from keysentry.errors import BudgetExceeded, InputError
from keysentry.extraction.budget import Account
from keysentry.extraction.member import CHUNK, Member, place_in, skipped
from keysentry.model.finding import Skipped

_BLOCK: Final = 512
_ZEROS: Final = bytes(_BLOCK)
_EXTENSION_LIMIT: Final = 1 << 20
"""How large a long name or a pax header may be."""

_LINKS: Final = b"12"
_DEVICES: Final = {0x33: "a character device", 0x34: "a block device", 0x36: "a pipe"}
_QUIET: Final = b"125gKVMND"
"""Types without content of their own: links, folders, pax settings for all, link targets, labels, dumps of folders."""
_BESIDE: Final = b"gK"
"""Those of them that may stand between a long name and the member it is for."""


class _Input:
    """Exact reads from pieces of any size. An error of the pieces is kept, and is like their end."""

    __slots__ = ("_pieces", "buffer", "error", "position")

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.buffer = b""
        self.position = 0
        self.error: InputError | None = None

    def fill(self, count: int) -> bool:
        """Have at least `count` bytes ready, if there are so many."""
        parts = [self.buffer[self.position :]]
        ready = len(parts[0])
        while ready < count:
            piece = self._next()
            if not piece:
                break
            parts.append(piece)
            ready += len(piece)
        self.buffer, self.position = b"".join(parts), 0
        return ready >= count

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end."""
        if len(self.buffer) - self.position < count:
            self.fill(count)
        data = self.buffer[self.position : self.position + count]
        self.position += len(data)
        return data

    def skip(self, count: int) -> bool:
        """Pass over `count` bytes, if there are so many."""
        while count > 0:
            ready = len(self.buffer) - self.position
            if ready >= count:
                self.position += count
                return True
            count -= ready
            self.buffer, self.position = self._next(), 0
            if not self.buffer:
                return False
        return True

    def _next(self) -> bytes:
        try:
            return next((piece for piece in self._pieces if piece), b"")
        except InputError as error:
            self.error, self._pieces = error, iter(())
            return b""


class _Header(msgspec.Struct, gc=False):
    """What a header block, or the extensions before it, says of a member."""

    name: str
    size: int
    type: int


class TarReader:
    """The members of one tar, in order, from pieces of any size."""

    def __init__(self, pieces: Iterator[bytes], name: str, account: Account) -> None:
        self._input = _Input(pieces)
        self._name = name
        self._account = account
        self._left = 0
        self._cut = False
        self._long_name = ""
        self._long_size = -1

    def members(self) -> Iterator[Member | Skipped]:
        """Every file, and a `Skipped` for what cannot be read or is not a file."""
        lost = ended = False
        while block := self._input.read(_BLOCK):
            header = _parse(block) if block != _ZEROS else None
            if header is None:
                if block == _ZEROS:
                    ended = True
                elif len(block) == _BLOCK and not lost and not ended:
                    lost = True
                    reason = "a member's header is damaged; reading goes on at the next one that is whole"
                    yield Skipped(self._name, reason, partial=True)
                continue
            lost = ended = False
            yield from self._member(header)
            if self._cut or self._account.refusal is not None:
                return
        error = self._input.error
        if error is not None:
            yield skipped(error, self._name, partial=True)
        elif not ended:
            yield Skipped(self._name, "the archive ends too early", partial=True)

    def _member(self, header: _Header) -> Iterator[Member | Skipped]:
        """One header and what follows it: an extension for the next header, a file, or something without content."""
        kind = header.type
        if kind in b"xXL":
            yield from self._extension(header)
            return
        if kind in _QUIET:
            if kind not in _BESIDE:
                self._long_name, self._long_size = "", -1
            if kind not in _LINKS:  # a link's size is that of its target, and no data follows
                self._input.skip(_padded(header.size))
            return
        name = self._long_name or header.name
        size = self._long_size if self._long_size >= 0 else header.size
        self._long_name, self._long_size = "", -1
        if kind in _DEVICES:
            yield Skipped(place_in(self._name, name), f"it is {_DEVICES[kind]}, which has no content")
            return
        if kind == 0x53:  # "S": an old GNU sparse file, whose map may go on in further blocks
            self._sparse_map()
        yield from self._file(name, size)

    def _file(self, name: str, size: int) -> Iterator[Member | Skipped]:
        source = self._input
        try:
            self._account.entry(self._name)
        except BudgetExceeded as error:
            self._cut = True
            yield skipped(error, self._name, partial=True)
            return
        padded = (size + 511) & ~511
        if size <= CHUNK and (len(source.buffer) - source.position >= padded or source.fill(padded)):
            start = source.position
            source.position += padded
            yield Member(name, size, partial(iter, (source.buffer[start : start + size],) if size else ()))
            return
        self._left = size
        yield Member(name, size, self._chunks)
        whole = source.skip(self._left + padded - size)
        place = place_in(self._name, name)
        try:
            self._account.check_member(place, size)
        except BudgetExceeded as error:
            yield skipped(error, place, partial=True)
        if not whole:
            reason = source.error.reason if source.error is not None else "the archive ends inside it"
            self._cut = True
            yield Skipped(place, reason, partial=True)

    def _chunks(self) -> Iterator[bytes]:
        """The content of the member that the input stands at, no more of it than the budget allows."""
        allowed = self._account.budget.member
        while self._left > 0 and allowed > 0:
            data = self._input.read(min(self._left, allowed, CHUNK))
            if not data:
                return
            self._left -= len(data)
            allowed -= len(data)
            yield data

    def _extension(self, header: _Header) -> Iterator[Skipped]:
        """A long name or a pax header: both say something of the member that follows."""
        if header.size > _EXTENSION_LIMIT:
            yield Skipped(self._name, "a member's name or extended header is far too long", partial=True)
            self._input.skip(_padded(header.size))
            return
        data = self._input.read(_padded(header.size))[: header.size]
        if header.type == 0x4C:
            self._long_name = _text(data.rstrip(b"\x00"))
            return
        for key, value in _pax(data):
            if key in (b"path", b"GNU.sparse.name"):
                self._long_name = _text(value)
            elif key == b"size" and value.isdigit():
                self._long_size = int(value)

    def _sparse_map(self) -> None:
        more = self._input.buffer[self._input.position - _BLOCK + 482] != 0
        while more:
            block = self._input.read(_BLOCK)
            more = len(block) == _BLOCK and block[504] != 0


def _padded(size: int) -> int:
    return (size + _BLOCK - 1) & ~(_BLOCK - 1)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _parse(block: bytes) -> _Header | None:
    """Read a header block; None if it is none. Its checksum must hold (which is what tells it from any other block)."""
    try:
        field = block[148:156]
        stated = int(field.strip(b"\x00 "), 8)
        # The lower half of adler32 is 1 + the sum of the bytes, at the speed of C. The field itself counts as blanks.
        if (stated + sum(field) - 255) % 65521 != zlib.adler32(block) & 0xFFFF and not _signed_sum(block, stated):
            return None
        size = _number(block[124:136])
    except (ValueError, IndexError):
        return None
    if size < 0 or len(block) < _BLOCK:
        return None
    end = block.find(b"\x00", 0, 100)
    name = block[: end if end >= 0 else 100]
    if block[257:263] == b"ustar\x00" and block[345]:
        name = block[345:500].rstrip(b"\x00") + b"/" + name
    kind = block[156] or 0x30
    if kind == 0x30 and name.endswith(b"/"):  # how tars older than ustar write a folder
        kind = 0x35
    return _Header(name.decode("utf-8", "replace"), size, kind)


def _signed_sum(block: bytes, stated: int) -> bool:
    """Some old tars summed the bytes as signed numbers."""
    plain = sum(block) - sum(block[148:156]) + 256
    return stated == plain - 256 * sum(byte > 127 for byte in block[:148] + block[156:])


def _number(field: bytes) -> int:
    """An octal number, or where the first bit is set a binary one (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=True) if field[0] == 0xFF else int.from_bytes(field[1:], "big")
    return int(field.strip(b"\x00 ") or b"0", 8)


def _pax(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a pax header: `length key=value` with a line end, the length being that of the whole record."""
    position = 0
    while position < len(data):
        blank = data.find(b" ", position, position + 20)
        digits = data[position:blank]
        if blank < 0 or not digits.isdigit() or int(digits) < 5:
            return
        end = position + int(digits)
        key, _, value = data[blank + 1 : end - 1].partition(b"=")
        yield key, value
        position = end
