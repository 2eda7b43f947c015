"""The audit trail for other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

import msgspec

from keysentry.model.audit import Event
from keysentry.report.times import utc

_COLUMNS = ("number", "time", "actor", "name", "incident", "action", "reason", "fields", "previous", "hash")


def write_jsonl(events: Iterable[Event], out: TextIO) -> None:
    """One event a line, with all its fields; times are UTC seconds."""
    encode = msgspec.json.Encoder().encode
    for event in events:
        out.write(encode(event).decode() + "\n")


def write_csv(events: Iterable[Event], out: TextIO) -> None:
    """One event a row; times as ISO 8601, the facts as JSON. What could act as a formula begins with an apostrophe."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for event in events:
        fields = msgspec.json.encode(event.fields).decode()
        values = (event.number, utc(event.time), event.actor, event.name, event.incident, event.action, event.reason)
        rows.writerow([_plain(str(value)) for value in (*values, fields, event.previous, event.hash)])


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
