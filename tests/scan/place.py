"""Findings as plain values that tests can compare, and the decoded truth of a JSON text."""

from __future__ import annotations

from collections.abc import Iterable

from keysentry.model.finding import Finding

Place = tuple[str, str, int | None, int | None, int, int, float]


def places(findings: Iterable[Finding]) -> list[Place]:
    """What was found and where: rule, secret, line, column, span in the original, confidence."""
    return [
        (
            finding.rule,
            finding.secret.reveal(),
            finding.location.line,
            finding.location.column,
            finding.location.span.start if finding.location.span else -1,
            finding.location.span.end if finding.location.span else -1,
            finding.confidence,
        )
        for finding in findings
    ]


def secrets(findings: Iterable[Finding]) -> list[str]:
    """The secrets that were found, in order."""
    return [finding.secret.reveal() for finding in findings]
