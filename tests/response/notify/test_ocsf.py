"""OCSF events, held to the parts of the published schema (1.3.0) that they use; in a file, and at an address."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from keysentry.connectors.base import Recipient
from keysentry.errors import ConfigError, SourceError
from keysentry.response.notify import open_notifier
from keysentry.response.notify.ocsf import Options, events, lines
from keysentry.webhooks import SigningKey
from tests.response.notify.facts import ACTION, TIME, forged, notice
from tests.servers.webhook_receiver import Receiver, Reply

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.xdist_group("notify-http")
TEAM = Recipient()


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


TEXT = {"type": "string", "minLength": 1}
WHEN = {"type": "integer", "minimum": 0}
# Detection Finding with what it inherits (finding, base_event, classification, occurrence), and the objects below it,
# as https://schema.ocsf.io/1.3.0/classes/detection_finding lists them: names, types, enumerations, requirements.
SCHEMA = _object(
    [
        *("activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id", "time", "type_uid"),
    ],
    activity_id={"enum": [0, 1, 2, 3, 99]},
    activity_name=TEXT,
    category_uid={"const": 2},
    category_name={"const": "Findings"},
    class_uid={"const": 2004},
    class_name={"const": "Detection Finding"},
    type_uid={"enum": [200400, 200401, 200402, 200403, 200499]},
    type_name=TEXT,
    time=WHEN,
    severity_id={"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
    severity=TEXT,
    status_id={"enum": [0, 1, 2, 3, 4, 99]},
    status=TEXT,
    message=TEXT,
    confidence_score={"type": "integer"},
    metadata=_object(
        ["product", "version"],
        version={"const": "1.3.0"},
        product=_object(["vendor_name"], name=TEXT, vendor_name=TEXT, version=TEXT),
        uid=TEXT,
        correlation_uid=TEXT,
    ),
    finding_info=_object(
        ["uid", "title"],
        uid=TEXT,
        title={"type": "string"},
        desc=TEXT,
        types={"type": "array", "items": TEXT},
        analytic=_object(["type_id"], name=TEXT, uid=TEXT, type=TEXT, type_id={"enum": [0, 1, 2, 3, 4, 99]}),
        src_url=TEXT,
        first_seen_time=WHEN,
        last_seen_time=WHEN,
    ),
    resources={
        "type": "array",
        "items": _object([], uid=TEXT, name=TEXT, type=TEXT, owner=_object([], name=TEXT, uid=TEXT))
        | {"anyOf": [{"required": ["name"]}, {"required": ["uid"]}]},
    },
    evidences={"type": "array", "items": _object(["data"], data={"type": "object", "minProperties": 1})},
    unmapped={"type": "object"},
)


def check(event: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMA).validate(event)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def uids(file: Path) -> list[str]:
    return [one["metadata"]["uid"] for one in read(file)]


def test_an_event_an_incident_as_the_schema_has_it() -> None:
    found = [json.loads(line) for line in lines(notice(3)).splitlines()]
    for event in found:
        check(event)
    first = found[0]
    assert first["severity"] == "Critical" and first["status"] == "In Progress" and first["confidence_score"] == 99
    assert first["metadata"]["uid"] == f"{ACTION}/inc_0001" and first["metadata"]["correlation_uid"] == ACTION
    assert first["finding_info"]["uid"] == "inc_0001"
    assert first["resources"][0] == {
        "uid": "C1/1700000001.000100",
        "name": "#ops",
        "type": "acme",
        "owner": {"name": "Ann Lee", "uid": "U1"},
    }
    assert forged(1) not in json.dumps(found) and first["evidences"][0]["data"]["secret"].startswith("ghp_")


@given(
    severity=st.sampled_from(["low", "medium", "high", "critical"]),
    state=st.sampled_from(["open", "contained", "remediated", "closed", "accepted-risk", "false-positive"]),
    text=st.text(max_size=50),
)
@settings(max_examples=100, deadline=None)
def test_whatever_the_facts_are_the_event_is_valid(severity: Any, state: str, text: str) -> None:
    from keysentry.model.finding import Severity

    changes = {"severity": Severity(severity), "state": state, "title": text or "x"}
    places = {"author": text, "container": text, "path": text, "record": text, "uri": text, "author_id": text}
    for event in events(notice(1, incident_changes=changes, **places)):
        check(json.loads(json.dumps(event)))


# -- a file -----------------------------------------------------------------------------------------------------------


def to_file(file: Path) -> Any:
    return open_notifier(Options(name="events", file=file))


def test_a_notice_is_in_the_file_once(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    sender = to_file(file)
    assert sender.told(notice(2), TEAM) is None
    assert sender.tell(notice(2), TEAM).outcome == "done"
    assert sender.tell(notice(2), TEAM).outcome == "already"
    told = to_file(file).told(notice(2), TEAM)
    assert told is not None and told.outcome == "already"
    assert to_file(file).told(notice(2, id="act_other"), TEAM) is None
    to_file(file).tell(notice(1, id="act_other"), TEAM)
    assert uids(file) == [f"{ACTION}/inc_0001", f"{ACTION}/inc_0002", "act_other/inc_0001"]
    assert file.stat().st_mode & 0o007 == 0


def test_whatever_an_interruption_left_every_event_is_there_once_afterwards(tmp_path: Path) -> None:
    """Cut at every byte: what is there is kept, what is missing is added, and no line is lost or doubled."""
    whole = lines(notice(2))
    before = lines(notice(1, id="act_before"))
    for size in range(0, len(whole) + 1, 7):
        file = tmp_path / f"{size}.jsonl"
        file.write_bytes(before + whole[:size])
        sender = to_file(file)
        complete = size == len(whole)
        assert (sender.told(notice(2), TEAM) is not None) == complete
        sender.tell(notice(2), TEAM)
        valid = [line for line in file.read_bytes().splitlines() if line.endswith(b"}}}") and line.startswith(b"{")]
        ids = []
        for line in valid:
            try:
                ids.append(json.loads(line)["metadata"]["uid"])
            except ValueError:
                continue
        assert sorted(ids) == sorted(["act_before/inc_0001", f"{ACTION}/inc_0001", f"{ACTION}/inc_0002"]), size
        assert sender.told(notice(2), TEAM) is not None


def test_several_at_once_do_not_write_into_each_others_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"

    def tell(number: int) -> None:
        to_file(file).tell(notice(20, id=f"act_{number % 4}"), TEAM)

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = uids(file)
    assert len(found) == len(set(found)) == 80


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for path in (Path("/dev/full"), tmp_path, tmp_path / "none" / "events.jsonl"):
        with pytest.raises(SourceError) as caught:
            to_file(path).tell(notice(), TEAM)
        assert str(path) in str(caught.value)


FULL = """
import resource, signal, sys
from pathlib import Path
from keysentry.errors import SourceError
from keysentry.response.notify.ocsf import Options, open_notifier
from tests.response.notify.facts import notice
from keysentry.connectors.base import Recipient

