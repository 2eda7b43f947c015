"""All formats: what they say, and what none of them says."""

from __future__ import annotations

import csv
import io
import json

import pytest

from keysentry.model.finding import Finding
from keysentry.model.location import Location
from keysentry.report import FORMATS
from keysentry.report.csv_report import COLUMNS, harmless


@pytest.mark.parametrize("name", ["table", "jsonl"])
def test_golden(name, render, golden):
    golden(f"report-{name}", render(name))


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_shows_a_secret_unasked(name, render, findings):
    text = render(name)
    for finding in findings:
        for secret in [finding.secret, *(value for _, value in finding.companions)]:
            # The label of a PEM block is shown, and is no secret.
            lines = [line for line in secret.reveal().splitlines() if not line.startswith("-----")]
            assert lines
            for line in lines:
                assert line not in text
                assert all(line[at : at + 8] not in text for at in range(0, len(line) - 8, 3)), finding.rule


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_secrets_on_request(name, render, findings):
    text = render(name, show_secrets=True)
    for finding in findings:
        line = finding.secret.reveal().split("\n")[-2 if "\n" in finding.secret.reveal() else 0]
        escaped = json.dumps(line)[1:-1]
        assert line in text or escaped in text or line.replace('"', '""') in text, finding.rule


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_an_empty_report(name, render):
    text = render(name, given=[])
    assert "Traceback" not in text
    if name in ("json", "sarif"):
        json.loads(text)


def test_streaming_formats_write_before_the_next_finding(findings, summary):
    for name in (name for name, entry in FORMATS.items() if entry.streams):
        out = io.StringIO()
        sizes = []

        def source(out=out, sizes=sizes):
            for finding in findings:
                yield finding
                sizes.append(len(out.getvalue()))

        FORMATS[name].writer()(source(), summary, out)
        assert sizes == sorted(set(sizes)) and len(sizes) == len(findings)


def test_jsonl_has_the_same_fields_on_every_line(render, findings):
    lines = [json.loads(line) for line in render("jsonl").splitlines()]
    assert len(lines) == len(findings)
    assert len({tuple(line) for line in lines}) == 1
    assert lines[0]["location"]["span"] == [310, 350]
    assert lines[0]["confidence"] == 0.996
    assert lines[2]["location"]["part"] == "ops/2024-05-01.json » message 17 » text"
    assert list(lines[3]["companions"]) == ["id"]


def test_json_names_everything_that_was_not_read(render, summary):
    document = json.loads(render("json"))
    assert [item["place"] for item in document["summary"]["skipped"]] == [item.place for item in summary.skipped]
    assert document["summary"]["complete"] is False
    assert len(document["findings"]) == 7


def test_csv_has_one_row_a_finding_and_no_formulas(render, findings):
    rows = list(csv.reader(io.StringIO(render("csv"))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(findings) + 1
    by_author = {row[COLUMNS.index("author")] for row in rows[1:]}
    assert "'=HYPERLINK()" in by_author
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM", "'@SUM"),
        ("-1", "'-1"),
        ("+1", "'+1"),
        ("\t=1", "'\t=1"),
        ("a=1", "a=1"),
        (3, 3),
        ("", ""),
    ],
)
def test_harmless(cell, expected):
    assert harmless(cell) == expected


@pytest.mark.parametrize("name", FORMATS)
def test_names_that_are_no_text_are_written_as_escapes(name, render, findings):
    """A file name may hold any bytes: none may stop a report or reach a terminal as a control sequence."""
    path = b"caf\xe9\x1b[2J\ndir/\xe2\x80\xaefile".decode("utf-8", "surrogateescape")
    finding = _at(findings[0], Location(path=path, author="half \ud800 pair", line=1))
    text = render(name, given=[finding])
    text.encode("utf-8")
    if name == "table":
        assert "\x1b" not in text and "\u202e" not in text
        assert "caf\\xe9\\x1b[2J\\ndir/\\u202efile" in text


def _at(finding: Finding, location: Location) -> Finding:
    import msgspec

    return msgspec.structs.replace(finding, location=location)
