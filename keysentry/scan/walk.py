"""Lists the files below what the user named, in a stable order, and says what it left out.

Invariants. Files come sorted by name within their folder, each folder's files before its folders. What cannot be
listed is a `Skipped`; a folder that links lead back to is entered once.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from keysentry.errors import InputError
from keysentry.model.finding import Skipped
from keysentry.scan.options import FileOptions

_DEVICES = (
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_NEVER = frozenset((".git", ".hg", ".svn"))
"""Folders of version control: their packed objects are not text; history is read by other means."""

Excluded = Callable[[str, str, bool], bool]
"""(path below the target, name, is it a folder) -> leave it out?"""


class Folder(NamedTuple):
    """A folder that was entered: where it is, and its files' names, before its files come."""

    path: str
    files: tuple[str, ...]
    folders: tuple[str, ...]


def walk(target: str, options: FileOptions) -> Iterator[str | Folder | Skipped]:
    """Every regular file at or below `target`, as a path that begins with it.

    Raises `InputError` if it does not exist.
    """
    return spread(folders(target, options))


def spread(found: Iterable[str | Folder | Skipped]) -> Iterator[str | Folder | Skipped]:
    """Give the files of each folder after it, as paths."""
    for one in found:
        yield one
        if isinstance(one, Folder):
            prefix = one.path
            for name in one.files:
                yield prefix + name


def folders(target: str, options: FileOptions) -> Iterator[str | Folder | Skipped]:
    """As `walk`, but of the files in folders only what their `Folder` says. Raises `InputError`."""
    try:
        status = os.stat(target)  # noqa: PTH116  beside os.scandir
    except OSError as error:
        raise InputError(error.strerror or str(error), place=target, advice="check the path") from None
    if stat.S_ISDIR(status.st_mode):
        excluded = _excluder(options.exclude)
        yield from _folder(target, "", options, [excluded] if excluded else [], {(status.st_dev, status.st_ino)})
    elif stat.S_ISREG(status.st_mode):
        yield target
    else:
        yield Skipped(target, f"{_what(status.st_mode)}, not a file")


def _what(mode: int) -> str:
    return next((name for test, name in _DEVICES if test(mode)), "something else")


def _excluder(globs: tuple[str, ...]) -> Excluded | None:
    if not globs:
        return None
    cleaned = [glob.removeprefix("./").rstrip("/") for glob in globs]
    pattern = re.compile("|".join(fnmatch.translate(glob) for glob in cleaned))

    def excluded(path: str, name: str, _folder: bool) -> bool:
        return pattern.match(path) is not None or pattern.match(name) is not None

    return excluded


class _Level(NamedTuple):
    """A folder that is still to be listed: where it is, its path below the target, and what leaves out files in it."""

    path: str
    below: str
    excluders: tuple[Excluded, ...]


def _folder(
    path: str, below: str, options: FileOptions, excluders: list[Excluded], entered: set[tuple[int, int]]
) -> Iterator[Folder | Skipped]:
    waiting = [_Level(path if path.endswith("/") else f"{path}/", below, tuple(excluders))]
    while waiting:
        level = waiting.pop()
        try:
            with os.scandir(level.path) as entries:
                found = list(entries)
        except OSError as error:
            yield Skipped(level.path.rstrip("/"), f"the folder cannot be listed: {error.strerror}")
            continue
        if options.gitignore and any(entry.name == ".gitignore" for entry in found):
            try:
                level = level._replace(excluders=(*level.excluders, _gitignore(level.path, level.below)))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", "") or str(error)
                yield Skipped(f"{level.path}.gitignore", f"what it leaves out is read all the same: {reason}")
        folder, aside = _listed(level, found, options, entered, waiting)
        yield folder
        yield from aside


_name = attrgetter("name")
_place = attrgetter("place")


def _listed(
    level: _Level,
    found: list[os.DirEntry[str]],
    options: FileOptions,
    entered: set[tuple[int, int]],
    waiting: list[_Level],
) -> tuple[Folder, list[Skipped]]:
    """What is in a folder, and what is left out of it; its folders go to `waiting`, the first by name on top."""
    files: list[str] = []
    folders: list[os.DirEntry[str]] = []
    aside: list[Skipped] = []
    plain = not options.follow_symlinks and not level.excluders
    if not plain:
        found.sort(key=_name)
    for entry in found:
        if plain and entry.is_file(follow_symlinks=False):
            files.append(entry.name)
        else:
            _sort_out(entry, level, options, folders, files, aside)
    files.sort()
    folders.sort(key=_name)
    aside.sort(key=_place)
    prefix = level.path
    for entry in reversed(folders):
        if options.follow_symlinks and _again(entry, entered):
            continue
        waiting.append(_Level(f"{prefix}{entry.name}/", f"{level.below}{entry.name}/", level.excluders))
    return Folder(prefix, tuple(files), tuple(map(_name, folders))), aside


def _again(entry: os.DirEntry[str], entered: set[tuple[int, int]]) -> bool:
    """Whether a folder was entered before, by another way; listing says what is wrong with one that is gone."""
    try:
        status = entry.stat()
    except OSError:
        return False
    if (status.st_dev, status.st_ino) in entered:
        return True
    entered.add((status.st_dev, status.st_ino))
    return False


def _sort_out(
    entry: os.DirEntry[str],
    level: _Level,
    options: FileOptions,
    folders: list[os.DirEntry[str]],
    files: list[str],
    aside: list[Skipped],
) -> None:
    follow = options.follow_symlinks
    try:
        if entry.is_symlink() and not follow:
            return
        folder = entry.is_dir(follow_symlinks=follow)
        below = level.below + entry.name
        if any(excluded(below, entry.name, folder) for excluded in level.excluders):
            return
        if folder:
            if entry.name not in _NEVER:
                folders.append(entry)
        elif entry.is_file(follow_symlinks=follow):
            files.append(entry.name)
        else:
            mode = entry.stat(follow_symlinks=follow).st_mode
            aside.append(Skipped(entry.path, f"{_what(mode)}, not a file"))
    except OSError as error:
        aside.append(Skipped(entry.path, error.strerror or str(error)))


def _gitignore(path: str, below: str) -> Excluded:
    """What a folder's `.gitignore` leaves out. Raises `OSError` or `ValueError` if it cannot be read."""
    from pathspec import GitIgnoreSpec

    name = f"{path}.gitignore"
    if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116  beside os.scandir
        raise ValueError("it is not a file")
    with open(name, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  a plain path is faster
        spec = GitIgnoreSpec.from_lines(file)
    depth = len(below)

    def excluded(inner: str, _name: str, folder: bool) -> bool:
        return spec.match_file(inner[depth:] + ("/" if folder else ""))

    return excluded
