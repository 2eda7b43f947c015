"""What lies in a folder now: files, and folders that are an export as a whole.

Symbolic links are not followed and not read: what they lead to is either in the folder too or was not meant. Special
files (pipes, sockets, devices) are never opened.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from keysentry.connectors.files import Options
from keysentry.extraction.formats import slack
from keysentry.model.finding import Skipped

Excluded = Callable[[str, str, bool], bool]
"""(path below the root, name, is it a folder) -> leave it out?"""

_LISTS = frozenset(f"{name}.json" for name in ("channels", "groups", "dms", "mpims"))
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Entry(NamedTuple):
    """A file, or a folder that is read as one. `below` is its path below the root; times are in nanoseconds.

    `changed` is when its content or anything else of it last changed (ctime), or when its marker did, which cannot be
    set by whoever writes it. Of a folder, sizes are summed up and times are those of the latest change in it.
    `problem` says why it is not read.
    """

    path: str
    below: str
    size: int
    modified: int
    changed: int
    inode: int
    mode: int
    problem: str = ""
    folder: bool = False


class Listing:
    """Lists below one root, by the options of its source."""

    def __init__(self, options: Options) -> None:
        self.root = os.path.abspath(options.path)  # noqa: PTH100
        self._options = options
        self._ignored = _matcher(options.ignore)
        self._excluded = _matcher(options.exclude)

    def folders(self) -> list[str]:
        """The names of the folders directly in the root, in order. None if the root is read as a whole, or is a file.

        Raises `OSError`.
        """
        if not os.path.isdir(self.root):  # noqa: PTH112
            os.stat(self.root)  # noqa: PTH116  raises if there is nothing
            return []
        with os.scandir(self.root) as entries:
            found = list(entries)
        names = [entry.name for entry in found]
        if self._is_export(self.root, "", names):
            return []
        excluders = self._inherited()[0]
        leave_out = _LeaveOut(self._ignored, self._excluded, excluders, self._options.done_suffixes, frozenset(names))
        inner = (entry.name for entry in found if entry.is_dir(follow_symlinks=False))
        return sorted(name for name in inner if not leave_out(name, name, True))

    def entries(self, below: str) -> Iterator[Entry | Skipped]:
        """What is to be read below a folder of the root; of the root itself (`below` is empty) only its files.

        Raises `OSError` if the folder itself cannot be listed.
        """
        if not os.path.isdir(self.root):  # noqa: PTH112
            yield self._entry(self.root, os.path.basename(self.root), os.stat(self.root))  # noqa: PTH116,PTH119
            return
        waiting: list[tuple[str, str, tuple[Excluded, ...]]] = [(self.root, "", ())]
        if below:
            inherited, problems = self._inherited()
            yield from problems
            waiting = [(os.path.join(self.root, below), f"{below}/", inherited)]  # noqa: PTH118
        first = True
        while waiting:
            folder, prefix, excluders = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    yield from self._folder(folder, prefix, excluders, entries, waiting if below else None)
            except OSError as error:
                if first:
                    raise
                if not isinstance(error, FileNotFoundError):
                    yield Skipped(folder, f"the folder cannot be listed: {error.strerror}")
            first = False

    def latest_change(self, below: str) -> int:
        """When anything below a folder last changed, the folders in it included, in nanoseconds. Raises `OSError`."""
        return _subtree(os.path.join(self.root, below)).changed  # noqa: PTH118

    def again(self, entry: Entry) -> Entry | None:
        """An entry as it is now; None if it is gone or is something else."""
        try:
            if entry.folder:
                return self._export(entry.path, entry.below)
            status = os.lstat(entry.path) if entry.path != self.root else os.stat(entry.path)  # noqa: PTH116
            return self._entry(entry.path, entry.below, status)
        except OSError:
            return None

    def _folder(
        self,
        folder: str,
        prefix: str,
        excluders: tuple[Excluded, ...],
        entries: Iterator[os.DirEntry[str]],
        waiting: list[tuple[str, str, tuple[Excluded, ...]]] | None,
    ) -> Iterator[Entry | Skipped]:
        found: Iterable[os.DirEntry[str]] = entries
        names: list[str] = []
        if self._options.gitignore or self._options.done_suffixes or _may_be_export(folder):
            found = list(entries)
            names = [entry.name for entry in found]
            export = self._export(folder, prefix.rstrip("/")) if self._is_export(folder, prefix, names) else None
            if export is not None:
                yield export
                return
        if self._options.gitignore and ".gitignore" in names:
            try:
                excluders = (*excluders, _gitignore(folder, prefix))
            except (OSError, ValueError) as error:
                yield _unread_gitignore(folder, error)
        leave_out = _LeaveOut(self._ignored, self._excluded, excluders, self._options.done_suffixes, frozenset(names))
        for entry in found:
            below = prefix + entry.name
            if entry.is_symlink():
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if leave_out(below, entry.name, is_folder):
                continue
            if is_folder:
                if waiting is not None:
                    waiting.append((entry.path, f"{below}/", leave_out.inherited))
                continue
            try:
                yield self._entry(entry.path, below, entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue

    def _entry(self, path: str, below: str, status: os.stat_result) -> Entry:
        changed = status.st_ctime_ns
        for suffix in self._options.done_suffixes:
            try:
                changed = max(changed, os.stat(path + suffix).st_ctime_ns)  # noqa: PTH116
            except OSError:
                continue
        problem = ""
        if not stat.S_ISREG(status.st_mode):
            problem = f"{next((name for test, name in _KINDS if test(status.st_mode)), 'something else')}, not a file"
        elif 0 < self._options.max_size < status.st_size:
            problem = f"larger than the limit: {status.st_size:,} bytes (raise max_size to read it)"
        return Entry(path, below, status.st_size, status.st_mtime_ns, changed, status.st_ino, status.st_mode, problem)

    def _export(self, folder: str, below: str) -> Entry | None:
        """An export's folder as one entry."""
        try:
            status = os.stat(folder)  # noqa: PTH116
            tree = _subtree(folder)
        except OSError:
            return None
        return Entry(
            folder,
            below or os.path.basename(folder),  # noqa: PTH119
            tree.size,
            tree.modified,
            tree.changed,
            tree.files,
            status.st_mode,
            folder=True,
        )

    def _is_export(self, folder: str, prefix: str, names: list[str]) -> bool:
        """Whether a folder is read as one: a Slack export, but not a drop directory itself, whatever lies in it."""
        return _is_export(folder, names) and not (self._options.drop and not prefix)

    def _inherited(self) -> tuple[tuple[Excluded, ...], list[Skipped]]:
        """What the root's own `.gitignore` leaves out of the folders in it."""
        if not self._options.gitignore or not os.path.lexists(f"{self.root}/.gitignore"):
            return (), []
        try:
            return (_gitignore(self.root, ""),), []
        except (OSError, ValueError) as error:
            return (), [_unread_gitignore(self.root, error)]


