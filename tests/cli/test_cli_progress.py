"""The progress bar: late, on a terminal, and gone without a trace."""

from __future__ import annotations

import io
import sys

import pytest

from keysentry.cli.progress import ProgressBar, describe
from keysentry.scan import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def show(monkeypatch):
    """Hand reports of progress to a bar on a terminal; what the terminal got."""

    def run(patience: float, *reports: Progress) -> str:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setenv("TERM", "xterm")
            patch.setenv("COLUMNS", "120")
            patch.setattr(sys, "stderr", terminal)
            bar = ProgressBar(patience)
            for report in reports:
                bar(report)
            bar.close()
        return terminal.getvalue()

    return run


def test_nothing_before_the_scan_takes_long(show):
    assert show(60, Progress(files=1)) == ""


def test_it_shows_how_far_the_scan_is_and_wipes_its_line(show):
    text = show(0, Progress(files=192, bytes=11_900_000, total_files=1344, findings=3), Progress(files=200))
    assert "192/1,344 files" in text and "3 found" in text
    assert text.endswith("\x1b[2K")


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(files=5, bytes=1500), "5 files  1.5 kB  750 bytes/s  0 found"),
        (
            Progress(files=5, bytes=8_000_000, total_files=10, findings=1200),
            "5/10 files  8.0 MB  4.0 MB/s  1,200 found",
        ),
    ],
)
def test_describe(progress, text):
    assert describe(progress, 2.0) == text
