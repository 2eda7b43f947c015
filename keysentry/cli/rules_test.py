"""`keysentry rules test`: forge every rule's credential, plant it, and see whether each engine finds it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keysentry.cli.parser import Parser, whole
from keysentry.cli.rule_options import add_rule_options, load_chosen
from keysentry.report.closing import plural

if TYPE_CHECKING:
    from keysentry.tuning.prove import ProofRow

ENGINES = ("vectorscan", "ahocorasick")


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
    from keysentry.tuning.prove import prove

    engines = tuple(arguments.engine) or ENGINES
    rows = prove(load_chosen(arguments), count=arguments.count, seed=arguments.seed, engines=engines)
    sys.stdout.write(render(rows))
    return 1 if any(row.missed for row in rows) else 0


def render(rows: Sequence[ProofRow]) -> str:
    """One line a rule, and the sums."""
    header = ("rule", "forged", "found", "by another", "missed", "near misses reported", "notes")
    cells = [(row.rule, *map(str, _figures(row)), "; ".join(row.notes)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if 0 < at < len(header) - 1 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, *cells]
    ]
    forged, found, other, missed, near = (sum(column) for column in zip(*map(_figures, rows), strict=True))
    sums = f"{plural(len(rows), 'rule')}, {forged} forged: {found} found, {other} by another rule, {missed} missed"
    return "\n".join([*lines, "", f"{sums}; near misses reported: {near}", ""])


def _figures(row: ProofRow) -> tuple[int, ...]:
    return (row.forged, row.found, row.by_other, row.missed, row.near_misses_reported)
