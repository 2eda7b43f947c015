"""The parser of a command, and the types of its options' values.

Options and targets may stand in any order, options are never abbreviated (a script must not change its meaning when an
option is added), and a misspelt option is told the nearest one that exists.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import NoReturn

from keysentry.advice import closest

_UNITS = {
    "": 1, "B": 1,
    "K": 10**3, "KB": 10**3, "KIB": 2**10,
    "M": 10**6, "MB": 10**6, "MIB": 2**20,
    "G": 10**9, "GB": 10**9, "GIB": 2**30,
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


class _Help(argparse.HelpFormatter):
    """Help as wide as the terminal, up to a hundred columns. (argparse would load `shutil` to ask for the width.)"""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_width())


@cache
def _width() -> int:
    try:
        return min(os.get_terminal_size(sys.stdout.fileno()).columns, 102) - 2
    except (OSError, ValueError, AttributeError):
        return 100


class Parser(argparse.ArgumentParser):
    """An argparse parser with the habits above."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, formatter_class=_Help)

    def parse(self, arguments: list[str]) -> argparse.Namespace:
        """Parse a command line; on a fault, say it in one line and leave with 2."""
        targets: list[str] = []
        if "--" in arguments:  # argparse loses the mark when it takes options and targets in any order
            cut = arguments.index("--")
            arguments, targets = arguments[:cut], arguments[cut + 1 :]
        filled = [f"./{name}" if name.startswith("-") and name != "-" else name for name in targets]
        namespace, unknown = self.parse_known_intermixed_args([*arguments, *filled])
        if unknown:
            self.error(self._unknown(unknown[0]))
        return namespace

    def _unknown(self, argument: str) -> str:
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            return f"unexpected argument: {argument}"
        hint = closest(name, (option for action in self._actions for option in action.option_strings))
        return f"unknown option: {name}" + (f" ({hint})" if hint else "")

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the help is."""
        self.exit(2, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


def size(text: str) -> int:
    """A size in bytes, with or without a unit: `500000`, `10MB`, `1.5GiB`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match.group(2).upper() not in _UNITS:
        raise argparse.ArgumentTypeError(f"not a size: {text!r} (write 500000, 500kB, 10MB or 1GiB)")
    return int(float(match.group(1)) * _UNITS[match.group(2).upper()])


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"not a number from 0 to 1: {text!r}")
    return value


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A type for whole numbers from `low` (to `high`)."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            upper = f" to {high}" if high is not None else ""
            raise argparse.ArgumentTypeError(f"not a whole number from {low}{upper}: {text!r}")
        return value

    return convert
