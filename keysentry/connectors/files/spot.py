"""One file or folder below the root of a source, found again by the id of its record, without following any link.

Everything is done relative to the open folder that holds it, so that a folder on the way that is replaced by a link
meanwhile leads nowhere else.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from keysentry.connectors.forms import Search
from keysentry.errors import AccessError, ChangedError, GoneError, KeysentryError, SourceError

PIECE = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file (or a whole folder) at one moment. `sum` is the SHA-256 of its content; of a folder, of the names, sizes
    and times in it. `marks` are extended attributes.
    """

    folder: bool = False
    size: int = 0
    modified: int = 0
    accessed: int = 0
    mode: int = 0
    owner: int = 0
    group: int = 0
    links: int = 1
    inode: int = 0
    device: int = 0
    sum: str = ""
    marks: dict[str, str] = {}

    @property
    def name(self) -> str:
        """This state among all that the file ever has."""
        return f"{self.device}:{self.inode}:{self.size}:{self.modified}:{self.sum}"

    def is_content_of(self, other: State) -> bool:
        """Whether both hold the same."""
        return (self.folder, self.size, self.sum) == (other.folder, other.size, other.sum)


@dataclass(frozen=True)
class Spot:
    """A name in an open folder. `title` is its path as errors show it, with every secret masked."""

    folder: int
    name: str
    title: str

    def beside(self, name: str) -> Spot:
        """Another name in the same folder."""
        return Spot(self.folder, name, self.title)

    def status(self) -> os.stat_result | None:
        """None if there is nothing of this name."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, flags: int = _FILE, mode: int = 0o600) -> int:
        """A descriptor of the file itself; a link is not followed."""
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.folder)

    def remove(self) -> None:
        """Delete the file, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.folder)

    def look(self, search: Search | None = None) -> State | None:
        """What is there now, read whole; None if nothing is. Raises `ChangedError` for what is no file or folder, and
        for what changes while it is read.
        """
        status = self.status()
        if status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            descriptor = self.open(_FOLDER)
        elif stat.S_ISREG(status.st_mode):
            descriptor = self.open()
        else:
            raise ChangedError("it is a link or something else that is no file now", place=self.title)
        try:
            before = os.fstat(descriptor)
            folder = stat.S_ISDIR(before.st_mode)
            total, found = _of_folder(descriptor) if folder else (before.st_size, _of_file(descriptor, search))
            after = os.fstat(descriptor)
            marks = _marks(descriptor)
        finally:
            os.close(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ChangedError("it is being written to", place=self.title)
        return State(
            folder=folder,
            size=total,
            modified=after.st_mtime_ns,
            accessed=after.st_atime_ns,
            mode=stat.S_IMODE(after.st_mode),
            owner=after.st_uid,
            group=after.st_gid,
            links=1 if folder else after.st_nlink,
            inode=after.st_ino,
            device=after.st_dev,
            sum=found,
            marks=marks,
        )


@contextmanager
def found(root: str, record: str, title: str) -> Iterator[Spot]:
    """The spot of a record. Raises `GoneError` if a folder on the way is not there, `ChangedError` if one is a link,
    `AccessError` and `SourceError` for what the system refuses meanwhile.
    """
    held: list[int] = []
    try:
        base = os.path.realpath(root)
        inner = os.path.lexists(f"{base}/{record}")
        single = not os.path.isdir(base) or (record == os.path.basename(base) and not inner)  # noqa: PTH112,PTH119
        steps = [os.path.basename(base)] if single else record.split("/")  # noqa: PTH119
        if any(step in ("", ".", "..") for step in steps):
            raise GoneError("there is no such file", place=title)
        held.append(os.open(os.path.dirname(base) if single else base, _FOLDER))  # noqa: PTH120
        for step in steps[:-1]:
            held.append(os.open(_named(held[-1], step), _FOLDER, dir_fd=held[-1]))
        yield Spot(held[-1], _named(held[-1], steps[-1]), title)
    except KeysentryError:
        raise
    except OSError as error:
        raise failed(error, title) from None
    finally:
        for descriptor in held:
            os.close(descriptor)


def failed(error: OSError, title: str) -> SourceError:
    """What the system refused, as an error of ours."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return GoneError("it is not there any more", place=title)
    if error.strerror and error.errno == 40:  # ELOOP
        return ChangedError("it is a link now", place=title)
    if isinstance(error, PermissionError) or error.errno == 30:  # EROFS
        advice = "run keysentry as a user that may write there: the owner of the files, or root"
        return AccessError(f"it may not be changed: {error.strerror}", place=title, advice=advice)
    return SourceError(error.strerror or type(error).__name__, place=title)


def _named(folder: int, shown: str) -> str:
    """The name that a record's id shows: bytes that are no UTF-8 are escaped there."""
    try:
        os.stat(shown, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, UnicodeError):
        raw = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), shown.encode("utf-8", "surrogateescape"))
        return os.fsdecode(raw)
    return shown


def _of_file(descriptor: int, search: Search | None) -> str:
    total = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while piece := os.read(descriptor, PIECE):
        total.update(piece)
        if search is not None:
            search.feed(piece)
    return total.hexdigest()


def _of_folder(descriptor: int) -> tuple[int, str]:
    """The sum of sizes, and a sum over names, sizes and times of everything in a folder."""
    total, size = hashlib.sha256(), 0
    for path, folders, files, where in os.fwalk(dir_fd=descriptor, follow_symlinks=False):
        folders.sort()
        for name in sorted(files):
            status = os.stat(name, dir_fd=where, follow_symlinks=False)
            size += status.st_size
            line = f"{status.st_size} {status.st_mtime_ns} {path}/{name}\0"
            total.update(line.encode("utf-8", "surrogateescape"))
    return size, total.hexdigest()


def _marks(descriptor: int) -> dict[str, str]:
    try:
        names = os.listxattr(descriptor)
        return {name: base64.b64encode(os.getxattr(descriptor, name)).decode() for name in names}
    except (AttributeError, OSError):
        return {}


def dress(descriptor: int, state: State, *, mode: int | None = None) -> None:
    """Give a file the owner, the mode, the attributes and the times that another had, as far as we may."""
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, state.owner, state.group)
    os.fchmod(descriptor, state.mode if mode is None else mode)
    for name, value in state.marks.items():
        with contextlib.suppress(AttributeError, OSError):
            os.setxattr(descriptor, name, base64.b64decode(value))
    os.utime(descriptor, ns=(state.accessed, state.modified))