def _gitignore(folder: str, prefix: str) -> Excluded:
    """What a folder's `.gitignore` leaves out. Raises `OSError` or `ValueError` if it cannot be read."""
    from pathspec import GitIgnoreSpec

    name = f"{folder}/.gitignore"
    if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116
        raise ValueError("it is not a file")
    with open(name, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        spec = GitIgnoreSpec.from_lines(file)
    depth = len(prefix)
    return lambda below, _name, is_folder: spec.match_file(below[depth:] + ("/" if is_folder else ""))


def _unread_gitignore(folder: str, error: Exception) -> Skipped:
    reason = getattr(error, "strerror", "") or str(error)
    return Skipped(f"{folder}/.gitignore", f"what it leaves out is read all the same: {reason}")


class _LeaveOut(NamedTuple):
    """What of one folder is left out."""

    ignored: re.Pattern[str] | None
    excluded: re.Pattern[str] | None
    inherited: tuple[Excluded, ...]
    done_suffixes: tuple[str, ...]
    names: frozenset[str]

    def __call__(self, below: str, name: str, folder: bool) -> bool:
        if self.ignored is not None and self.ignored.match(name):
            return True
        if self.excluded is not None and (self.excluded.match(name) or self.excluded.match(below)):
            return True
        if any(excluded(below, name, folder) for excluded in self.inherited):
            return True
        if folder or not self.done_suffixes:
            return False
        return name.endswith(self.done_suffixes) or not any(
            name + suffix in self.names for suffix in self.done_suffixes
        )


class _Tree(NamedTuple):
    files: int
    size: int
    modified: int
    changed: int


def _subtree(folder: str) -> _Tree:
    """Sums and latest times over all that is in a folder. Raises `OSError`."""
    status = os.stat(folder)  # noqa: PTH116
    files = size = modified = 0
    changed = status.st_ctime_ns
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                try:
                    one = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                changed = max(changed, one.st_ctime_ns)
                if stat.S_ISDIR(one.st_mode):
                    waiting.append(entry.path)
                else:
                    files, size, modified = files + 1, size + one.st_size, max(modified, one.st_mtime_ns)
    return _Tree(files, size, modified, changed)


def _may_be_export(folder: str) -> bool:
    return any(os.path.lexists(f"{folder}/{name}") for name in ("channels.json", "users.json"))


def _is_export(folder: str, names: list[str]) -> bool:
    """Whether a folder with these names in it is a Slack export."""
    present = _LISTS.intersection(names)
    if not present:
        return False
    if "users.json" in names or "org_users.json" in names:
        return slack.is_export(names)
    return slack.is_export([*present, *_days(folder, names)])


def _days(folder: str, names: list[str]) -> Iterator[str]:
    for name in names:
        try:
            with os.scandir(os.path.join(folder, name)) as entries:  # noqa: PTH118
                yield from (f"{name}/{entry.name}" for entry in entries)
        except OSError:
            continue


def _matcher(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    if not globs:
        return None
    return re.compile("|".join(fnmatch.translate(glob.removeprefix("./").rstrip("/")) for glob in globs))
