"""Trains the rarity table of `keysentry.engine.rarity` from ordinary text.

The shipped table was trained on the source files of Python's standard library and of the packages installed beside
it: words, identifiers and prose, the things that a secret is not like.

    python -m keysentry.tuning.rarity OUT FOLDER [FOLDER ...]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keysentry.engine.rarity import SYMBOLS, symbols

_WORDS = re.compile(rb"[A-Za-z0-9_./-]{3,40}")
_RANDOM = re.compile(rb"(?:[0-9]+[A-Za-z]+){3}|[0-9]{8}")
"""Digests and the like, which stand in source files too and must not teach the table that they are ordinary."""
_PRIOR = 0.5
"""What is added to every count, so that nothing is impossible."""


def train(texts: Iterable[bytes]) -> bytes:
    """Count triples of symbols inside words; give the table of their costs, sixteenths of a bit, one byte each."""
    counts = np.full((SYMBOLS, SYMBOLS, SYMBOLS), 0.0)
    for text in texts:
        for word in set(_WORDS.findall(text)):
            if _RANDOM.search(word):
                continue
            codes = np.frombuffer(symbols(b" " + word + b" "), dtype=np.uint8).astype(np.intp)
            np.add.at(counts, (codes[:-2], codes[1:-1], codes[2:]), 1)
    pairs = counts.sum(axis=2, keepdims=True)
    singles = counts.sum(axis=(0, 1))
    backoff = (counts.sum(axis=0) + singles / singles.sum()) / (counts.sum(axis=(0, 2))[:, None] + 1)
    probability = (counts + 8 * _PRIOR * backoff[None, :, :]) / (pairs + 8 * _PRIOR)
    bits = -np.log2(np.maximum(probability, 1e-6))
    return bytes(np.clip(np.rint(bits * 16), 0, 255).astype(np.uint8).tobytes())


def _files(folders: Iterable[str]) -> Iterable[bytes]:
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            yield path.read_bytes()[:100_000]


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(train(_files(sys.argv[2:])))
