"""`keysentry rules`: list, show, lint and test."""

from __future__ import annotations

import json

import pytest

from keysentry.cli import main
from keysentry.cli.rules_test import render
from keysentry.rules.load import load_rules
from keysentry.tuning.prove import ProofRow

PACK = """
[provider]
id = "acme"
name = "Acme"
docs = "https://docs.acme.example"

[[rule]]
id = "acme.key"
title = "Acme key"
pattern = '''\\b(?P<secret>acme_[0-9a-f]{16})\\b'''
anchors = ["acme_"]
severity = "high"
lifetime = "long-lived"
forge = "acme_{hex:16}"

[[rule.requires]]
name = "id"
pattern = '''\\b(?P<secret>ACME[0-9]{8})\\b'''
forge = "ACME{digit:8}"

[rule.verify]
request = { method = "GET", url = "https://api.acme.example/me", headers = { Authorization = "Bearer {secret}" } }
live = { status = [200] }
dead = { status = [401, 403] }
"""


@pytest.fixture
def pack(tmp_path):
    path = tmp_path / "acme.toml"
    path.write_text(PACK)
    return path


@pytest.fixture
def own(pack):
    return ["--pack", "none", "--rules", str(pack)]


def test_list_table(own, capsys):
    assert main(["rules", "list", *own]) == 0
    header, row, _, count = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "title", "severity", "lifetime", "check", "verify", "revoke"]
    assert row.split() == ["acme.key", "Acme", "key", "high", "long-lived", "-", "yes", "no"]
    assert count == "1 rule"


def test_list_jsonl_tells_every_built_in_rule(capsys):
    assert main(["rules", "list", "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in lines] == [rule.id for rule in load_rules().rules]


def test_list_markdown(own, capsys):
    assert main(["rules", "list", "--format", "md", *own]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert lines[2] == "| acme.key | Acme key | high | long-lived | - | yes | no |"


def test_show_tells_everything(own, capsys):
    assert main(["rules", "show", "acme.key", *own]) == 0
    text = capsys.readouterr().out
    for words in (
        "Acme (acme)",
        "https://docs.acme.example",
        "acme_[0-9a-f]{16}",
        "ACME[0-9]{8}",
        "GET https://api.acme.example/me",
        "alive: 200; dead: 401, 403",
        "acme_{hex:16}",
    ):
        assert words in text


def test_show_offers_the_nearest_id(own, capsys):
    assert main(["rules", "show", "acme.keys", *own]) == 2
    assert "did you mean acme.key?" in capsys.readouterr().err


def test_lint_of_good_rules(pack, capsys):
    assert main(["rules", "lint", str(pack)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "1 rule in 1 file: 0 errors, 0 warnings\n"


def test_the_built_in_rules_have_no_errors(capsys):
    assert main(["rules", "lint"]) == 0
    assert "error:" not in capsys.readouterr().out


def test_lint_tells_every_issue_of_every_file(pack, tmp_path, capsys):
    bad = tmp_path / "bad.toml"
    bad.write_text(
        PACK.replace("{16})", "+)", 1)
        .replace('anchors = ["acme_"]', 'anchors = ["ac"]')
        .replace("acme.key", "acme.other")
    )
    worse = tmp_path / "worse.toml"
    worse.write_text(PACK.replace('severity = "high"', 'severity = "dire"'))
    odd = tmp_path / "odd.toml"
    odd.write_text("[provider\n")
    assert main(["rules", "lint", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("warning:") and "bad.toml: acme.other: pattern:" in line for line in lines)
    assert any("bad.toml: acme.other: anchors:" in line for line in lines)
    assert any(line.startswith("error:") and "worse.toml: acme.key: severity" in line for line in lines)
    assert any("odd.toml: not valid TOML" in line for line in lines)


def test_lint_finds_an_id_that_two_files_use(pack, tmp_path, capsys):
    (tmp_path / "again.toml").write_text(PACK)
    assert main(["rules", "lint", str(tmp_path)]) == 1
    assert "this id is used twice" in capsys.readouterr().out


def test_lint_of_a_file_that_is_not_there(capsys):
    assert main(["rules", "lint", "none.toml"]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_rules_are_proved(own, capsys):
    assert main(["rules", "test", *own, "--count", "2", "--engine", "ahocorasick"]) == 0
    header, row, _, sums = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "rule" and row.split()[0] == "acme.key"
    assert sums.endswith(" 0 missed; near misses reported: 0") and sums.startswith("1 rule, ")


def test_a_rule_that_cannot_be_found_fails_the_proof(tmp_path, capsys):
    """The forge writes capitals, the pattern wants small letters: nothing that is forged can be found."""
    path = tmp_path / "deaf.toml"
    path.write_text(PACK.replace('forge = "acme_{hex:16}"', 'forge = "acme_ABCDEF{digit:10}"'))
    assert main(["rules", "test", "--pack", "none", "--rules", str(path), "--count", "1"]) == 1
    assert "acme.key" in capsys.readouterr().out


def test_proof_table():
    rows = [
        ProofRow("acme.key", 10, 10),
        ProofRow(
            "acme.longer-name", 10, 7, by_other=1, missed=2, near_misses_reported=1, notes=["in JSON", "in a cell"]
        ),
    ]
    lines = render(rows).splitlines()
    assert lines[0].split() == [
        "rule",
        "forged",
        "found",
        "by",
        "another",
        "missed",
        "near",
        "misses",
        "reported",
        "notes",
    ]
    assert lines[2].split() == ["acme.longer-name", "10", "7", "1", "2", "1", "in", "JSON;", "in", "a", "cell"]
    assert lines[-1] == "2 rules, 20 forged: 17 found, 1 by another rule, 2 missed; near misses reported: 1"
