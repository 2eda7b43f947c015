"""Forged secrets go through everything, with every log on; then all that was written is searched for them.

A hundred by default, a thousand with KEYSENTRY_LONG_TESTS=1.

By bytes, as they are and in the forms that machines write them in, and with keysentry itself. The key that seals is of
course not in the store.
"""

from __future__ import annotations

import base64
import io
import logging
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from keysentry.model.sensitive import Sensitive
from keysentry.report.audit_formats import write_csv, write_jsonl
from keysentry.report.evidence import Evidence, write_evidence
from keysentry.report.incident_formats import export_csv, export_jsonl
from keysentry.report.incidents import write_page as write_incident
from keysentry.report.programme.figures import figures
from keysentry.report.programme.page import write_page
from keysentry.report.programme.text import write_text
from keysentry.response.handlers import release_of
from keysentry.scan import Scanner
from keysentry.service.journal import Journal
from keysentry.store import open_store
from keysentry.store.base import ActionQuery
from tests.response.stage import Stage, sealer
from tests.store.making import KEY, forged

COUNT = 1000 if os.environ.get("KEYSENTRY_LONG_TESTS") else 100
PER_MESSAGE = 10


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """All that anybody logs, at every level."""
    path = tmp_path / "debug.log"
    handler = logging.FileHandler(path)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield path
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


def test_no_secret_is_written_anywhere(tmp_path: Path, log: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db", key=KEY, sealer=sealer())
    stage = Stage(store)
    journal = io.StringIO()
    stage.worker._journal = Journal(journal.write, "json")
    for number in range(0, COUNT, PER_MESSAGE):
        stage.post(f"M{number}", *range(number, number + PER_MESSAGE))
    stage.work(120)
    assert stage.world.effects["revoke"] == COUNT and stage.world.effects["hold"] == COUNT // PER_MESSAGE
    for held in list(store.holdings())[:5]:
        store.file([release_of(held, actor="ada", reason="", time=stage.now)], actor="ada", reason="", time=stage.now)
    stage.work(30)
    assert stage.world.effects["release"] == 5
    written = reports(stage, tmp_path)
    written |= {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("store.db")}
    written |= {"log": log.read_bytes(), "journal": journal.getvalue().encode()}
    written |= {f"notice {id}": notice.text.encode() for id, notice in stage.world.told.items()}
    assert any(name.endswith("-wal") for name in written), "the log of the store is searched as well"
    store.close()
    for name, content in written.items():
        for seed in range(COUNT):
            for form in forms(forged(seed)):
                assert form not in content, f"a secret stands in {name}"
    scanner = Scanner(key=KEY)
    secrets = {Sensitive(forged(seed)) for seed in range(COUNT)}
    for name, content in written.items():
        found = [finding.secret for finding in scanner.scan_text(content)]
        assert not secrets.intersection(found), f"keysentry finds a secret in {name}"


def forms(secret: str) -> list[bytes]:
    raw = secret.encode()
    return [raw, base64.b64encode(raw)[:-4], raw.hex().encode(), quote(secret, safe="").encode(), raw[4:]]


def reports(stage: Stage, folder: Path) -> dict[str, bytes]:
    """Everything that can be written of a store."""
    store = stage.store
    incidents = list(store.incidents())
    places = {one.id: list(store.occurrences(one.id)) for one in incidents}
    told = figures(incidents, places, store.actions(), store.events(), now=stage.now)
    out = {name: io.StringIO() for name in ("html", "text", "audit.jsonl", "audit.csv", "all.jsonl", "all.csv", "page")}
    write_page(told, out["html"])
    write_text(told, out["text"])
    write_jsonl(store.events(), out["audit.jsonl"])
    write_csv(store.events(), out["audit.csv"])
    export_jsonl(iter(incidents), lambda one: places[one.id], out["all.jsonl"])
    export_csv(iter(incidents), lambda one: places[one.id], out["all.csv"])
    first = incidents[0]
    actions, events = list(store.actions(ActionQuery(incident=first.id))), list(store.events(first.id))
    write_incident(first, places[first.id], out["page"], actions=actions, events=events)
    evidence = io.BytesIO()
    write_evidence(
        Evidence(
            incident=first,
            occurrences=places[first.id],
            actions=actions,
            receipts=list(store.receipts(first.id)),
            events=events,
            unread=list(store.unread()),
        ),
        evidence,
    )
    return {name: text.getvalue().encode() for name, text in out.items()} | {"evidence": evidence.getvalue()}
