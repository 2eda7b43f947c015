"""The table of rarities: trained from text the same way each time, cheap for words and dear for anything else."""

from __future__ import annotations

from pathlib import Path

from keysentry.engine import rarity as engine
from keysentry.engine.rarity import SYMBOLS, symbols
from keysentry.tuning.rarity import train

WORDS = [b"the quick brown fox jumps over the lazy dog and the password of the database is kept in the vault " * 3]


def cost(table: bytes, word: bytes) -> float:
    codes = symbols(b" " + word + b" ")
    return sum(table[(a << 10) | (b << 5) | c] for a, b, c in zip(codes, codes[1:], codes[2:], strict=False)) / len(
        word
    )


def test_training_is_the_same_each_time():
    assert train(WORDS) == train(iter(WORDS))
    assert len(train(WORDS)) == SYMBOLS**3


def test_what_was_seen_is_cheaper():
    table = train(WORDS)
    assert cost(table, b"password") < cost(table, b"xqzkvjwq")
    assert cost(table, b"database") < cost(table, b"dbtsaaae")


def test_values_teach_nothing():
    secret = b"a1b2c3d4e5f6"
    assert train([*WORDS, secret]) == train(WORDS)


def test_every_byte_has_a_symbol():
    assert set(symbols(bytes(range(256)))) <= set(range(SYMBOLS))
    assert symbols(b"AZ") == symbols(b"az")


def test_the_shipped_table_is_whole():
    assert len((Path(engine.__file__).parent / "data" / "rarity.bin").read_bytes()) == SYMBOLS**3
