"""The words at the end of a report: what was found, what was read, and what was not."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keysentry.model.finding import Finding, Severity, Skipped
from keysentry.model.summary import Summary
from keysentry.report.place import clean

SHOWN = 20
"""How many places that were not read are named; the JSON formats name all."""


class Tally(msgspec.Struct):
    """Findings by severity, counted as they pass."""

    counts: dict[Severity, int] = {}

    def add(self, finding: Finding) -> None:
        """Count one finding."""
        self.counts[finding.severity] = self.counts.get(finding.severity, 0) + 1

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    def text(self) -> str:
        """`3 findings: 1 critical, 2 high`."""
        if not self.total:
            return "no findings"
        parts = [f"{self.counts[level]} {level.value}" for level in reversed(Severity) if level in self.counts]
        return f"{plural(self.total, 'finding')}: {', '.join(parts)}"


def plural(count: int, noun: str) -> str:
    """`1 file`, `1,204 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """A number of bytes as a person reads it, in powers of ten: `35.2 MB`."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def account(summary: Summary, tally: Tally) -> str:
    """One line: findings by severity, files, bytes, seconds, rate, engine."""
    read = plural(summary.files, "file")
    if summary.records:
        records = plural(summary.records, "record")
        read = f"{records}, {read}" if summary.files else records
    rate = f" ({size(summary.bytes / summary.seconds)}/s)" if summary.bytes and summary.seconds else ""
    parts = [tally.text(), f"{read}, {size(summary.bytes)} in {summary.seconds:.2f} s{rate}", summary.engine]
    return " · ".join(filter(None, parts))


def closing(summary: Summary, tally: Tally) -> Iterator[str]:
    """The account, what was held back and why, and what was not read, line by line."""
    if summary.interrupted:
        yield "Interrupted: this report holds what was found until then; the rest was not read."
    yield account(summary, tally)
    held = [
        (summary.baselined, "known from the baseline"),
        (summary.allowed, "allowed by a comment"),
        (summary.below_threshold, "below the confidence threshold"),
    ]
    if any(count for count, _ in held):
        yield "Not reported: " + ", ".join(f"{count:,} {why}" for count, why in held if count)
    yield from not_read(summary.skipped)


def not_read(skipped: list[Skipped], shown: int = SHOWN, everything: str = "--format json or sarif") -> Iterator[str]:
    """Everything that was not read, or not to its end, by reason; places after the first `shown` are counted.

    `everything` tells what names all of them.
    """
    if not skipped:
        return
    groups: dict[tuple[bool, str], list[str]] = {}
    for item in skipped:
        groups.setdefault((item.partial, clean(item.reason)), []).append(clean(item.place))
    yield f"Not read, or not to the end: {len(skipped):,}"
    left = shown
    for (partial, reason), places in sorted(groups.items(), key=lambda group: -len(group[1])):
        if not left:
            break
        yield f"  {reason}{' (read in part)' if partial else ''}: {len(places):,}"
        yield from (f"    {name}" for name in places[:left])
        left -= min(left, len(places))
    hidden = len(skipped) - shown
    if hidden > 0:
        yield f"  and {hidden:,} more (all of them: {everything})"
