"""A Teams export as a source of messages: real files, made by the test."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from keysentry.connectors.base import Delivery
from keysentry.connectors.files import teams_export
from keysentry.connectors.files.teams_export import TeamsExport
from keysentry.errors import ClosedError, GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.record import Unit
from keysentry.scan.scanner import Scanner
from tests.scan import teams_messages as made


def personal(path: Path, counts: dict[str, int], indent: int | None = None) -> None:
    rng = random.Random(1)
    conversations = {
        title: [
            made.personal_message(number, made.marked_up(made.prose(rng), rng), f"19:{title}@thread.v2")
            for number in range(count)
        ]
        for title, count in counts.items()
    }
    path.write_text(json.dumps(made.personal_export(conversations), indent=indent, ensure_ascii=False))


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.record.id for delivery in deliveries if delivery.record is not None]


def units(path: Path) -> list[Unit]:
    return [unit for unit in TeamsExport(str(path)).units() if isinstance(unit, Unit)]


def test_units_are_the_conversations(tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    personal(path, {"Ann": 3, "Book club": 5}, indent=1)
    assert [(unit.id, unit.title) for unit in units(path)] == [
        ("19:Ann@thread.v2", "Ann"),
        ("19:Book club@thread.v2", "Book club"),
    ]
    found = list(TeamsExport(str(path)).records(units(path)[1], None))
    assert ids(found) == [f"19:Book club@thread.v2/{1709551200000 + number}" for number in range(5)]
    record = found[1].record
    assert record is not None
    assert (record.container, record.author, record.time) == ("Book club", "User 1", 1709550001.567123)
    assert record.unit == units(path)[1].id and record.uri.startswith("https://teams.microsoft.com/l/message/19%3ABook")


@pytest.mark.parametrize("step", [1, 500, 4 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_resumes_exactly_after_any_delivery(
    step: int, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == 1:
        step = 137
    monkeypatch.setattr(teams_export, "_STEP", step)
    path = tmp_path / "messages.json"
    personal(path, {"Ann": 4, "Book club": 40}, indent)
    unit = units(path)[1]
    whole = list(TeamsExport(str(path)).records(unit, None))
    assert ids(whole) == [f"19:Book club@thread.v2/{1709551200000 + number}" for number in range(40)]
    for cut in range(0, 40, 3):
        rest = list(TeamsExport(str(path)).records(unit, Cursor(whole[cut].cursor.value)))
        assert ids(rest) == ids(whole)[cut + 1 :]
    assert list(TeamsExport(str(path)).records(unit, whole[-1].cursor)) == []


@pytest.mark.parametrize("form", ["page", "array", "lines", "replies"])
def test_what_graph_gave_is_one_unit(form: str, tmp_path: Path) -> None:
    messages = [made.graph_message(number, f"<p>words {number}</p>") for number in range(9)]
    path = tmp_path / "export.json"
    if form == "lines":
        path.write_text("\n".join(json.dumps(message) for message in messages))
    elif form == "replies":
        path.write_text(json.dumps([messages[0] | {"replies": messages[1:4]}, messages[4] | {"replies": messages[5:]}]))
    else:
        path.write_text(json.dumps({"@odata.context": "x", "value": messages} if form == "page" else messages))
    [unit] = units(path)
    assert unit.title == "export.json"
    found = list(TeamsExport(str(path)).records(unit, None))
    assert ids(found) == [f"{made.THREAD}/{1709551200000 + number}" for number in range(9)]
    for cut, delivery in enumerate(found):
        assert ids(list(TeamsExport(str(path)).records(unit, delivery.cursor))) == ids(found)[cut + 1 :]
    texts = [part.segment.text for one in found if one.record for part in one.record.parts if part.segment]
    assert texts == [f"words {number}".encode() for number in range(9)]


def test_its_records_hold_what_a_scan_of_the_file_finds(tmp_path: Path, scanner: Scanner) -> None:
    rng = random.Random(4)
    messages = [made.graph_message(n, made.marked_up(text, rng)) for n, (text, _) in enumerate(made.forged(4))]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(messages, indent=1))
    [unit] = units(path)
    records = (one.record for one in TeamsExport(str(path)).records(unit, None) if one.record)
    found = sorted(made.told(finding) for _record, finding in scanner.scan_records(records, []))
    assert found == sorted(made.told(finding) for finding in scanner.scan_path(path))
    assert len(found) > 300


def test_damage_costs_only_itself(tmp_path: Path) -> None:
    raw = json.dumps([made.graph_message(number, "words") for number in range(5)])
    at = raw.index('"from"', raw.index("1709551200002"))
    path = tmp_path / "export.json"
    path.write_text(raw[:at] + "oops" + raw[at:-40])
    [unit] = units(path)
    found = list(TeamsExport(str(path)).records(unit, None))
    assert [id.rpartition("/")[2] for id in ids(found)] == [str(1709551200000 + number) for number in (0, 1, 3, 4)]
    reasons = [skipped.reason for delivery in found for skipped in delivery.skipped]
    assert len(reasons) == 2 and "damaged" in reasons[0] and "only its first fields" in reasons[1]


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    personal(path, {"Ann": 3})
    [unit] = units(path)
    cursor = list(TeamsExport(str(path)).records(unit, None))[-1].cursor
    personal(path, {"Ann": 4})
    assert len(ids(list(TeamsExport(str(path)).records(unit, cursor)))) == 4


def test_failures(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="check the path"):
        list(TeamsExport(str(tmp_path / "nowhere.json")).units())
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(SourceError, match="no Teams export"):
        list(TeamsExport(str(tmp_path / "other.json")).units())
    personal(tmp_path / "messages.json", {"Ann": 3})
    source = TeamsExport(str(tmp_path / "messages.json"))
    with pytest.raises(GoneError):
        list(source.records(Unit("19:gone", "Gone"), None))
    source.close()
    with pytest.raises(ClosedError):
        list(source.records(units(tmp_path / "messages.json")[0], None))
