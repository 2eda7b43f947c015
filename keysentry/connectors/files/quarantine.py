"""The acting side of files: a file is moved away, or made unreadable for others, or its secret is masked in it."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from keysentry.connectors.base import Quarantine, QuarantineOptions, SourceOptions
from keysentry.connectors.files import Options as ReadingOptions
from keysentry.errors import ConfigError

__all__ = ["Options", "open_quarantine"]


class Options(QuarantineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for the acting side of files.

    `mode`: `move` moves the file into `folder` and leaves a text in its place; `mask` writes it anew with the secret
    masked, if it is plain text; `mode` lets nobody but its owner read it (0600). `folder`: where files are moved to; it
    is not within the folder that is read. `max_mask`: larger files are not masked, in bytes. `per_minute` means nothing
    here.
    """

    mode: Literal["move", "mask", "mode"] = "move"
    folder: str = ""
    max_mask: int = 64 << 20

    paths: ClassVar[tuple[str, ...]] = ("folder",)

    def check(self, source: ReadingOptions) -> None:
        """Raise `ConfigError` for values that make no sense."""
        if self.mode == "move" and not self.folder:
            raise ConfigError("it has no folder", place=self.source, advice='set folder = "/srv/quarantine"')
        if self.max_mask < 1:
            raise ConfigError("max_mask is less than 1", place=self.source, advice="give bytes")
        root, folder = os.path.realpath(source.path), os.path.realpath(self.folder)
        if self.folder and (folder == root or folder.startswith(f"{root.rstrip('/')}/")):
            raise ConfigError(
                f"folder is within what the source {source.name} reads",
                place=self.source,
                advice="what is held would be found again there: name another folder",
            )


def open_quarantine(options: QuarantineOptions, source: SourceOptions) -> Quarantine:
    """A quarantine with these options. Nothing is touched yet. Raises `ConfigError`."""
    if not isinstance(options, Options) or not isinstance(source, ReadingOptions):
        raise ConfigError("these are not options of files", place=options.source)
    options.check(source)
    from keysentry.connectors.files.holding import FilesQuarantine

    return FilesQuarantine(options, source)
