"""SARIF 2.1.0, for code hosts and security consoles.

What the format asks for and how findings give it: `level` is `error` only where a finding is as good as certain and
grave; `partialFingerprints` carries our keyed fingerprint, so that a consumer follows a secret while lines move;
everything that was not read is a notification of the one invocation. With a baseline, known findings are left out and
the rest say `baselineState: new`. Messages hold masks, never secrets; with `show_secrets` the secret itself stands in
the result's properties.

Specification: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import TextIO
from urllib.parse import quote

import msgspec

from keysentry.__about__ import VERSION
from keysentry.model.finding import Finding, Severity, Skipped
from keysentry.model.location import Location
from keysentry.model.summary import Summary
from keysentry.report.finding_object import summary_object
from keysentry.report.place import secret_text, valid
from keysentry.rules.schema import Rule, RuleSet

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "keysentry/v1"
_SECURITY_SEVERITY = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.5"}
_SURE = 0.9

Object = dict[str, object]


def write(
    findings: Iterable[Finding],
    summary: Summary,
    out: TextIO,
    *,
    show_secrets: bool = False,
    rules: RuleSet | None = None,
    against_baseline: bool = False,
) -> None:
    """Write one log with one run. `rules` gives the rules' documentation pages and checks."""
    found = list(findings)
    numbers = {name: number for number, name in enumerate(sorted({finding.rule for finding in found}))}
    known = {rule.id: rule for rule in rules.rules} if rules else {}
    descriptors = {finding.rule: _descriptor(finding, known.get(finding.rule)) for finding in found}
    results = []
    for finding in found:
        result = _result(finding, numbers[finding.rule], show_secrets)
        if against_baseline:
            result["baselineState"] = "new"
        results.append(result)
    figures = summary_object(summary)
    del figures["skipped"]
    run: Object = {
        "tool": {"driver": _driver([descriptors[name] for name in numbers])},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(summary)],
        "results": results,
        "properties": figures,
    }
    document = msgspec.json.encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})
    out.write(msgspec.json.format(document, indent=2).decode() + "\n")


def _driver(descriptors: list[Object]) -> Object:
    return {
        "name": "keysentry",
        "version": VERSION,
        "rules": descriptors,
        "notifications": [
            {"id": "not-read", "shortDescription": {"text": "Something was not read."}},
            {"id": "read-in-part", "shortDescription": {"text": "Something was not read to its end."}},
        ],
    }


def _descriptor(finding: Finding, rule: Rule | None) -> Object:
    """A rule, as far as it is known: its own file where the rule set was given, else what its findings tell."""
    severity = rule.severity if rule else finding.severity
    descriptor: Object = {
        "id": finding.rule,
        "name": "".join(word.capitalize() for word in finding.rule.replace(".", "-").split("-")),
        "shortDescription": {"text": valid(finding.title)},
        "defaultConfiguration": {"level": _default_level(severity)},
        "properties": {
            "security-severity": _SECURITY_SEVERITY[severity],
            "tags": ["security", finding.category, finding.provider],
        },
    }
    if rule and rule.docs:
        descriptor["helpUri"] = rule.docs
    return descriptor


def _default_level(severity: Severity) -> str:
    return "note" if severity is Severity.LOW else "warning" if severity is Severity.MEDIUM else "error"


def level(finding: Finding) -> str:
    """`error` for a grave finding that is proved or as good as certain, `note` for a slight one, else `warning`."""
    if finding.severity is Severity.LOW:
        return "note"
    grave = finding.severity in (Severity.HIGH, Severity.CRITICAL)
    return "error" if grave and (_proved(finding) or finding.confidence >= _SURE) else "warning"


def _proved(finding: Finding) -> bool:
    """True if an offline check proved the value (a checksum holds)."""
    return any(reason.name == "check" and reason.weight > 0 for reason in finding.reasons)


