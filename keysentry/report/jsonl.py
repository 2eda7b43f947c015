"""JSON lines: one finding a line, written as soon as it is found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

import msgspec

from keysentry.model.finding import Finding
from keysentry.model.summary import Summary
from keysentry.report.finding_object import finding_object
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
    """Write one line a finding. The summary is not part of this format."""
    encoder = msgspec.json.Encoder()
    for finding in findings:
        out.write(encoder.encode(finding_object(finding, show_secrets=show_secrets)).decode() + "\n")
