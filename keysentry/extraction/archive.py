"""Archives of every kind that is read: their members, streaming, in flat memory, under one account.

`members` opens one archive; `leaves` goes on into archives inside it, down to what is no archive.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from keysentry.errors import BudgetExceeded
from keysentry.extraction.budget import Account
from keysentry.extraction.inflate import PACKINGS, Packing, unpack
from keysentry.extraction.member import CHUNK, Member, guarded, place_in, skipped
from keysentry.extraction.sniff import HEAD, Kind, sniff
from keysentry.extraction.tar import TarReader
from keysentry.extraction.zipindex import Entry, ZipIndex, zip_members
from keysentry.model.finding import Skipped

if TYPE_CHECKING:
    from keysentry.extraction.formats.sheets.book import Flavour

__all__ = ["ARCHIVES", "Entry", "Leaf", "Member", "ZipIndex", "leaves", "leaves_of", "members", "workbook_kind"]

ARCHIVES: frozenset[Kind] = frozenset(("zip", "tar", *PACKINGS))
"""The kinds that `members` opens."""

_DECLARED = 1 << 20
"""How many bytes of what a package declares about itself are looked at."""
_SUFFIXES = {".tgz": ".tar", ".tbz2": ".tar", ".tbz": ".tar", ".txz": ".tar", ".gz": "", ".bz2": "", ".xz": ""}


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """A file that is no archive itself, however deep: `place` is the whole way to it, `chunks` its content.

    The content is to be read before the next leaf is asked for, and does not raise (see `Member`). Where it was asked
    for, a workbook is a leaf, of the kind `zip`.
    """

    place: str
    kind: Kind
    size: int | None
    chunks: Iterator[bytes]


def members(stream: BinaryIO, kind: Kind, name: str, account: Account) -> Iterator[Member | Skipped]:
    """The members of an archive of a kind that `sniff` told, and a `Skipped` for all that is not read of it.

    `name` is how messages call the archive. A zip needs a stream that can seek; the others are read once through.
    A packed file that is no tar has one member.
    """
    if kind == "zip":
        return zip_members(stream, name, account)
    if stream.seekable():
        here = stream.tell()
        account.measure(stream.seek(0, os.SEEK_END) - here)
        stream.seek(here)
        return _streamed(iter(partial(stream.read, CHUNK), b""), kind, name, account)
    return _streamed(_counted(stream, account), kind, name, account)


def _counted(stream: BinaryIO, account: Account) -> Iterator[bytes]:
    """The pieces of a stream whose size is not known, which counts as large as what was read of it."""
    measured = account.packed is not None
    while piece := stream.read(CHUNK):
        if not measured:
            account.feed(len(piece))
        yield piece


def _streamed(pieces: Iterator[bytes], kind: Kind, name: str, account: Account) -> Iterator[Member | Skipped]:
    if kind == "tar":
        return TarReader(pieces, name, account).members()
    return _unpacked(pieces, cast("Packing", kind), name, account)


def _unpacked(pieces: Iterator[bytes], kind: Packing, name: str, account: Account) -> Iterator[Member | Skipped]:
    """What a gzip, bz2 or xz file holds: the members of a tar, or one file."""
    problems: list[Skipped] = []
    content = unpack(pieces, kind, name, account)
    safe = guarded(content, name, problems)
    head = next(safe, b"")
    inner = _inner_name(name)
    if sniff(head[:HEAD], inner) == "tar":
        # The tar reader is given the errors themselves: it knows which member they cut short.
        yield from TarReader(chain((head,), content), name, account).members()
        return
    if head or not problems:
        try:
            account.entry(name)
        except BudgetExceeded as error:
            yield skipped(error, name)
            return
        yield Member(inner, None, lambda: chain((head,) if head else (), safe))
    yield from problems


def _inner_name(name: str) -> str:
    """What a packed file is called once unpacked: `notes.txt` for `logs/notes.txt.gz`, `x.tar` for `x.tgz`."""
    last = name.rpartition(" » ")[2].replace("\\", "/").rpartition("/")[2]
    for suffix, plain in _SUFFIXES.items():
        if last.lower().endswith(suffix) and len(last) > len(suffix):
            return last[: -len(suffix)] + plain
    return last


def leaves(
    stream: BinaryIO, kind: Kind, name: str, account: Account, *, books: bool = False
) -> Iterator[Leaf | Skipped]:
    """Every file in an archive and in the archives inside it, and a `Skipped` for all that is not read.

    An inner zip is held in memory (`budget.held`), the other kinds are read through. With `books` a workbook is given
    whole, not the parts that it is packed from.
    """
    yield from leaves_of(members(stream, kind, name, account), name, account, books=books)


def leaves_of(
    found: Iterator[Member | Skipped], name: str, account: Account, *, books: bool = False
) -> Iterator[Leaf | Skipped]:
    """As `leaves`, for members that were found already; `name` is how messages call what they lie in."""
    for member in found:
        if isinstance(member, Skipped):
            yield member
            continue
        place = place_in(name, member.name)
        chunks = member.chunks()
        head = next(chunks, b"")
        kind = sniff(head[:HEAD], member.name)
        content = chain((head,), chunks) if head else chunks
        if kind not in ARCHIVES:
            yield Leaf(place, kind, member.size, content)
            continue
        try:
            inner = account.deeper(place)
            buffer = _held(content, place, inner) if kind == "zip" else None
        except BudgetExceeded as error:
            yield skipped(error, place)
            continue
        if buffer is not None and books and workbook_kind(ZipIndex(buffer, place)):
            yield Leaf(place, "zip", member.size, iter((buffer.getvalue(),)))
            continue
        opened = zip_members(buffer, place, inner) if buffer is not None else _streamed(content, kind, place, inner)
        yield from leaves_of(opened, place, inner, books=books)


def _held(content: Iterator[bytes], place: str, account: Account) -> io.BytesIO:
    buffer = io.BytesIO()
    for chunk in content:
        account.check_held(place, buffer.tell() + len(chunk))
        buffer.write(chunk)
    return buffer


def workbook_kind(index: ZipIndex) -> Flavour:
    """The kind of workbook that a zip is; empty for any other zip."""
    from keysentry.extraction.formats.sheets.book import flavour

    by_name = {entry.name: entry for entry in index.entries}

    def read(name: str) -> bytes | None:
        content = bytearray()
        for chunk in guarded(index.again(Account()).chunks(by_name[name]), name, []):
            content += chunk
            if len(content) > _DECLARED:
                break
        return bytes(content)

    return flavour(by_name, read)
