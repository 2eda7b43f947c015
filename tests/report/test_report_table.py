"""The table and the closing words."""

from __future__ import annotations

import io

import pytest

from keysentry.model.finding import Skipped
from keysentry.model.summary import Summary
from keysentry.report.closing import Tally, account, closing, not_read, size
from keysentry.report.table import percent, write


def test_colours_go_to_terminals_only(findings, summary, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = io.StringIO()
    write(findings, summary, out)
    assert "\x1b[" in out.getvalue()
    monkeypatch.delenv("FORCE_COLOR")
    out = io.StringIO()
    write(findings, summary, out)
    assert "\x1b[" not in out.getvalue()


def test_places_are_never_cut(render, findings):
    text = render("table")
    for finding in findings:
        assert finding.location.path in text
        assert finding.location.part in text


def test_findings_of_a_file_stand_together(render, findings):
    text = render("table", given=[findings[0], findings[4], findings[1]])
    assert text.count(findings[0].location.path) == 1


@pytest.mark.parametrize(("value", "text"), [(1.0, "100%"), (0.9996, "99%"), (0.5, "50%"), (0.666, "67%")])
def test_percent(value, text):
    assert percent(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (12_345, "12.3 kB"),
        (35.2e6, "35.2 MB"),
        (352.4e6, "352 MB"),
        (5.5e12, "5500.0 GB"),
    ],
)
def test_size(count, text):
    assert size(count) == text


def test_account_of_an_empty_scan():
    assert account(Summary(rules=1, engine="vectorscan"), Tally()) == (
        "no findings · 0 files, 0 bytes in 0.00 s · vectorscan"
    )


def test_an_interrupted_scan_says_so_first():
    assert next(closing(Summary(interrupted=True), Tally())).startswith("Interrupted")


def test_not_read_names_twenty_places_and_counts_the_rest():
    many = [Skipped(f"file{n}", "permission denied") for n in range(15)]
    many += [Skipped(f"broken{n}.zip", "not a ZIP archive") for n in range(10)]
    many += [Skipped("x", "a rare reason")]
    lines = list(not_read(many))
    assert lines[0] == "Not read, or not to the end: 26"
    assert "  permission denied: 15" in lines and "  not a ZIP archive: 10" in lines
    assert sum(line.startswith("    ") for line in lines) == 20
    assert lines[-1].startswith("  and 6 more")


def test_everything_read_has_no_such_list():
    assert list(not_read([])) == []
