"""The progress bar of a scan: on a terminal only, and only for scans long enough to wait for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from keysentry.report.closing import size
from keysentry.report.place import clean

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from keysentry.scan import Progress

PATIENCE = 0.3
"""Seconds before anything is shown; what is done by then never loads the terminal library."""


class ProgressBar:
    """Shows how far a scan is; used as the scanner's callback, and closed before anything else is written."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._started = time.monotonic()
        self._bar: Bar | None = None

    def __call__(self, progress: Progress) -> None:
        """Show `progress`, once the scan has taken long enough."""
        elapsed = time.monotonic() - self._started
        if elapsed < self._patience:
            return
        text = describe(progress, elapsed)
        if self._bar is None:
            self._bar = _new_bar(text)
        self._bar.update(self._bar.task_ids[0], total=progress.total_files, completed=progress.files, description=text)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def describe(progress: Progress, elapsed: float) -> str:
    """How far a scan is, in words. No file names: none can be read at this speed; of sources the unit."""
    if progress.records:
        unit = f"{clean(progress.current)}  " if progress.current else ""
        return f"{unit}{progress.records:,} records  {size(progress.bytes)}  {progress.findings:,} found"
    files = f"{progress.files:,}" if progress.total_files is None else f"{progress.files:,}/{progress.total_files:,}"
    rate = size(progress.bytes / elapsed) if elapsed else "0 bytes"
    return f"{files} files  {size(progress.bytes)}  {rate}/s  {progress.findings:,} found"


def _new_bar(text: str) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task(text, total=None)
    bar.start()
    return bar
