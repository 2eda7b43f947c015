"""`keysentry rules show`: everything that is known of one rule."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from keysentry.advice import closest
from keysentry.cli.parser import Parser
from keysentry.cli.rule_options import add_rule_options, load_chosen
from keysentry.errors import ConfigError
from keysentry.rules.schema import Provider, Request, Rule


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the rule's id, as keysentry rules list tells it")
    add_rule_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the rule on standard output."""
    rule_set = load_chosen(arguments)
    rules = {rule.id: rule for rule in rule_set.rules}
    if arguments.id not in rules:
        advice = closest(arguments.id, rules) or "keysentry rules list tells all of them"
        raise ConfigError(f"there is no rule {arguments.id!r}", advice=advice)
    rule = rules[arguments.id]
    fields = list(_fields(rule, rule_set.providers[rule.id]))
    width = max(len(name) for name, _ in fields)
    sys.stdout.writelines(f"{name:<{width}}  {text}".rstrip() + "\n" for name, text in fields)
    return 0


def _fields(rule: Rule, provider: Provider) -> Iterator[tuple[str, str]]:
    """Name and text of what the rule says; what it does not say is left out."""
    yield "id", rule.id
    yield "title", rule.title
    yield "provider", f"{provider.name} ({provider.id})"
    yield "documentation", rule.docs or provider.docs or "none named"
    yield "category", rule.category
    yield "severity", rule.severity.value
    yield "lifetime", rule.lifetime.value
    yield "confidence", f"{rule.confidence:g} before context{', generic' if rule.generic else ''}"
    yield from _seen_by(rule)
    yield "offline checks", ", ".join(rule.check) or "none"
    yield "forge", rule.forge or "none: the rule cannot be proved"
    yield from _requests(rule)


def _seen_by(rule: Rule) -> Iterator[tuple[str, str]]:
    yield "pattern", rule.pattern
    if rule.near:
        yield "near", ", ".join(rule.near)
    if rule.anchors:
        yield "anchors", ", ".join(rule.anchors)
    if rule.min_entropy:
        yield "least entropy", f"{rule.min_entropy:g} bits a character"
    for part in rule.requires:
        yield f"with {part.name}", f"{part.pattern} within {part.within} lines ({part.role})"
    if rule.alone is not None:
        yield "alone", f"confidence {rule.alone:g} when the other half is missing"
    for pattern in rule.allow:
        yield "never reported", pattern


def _requests(rule: Rule) -> Iterator[tuple[str, str]]:
    """The endpoints, which are only ever called on explicit opt-in."""
    if rule.verify is None:
        yield "verify", "no"
    else:
        yield "verify", _request(rule.verify.request)
        yield "", f"alive: {_statuses(rule.verify.live.status)}; dead: {_statuses(rule.verify.dead.status)}"
    if rule.revoke is None:
        yield "revoke", "no"
    else:
        yield "revoke", _request(rule.revoke.request)
        yield "", f"done: {_statuses(rule.revoke.done.status)}"


def _request(request: Request) -> str:
    signed = f", signed by {request.function}" if request.function else ""
    return f"{request.method} {request.url}{signed}"


def _statuses(statuses: list[int]) -> str:
    return ", ".join(map(str, statuses))
