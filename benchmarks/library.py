"""Measures scanners inside a Python process, on one core: what it costs a program that calls them.

    python library.py CONTESTANT many TEXTS.jsonl     all texts, after a warm-up of a thousand
    python library.py CONTESTANT one                  a text of 200 bytes, the median of many calls

Prints one JSON object. Runs in the environment of the contestant, so it imports nothing of ours at the top.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Many = Callable[[Sequence[str]], int]
"""Scans texts one by one in whatever way is fastest through the public API, and says how many findings there were."""

SHORT = (
    "Deploy of the payment service went through, error rate is back to normal and the dashboards look fine again. " * 2
)
WARM_UP = 1_000
SLOW = 2_000
"""How many texts a slow contestant gets."""


def keysentry_many() -> Many:
    """keysentry's bulk call."""
    from keysentry import Scanner

    scanner = Scanner()
    return lambda texts: sum(1 for _ in scanner.scan_texts(texts))


def keysentry_one() -> Many:
    """keysentry, a call a text."""
    from keysentry import Scanner

    scanner = Scanner()
    return lambda texts: sum(len(scanner.scan_text(text)) for text in texts)


def kingfisher() -> Many:
    """Kingfisher's Rust library; it has no bulk call for texts in memory."""
    from kingfisher_sdk import Scanner

    scanner = Scanner()
    return lambda texts: sum(finding.visible for text in texts for finding in scanner.scan(text))


def detect_secrets() -> Many:
    """detect-secrets, all its plugins and filters. Its public calls want files, so this one goes in below them."""
    from detect_secrets.core.scan import _process_line_based_plugins
    from detect_secrets.settings import default_settings

    def scan(texts: Sequence[str]) -> int:
        with default_settings():
            lines = (list(enumerate(text.split("\n"), 1)) for text in texts)
            return sum(1 for text in lines for _ in _process_line_based_plugins(text, filename="chat.txt"))

    return scan


CONTESTANTS: dict[str, dict[str, Callable[[], Many]]] = {
    "keysentry": {"many": keysentry_many, "one": keysentry_one},
    "kingfisher": {"many": kingfisher, "one": kingfisher},
    "detect-secrets": {"many": detect_secrets, "one": detect_secrets},
}


def many(contestant: str, path: str) -> dict[str, float]:
    """Time all texts once."""
    texts = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    if contestant == "detect-secrets":
        texts = texts[:SLOW]
    started = time.perf_counter()
    scan = CONTESTANTS[contestant]["many"]()
    ready = time.perf_counter() - started
    scan(texts[:WARM_UP])
    started = time.perf_counter()
    findings = scan(texts)
    seconds = time.perf_counter() - started
    size = sum(len(text.encode()) for text in texts)
    return {
        "seconds": seconds / len(texts), "texts_per_second": len(texts) / seconds, "bytes_per_second": size / seconds,
        "findings": findings, "texts": len(texts), "ready": ready,
    }  # fmt: skip


def one(contestant: str) -> dict[str, float]:
    """The median of many single calls."""
    scan = CONTESTANTS[contestant]["one"]()
    text = [SHORT[:200]]
    rounds = 200 if contestant == "detect-secrets" else 20_000
    took = []
    for _ in range(rounds):
        started = time.perf_counter_ns()
        scan(text)
        took.append(time.perf_counter_ns() - started)
    ordered = sorted(took[rounds // 10 :])
    return {"seconds": statistics.median(ordered) / 1e9, "p99": ordered[len(ordered) * 99 // 100] / 1e9, "findings": 0}


def main() -> None:
    """Pin to one core, measure, print."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    contestant, mode, *rest = sys.argv[1:]
    print(json.dumps(many(contestant, *rest) if mode == "many" else one(contestant)))


if __name__ == "__main__":
    main()
