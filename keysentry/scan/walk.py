"""Lists the files below what the user named, in a stable order, and says what it left out.

Invariants. Files come sorted by name within their folder, each folder's files before its folders. What cannot be listed is a `Skipped`; a
folder that links lead back to is entered once.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
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
    """Every regular file at or below `target`, as a path that begins with it. Raises `InputError` if it does not exist."""
    try:
        status = os.stat(target)
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


def _folder(
    path: str, below: str, options: FileOptions, excluders: list[Excluded], entered: set[tuple[int, int]]
) -> Iterator[str | Folder | Skipped]:
    try:
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(path, f"the folder cannot be listed: {error.strerror}")
        return
    if options.gitignore and any(entry.name == ".gitignore" for entry in found):
        excluders = [*excluders, _gitignore(path, below)]
    folders: list[os.DirEntry[str]] = []
    files: list[str] = []
    aside: list[Skipped] = []
    for entry in found:
        _sort_out(entry, below, options, excluders, folders, files, aside)
    yield Folder(path, tuple(files), tuple(entry.name for entry in folders))
    prefix = path if path.endswith("/") else f"{path}/"
    for name in files:
        yield prefix + name
    yield from aside
    for entry in folders:
        if options.follow_symlinks:
            try:
                status = entry.stat()
            except OSError as error:
                yield Skipped(entry.path, f"the folder cannot be listed: {error.strerror}")
                continue
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
        yield from _folder(prefix + entry.name, f"{below}{entry.name}/", options, excluders, entered)


def _sort_out(
    entry: os.DirEntry[str],
    below: str,
    options: FileOptions,
    excluders: list[Excluded],
    folders: list[os.DirEntry[str]],
    files: list[str],
    aside: list[Skipped],
) -> None:
    follow = options.follow_symlinks
    try:
        if entry.is_symlink() and not follow:
            return
        folder = entry.is_dir(follow_symlinks=follow)
        if any(excluded(below + entry.name, entry.name, folder) for excluded in excluders):
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
    """What a folder's `.gitignore` leaves out."""
    from pathspec import GitIgnoreSpec

    with open(f"{path}/.gitignore", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  a plain path is faster
        spec = GitIgnoreSpec.from_lines(file)
    depth = len(below)

    def excluded(inner: str, _name: str, folder: bool) -> bool:
        return spec.match_file(inner[depth:] + ("/" if folder else ""))

    return excluded
