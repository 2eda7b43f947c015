"""Reports: one module a format, and the table of them.

Every writer has the same door, `write(findings, summary, out, *, ...)`; it takes what it is given as it comes (the
formats that stream write a finding as soon as the scan has it) and reads the summary only after the last finding. No
writer shows a secret unless it is told to. The modules are imported when a format is chosen, so that a scan which
writes JSON lines never loads the CSV or the terminal library.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Protocol, TextIO, cast

import msgspec

from keysentry.model.finding import Finding
from keysentry.model.summary import Summary
from keysentry.rules.schema import RuleSet


class Writer(Protocol):
    """Writes one report.

    `summary` is complete once `findings` is used up. `rules` lets a format tell more of a rule than its findings know;
    `against_baseline` says that known findings were taken out before.
    """

    def __call__(
        self,
        findings: Iterable[Finding],
        summary: Summary,
        out: TextIO,
        *,
        show_secrets: bool = False,
        rules: RuleSet | None = None,
        against_baseline: bool = False,
    ) -> None:
        """Write the report to `out`."""


class Format(msgspec.Struct, frozen=True):
    """A format: the module that writes it, whether it writes while the scan runs, and what it is for."""

    module: str
    streams: bool
    title: str

    def writer(self) -> Writer:
        """The format's `write` function; its module is imported now."""
        return cast(Writer, importlib.import_module(f"keysentry.report.{self.module}").write)


FORMATS: dict[str, Format] = {
    "table": Format("table", False, "for people, grouped by file or channel"),
    "jsonl": Format("jsonl", True, "one finding a line"),
    "json": Format("json_report", False, "the summary and the findings in one object"),
    "sarif": Format("sarif", False, "SARIF 2.1.0, for code hosts and security consoles"),
    "csv": Format("csv_report", True, "for spreadsheets"),
}
