"""`keysentry rules test`: forge every rule's credential, plant it, and see whether each engine finds it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Protocol

from keysentry.cli.parser import Parser, whole
from keysentry.cli.rule_options import add_rule_options, load_chosen

ENGINES = ("vectorscan", "ahocorasick")


class Row(Protocol):
    """What the proof says of one rule."""

    rule: str
    forged: int
    found: int
    missed: int
    near_misses_reported: int
    notes: Sequence[str] | str


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--count", type=whole(1), default=5, metavar="N", help="credentials a rule (default: 5)")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="what they are forged from (default: 0)")
    parser.add_argument(
        "--engine", choices=ENGINES, action="append", default=[], help="only this engine (repeatable; default: both)"
    )
    add_rule_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prove the rules and write a table; 1 if a forged credential was missed."""
    prove = importlib.import_module("keysentry.tuning.prove").prove
    engines = tuple(arguments.engine) or ENGINES
    rows: Sequence[Row] = prove(load_chosen(arguments), count=arguments.count, seed=arguments.seed, engines=engines)
    sys.stdout.write(render(rows))
    return 1 if any(row.missed for row in rows) else 0


def render(rows: Sequence[Row]) -> str:
    """One line a rule, and the sums."""
    header = ("rule", "forged", "found", "missed", "near misses reported", "notes")
    cells = [
        (
            row.rule,
            str(row.forged),
            str(row.found),
            str(row.missed),
            str(row.near_misses_reported),
            row.notes if isinstance(row.notes, str) else "; ".join(row.notes),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if 0 < at < 5 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, *cells]
    ]
    missed = sum(row.missed for row in rows)
    near = sum(row.near_misses_reported for row in rows)
    forged = sum(row.forged for row in rows)
    sums = f"{len(rows)} rules, {forged} forged, {missed} missed, {near} near misses reported"
    return "\n".join([*lines, "", sums, ""])
