"""The progress bar of a scan: on a terminal only, and only for scans long enough to wait for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from keysentry.scan import Progress

PATIENCE = 0.3
"""Seconds before anything is shown; what is done by then never loads the terminal library."""


class ProgressBar:
    """Shows how far a scan is; used as the scanner's callback, and closed before anything else is written."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._bar: Bar | None = None

    def __call__(self, progress: Progress) -> None:
        """Show `progress`, once the scan has taken long enough."""
        if self._bar is None:
            if time.monotonic() - self._started < PATIENCE:
                return
            self._bar = _new_bar()
            self._bar.start()
        known = progress.total_files is not None
        files = f"{progress.files:,}/{progress.total_files:,} files" if known else f"{progress.files:,} files"
        # File names are not told: one may hold control characters, and none can be read at this speed.
        self._bar.update(
            self._bar.task_ids[0],
            total=progress.total_bytes,
            completed=progress.bytes,
            files=files,
            found=f"{progress.findings:,} found",
        )

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _new_bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    bar = Progress(
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[files]}"),
        TextColumn("{task.fields[found]}"),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("", total=None, files="", found="")
    return bar
