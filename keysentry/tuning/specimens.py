"""Forged credentials as they stand in texts: named where their rule needs a name, with their other half where it
needs one.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator
from re import _constants as sre  # type: ignore[attr-defined]  # the parser of the standard library, not declared
from re import _parser as sre_parse  # type: ignore[attr-defined]
from typing import Any

import msgspec

from keysentry.model.record import Part, Record, Segment
from keysentry.rules.forge import forge
from keysentry.rules.schema import Rule


class Specimen(msgspec.Struct, frozen=True):
    """A forged credential: the text that shows it, the name that goes before it (empty: none needed), and the secret
    in it.
    """

    text: str
    name: str
    secret: str
    companions: tuple[tuple[str, str], ...] = ()
    spread: bool = False
    """Whether the text has several lines."""


def specimens(rule: Rule, count: int, seed: int = 0) -> Iterator[Specimen]:
    """Forge `count` credentials of a rule, the same for the same seed."""
    import regex

    rng = random.Random(f"{rule.id} {seed}")  # noqa: S311  synthetic values, not secrets
    pattern = None if rule.near else regex.compile(rule.pattern.encode())
    for _ in range(count):
        text = forge(rule.forge, rng)
        secret, name = text, simplest(rule.near[0]) + "_key" if rule.near else ""
        if pattern is not None:
            match = pattern.search(f" {text} ".encode())
            secret = match.group("secret").decode() if match else text
            name = "db_password" if rule.generic and not match else ""
        others = tuple((other.name, forge(other.forge, rng)) for other in rule.requires)
        for (_, value), other in zip(others, rule.requires, strict=True):
            if other.role == "secret":
                found = regex.search(other.pattern.encode(), f" {value} ".encode())
                secret = found.group("secret").decode() if found else value
        yield Specimen(text, name, secret, others, "\n" in text)


def simplest(pattern: str) -> str:
    """A text that a pattern matches: the first of every choice, as few repeats as it allows."""
    return _simplest(sre_parse.parse(pattern))


def _simplest(nodes: Iterable[tuple[Any, Any]]) -> str:
    return "".join(_SIMPLEST.get(kind, _nothing)(value) for kind, value in nodes)


def _nothing(_value: Any) -> str:
    return ""


def _in(items: Any) -> str:
    kind, value = items[0]
    return _SIMPLEST.get(kind, _nothing)(value)


_SIMPLEST: dict[Any, Callable[[Any], str]] = {
    sre.LITERAL: chr,
    sre.IN: _in,
    sre.RANGE: lambda value: chr(value[0]),
    sre.CATEGORY: lambda value: {sre.CATEGORY_DIGIT: "0", sre.CATEGORY_SPACE: " "}.get(value, "a"),
    sre.ANY: lambda _value: "_",
    sre.MAX_REPEAT: lambda value: _simplest(value[2]) * int(value[0]),
    sre.MIN_REPEAT: lambda value: _simplest(value[2]) * int(value[0]),
    sre.SUBPATTERN: lambda value: _simplest(value[3]),
    sre.BRANCH: lambda value: _simplest(value[1][0]),
}


def _assigned(specimen: Specimen, form: str) -> str:
    lines = [form.format(name=specimen.name, value=specimen.text) if specimen.name else specimen.text]
    # A companion that brings its own name and a separator stands as it is.
    lines += [value if " " in value else form.format(name=name, value=value) for name, value in specimen.companions]
    return "\n".join(lines)


def plain(specimen: Specimen) -> bytes:
    """As lines of a configuration file, or in a sentence where no name is needed."""
    if specimen.name or specimen.companions:
        return (_assigned(specimen, '{name} = "{value}"') + "\n").encode()
    return f"Please use {specimen.text} for now\n".encode()


def as_json(specimen: Specimen) -> bytes:
    """As fields of one JSON object."""
    fields = {"title": 'a "quoted" note', specimen.name or "note": specimen.text, **dict(specimen.companions)}
    return json.dumps({"items": [fields]}, indent=1).encode()


def as_csv(specimen: Specimen) -> bytes:
    """As rows of a name and a value."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(("name", "value"))
    rows.writerow((specimen.name or "note", specimen.text))
    rows.writerows(specimen.companions)
    return out.getvalue().encode()


def as_message(specimen: Specimen) -> Record:
    """As a chat message."""
    form = "{name}: {value}"
    text = _assigned(specimen, form) if specimen.name or specimen.companions else f"hey, this is it: {specimen.text}"
    return Record(id="1", chat=True, author="ann", container="#ops", parts=(Part(segment=Segment(text.encode())),))