file, limit = Path(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    open_notifier(Options(name="events", file=file)).tell(notice(3), Recipient())
except SourceError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_lines(tmp_path: Path) -> None:
    """The disk is full for a process of its own, which may write only so far into a file."""
    file = tmp_path / "events.jsonl"
    to_file(file).tell(notice(1, id="act_before"), TEAM)
    size = file.stat().st_size
    command = [sys.executable, "-c", FULL, str(file), str(size + 700)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "cannot be written: File too large" in said
    assert file.stat().st_size == size
    to_file(file).tell(notice(3), TEAM)
    assert len(uids(file)) == 4


# -- an address -------------------------------------------------------------------------------------------------------


def test_events_are_sent_as_one_signed_request(receiver: Receiver) -> None:
    key = SigningKey.generate(TIME).secret
    receiver.keys = [key.reveal()]
    sender = open_notifier(Options(name="events", url=f"{receiver.url}/ocsf", key=key))
    receiver.answers = [Reply(503)]
    with pytest.raises(SourceError):
        sender.tell(notice(2), TEAM)
    assert sender.told(notice(2), TEAM) is None
    sender.tell(notice(2), TEAM)
    assert receiver.taken == [ACTION]
    request = receiver.requests[-1]
    assert request.headers["content-type"] == "application/x-ndjson" and request.body == lines(notice(2))


@pytest.mark.parametrize("changes", [{}, {"url": "https://x.example", "file": Path("x")}])
def test_it_is_a_file_or_an_address(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a file or an address"):
        open_notifier(Options(name="events", **changes))
