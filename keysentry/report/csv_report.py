"""CSV for spreadsheets: a header and one row a finding, written as it is found."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from keysentry.model.finding import Finding
from keysentry.model.summary import Summary
from keysentry.report.finding_object import finding_object, location_object
from keysentry.report.place import secret_text, valid
from keysentry.rules.schema import RuleSet

_PLAIN = ("rule", "title", "provider", "severity", "confidence", "category", "lifetime", "fingerprint")
_PLACE = ("path", "line", "column", "part", "container", "author", "time", "uri")
COLUMNS = (*_PLAIN, "secret", *_PLACE, "companions", "reasons")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write(
    findings: Iterable[Finding],
    summary: Summary,
    out: TextIO,
    *,
    show_secrets: bool = False,
    rules: RuleSet | None = None,
    against_baseline: bool = False,
) -> None:
    """Write the rows. A cell that a spreadsheet would take for a formula gets an apostrophe before it."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in findings:
        writer.writerow([harmless(cell) for cell in _row(finding, show_secrets)])


def _row(finding: Finding, show_secrets: bool) -> list[object]:
    found = finding_object(finding, show_secrets=show_secrets)
    where = location_object(finding.location)
    companions = [
        f"{name}={value.reveal() if show_secrets else value}" for name, value in finding.companions
    ]  # fmt: skip
    reasons = [valid(reason.text) for reason in finding.reasons]
    return [
        *(found[name] for name in _PLAIN),
        secret_text(finding, show_secrets),
        *(where[name] for name in _PLACE),
        "; ".join(companions),
        "; ".join(reasons),
    ]


def harmless(cell: object) -> object:
    """The cell, unable to act as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
