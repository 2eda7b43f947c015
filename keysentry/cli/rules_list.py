"""`keysentry rules list`: the rules, one a line."""

from __future__ import annotations

import argparse
import sys

from keysentry.cli.parser import Parser
from keysentry.cli.rule_options import add_rule_options, load_chosen
from keysentry.rules.schema import Rule

COLUMNS = ("id", "title", "severity", "lifetime", "check", "verify", "revoke")


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--format", choices=("table", "jsonl", "md"), default="table", help="default: table")
    add_rule_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """List the rules on standard output."""
    rules = load_chosen(arguments).rules
    if arguments.format == "jsonl":
        _write_jsonl(rules)
        return 0
    rows = [_cells(rule) for rule in rules]
    sys.stdout.write(_markdown(rows) if arguments.format == "md" else _table(rows))
    return 0


def _cells(rule: Rule) -> tuple[str, ...]:
    return (
        rule.id,
        rule.title,
        rule.severity.value,
        rule.lifetime.value,
        ", ".join(rule.check) or "-",
        "yes" if rule.verify else "no",
        "yes" if rule.revoke else "no",
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [COLUMNS, *rows]
    ]
    return "\n".join([*lines, "", f"{len(rows)} rule{'' if len(rows) == 1 else 's'}", ""])


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [COLUMNS, *rows]]
    lines.insert(1, "| " + " | ".join("---" for _ in COLUMNS) + " |")
    return "\n".join([*lines, ""])


def _write_jsonl(rules: tuple[Rule, ...]) -> None:
    import msgspec

    for rule in rules:
        line = {
            "id": rule.id,
            "title": rule.title,
            "severity": rule.severity,
            "lifetime": rule.lifetime,
            "category": rule.category,
            "check": rule.check,
            "verify": rule.verify is not None,
            "revoke": rule.revoke is not None,
            "docs": rule.docs,
        }
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
