"""An incident's evidence: one zip with everything that is known of it, for those who were not there.

The timeline for people, the incident with its places, the receipts of what was done, its part of the audit trail, and
what was not read while it was looked for. A manifest names each file's SHA-256, so that what is handed on can be held
to what was made. No file holds a secret: everything comes from what the store shows anyone.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import msgspec

from keysentry.model.action import Action, Receipt
from keysentry.model.audit import Event
from keysentry.model.incident import Incident, Occurrence, Unread
from keysentry.report.incident_object import incident_object, occurrence_object
from keysentry.report.incidents import write_page

_JSON = msgspec.json.Encoder()


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an incident. `head` is the last event of the whole audit trail when this was made."""

    incident: Incident
    occurrences: Sequence[Occurrence]
    actions: Sequence[Action]
    receipts: Sequence[tuple[Action, Receipt]]
    events: Sequence[Event]
    unread: Sequence[Unread]
    head: Event | None = None
    made: float = 0.0
    by: str = ""


def write_evidence(evidence: Evidence, out: BinaryIO) -> None:
    """Write the zip."""
    files = {
        "timeline.txt": _page(evidence),
        "incident.json": _pretty(_incident(evidence)),
        "receipts.jsonl": _lines(_receipt(action, receipt) for action, receipt in evidence.receipts),
        "actions.jsonl": _lines(map(_action, evidence.actions)),
        "audit.jsonl": _lines(map(msgspec.structs.asdict, evidence.events)),
        "not-read.jsonl": _lines(map(msgspec.structs.asdict, evidence.unread)),
    }
    manifest = {
        "incident": evidence.incident.id,
        "made": evidence.made,
        "by": evidence.by,
        "audit_head": {"number": evidence.head.number, "hash": evidence.head.hash} if evidence.head else None,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, "manifest.json": _pretty(manifest)}.items():
            archive.writestr(f"{evidence.incident.id}/{name}", data)


def _page(evidence: Evidence) -> bytes:
    text = io.StringIO()
    write_page(evidence.incident, evidence.occurrences, text, actions=evidence.actions, events=evidence.events)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _incident(evidence: Evidence) -> dict[str, object]:
    return {
        **incident_object(evidence.incident),
        "occurrences": [occurrence_object(one) for one in evidence.occurrences],
    }


def _receipt(action: Action, receipt: Receipt) -> dict[str, object]:
    return {
        "action": action.id,
        "kind": action.kind,
        "target": action.target,
        "outcome": receipt.outcome,
        "note": receipt.note,
        "evidence": receipt.evidence,
    }


def _action(action: Action) -> dict[str, object]:
    return msgspec.structs.asdict(action)


def _lines(rows: Iterable[object]) -> bytes:
    return b"".join(_JSON.encode(row) + b"\n" for row in rows)


def _pretty(value: object) -> bytes:
    return msgspec.json.format(_JSON.encode(value), indent=2) + b"\n"
