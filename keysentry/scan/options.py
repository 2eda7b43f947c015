"""What a caller may wish of a scan of files, and what it hears while it waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from keysentry.extraction.budget import Budget


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How files and folders are read.

    `exclude`: globs, held against the path below the target and against the bare name. `max_size`: bytes; a larger
    file is skipped, by name. `jobs`: how many threads (0: one a core). `processes`: fork that many worker processes
    for many small files, which is faster; for a process that is keysentry's own and has no other threads.
    `allow_comments`: whether comments such as `keysentry:allow` in files (never in chat) silence a finding on their
    line.
    """

    exclude: tuple[str, ...] = ()
    gitignore: bool = False
    follow_symlinks: bool = False
    max_size: int | None = None
    jobs: int = 0
    processes: bool = False
    allow_comments: bool = True
    budget: Budget = Budget()


class ScannerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules a Scanner of a configuration has.

    `pack`: the set of built-in rules; empty for none. `rules`: rule files, or folders of them, of one's own. `engine`:
    what finds the places to look at closely. `min_confidence`: the probability, from 0 to 1, from which a finding is
    reported.
    """

    pack: str = "default"
    rules: tuple[str, ...] = ()
    engine: Literal["auto", "vectorscan", "ahocorasick"] = "auto"
    min_confidence: float = 0.5


class Progress(msgspec.Struct):
    """How far a scan is. `total_files` is None while folders are still being listed; `records` counts those of
    platforms, of which `current` then names the unit.
    """

    files: int = 0
    records: int = 0
    bytes: int = 0
    total_files: int | None = None
    findings: int = 0
    current: str = ""


OnProgress = Callable[[Progress], None]
