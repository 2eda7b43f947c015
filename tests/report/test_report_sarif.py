"""SARIF: valid by the official schema, and right where the schema cannot tell."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from keysentry.__about__ import VERSION
from keysentry.model.finding import Reason, Severity
from keysentry.model.location import Location
from keysentry.model.summary import Summary
from keysentry.report.sarif import level, path_uri, write

SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0.schema.json").read_text(encoding="utf-8"))


def test_golden(render, golden, rules):
    golden("report-sarif", render("sarif", rules=rules).replace(f'"version": "{VERSION}"', '"version": "VERSION"'))


@pytest.mark.parametrize("given", [None, []])
@pytest.mark.parametrize("against_baseline", [False, True])
def test_valid_by_the_official_schema(given, against_baseline, render, rules):
    log = json.loads(render("sarif", given=given, rules=rules, against_baseline=against_baseline))
    jsonschema.Draft7Validator(SCHEMA).validate(log)


def test_the_schema_would_notice():
    """The validation above can fail: a result without a message is not SARIF."""
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"ruleId": "a"}]}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(log)


@pytest.fixture
def run(render, rules):
    return json.loads(render("sarif", rules=rules))["runs"][0]


def test_results_point_at_their_rules(run):
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({result["ruleId"] for result in run["results"]})
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    github = next(rule for rule in rules if rule["id"] == "github.pat-classic")
    assert github["helpUri"] == "https://docs.github.com/rest"


def test_everything_unread_is_a_notification(run, summary):
    invocation = run["invocations"][0]
    assert invocation["executionSuccessful"] is True
    texts = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert texts == [f"{skipped.place}: {skipped.reason}" for skipped in summary.skipped]


def test_an_interrupted_scan_was_not_successful(findings):
    import io

    out = io.StringIO()
    write(findings, Summary(interrupted=True), out)
    assert json.loads(out.getvalue())["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_regions(run, findings):
    places = [result["locations"][0] for result in run["results"]]
    regions = [place.get("physicalLocation", {}).get("region") for place in places]
    secret = findings[0].secret.reveal()
    assert regions[0] == {
        "startLine": 12, "startColumn": 9, "endLine": 12, "endColumn": 9 + len(secret),
        "byteOffset": 310, "byteLength": 40,
    }  # fmt: skip
    assert regions[1] == {"startLine": 140, "startColumn": 1}
    assert regions[2] is None, "a line of an archive's member is no line of the archive"
    assert regions[3] is None
    pem = findings[4].secret.reveal().split("\n")
    assert regions[4]["endLine"] == len(pem) and regions[4]["endColumn"] == len(pem[-1]) + 1


def test_logical_locations_name_channel_and_way(run):
    logical = run["results"][2]["locations"][0]["logicalLocations"][0]
    assert logical["fullyQualifiedName"] == "#ops » ops/2024-05-01.json » message 17 » text"
    assert logical["kind"] == "block"


def test_baseline_state_only_with_a_baseline(render):
    def states(**options):
        return {result.get("baselineState") for result in json.loads(render("sarif", **options))["runs"][0]["results"]}

    assert states() == {None}
    assert states(against_baseline=True) == {"new"}


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a b/c#d.py", "a%20b/c%23d.py"),
        ("/srv/a b", "file:///srv/a%20b"),
        ("ä/100%.txt", "%C3%A4/100%25.txt"),
        ("c:x/y", "c%3Ax/y"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf%E9"),
    ],
)
def test_path_uri(path, uri):
    assert path_uri(path) == uri


@pytest.mark.parametrize(
    ("severity", "confidence", "proof", "expected"),
    [
        (Severity.CRITICAL, 0.95, 0.0, "error"),
        (Severity.HIGH, 0.9, 0.0, "error"),
        (Severity.HIGH, 0.6, 0.0, "warning"),
        (Severity.HIGH, 0.6, 4.0, "error"),
        (Severity.MEDIUM, 0.99, 4.0, "warning"),
        (Severity.LOW, 0.99, 4.0, "note"),
    ],
)
def test_level(findings, severity, confidence, proof, expected):
    reasons = (Reason("check", "a checksum", proof),)
    finding = msgspec.structs.replace(findings[1], severity=severity, confidence=confidence, reasons=reasons)
    assert level(finding) == expected


def test_a_text_without_a_place_still_has_a_location(findings, render):
    finding = msgspec.structs.replace(findings[0], location=Location())
    log = json.loads(render("sarif", given=[finding]))
    jsonschema.Draft7Validator(SCHEMA).validate(log)
    assert log["runs"][0]["results"][0]["locations"]
