"""Incidents and sources as a person reads them: nothing cut, nothing that moves a terminal, columns that stand."""

from __future__ import annotations

import io

import pytest

from keysentry.model.finding import Lifetime, Severity
from keysentry.model.incident import Incident, Occurrence
from keysentry.model.location import Exposure
from keysentry.report.columns import width
from keysentry.report.incident_formats import EXPORT_COLUMNS, export_csv, export_json
from keysentry.report.incidents import write_page, write_table
from keysentry.report.times import duration, minute, utc

INCIDENT = Incident(
    id="inc_1", fingerprint="ab" * 32, rule="acme.key", title="Acme key", provider="acme", category="credential",
    severity=Severity.HIGH, confidence=0.9, lifetime=Lifetime.UNKNOWN, secret="acme…4f", state="open", places=1,
    seen=1, first_seen=0.0, last_seen=0.0, regressions=2,
)  # fmt: skip
PLACE = Occurrence(
    incident="inc_1", source="s", unit="u", record="r", uri="", part="", path="a\x1b[31m\u202eb", line=None,
    column=None, container="", author="=1+1\n", author_id="", time="", exposure=Exposure(), confidence=0.9,
    reasons=("one\x07",), first_seen=0.0, last_seen=0.0,
)  # fmt: skip


def table(**changes: object) -> list[str]:
    """The table of an incident and of one that is changed."""
    out = io.StringIO()
    write_table([INCIDENT, Incident(**{**_fields(INCIDENT), **changes})], out)  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def _fields(incident: Incident) -> dict[str, object]:
    return {name: getattr(incident, name) for name in incident.__struct_fields__}


@pytest.mark.parametrize("title", ["秘密の鍵", "cle\u0301 secre\u0300te", "x" * 40])
def test_columns_stand_whatever_is_in_them(title):
    header, first, second, *_ = table(title=title)
    column = header.index("secret")
    assert first[column:].startswith("acme…4f")
    before = second.partition("acme…4f")[0]
    assert width(before) == column and title in before


def test_a_title_that_is_too_wide_is_not_cut():
    title = "x" * 200
    assert title in table(title=title)[2]


def test_what_came_from_outside_cannot_move_a_terminal():
    out = io.StringIO()
    write_table([INCIDENT], out, place=lambda _: PLACE)
    write_page(INCIDENT, [PLACE], out)
    text = out.getvalue()
    assert all(line.isprintable() for line in text.splitlines())
    assert "a\\x1b[31m\\u202eb" in text and "one\\x07" in text
    assert "came back" in text and "2 times after its end" in text


def test_colours_go_to_terminals_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in "\n".join(table())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in "\n".join(table())


def test_an_export_is_written_as_it_is_read():
    """The first incident is out before the second is asked for."""
    out = io.StringIO()
    seen = []

    def two():
        yield INCIDENT
        seen.append(out.getvalue())
        yield INCIDENT

    export_json(two(), lambda _: [PLACE], [], out)
    assert '"id":"inc_1"' in seen[0]
    out = io.StringIO()
    export_csv([INCIDENT, INCIDENT], lambda _: [], out)
    rows = out.getvalue().splitlines()
    assert len(rows) == 3 and rows[1].count(",") == len(EXPORT_COLUMNS) - 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7100, "118 min"), (7200, "2 h"), (86400 * 2, "2 days"),
     (86400 * 14, "2 weeks")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_times_that_no_calendar_has():
    assert utc(None) == "" and minute(0.0) == "1970-01-01 00:00"
    assert utc(1e20) == "100000000000000000000"
