"""The table for people: findings grouped by file or channel, and the account of the scan at the end.

Lines are never cut and never wrapped by us: a terminal folds what is too long for it, and what is piped stays whole, so
that a path can always be copied. Colours go to terminals only (`NO_COLOR` and `FORCE_COLOR` are honoured), and only for
them is the terminal library loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TextIO

import msgspec

from keysentry.model.finding import Finding, Severity
from keysentry.model.summary import Summary
from keysentry.report.closing import Tally, closing
from keysentry.report.place import clean, line_and_column, secret_text
from keysentry.rules.schema import RuleSet

Line = list[tuple[str, str]]
"""A line in pieces, each with its style."""
STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
}
"""The style in which each severity is written."""
_LEVEL = max(len(level.value) for level in Severity)
_TITLE = 56
"""The title's column is as wide as the longest title, but no wider; a longer title pushes the secret to the right."""


def write(
    findings: Iterable[Finding],
    summary: Summary,
    out: TextIO,
    *,
    show_secrets: bool = False,
    rules: RuleSet | None = None,
    against_baseline: bool = False,
) -> None:
    """Write the table and the closing words."""
    tally = Tally()
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        tally.add(finding)
        groups.setdefault(_group(finding), []).append(finding)
    if groups:
        print_lines(_lines(groups, show_secrets), out)
        out.write("\n")
    for line in closing(summary, tally):
        out.write(line + "\n")


def print_lines(lines: Iterable[Line], out: TextIO) -> None:
    """Write lines: with their styles to a terminal, as plain text to everything else."""
    if not out.isatty() and not os.environ.get("FORCE_COLOR"):
        out.writelines("".join(text for text, _ in line) + "\n" for line in lines)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True, emoji=False, markup=False)
    for line in lines:
        console.print(Text.assemble(*line))


def _group(finding: Finding) -> tuple[str, str]:
    """What a reader looks through at one time: a file, or a channel in it."""
    where = finding.location
    path = where.path or ("" if where.container else where.uri)
    return ("standard input" if path == "-" else clean(path), clean(where.container))


class _Layout(msgspec.Struct, frozen=True):
    """The widths of the columns, alike in all groups; `place` is 0 where no finding has a line."""

    place: int
    title: int

    @classmethod
    def of(cls, findings: list[Finding]) -> _Layout:
        places = max(len(line_and_column(finding.location)) for finding in findings)
        return cls(places + 2 if places else 0, min(max(len(finding.title) for finding in findings), _TITLE))


def _lines(groups: dict[tuple[str, str], list[Finding]], show_secrets: bool) -> Iterator[Line]:
    layout = _Layout.of([finding for group in groups.values() for finding in group])
    for number, ((path, container), group) in enumerate(groups.items()):
        if number:
            yield []
        header = [(container or path or "(text)", "bold")]
        if container and path:
            header.append((f"  in {path}", "dim"))
        yield header
        for finding in group:
            yield from _finding_lines(finding, layout, show_secrets)


def _finding_lines(finding: Finding, layout: _Layout, show_secrets: bool) -> Iterator[Line]:
    yield [
        (f"{line_and_column(finding.location):>{layout.place}}  ", ""),
        (f"{finding.severity.value:<{_LEVEL}}", STYLES[finding.severity]),
        (f"  {percent(finding.confidence):>4}  {clean(finding.title):<{layout.title}}  ", ""),
        (clean(secret_text(finding, show_secrets)), "magenta"),
    ]
    details = _details(finding, show_secrets)
    if details:
        yield [(" " * (layout.place + _LEVEL + 10) + details, "dim")]


def percent(confidence: float) -> str:
    """A confidence as a person reads it; only certainty itself is written as 100 %."""
    return f"{min(round(confidence * 100), 99) if confidence < 1 else 100}%"


def _details(finding: Finding, show_secrets: bool) -> str:
    """Who, when, where inside the file, and what came along with the secret."""
    where = finding.location
    parts = [where.author, where.time, where.part]
    parts += [f"{name} {value.reveal() if show_secrets else value}" for name, value in finding.companions]
    return clean(" · ".join(filter(None, parts)))
