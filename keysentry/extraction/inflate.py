"""Decompression in bounded steps: one loop over decompressors of one shape (that of `bz2.BZ2Decompressor`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, Literal, Protocol, cast

from keysentry.errors import FormatError
from keysentry.extraction.budget import Account
from keysentry.extraction.member import CHUNK

Packing = Literal["gzip", "bz2", "xz"]
PACKINGS: Final[tuple[Packing, ...]] = ("gzip", "bz2", "xz")

_MAGIC: Final[dict[Packing, bytes]] = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}
_XZ_MEMORY = 512 << 20
"""How much memory a packed file may ask for to be unpacked (`xz -9` asks for 65 MiB)."""


class Decompressor(Protocol):
    """What the standard library's bz2 and lzma and isal's igzip have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the packed stream was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without more input."""

    @property
    def unused_data(self) -> bytes:
        """What followed the end of the packed stream."""

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        """Unpack some more, at most `max_length` bytes."""


class _Zlib:
    """zlib's decompressor in the shape of the others, for where isal is not installed."""

    def __init__(self, wbits: int) -> None:
        import zlib

        self._engine = zlib.decompressobj(wbits)
        self._asked = self._given = 0

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def needs_input(self) -> bool:
        # A full piece may have left output behind even where all input was taken.
        return not self._engine.eof and not self._engine.unconsumed_tail and self._given < self._asked

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        self._asked = max(max_length, 0)
        out = self._engine.decompress(self._engine.unconsumed_tail + data, self._asked)
        self._given = len(out)
        return out


def raw_deflate() -> Decompressor:
    """A decompressor of deflate without a header, as zip has it: isal's, three times as fast, if there is one."""
    try:
        from isal import igzip_lib
    except ImportError:
        return _Zlib(-15)
    decompressor: Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
    return decompressor


def crc32(data: bytes, value: int = 0) -> int:
    """Zip's checksum, by isal where there is one (14 GB/s)."""
    return _crc32()(data, value)


@lru_cache(1)
def _crc32() -> Callable[[bytes, int], int]:
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib.crc32
    function: Callable[[bytes, int], int] = isal_zlib.crc32
    return function


@lru_cache(1)
def errors() -> tuple[type[Exception], ...]:
    """What decompressors raise on bad data."""
    import lzma
    import zlib

    raised: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError)
    try:
        from isal import igzip_lib
    except ImportError:
        return raised
    return (*raised, cast("type[Exception]", igzip_lib.error))


def _new(kind: Packing) -> Decompressor:
    if kind == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    if kind == "xz":
        import lzma

        return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    try:
        from isal import igzip_lib
    except ImportError:
        return _Zlib(31)
    decompressor: Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return decompressor


def steps(engine: Decompressor, data: bytes) -> Iterator[bytes]:
    """Everything that some input unpacks to, in pieces of up to 1 MiB."""
    while not engine.eof:
        out = engine.decompress(data, CHUNK)
        data = b""
        if out:
            yield out
        if engine.needs_input:
            return


def unpack(source: Iterator[bytes], kind: Packing, place: str, account: Account) -> Iterator[bytes]:
    """Unpack a gzip, bz2 or xz file of one or more streams, counted against the account.

    Raises `FormatError` where it is damaged or ends too early, after all that came out before.
    """
    total = 0
    engine: Decompressor | None = None
    pending = b""
    for data in source:
        pending += data
        while pending:
            if engine is None:
                pending = pending.lstrip(b"\x00") if total else pending  # tapes and disks pad with zeros
                if len(pending) < len(_MAGIC[kind]):
                    break
                if not pending.startswith(_MAGIC[kind]):
                    raise FormatError("something else follows the packed data", place=place)
                engine = _new(kind)
            try:
                for out in steps(engine, pending):
                    total += len(out)
                    account.expand(place, len(out), total)
                    yield out
            except errors() as error:
                raise FormatError(f"its packed data is damaged: {error}", place=place) from error
            pending = b""
            if engine.eof:
                pending, engine = engine.unused_data, None
    if engine is not None or (pending and total):
        raise FormatError("its packed data ends too early", place=place)
