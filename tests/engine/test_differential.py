"""Both prefilters lead to the same findings: rule, place and confidence."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import compiled, corpus

COUNT = 100_000 if os.environ.get("KEYSENTRY_LONG_TESTS") else 20_000
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = {"chat": ("chat/messages.jsonl.gz", "content"), "labelled": ("labelled/creddata-dev.jsonl.gz", "text")}
FIRST = 5_000

Line = tuple[int, str, int, int, float]


def found(engine: str, texts: list[str | bytes]) -> list[Line]:
    """Everything that is found at the usual confidence and far below it."""
    scanner = compiled.scanner(engine, 0.05)
    return [
        (number, finding.rule, finding.span.start, finding.span.end, finding.confidence)
        for number, finding in scanner.scan_texts(texts)
    ]


def assert_same(texts: list[str | bytes], at_least: int) -> None:
    fast, portable = found("vectorscan", texts), found("ahocorasick", texts)
    only_fast, only_portable = sorted(set(fast) - set(portable)), sorted(set(portable) - set(fast))
    assert (only_fast[:5], only_portable[:5]) == ([], [])
    assert fast == portable
    assert len(fast) >= at_least


def test_the_same_is_found_in_generated_texts():
    assert_same(list(corpus.segments(COUNT)), COUNT // 4)


def test_the_same_is_found_in_one_long_text():
    text = corpus.large(1 << 20)
    assert_same([text], 100)


def texts_of(path: Path, field: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for _, line in zip(range(FIRST), lines, strict=False):
            yield json.loads(line)[field]


if os.environ.get("CI") != "true":  # where nothing may be skipped, and these texts are not at hand

    @pytest.mark.skipif(not DATA.is_dir(), reason=f"there are no real texts at {DATA}")
    @pytest.mark.parametrize("name", REAL)
    def test_the_same_is_found_in_real_texts(name):
        file, field = REAL[name]
        planted = corpus.segments(FIRST // 5)
        texts = [f"{text}\n{next(planted).decode(errors='replace')}" if number % 5 == 0 else text for number, text in
                 enumerate(texts_of(DATA / file, field))]  # fmt: skip
        assert_same(texts, FIRST // 20)
