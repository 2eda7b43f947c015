"""JSON: what is found equals what a full decode would show, at the right line, column and field."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from keysentry.extraction.jsonpath import path_at
from keysentry.rules.forge import forge
from keysentry.scan.options import FileOptions
from keysentry.tuning.specimens import specimens
from tests.engine import compiled
from tests.scan.place import secrets


@cache
def values() -> list[str]:
    """Texts with credentials that JSON must escape in every way: line ends, quotes, slashes, what is not ASCII."""
    chosen = [
        rule
        for rule in compiled.rules().rules
        if rule.forge and not (rule.near or rule.requires or rule.generic or "service-account" in rule.id)
    ]
    found = []
    for number, rule in enumerate(chosen):
        [specimen] = specimens(rule, 1, 7)
        form = ('say "{}"\n', "\t{}\r\nnext", "C:\\{}\\x", "{}", "grüße 🔑 {} ends", "a/b {} </p>")[number % 6]
        found.append(form.replace("{}", specimen.text))
    return found


def strings(value: Any) -> Iterator[str]:
    """Every string of a decoded text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def numbered(text: str) -> str:
    """The same JSON with every third letter inside its strings written by its number."""
    out, inside, at = [], False, 0
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            out.append(text[at : at + 2])
            at += 2
            continue
        inside ^= sign == '"'
        out.append(f"\\u{ord(sign):04x}" if inside and sign.isalnum() and sign.isascii() and at % 3 == 0 else sign)
        at += 1
    return "".join(out)


def slashed(text: str) -> str:
    return text.replace("/", "\\/")


def slashes_by_number(text: str) -> str:
    return text.replace("/", "\\u002f")


def plain(text: str) -> str:
    return text


WRITINGS = {
    "as it is": (plain, {"ensure_ascii": False}),
    "in ASCII": (plain, {}),
    "indented": (plain, {"indent": 2}),
    "without blanks": (plain, {"separators": (",", ":")}),
    "slashes escaped": (slashed, {}),
    "slashes by number": (slashes_by_number, {}),
}


def of_decoded(scanner, document: Any) -> set[str]:
    """The secrets in the strings of a decoded document, each scanned for itself."""
    return {finding.secret.reveal() for text in strings(document) for finding in scanner.scan_text(text)}


@pytest.mark.parametrize("name", WRITINGS)
def test_what_is_found_is_what_a_decode_shows(each_scanner, tmp_path, name):
    rewrite, settings = WRITINGS[name]
    document = {"items": [{"id": number, "text": text} for number, text in enumerate(values())]}
    (tmp_path / "a.json").write_text(rewrite(json.dumps(document, **settings)))
    found = list(each_scanner.scan_path(tmp_path / "a.json"))
    assert {finding.secret.reveal() for finding in found} == of_decoded(each_scanner, document)
    assert len(found) > 200
    for finding in found:
        [step] = [step for step in finding.location.route if step.kind == "field"]
        number = int(step.name.removeprefix("items[").removesuffix("].text"))
        assert finding.secret.reveal() in values()[number]


def test_json_in_a_string_of_json(each_scanner, tmp_path):
    inner = json.dumps({"items": [text for text in values() if "\\" not in text]})
    document = {"payload": inner, "n": 1}
    (tmp_path / "a.json").write_text(json.dumps(document))
    found = {finding.secret.reveal() for finding in each_scanner.scan_path(tmp_path / "a.json")}
    assert found == of_decoded(each_scanner, json.loads(inner))
    for finding in each_scanner.scan_path(tmp_path / "a.json"):
        assert [step.name for step in finding.location.route if step.kind == "field"] == ["payload"]


def test_letters_by_number(each_scanner, tmp_path):
    """Every string with a third of its letters as `\\u0041` gives the secrets that it gives without."""
    token = [text for text in values() if len(text) < 200]
    (tmp_path / "a.json").write_text(numbered(json.dumps({"items": token}, ensure_ascii=False)))
    assert json.loads((tmp_path / "a.json").read_text())["items"] == token
    found = {finding.secret.reveal() for finding in each_scanner.scan_path(tmp_path / "a.json")}
    assert found == of_decoded(each_scanner, token)


def check_place(data: bytes, finding: Any) -> None:
    """Line, column, span and field of a finding fit each other and the text."""
    location = finding.location
    before = data[: location.span.start].decode()
    assert location.line == before.count("\n") + 1
    assert location.column == len(before) - (before.rfind("\n") + 1) + 1
    raw = data[location.span.start : location.span.end].decode()
    assert json.loads(f'"{raw}"') == finding.secret.reveal()


@pytest.mark.parametrize("name", WRITINGS)
def test_the_place_is_right(scanner, tmp_path, name):
    rewrite, settings = WRITINGS[name]
    path = tmp_path / "a.json"
    path.write_text(rewrite(json.dumps({"a b": {"list": [0, *values()]}}, **settings)))
    data = path.read_bytes()
    found = list(scanner.scan_path(path))
    assert len(found) > 200
    for finding in found:
        check_place(data, finding)
        field = path_at(data, finding.location.span.start)
        assert [step.name for step in finding.location.route] == [field]
        assert str(field).startswith('["a b"].list[')


def token(number: int = 0) -> str:
    return forge(compiled.rule("github.pat-classic").forge, random.Random(number))


def test_lines_of_json(scanner, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"n": n, "deep": [{"t": f'"{token(n)}"'}]}) + "\n" for n in range(50)))
    found = list(scanner.scan_path(path))
    assert secrets(found) == [token(n) for n in range(50)]
    for number, finding in enumerate(found):
        check_place(path.read_bytes(), finding)
        assert finding.location.line == number + 1
        assert finding.location.part == "deep[0].t"


def test_a_key_that_is_a_secret(scanner, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"users": {token(): {"x": 1}}}))
    [finding] = scanner.scan_path(tmp_path / "a.json")
    assert finding.secret.reveal() == token()


def test_deep_json(scanner, tmp_path):
    depth = 100_000
    (tmp_path / "a.json").write_text("[" * depth + f'"{token()}"' + "]" * depth)
    scan = scanner.scan_path(tmp_path / "a.json")
    assert secrets(scan) == [token()]
    assert scan.summary.complete


def test_broken_json_is_text(scanner, tmp_path):
    (tmp_path / "a.json").write_text('{"a": "' + token() + '", oh no }}} "b": "' + token(1) + '"')
    assert secrets(scanner.scan_path(tmp_path / "a.json")) == [token(), token(1)]


def test_an_escape_is_not_undone_twice(scanner, tmp_path):
    """A backslash that is itself escaped stays: what stands in the string is a backslash and an `n`."""
    text = f"\\n{token()}"
    (tmp_path / "a.json").write_text(json.dumps({"t": text}))
    assert "\\\\n" in (tmp_path / "a.json").read_text()
    found = set(secrets(scanner.scan_path(tmp_path / "a.json")))
    assert found == of_decoded(scanner, text)


def test_field_paths_in_a_large_document(scanner, tmp_path):
    """The field is told also where a document is read in pieces."""
    document = [{"n": number, "pad": "x" * 4000, "t": f"use {token(number)}"} for number in range(1500)]
    (tmp_path / "a.json").write_text(json.dumps(document))
    found = list(scanner.scan_path(tmp_path / "a.json", FileOptions()))
    assert secrets(found) == [token(number) for number in range(1500)]
    assert [finding.location.part for finding in found] == [f"[{number}].t" for number in range(1500)]
