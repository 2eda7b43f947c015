"""What a configuration says about response, and what is wrong with it, each fault with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from keysentry.config import read_config
from keysentry.config.acting import can_act, kinds_of, options_of_kind, quarantine_module
from keysentry.config.fields import fields_of
from keysentry.connectors import PLATFORMS

DOCS = Path(__file__).parents[2] / "docs"
KEY = "5e" * 32
GOOD = """
[[source]]
name = "inbox"
platform = "files"
path = "inbox"
drop = true

[[quarantine]]
source = "inbox"
folder = "held"

[[notifier]]
name = "security"
kind = "ocsf"
file = "events.jsonl"

[[playbook]]
name = "first"
mode = "enforce"
[playbook.match]
platform = ["files"]
severity = "high"
[playbook.contain]
hold = true
within = "15m"
[playbook.notify]
to = ["security"]
[playbook.remediate]
revoke = "auto"
"""


def read(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **environment: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir(exist_ok=True)
    (tmp_path / "keysentry.toml").write_text(text)
    return read_config(None, environment={"KEYSENTRY_SEAL_KEY": KEY, **environment})


def test_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = read(GOOD, tmp_path, monkeypatch)
    assert not reading.faults and reading.config is not None
    acting = reading.config.acting
    assert acting.playbooks[0].contain.hold and acting.playbooks[0].mode == "enforce"
    assert acting.quarantines[0].platform == "files"
    assert acting.options.seal_key is not None and KEY not in repr(reading)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "first"\n', "", r"playbook\[1\].*name: must be given"),
        ('mode = "enforce"', 'mode = "enforced"', r"mode: there is no 'enforced' \(did you mean enforce"),
        ('platform = ["files"]', 'platform = ["slak"]', r"match.platform: there is no platform 'slak' .*slack"),
        ('severity = "high"', 'severity = "awful"', "match.severity: there is no 'awful'"),
        ('severity = "high"', 'severty = "high"', "severty"),
        ('within = "15m"', 'within = "soon"', "contain.within: 'soon' is no length of time"),
        ('to = ["security"]', 'to = ["securty"]', r"notify.to: there is no notifier 'securty' .*security"),
        ('revoke = "auto"', 'revoke = "acme"', "remediate.revoke: there is no revoker 'acme'"),
        ('revoke = "auto"', 'vault = "team"', "remediate.vault: there is no vault 'team'"),
        ('source = "inbox"', 'source = "inbocks"', r"source: there is no source 'inbocks' .*inbox"),
        ('folder = "held"', 'foldr = "held"', r"foldr: there is no such setting .*folder"),
        ('kind = "ocsf"', 'kind = "pigeon"', "kind: there is no kind 'pigeon'"),
        ("[[notifier]]", "[notifier]", r"write \[\[notifier\]\]"),
        ('[[quarantine]]\nsource = "inbox"\nfolder = "held"', "", "nothing can be held in the source 'inbox'"),
    ],
)
def test_a_fault_names_its_place(
    old: str, new: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    assert old in GOOD
    reading = read(GOOD.replace(old, new), tmp_path, monkeypatch)
    faults = "\n".join(map(str, reading.faults))
    assert re.search(told, faults), faults
    assert reading.config is None


def test_two_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = read(GOOD + '[[playbook]]\nname = "first"\n', tmp_path, monkeypatch)
    assert "playbook[1] has this name too" in str(reading.faults[0])


def test_acting_needs_a_seal_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = read(GOOD, tmp_path, monkeypatch, KEYSENTRY_SEAL_KEY="")
    assert "seal_key: there is no seal key" in "\n".join(map(str, reading.faults))
    observing = read(GOOD.replace('mode = "enforce"', ""), tmp_path, monkeypatch, KEYSENTRY_SEAL_KEY="")
    assert not observing.faults, "to observe, none is needed"


@pytest.mark.parametrize("table", ["notifier", "revoker", "vault"])
def test_every_kind_is_explained(table: str) -> None:
    page = DOCS / {"notifier": "notifications.md", "revoker": "revocation.md", "vault": "vaults.md"}[table]
    text = page.read_text(encoding="utf-8")
    for kind in kinds_of(table):
        for field in fields_of(options_of_kind(table, kind)):
            assert field.text, f"{table} {kind}.{field.name} has no words"
        assert f"`{kind}`" in text or f'"{kind}"' in text, f"{page.name} does not tell of {kind}"


@pytest.mark.parametrize("platform", [one.name for one in PLATFORMS if can_act(one.name)])
def test_every_acting_side_is_explained(platform: str) -> None:
    page = (DOCS / f"{platform}.md").read_text(encoding="utf-8")
    for field in fields_of(quarantine_module(platform).Options):
        if field.name in ("source", "per_minute", "base_url"):  # told of all in docs/playbooks.md
            continue
        assert field.text, f"{platform}: {field.name} has no words"
        assert f"`{field.name}`" in page, f"{platform}.md does not tell of {field.name}"