def _result(finding: Finding, rule_index: int, show_secrets: bool) -> Object:
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "kind": "fail",
        "level": level(finding),
        "message": {"text": _message(finding)},
        "locations": [_location(finding)],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "properties": _properties(finding, show_secrets),
    }


def _message(finding: Finding) -> str:
    text = f"{finding.title} ({finding.secret}), {finding.confidence:.0%} sure"
    reasons = "; ".join(reason.text for reason in finding.reasons if reason.name != "rule")
    return valid(f"{text}: {reasons}" if reasons else text)


def _properties(finding: Finding, show_secrets: bool) -> Object:
    where = finding.location
    properties: Object = {
        "provider": finding.provider,
        "severity": finding.severity.value,
        "confidence": round(finding.confidence, 3),
        "category": finding.category,
        "lifetime": finding.lifetime.value,
        "secret": secret_text(finding, show_secrets),
        "line": where.line,
        "column": where.column,
        "author": valid(where.author),
        "time": valid(where.time),
        "uri": valid(where.uri),
    }
    return {name: value for name, value in properties.items() if value not in (None, "")}


def _location(finding: Finding) -> Object:
    where = finding.location
    location: Object = {}
    uri = artifact_uri(where)
    if uri:
        physical: Object = {"artifactLocation": {"uri": uri}}
        region = _region(finding)
        if region:
            physical["region"] = region
        location["physicalLocation"] = physical
    logical = _logical(where)
    if logical:
        location["logicalLocations"] = logical
    if not location:
        location["message"] = {"text": "in a text without a name"}
    return location


def artifact_uri(location: Location) -> str:
    """The file's URI: relative as it was named, or `file:///` for an absolute path; else the place's own link."""
    return path_uri(location.path) if location.path else location.uri


def path_uri(path: str) -> str:
    """Percent-encode a path, undecodable bytes of its name included."""
    pure = PurePath(path)
    if pure.is_absolute():
        return pure.as_uri()
    return quote(pure.as_posix().encode("utf-8", "surrogateescape"))


def _region(finding: Finding) -> Object:
    """Where in the file, if it is a text file of its own: lines of an archive's member mean nothing in the archive."""
    where = finding.location
    if any(step.kind == "member" for step in where.route):
        return {}
    region: Object = {}
    if where.line is not None:
        region["startLine"] = where.line
        if where.column is not None:
            region["startColumn"] = where.column
            region |= _end(finding, where.line, where.column)
    if where.span is not None:
        region |= {"byteOffset": where.span.start, "byteLength": len(where.span)}
    return region


def _end(finding: Finding, line: int, column: int) -> Object:
    """The end of the region, known only where the file holds the secret as it is (not encoded, not escaped)."""
    if finding.location.span is None or len(finding.location.span) != len(finding.secret):
        return {}
    lines = finding.secret.reveal().split("\n")
    end = column + len(lines[0]) if len(lines) == 1 else len(lines[-1]) + 1
    return {"endLine": line + len(lines) - 1, "endColumn": end}


def _logical(where: Location) -> list[Object]:
    """The channel and the way inside the file: member, message, field, sheet, cell."""
    steps: list[tuple[str, str]] = [(step.name, step.kind) for step in where.route]
    if where.container:
        steps.insert(0, (where.container, "container"))
    if not steps:
        return []
    full = " » ".join(valid(name) for name, _ in steps)
    name, kind = steps[-1]
    return [{"name": valid(name), "fullyQualifiedName": full, "kind": kind}]


def _invocation(summary: Summary) -> Object:
    return {
        "executionSuccessful": not summary.interrupted,
        "toolExecutionNotifications": [_notification(skipped) for skipped in summary.skipped],
    }


def _notification(skipped: Skipped) -> Object:
    return {
        "descriptor": {"id": "read-in-part" if skipped.partial else "not-read"},
        "level": "warning" if skipped.partial else "error",
        "message": {"text": valid(f"{skipped.place}: {skipped.reason}")},
    }
