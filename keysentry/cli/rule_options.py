"""The options that choose rules, alike in every command that has them."""

from __future__ import annotations

import argparse

from keysentry.rules.schema import RuleSet

NO_PACK = "none"


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """Add `--rules` and `--pack`."""
    group = parser.add_argument_group("rules")
    group.add_argument(
        "--rules",
        action="append",
        default=[],
        metavar="FILE",
        help="a rule file, or a folder of them, beside the built-in rules (repeatable)",
    )
    group.add_argument(
        "--pack",
        default="default",
        metavar="NAME",
        help=f"the set of built-in rules (default: default; {NO_PACK}: only those of --rules)",
    )


def chosen_pack(arguments: argparse.Namespace) -> str | None:
    """The set that was asked for, or None for no built-in rules."""
    return None if arguments.pack == NO_PACK else str(arguments.pack)


def load_chosen(arguments: argparse.Namespace) -> RuleSet:
    """Load the rules that `--rules` and `--pack` name."""
    from keysentry.rules.load import load_rules

    return load_rules(*arguments.rules, pack=chosen_pack(arguments))
