"""The contents of files of Drive: bytes as they lie there, in ranges, and Google's own documents as text.

https://developers.google.com/workspace/drive/api/guides/manage-downloads and
https://developers.google.com/workspace/drive/api/guides/ref-export-formats

Invariants. A file is read in pieces of at most `PIECE` bytes, each of which can be asked for again; what was read is
one version of the file (its checksum tells), or it ends as an `InputError` that says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar

from keysentry.connectors.google.client import Answer, Client
from keysentry.connectors.google.failures import Denied, Rejected
from keysentry.connectors.google.fields import Fields, flag, number, text
from keysentry.errors import GoneError, InputError
from keysentry.model.record import Part

PIECE: Final = 4 << 20
"""How many bytes one request asks for."""
CHUNK: Final = 1 << 20
"""How many bytes are handed on at once."""
GOOGLE: Final = "application/vnd.google-apps."
SHEET: Final = f"{GOOGLE}spreadsheet"
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")

_EXPORTS: Final = {
    "document": ("text/plain", ".txt"),
    "presentation": ("text/plain", ".txt"),
    "spreadsheet": (_XLSX, ".xlsx"),
    "script": (f"{GOOGLE}script+json", ".json"),
}
_IGNORED: Final = frozenset(("folder", "shortcut"))
"""Not contents: what a folder holds and what a shortcut leads to is listed where it lies."""

T = TypeVar("T")
Chunks = Callable[[], Iterator[bytes]]


class Unread(NamedTuple):
    """Why a file is not read; an empty reason: there is nothing to read, and nothing to tell."""

    reason: str


def part_of(client: Client, user: str, file: Fields, largest: int) -> Part | Unread:
    """The content of a file, or why there is none."""
    kind = text(file, "mimeType")
    if kind.startswith(GOOGLE):
        return _native(client, user, file, kind.removeprefix(GOOGLE))
    size = number(file, "size")
    if size is not None and size > largest:
        return Unread(f"it has {size:,} bytes; max_file is {largest:,}")
    if file.get("capabilities") and not flag(file, "capabilities", "canDownload"):
        return Unread("its owner does not let it be downloaded")
    if size == 0:
        return Unread("")
    return Part(name=text(file, "name") or text(file, "id"), size=size, open=_blob(client, user, file, size, largest))


def _native(client: Client, user: str, file: Fields, kind: str) -> Part | Unread:
    if kind in _IGNORED:
        return Unread("")
    if kind not in _EXPORTS:
        return Unread(f"Google does not export what is of the kind {kind} as text")
    if file.get("capabilities") and not flag(file, "capabilities", "canDownload"):
        return Unread("its owner does not let it be downloaded")
    form, ending = _EXPORTS[kind]
    name = text(file, "name") or text(file, "id")

    def chunks() -> Iterator[bytes]:
        answer = had(lambda: client.raw("drive", user, "files.export_media", fileId=file["id"], mimeType=form))
        yield from cut(answer.content)

    return Part(name=name if name.endswith(ending) else name + ending, open=chunks)


def _blob(client: Client, user: str, file: Fields, size: int | None, largest: int) -> Chunks:
    checksum = text(file, "md5Checksum")

    def ask(at: int) -> Answer:
        span = (at, at + PIECE - 1)
        return client.raw(
            "drive", user, "files.get_media", span, fileId=file["id"], supportsAllDrives=True, acknowledgeAbuse=False
        )

    def chunks() -> Iterator[bytes]:
        digest = hashlib.md5(usedforsecurity=False)
        for piece in ranges(ask, size, largest):
            digest.update(piece)
            yield piece
        if checksum and digest.hexdigest() != checksum:
            raise InputError(CHANGED)

    return chunks


CHANGED: Final = "it changed while it was read, and comes again"


def ranges(ask: Callable[[int], Answer], size: int | None, largest: int) -> Iterator[bytes]:
    """A content in chunks: `ask` answers with some bytes from an offset on. A server may also give all at once.

    Raises `InputError` if it is not there, may not be had, or is not the one that was asked for first.
    """
    at = 0
    while size is None or at < size:
        answer = had(lambda at=at: ask(at))  # type: ignore[misc]
        yield from cut(answer.content)
        at += len(answer.content)
        if answer.headers.get("status") != "206":
            return
        told = _RANGE.match(answer.headers.get("content-range", ""))
        if told is None or int(told[1]) != at - len(answer.content) or not answer.content:
            raise InputError("the server gives other bytes than it was asked for")
        if size is not None and int(told[3]) != size:
            raise InputError(CHANGED)
        size = int(told[3])
        if size > largest:
            raise InputError(f"it has {size:,} bytes; max_file is {largest:,}")


def had(call: Callable[[], T]) -> T:
    """The answer; `InputError` where this content cannot be had, whatever else can."""
    try:
        return call()
    except Rejected as error:
        raise InputError(CHANGED if "416" in error.reason else error.reason) from None
    except (GoneError, Denied) as error:
        raise InputError(error.reason) from None


def cut(content: bytes) -> Iterator[bytes]:
    """Bytes in pieces of at most `CHUNK`."""
    for at in range(0, len(content), CHUNK):
        yield content[at : at + CHUNK]
