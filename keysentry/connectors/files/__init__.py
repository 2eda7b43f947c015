"""Files and folders of this machine, and drop directories into which exports arrive."""

from __future__ import annotations

from typing import ClassVar

from keysentry.connectors.base import Source, SourceOptions
from keysentry.errors import ConfigError

__all__ = ["Options", "open_source", "target_options"]

TEMPORARY = (
    ".*",
    "~$*",
    "*~",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    "*.filepart",
    "*.tmp",
    "*.temp",
    "*.swp",
)
"""How programs call what they have not finished: hidden files (`.~lock.x#` and `.x.zip.Gh3k` of rsync are some), and
those that browsers and editors rename when they are done.
"""


class Options(SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a source of files can be told.

    `path`: a file or a folder. `drop`: it is a drop directory, into which exports arrive over minutes or hours: of a
    folder in it nothing is read until all of it is there. `settle`: for how many seconds a file (in a drop directory, a
    folder with all that is in it) must not have changed before it counts as complete. `done_suffixes`: a file is read
    only when another one with its name and one of these endings lies beside it (`.done`: `x.zip` waits for
    `x.zip.done`). `give_up`: a zip without its end that has not changed for so many seconds is read as far as it goes.

    `ignore`: globs on the names of files and folders that are not there yet, or never of interest. `exclude`: globs on
    names and on paths below `path` that are not read. `gitignore`: leave out what the `.gitignore` files of a folder
    name. `max_size`: larger files are not read, and reported, in bytes; 0: no limit.
    """

    path: str = ""
    drop: bool = False
    settle: float = 5.0
    done_suffixes: tuple[str, ...] = ()
    give_up: float = 3600.0
    ignore: tuple[str, ...] = TEMPORARY
    gitignore: bool = False
    max_size: int = 0

    paths: ClassVar[tuple[str, ...]] = ("path",)

    def check(self) -> None:
        """Raise `ConfigError` for values that make no sense."""
        if not self.path:
            raise ConfigError("it has no path", place=self.name, advice='set path = "/some/folder"')
        for name in ("settle", "give_up", "max_size"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is less than 0", place=self.name, advice="give 0 or more")
        if any(not suffix or "/" in suffix for suffix in self.done_suffixes):
            raise ConfigError("done_suffixes are endings of names", place=self.name, advice='for example [".done"]')


def target_options(target: str) -> dict[str, object]:
    """The options that `drop:/path` stands for: a drop directory. Raises `ConfigError`."""
    path = target.removeprefix("drop:")
    if not path:
        raise ConfigError("this names no folder", place=target, advice="write drop:/path/to/folder")
    return {"path": path, "drop": True}


def open_source(options: SourceOptions) -> Source:
    """A source for these options. Nothing is read yet. Raises `ConfigError`."""
    if not isinstance(options, Options):
        raise TypeError(f"options of files are expected, not {type(options).__name__}")
    options.check()
    from keysentry.connectors.files.source import FilesSource

    return FilesSource(options)
