"""How unlike words and identifiers a value is.

Algorithm. A model of three characters in a row, over 32 symbols (letters without their case, digits as one, a few
signs), gives each character its cost in bits; the mean cost of a value is its rarity. English words and identifiers
come to about 3 bits, random letters and digits to about 6. The table is trained by `keysentry.tuning.rarity`, one
byte a triple, sixteenths of a bit.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

SYMBOLS = 32
_OTHER = 31
_SIGNS = b"0_-./"


def _code(byte: int) -> int:
    character = bytes((byte,)).lower()
    if b"a" <= character <= b"z":
        return character[0] - 97
    if character.isdigit():
        return 26
    found = _SIGNS.find(character)
    return 26 + found if found > 0 else _OTHER


_TABLE = bytes(_code(byte) for byte in range(256))


def symbols(text: bytes) -> bytes:
    """The text as symbols of the model, one byte each, below `SYMBOLS`."""
    return text.translate(_TABLE)


@cache
def _costs() -> bytes:
    return (Path(__file__).parent / "data" / "rarity.bin").read_bytes()


def rarity(value: bytes) -> float:
    """The mean cost of a value's characters in bits; 0 for an empty one."""
    if not value:
        return 0.0
    codes = symbols(b" " + value + b" ")
    costs = _costs()
    total = 0
    for i in range(len(codes) - 2):
        total += costs[(codes[i] << 10) | (codes[i + 1] << 5) | codes[i + 2]]
    return total / (16 * len(value))
