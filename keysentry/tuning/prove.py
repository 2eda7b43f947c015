"""Proves rules: forges what they are for, plants it, and looks whether it is found, by each engine.

Each credential stands in plain text, in JSON, in a chat message and in a CSV cell. Near misses (a character short, a
character outside the alphabet, a placeholder) must not be reported by the rule.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from keysentry.checks import CHECKS
from keysentry.engine.program import EngineName
from keysentry.model.finding import Finding
from keysentry.model.record import Record
from keysentry.rules.schema import Rule, RuleSet
from keysentry.scan.scanner import Scanner
from keysentry.tuning.specimens import Specimen, as_csv, as_json, as_message, plain, specimens

_KEY = b"proofs need no secret key"
Scan = Callable[[Scanner, Specimen], list[Finding]]


class ProofRow(msgspec.Struct):
    """What the proof of one rule gave. `forged` counts places (a credential in each of the forms); `by_other` those
    that another rule reported; `missed` names forms and engines."""

    rule: str
    forged: int = 0
    found: int = 0
    by_other: int = 0
    missed: int = 0
    near_misses_reported: int = 0
    notes: list[str] = []


def _text(form: Callable[[Specimen], bytes]) -> Scan:
    return lambda scanner, specimen: scanner.scan_text(form(specimen))


def _record(form: Callable[[Specimen], Record]) -> Scan:
    return lambda scanner, specimen: [finding for _, finding in scanner.scan_records([form(specimen)])]


FORMS: dict[str, Scan] = {
    "plain text": _text(plain),
    "JSON": _text(as_json),
    "a chat message": _record(as_message),
    "a CSV cell": _text(as_csv),
}


def prove(
    rule_set: RuleSet, *, count: int = 5, seed: int = 0, engines: tuple[str, ...] = ("vectorscan", "ahocorasick")
) -> list[ProofRow]:
    """Prove every rule of a set: `count` credentials each, in every form, under every engine."""
    scanners = [Scanner(rule_set, engine=cast("EngineName", engine), key=_KEY) for engine in engines]
    return [_prove(rule, scanners, count, seed) for rule in rule_set.rules]


def _prove(rule: Rule, scanners: list[Scanner], count: int, seed: int) -> ProofRow:
    row = ProofRow(rule.id)
    if not rule.forge:
        row.notes.append("no forge template: nothing to prove it with")
        return row
    for specimen in specimens(rule, count, seed):
        for form, scan in FORMS.items():
            if rule.generic and form == "a CSV cell":
                continue  # a bare value under no header: what its name is, only the spreadsheet reader will know
            for scanner in scanners:
                _note(row, rule, specimen, form, scanner, scan(scanner, specimen))
        for near in near_misses(rule, specimen, random.Random(seed)):  # noqa: S311  synthetic values
            for scanner in scanners:
                for _form, scan in FORMS.items():
                    row.near_misses_reported += any(
                        found.rule == rule.id and found.secret.reveal() == near.secret for found in scan(scanner, near)
                    )
    return row


def _note(row: ProofRow, rule: Rule, specimen: Specimen, form: str, scanner: Scanner, found: list[Finding]) -> None:
    row.forged += 1
    rules = [finding.rule for finding in found if _same(finding.secret.reveal(), specimen.secret)]
    if rule.id in rules:
        row.found += 1
    elif rules:
        row.by_other += 1
        _once(row.notes, f"{form}: found by {rules[0]}")
    else:
        row.missed += 1
        _once(row.notes, f"{form}: missed ({scanner.engine})")


def _same(found: str, forged: str) -> bool:
    """Whether a found secret is the forged one, which a template may have written with its line ends escaped."""
    return found in (forged, forged.replace("\\n", "\n"))


def _once(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)


def near_misses(rule: Rule, specimen: Specimen, rng: random.Random) -> Iterator[Specimen]:
    """Values that are nearly what a rule is for, and that its pattern and its checks must refuse."""
    value = specimen.secret
    if rule.generic or specimen.spread or len(value) < 12 or specimen.text != value:
        return
    broken = rng.randrange(len(value) // 2, len(value) - 1)
    swapped = "x" if value[broken] != "x" else "y"
    for near in (
        value[:broken] + "!" + value[broken + 1 :],
        value[:broken] + swapped + value[broken + 1 :],
        value[:-1],
    ):
        if _refused(rule, near):
            yield msgspec.structs.replace(specimen, text=near, secret=near)
    yield msgspec.structs.replace(
        specimen, text=value[:6] + "x" * (len(value) - 6), secret=value[:6] + "x" * (len(value) - 6)
    )


def _refused(rule: Rule, value: str) -> bool:
    """Whether a rule's own pattern does not match a value as a whole, or one of its checks kills it."""
    import regex

    pattern = f"(?P<secret>{rule.pattern})" if rule.near else rule.pattern
    match = regex.fullmatch(pattern.encode(), value.encode())
    if match is None:
        return True
    return any(CHECKS[name](match.group("secret")).valid is False for name in rule.check)
