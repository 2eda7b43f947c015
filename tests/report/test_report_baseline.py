"""Baselines: round trip, determinism, and every way in which one can be wrong."""

from __future__ import annotations

import json
import random

import pytest

from keysentry.errors import ConfigError
from keysentry.report.baseline import Baseline, write_baseline

KEY_ID = "abcdef012345"


@pytest.fixture
def path(tmp_path, findings):
    path = tmp_path / "baseline.json"
    assert write_baseline(path, findings, KEY_ID) == 6, "seven findings, two of one secret"
    return path


def test_what_was_written_is_known(path, findings):
    baseline = Baseline.load(path, key_id=KEY_ID)
    new, known = baseline.split(findings)
    assert (new, known) == ([], findings)
    assert baseline.unused() == []


def test_new_and_unused_entries_are_told_apart(tmp_path, findings):
    path = tmp_path / "baseline.json"
    write_baseline(path, findings[:3], KEY_ID)
    baseline = Baseline.load(path, key_id=KEY_ID)
    new, known = baseline.split(findings[1:5])
    assert known == findings[1:3] and new == findings[3:5]
    assert [entry.fingerprint for entry in baseline.unused()] == [findings[0].fingerprint]


def test_equal_findings_give_an_equal_file(path, tmp_path, findings):
    random.Random(1).shuffle(findings)
    again = tmp_path / "again.json"
    write_baseline(again, findings, KEY_ID)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.json", "baseline.json"]


def test_no_secret_and_no_line_is_kept(path, findings):
    text = path.read_text()
    assert not any(finding.secret.reveal()[4:] in text for finding in findings)
    assert '"notes.txt"' in text or '"services/billing/settings production.py"' in text
    assert ":12" not in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "no version"),
        ('{"findings": []}', "no version"),
        ('{"version": 99, "entries": {}}', "version 99 is not known"),
        ('{"version": 1, "findings": []}', "key_id"),
        ('{"version": 1, "key_id": "x", "findings": [{"fingerprint": 3}]}', "findings[0]"),
        ('{"version": 1, "key_id": "x", "findings": [], "extra": 1}', "extra"),
    ],
)
def test_a_file_that_is_no_baseline(tmp_path, content, reason):
    path = tmp_path / "odd.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        Baseline.load(path, key_id=KEY_ID)
    assert reason in str(caught.value) and str(path) in str(caught.value) and caught.value.advice


def test_another_key_is_refused(path):
    with pytest.raises(ConfigError, match="KEYSENTRY_KEY"):
        Baseline.load(path, key_id="000000000000")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        Baseline.load(tmp_path / "none.json", key_id=KEY_ID)


def test_a_place_that_cannot_be_written(tmp_path, findings):
    with pytest.raises(ConfigError, match="none"):
        write_baseline(tmp_path / "none" / "baseline.json", findings, KEY_ID)


def test_entries_are_sorted(path):
    prints = [entry["fingerprint"] for entry in json.loads(path.read_text())["findings"]]
    assert prints == sorted(prints)
