"""JSON: one object with the summary, everything that was not read included, and all findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

import msgspec

from keysentry.model.finding import Finding
from keysentry.model.summary import Summary
from keysentry.report.finding_object import finding_object, summary_object
from keysentry.rules.schema import RuleSet


def write(
    findings: Iterable[Finding],
    summary: Summary,
    out: TextIO,
    *,
    show_secrets: bool = False,
    rules: RuleSet | None = None,
    against_baseline: bool = False,
) -> None:
    """Write `{"summary": ..., "findings": [...]}`, indented by two."""
    found = [finding_object(finding, show_secrets=show_secrets) for finding in findings]
    document = msgspec.json.encode({"summary": summary_object(summary), "findings": found})
    out.write(msgspec.json.format(document, indent=2).decode() + "\n")
