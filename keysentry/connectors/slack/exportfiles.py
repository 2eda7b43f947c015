"""Where an export lies: the members of a zip, or the files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from keysentry.errors import BudgetExceeded, ClosedError, FormatError, InputError, SourceError
from keysentry.extraction.budget import Account, Budget
from keysentry.extraction.zipindex import Entry, ZipIndex
from keysentry.model.finding import Skipped

_HELD: Final = 1 << 30
_PIECE: Final = 256 << 10
_BUDGET: Final = Budget(expanded=1 << 62, ratio=1 << 40)
"""A member is read alone, so that only its own size counts; days are read again and again as an export grows."""


class ExportFiles(Protocol):
    """The files of an export by their names, with slashes. Safe to use from several threads."""

    damage: Skipped | None
    zipped: bool

    def names(self) -> Iterator[str]:
        """All names."""
        ...

    def size(self, name: str) -> int | None:
        """How many bytes a file has."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file in pieces. Raises `InputError` for one that cannot be read, `ClosedError` once closed."""
        ...

    def close(self) -> None:
        """Let go of it, as soon as nobody reads any more."""
        ...


def open_files(path: str) -> ExportFiles:
    """The files at a path. Raises `SourceError`."""
    try:
        return FolderFiles(path) if Path(path).is_dir() else ZipFiles(path)
    except (OSError, FormatError, BudgetExceeded) as error:
        raise SourceError(f"the export cannot be read: {_why(error)}", place=path) from None


def content(files: ExportFiles, name: str) -> bytes:
    """A whole file that is to be held. Raises `InputError`."""
    size = files.size(name)
    if size is not None and size > _HELD:
        raise FormatError(f"it has {size:,} bytes, which is more than can be held", place=name)
    pieces: list[bytes] = []
    held = 0
    for piece in files.chunks(name):
        held += len(piece)
        if held > _HELD:
            raise FormatError(f"it has more than {_HELD:,} bytes, which is more than can be held", place=name)
        pieces.append(piece)
    return b"".join(pieces)


class ZipFiles:
    """The members of a zip."""

    zipped = True

    def __init__(self, path: str) -> None:
        """Raises `OSError`, `BudgetExceeded`."""
        self._path = path
        self._lock = Lock()
        self._readers = 0
        self._closed = False
        self._file = open(path, "rb")  # noqa: SIM115,PTH123  closed by close()
        try:
            self._index = ZipIndex(self._file, path, Account(_BUDGET))
        except BaseException:
            self._file.close()
            raise
        self.damage = self._index.damage
        self._entries: dict[str, Entry] = {entry.name: entry for entry in self._index.entries}

    def names(self) -> Iterator[str]:
        """All names."""
        yield from self._entries

    def size(self, name: str) -> int | None:
        """How many bytes a member has."""
        size = self._entries[name].size
        return size if size >= 0 else None

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member in pieces."""
        with self._lock:
            self._check()
            self._readers += 1
        try:
            for piece in self._index.chunks(self._entries[name]):
                yield piece
                self._check()
        except OSError as error:
            raise SourceError(f"the export cannot be read: {_why(error)}", place=self._path) from None
        finally:
            with self._lock:
                self._readers -= 1
                if self._closed and not self._readers:
                    self._file.close()

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("closed while it was read", place=self._path)

    def close(self) -> None:
        """Let go of it, as soon as nobody reads any more."""
        with self._lock:
            self._closed = True
            if not self._readers:
                self._file.close()


class FolderFiles:
    """The files of a folder, three levels deep."""

    zipped = False
    damage: Skipped | None = None

    def __init__(self, path: str) -> None:
        self._path = path
        self._closed = False

    def names(self) -> Iterator[str]:
        """All names, folder by folder. Raises `SourceError`."""
        try:
            yield from self._below("", 4)
        except OSError as error:
            raise SourceError(f"the export cannot be read: {_why(error)}", place=self._path) from None

    def _below(self, inner: str, levels: int) -> Iterator[str]:
        with os.scandir(f"{self._path}/{inner}") as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir():
                if levels > 1:
                    yield from self._below(f"{inner}{entry.name}/", levels - 1)
            elif entry.is_file():
                yield inner + entry.name

    def size(self, name: str) -> int | None:
        """How many bytes a file has."""
        try:
            return Path(self._path, name).stat().st_size
        except OSError:
            return None

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file in pieces."""
        try:
            with Path(self._path, name).open("rb") as file:
                while piece := file.read(_PIECE):
                    if self._closed:
                        raise ClosedError("closed while it was read", place=self._path)
                    yield piece
        except OSError as error:
            raise InputError(_why(error), place=f"{self._path}/{name}") from None

    def close(self) -> None:
        """Make reads that are under way end."""
        self._closed = True


def _why(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
