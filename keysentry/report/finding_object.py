"""A finding as the plain object that the JSON formats write."""

from __future__ import annotations

from keysentry.model.finding import Finding
from keysentry.model.location import Location
from keysentry.model.summary import Summary
from keysentry.report.place import secret_text, valid


def finding_object(finding: Finding, *, show_secrets: bool) -> dict[str, object]:
    """The finding with its secrets masked, unless `show_secrets`."""
    return {
        "rule": finding.rule,
        "title": finding.title,
        "provider": finding.provider,
        "severity": finding.severity.value,
        "confidence": round(finding.confidence, 3),
        "category": finding.category,
        "lifetime": finding.lifetime.value,
        "fingerprint": finding.fingerprint,
        "secret": secret_text(finding, show_secrets),
        "location": location_object(finding.location),
        "reasons": [
            {"name": reason.name, "text": valid(reason.text), "weight": round(reason.weight, 3)}
            for reason in finding.reasons
        ],
        "companions": {
            name: value.reveal() if show_secrets else str(value) for name, value in finding.companions
        },
    }  # fmt: skip


def location_object(location: Location) -> dict[str, object]:
    """The location; what is not known is null or empty, so that every line of a report has the same fields."""
    span = location.span
    return {
        "uri": valid(location.uri),
        "path": valid(location.path),
        "line": location.line,
        "column": location.column,
        "part": valid(location.part),
        "span": None if span is None else [span.start, span.end],
        "container": valid(location.container),
        "author": valid(location.author),
        "time": valid(location.time),
    }


def summary_object(summary: Summary) -> dict[str, object]:
    """The account of the scan, with everything that was not read."""
    return {
        "complete": summary.complete,
        "interrupted": summary.interrupted,
        "files": summary.files,
        "records": summary.records,
        "bytes": summary.bytes,
        "seconds": round(summary.seconds, 3),
        "rules": summary.rules,
        "engine": summary.engine,
        "allowed": summary.allowed,
        "baselined": summary.baselined,
        "below_threshold": summary.below_threshold,
        "skipped": [
            {"place": valid(skipped.place), "reason": valid(skipped.reason), "partial": skipped.partial}
            for skipped in summary.skipped
        ],
    }
