"""What a rule must keep to, as small named checks: each says what is wrong, in which field, and what to do.

Errors stop a rule from loading (the engine could not run it truly); warnings are for rule authors.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
import regex

from keysentry.checks import CHECKS
from keysentry.errors import ForgeError, RuleError
from keysentry.rules.forge import forge
from keysentry.rules.keyed import full_pattern
from keysentry.rules.schema import Request, Rule


class Issue(msgspec.Struct, frozen=True):
    """One thing wrong with a rule."""

    level: Literal["error", "warning"]
    name: str
    field: str
    text: str


Linter = Callable[[Rule], Iterator[Issue]]
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)+")
_UNBOUNDED = re.compile(r"(?<!\\)(?:\\\\)*(?:[*+](?![^\[\]]*\])|\{\d+,\})")
_ANCHORED = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[AZz]|[\^$](?![^\[\]]*\]))")

_HOST = re.compile(
    r"(?:(?:[0-9a-z-]|\{[a-z][a-z0-9_-]*\})+\.)?[0-9a-z-]+(?:\.[0-9a-z-]+)+(?::[0-9]{1,5})?(?=[/?]|$)"
    r"|\{[a-z][a-z0-9_-]*\}(?=[/?]|$)"
)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_-]{0,40})\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WHERE = re.compile(r"(?:header|xml):[0-9A-Za-z_-]+|[^.\[\]:\s]+(?:\.[^.\[\]:\s]+|\[[0-9]+\])*")
_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[1-9]|\(\?P=)")


def _compiles(rule: Rule) -> Iterator[Issue]:
    for field, pattern in _patterns(rule):
        try:
            compiled = regex.compile(pattern.encode())
        except regex.error as error:
            yield Issue("error", "pattern-compiles", field, f"not a regular expression: {error}")
            continue
        if list(compiled.groupindex) != ["secret"] or compiled.groups != 1:
            text = "needs exactly one group, named secret: (?P<secret>...)"
            yield Issue("error", "one-secret-group", field, text)


def _patterns(rule: Rule) -> Iterator[tuple[str, str]]:
    yield "pattern", full_pattern(rule)
    for requirement in rule.requires:
        yield f"requires.{requirement.name}", requirement.pattern


def _id_form(rule: Rule) -> Iterator[Issue]:
    if not _ID.fullmatch(rule.id):
        yield Issue("error", "id-form", "id", "write provider.kind in small letters, digits and hyphens")


def _known_checks(rule: Rule) -> Iterator[Issue]:
    for name in rule.check:
        if name not in CHECKS:
            known = ", ".join(sorted(CHECKS))
            yield Issue("error", "known-check", "check", f"there is no check {name!r}; known: {known}")


def _numbers(rule: Rule) -> Iterator[Issue]:
    if not 0 < rule.confidence < 1:
        yield Issue("error", "confidence-range", "confidence", "must lie between 0 and 1")
    if rule.alone is not None and not rule.requires:
        yield Issue("error", "alone-needs-requires", "alone", "only means something with requires")


def _bounded(rule: Rule) -> Iterator[Issue]:
    for field, pattern in [("pattern", rule.pattern), *((f"requires.{r.name}", r.pattern) for r in rule.requires)]:
        if _UNBOUNDED.search(_without_classes(pattern)):
            yield Issue("warning", "bounded", field, "a repeat has no maximum: write {1,200} for + and {0,200} for *")
        if _ANCHORED.search(_without_classes(pattern)):
            yield Issue("warning", "no-line-anchors", field, "use \\b or a look-around for ^, $, \\A and \\Z")


def _without_classes(pattern: str) -> str:
    return re.sub(r"(?<!\\)\[(?:\\.|[^\]\\])+\]", "C", pattern)


def _plain(rule: Rule) -> Iterator[Issue]:
    for field, pattern in [("pattern", rule.pattern), *((f"requires.{r.name}", r.pattern) for r in rule.requires)]:
        if not pattern.isascii():
            yield Issue("warning", "ascii", field, "a letter outside ASCII is not found in its escaped forms")
        if _BACK_REFERENCE.search(_without_classes(pattern)):
            yield Issue("warning", "no-back-references", field, "a back-reference cannot be prefiltered: write it out")


def _anchored(rule: Rule) -> Iterator[Issue]:
    for anchor in rule.anchors:
        if len(anchor) < 3:
            yield Issue("warning", "anchor-length", "anchors", f"{anchor!r} is shorter than three characters")
    if not rule.anchors and not rule.near:
        yield Issue(
            "warning", "anchors", "anchors", "without a literal the portable engine must try the rule everywhere"
        )


def _forges(rule: Rule) -> Iterator[Issue]:
    if not rule.forge:
        yield Issue("warning", "forge", "forge", "without a template the rule cannot be proved")
        return
    try:
        forge(rule.forge, random.Random(0))  # noqa: S311  synthetic values, not secrets
    except ForgeError as error:
        yield Issue("error", "forge", "forge", str(error))


def _requests(rule: Rule) -> Iterator[Issue]:
    """What a request keeps to: HTTPS, a host that the rule names, placeholders that will be known, one body."""
    names = {"secret", *(one.name for one in rule.requires if one.role == "id")}
    names |= {"id"} if any(one.role == "secret" for one in rule.requires) else set()
    for field, one in (("verify", rule.verify), ("revoke", rule.revoke)):
        if one is None:
            continue
        request = one.request
        if not request.url.startswith("https://"):
            yield Issue("error", "https-only", field, "requests go over HTTPS only")
        host = _HOST.match(request.url.partition("://")[2])
        if host is None:
            text = "name the host: letters, or a placeholder before a domain of two labels ({tenant}.acme.example)"
            yield Issue("error", "named-host", field, text)
        for name in sorted(set(_PLACEHOLDER.findall(_written(request))) - names):
            known = ", ".join(sorted(names))
            yield Issue("error", "known-placeholder", field, f"{{{name}}} will never be known; known: {known}")
        if sum((request.json is not None, bool(request.form), bool(request.body))) > 1:
            yield Issue("error", "one-body", field, "a request has one of json, form and body")
        for name, value in request.headers.items():
            if not _HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()):
                yield Issue("error", "header-form", field, f"{name!r} cannot be a header of visible ASCII")


def _written(request: Request) -> str:
    """All of a request in which a placeholder may stand."""
    body = msgspec.json.encode(request.json).decode() if request.json is not None else request.body
    return "\n".join((request.url, *request.headers.values(), body, *request.form.values(), *(request.basic or ())))


def _told(rule: Rule) -> Iterator[Issue]:
    """Where an answer tells of its owner and scopes."""
    if rule.verify is None:
        return
    for field, where in (("identity", rule.verify.identity), ("scopes", rule.verify.scopes)):
        if where and not _WHERE.fullmatch(where):
            text = "write a path into JSON (user.login, items[0].id), header:NAME or xml:ELEMENT"
            yield Issue("error", "place-form", f"verify.{field}", text)


LINTERS: tuple[Linter, ...] = (
    _id_form, _compiles, _known_checks, _numbers, _bounded, _plain, _anchored, _forges, _requests, _told,
)  # fmt: skip


def lint(rule: Rule) -> list[Issue]:
    """Everything that is wrong with a rule, errors and warnings."""
    return [issue for linter in LINTERS for issue in linter(rule)]


def errors_of(rule: Rule, file: str) -> list[RuleError]:
    """The faults that stop a rule from loading, as errors that name the file."""
    return [
        RuleError(issue.text, file=file, rule=rule.id, field=issue.field)
        for issue in lint(rule)
        if issue.level == "error"
    ]
