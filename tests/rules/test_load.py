"""Rule packs: every fault of every file at once, with its file, rule and field; packs by name, files by path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keysentry.errors import ConfigError, RulePackError
from keysentry.model.finding import Severity
from keysentry.rules.load import (
    PACKS_FILE,
    built_in_root,
    built_in_sources,
    content_hash,
    decode,
    decode_rules,
    file_sources,
    load_rules,
    merge,
    pack_sets,
)

FAULTS = Path(__file__).parent / "faults"

GOOD = """
[provider]
id = "{0}"
name = "Name of {0}"
docs = "https://docs.{0}.example"

[[rule]]
id = "{0}.key"
title = "Key of {0}"
pattern = '''\\b(?P<secret>{0}_[0-9a-f]{{32}})\\b'''
severity = "critical"
"""


def message(*paths: Path) -> str:
    with pytest.raises(RulePackError) as raised:
        load_rules(*paths, pack=None)
    text = str(raised.value).replace(f"{FAULTS}/", "")
    # What is known grows; a golden file that lists it would change with every new check.
    return re.sub(r"known: [\w, -]+", "known: ...", text)


def test_every_fault_of_every_file_is_told_at_once():
    """As a person reads it: the golden file is what stands in the terminal."""
    assert message(FAULTS) + "\n" == (FAULTS / "faults.out").read_text()


def test_each_fault_knows_its_place():
    with pytest.raises(RulePackError) as raised:
        load_rules(FAULTS, pack=None)
    places = {(Path(error.file).name, error.rule, error.field) for error in raised.value.errors}
    assert ("acme.toml", "acme.key", "check") in places
    assert ("acme.toml", "acme.pair", "requires.id") in places
    assert ("bolt.toml", "bolt.token", "severity") in places
    assert {name for name, _rule, _field in places} == {"acme.toml", "bolt.toml", "crux.toml", "dash.toml"}


WRONG = {
    "nothing at all": ("", "missing required field `provider`"),
    "an unknown field": (GOOD.format("a1b") + "color = 'red'\n", "a1b.key: .*unknown field `color`"),
    "no pattern": (
        "[provider]\nid='a'\nname='A'\n[[rule]]\nid='a.b'\ntitle='T'\n",
        "a.b: .*missing required field `pattern`",
    ),
    "a wrong type": (GOOD.format("a1b") + "confidence = 'high'\n", "a1b.key: confidence: Expected `float`"),
    "a rule without an id": ("[provider]\nid='a'\nname='A'\n[[rule]]\ntitle='T'\npattern='x'\n", "rule 0: .*`id`"),
    "no TOML": ("[provider\n", "not valid TOML"),
    "bytes that are no UTF-8": (b"[provider]\nid = '\xff'\n", "not valid TOML|utf-8"),
    "a rule that is no table": ("rule = 3\n[provider]\nid='a'\nname='A'\n", "rule"),
    "an unknown section": (GOOD.format("a1b") + "[other]\nx = 1\n", "unknown field `other`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_can_be_wrong_with_a_file(tmp_path, name):
    text, expected = WRONG[name]
    (tmp_path / "x.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    told = message(tmp_path / "x.toml")
    assert re.search(expected, told, re.IGNORECASE), told
    assert str(tmp_path / "x.toml") in told


def test_files_and_folders(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.toml").write_text(GOOD.format("bolt"))
    (tmp_path / "sub" / "a.toml").write_text(GOOD.format("acme"))
    (tmp_path / "notes.txt").write_text("no rules")
    (tmp_path / PACKS_FILE).write_text("[x]\ntitle='X'\ninclude=['*']\n")
    rule_set = load_rules(tmp_path, pack=None)
    assert [rule.id for rule in rule_set.rules] == ["acme.key", "bolt.key"]
    assert rule_set.providers["acme.key"].name == "Name of acme"
    assert rule_set.rules[0].severity is Severity.CRITICAL
    assert load_rules(str(tmp_path / "b.toml"), pack=None).rules == (rule_set.rules[1],)


def test_an_id_that_is_used_in_two_files(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD.format("acme"))
    (tmp_path / "b.toml").write_text(GOOD.format("acme"))
    assert message(tmp_path).count("b.toml: acme.key: id: this id is used twice") == 1


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.toml: No such file or directory \(name a readable file\)"):
        load_rules(tmp_path / "gone.toml")


def test_named_sets():
    sets = pack_sets(built_in_root())
    assert {"default", "strict", "dlp"} <= set(sets)
    names = {name: {source.name for source in built_in_sources(name)} for name in sets}
    assert names["default"] <= names["dlp"]
    assert PACKS_FILE.removesuffix(".toml") not in names["dlp"]
    assert not any(name.startswith("pii/") for name in names["default"])
    assert [source.name for source in built_in_sources()] == sorted(names["default"])


def test_each_named_set_says_what_it_is():
    """A set that is described as smaller than another is."""
    ids = {name: {rule.id for rule in load_rules(pack=name).rules} for name in pack_sets(built_in_root())}
    assert ids["strict"] < ids["default"] <= ids["dlp"]


def test_a_named_set_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"there is no pack 'x' \(choose from: default, dlp, strict"):
        built_in_sources("x")


def test_rules_in_code():
    assert [rule.id for rule in decode_rules(GOOD.format("acme")).rules] == ["acme.key"]
    with pytest.raises(RulePackError, match="my rules: not valid TOML"):
        decode_rules("[", "my rules")


def test_of_rules_with_one_id_the_last_stands():
    first = decode_rules(GOOD.format("acme") + "\n[[rule]]\nid='acme.b'\ntitle='B'\npattern='(?P<secret>acmeb)'\n")
    second = decode_rules(GOOD.format("acme").replace("Key of acme", "Another title"))
    merged = merge(first, second)
    assert [(rule.id, rule.title) for rule in merged.rules] == [("acme.b", "B"), ("acme.key", "Another title")]
    assert set(merged.providers) == {"acme.b", "acme.key"}


def test_the_hash_is_that_of_contents(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.toml").write_text(GOOD.format("acme"))
    one, two = (file_sources([tmp_path / folder / "a.toml"]) for folder in ("one", "two"))
    assert content_hash(one, "x") == content_hash(two, "x") != content_hash(one, "y")
    (tmp_path / "two" / "a.toml").write_text(GOOD.format("acme") + "\n")
    assert content_hash(one, "x") != content_hash(file_sources([tmp_path / "two" / "a.toml"]), "x")
    assert len(decode(one).rules) == 1
