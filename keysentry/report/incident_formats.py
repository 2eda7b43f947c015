"""Incidents for programs: JSON, JSON lines and CSV, of a list, of one, and of everything with all its places.

What is exported is written as it is read from the store, so that its size does not matter.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from typing import TextIO

import msgspec

from keysentry.model.incident import Incident, Occurrence, Unread
from keysentry.report.csv_report import harmless
from keysentry.report.incident_object import Object, incident_object, occurrence_object, unread_object
from keysentry.report.place import clean
from keysentry.report.times import utc

Occurrences = Callable[[Incident], Iterable[Occurrence]]
"""Gives the places of an incident."""

INCIDENT_COLUMNS = (
    "id", "state", "severity", "confidence", "title", "rule", "provider", "category", "lifetime", "secret",
    "fingerprint", "audience", "places", "seen", "first_seen", "last_seen", "regressions",
)  # fmt: skip
PLACE_COLUMNS = (
    "source", "unit", "record", "container", "path", "part", "line", "column", "uri", "author", "author_id", "time",
)  # fmt: skip
EXPOSURE_COLUMNS = ("audience", "reach", "since")
EXPORT_COLUMNS = (
    *(f"incident_{name}" if name in ("confidence", "audience", "first_seen", "last_seen") else name
      for name in INCIDENT_COLUMNS),
    *PLACE_COLUMNS, *EXPOSURE_COLUMNS, "place_confidence", "reasons", "place_first_seen", "place_last_seen", "gone",
)  # fmt: skip


def write_json(incidents: Iterable[Incident], out: TextIO, *, more: bool = False) -> None:
    """One object: `incidents`, and whether there are more that fit."""
    _write_document({"incidents": [incident_object(incident) for incident in incidents], "more": more}, out)


def write_jsonl(incidents: Iterable[Incident], out: TextIO) -> None:
    """One incident a line."""
    for incident in incidents:
        _write_line(incident_object(incident), out)


def write_csv(incidents: Iterable[Incident], out: TextIO) -> None:
    """A header and a row an incident."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(INCIDENT_COLUMNS)
    for incident in incidents:
        found = incident_object(incident)
        writer.writerow([harmless(found[name]) for name in INCIDENT_COLUMNS])


def write_page_json(incident: Incident, occurrences: Iterable[Occurrence], out: TextIO) -> None:
    """One incident with its places, as one object."""
    _write_document(_whole(incident, occurrences), out)


def export_jsonl(incidents: Iterable[Incident], places: Occurrences, out: TextIO) -> None:
    """One incident a line, each with all its places."""
    for incident in incidents:
        _write_line(_whole(incident, places(incident)), out)


def export_json(incidents: Iterable[Incident], places: Occurrences, unread: Iterable[Unread], out: TextIO) -> None:
    """One object with the incidents, each with its places, and what was not read. It is written as it is read."""
    out.write('{\n"incidents": [')
    _write_items((_whole(incident, places(incident)) for incident in incidents), out)
    out.write('],\n"unread": [')
    _write_items(map(unread_object, unread), out)
    out.write("]\n}\n")


def export_csv(incidents: Iterable[Incident], places: Occurrences, out: TextIO) -> None:
    """A row a place, with everything of its incident. An incident without places has a row of its own."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(EXPORT_COLUMNS)
    for incident in incidents:
        found = incident_object(incident)
        head = [found[name] for name in INCIDENT_COLUMNS]
        rows = [_place_cells(occurrence) for occurrence in places(incident)]
        for cells in rows or [[""] * (len(EXPORT_COLUMNS) - len(head))]:
            writer.writerow([harmless(cell) for cell in (*head, *cells)])


def _place_cells(occurrence: Occurrence) -> list[object]:
    place = occurrence_object(occurrence)
    exposure = occurrence.exposure
    return [
        *(place[name] for name in PLACE_COLUMNS),
        exposure.audience,
        exposure.reach,
        utc(exposure.since),
        place["confidence"],
        "; ".join(map(clean, occurrence.reasons)),
        place["first_seen"],
        place["last_seen"],
        place["gone"],
    ]


def _whole(incident: Incident, occurrences: Iterable[Occurrence]) -> Object:
    return {**incident_object(incident), "occurrences": [occurrence_object(one) for one in occurrences]}


def _write_document(value: Object, out: TextIO) -> None:
    out.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _write_line(value: Object, out: TextIO) -> None:
    out.write(msgspec.json.encode(value).decode() + "\n")


def _write_items(values: Iterable[Object], out: TextIO) -> None:
    for number, value in enumerate(values):
        out.write((",\n" if number else "\n") + msgspec.json.encode(value).decode())
    out.write("\n")
