"""`keysentry rules lint`: every fault and weakness of rule files, at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from keysentry.cli.parser import Parser
from keysentry.errors import RulePackError
from keysentry.report.closing import plural
from keysentry.rules.load import Source, built_in_root, decode, file_sources
from keysentry.rules.schema import Pack


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="rule files or folders (default: all built-in rules)")


def run(arguments: argparse.Namespace) -> int:
    """Write every issue as `level: file: rule: field: text`; 1 if one of them is an error."""
    sources = file_sources([Path(name) for name in arguments.files] or [Path(built_in_root())])
    faults = list(errors(sources))
    remarks = list(warnings(sources))
    sys.stdout.writelines(f"error: {fault}\n" for fault in faults)
    sys.stdout.writelines(f"warning: {remark}\n" for remark in remarks)
    count = sum(len(pack.rule) for _, pack in _packs(sources))
    told = f"{plural(count, 'rule')} in {plural(len(sources), 'file')}"
    sys.stderr.write(f"{told}: {plural(len(faults), 'error')}, {plural(len(remarks), 'warning')}\n")
    return 1 if faults else 0


def errors(sources: list[Source]) -> Iterator[str]:
    """What stops the files from loading, together: faults inside a file, and ids that two files use."""
    try:
        decode(sources)
    except RulePackError as pack:
        yield from map(str, pack.errors)


def warnings(sources: list[Source]) -> Iterator[str]:
    """What loads but could be better."""
    from keysentry.rules.lint import lint

    for source, pack in _packs(sources):
        for rule in pack.rule:
            for issue in lint(rule):
                if issue.level == "warning":
                    yield f"{source.path}: {rule.id}: {issue.field}: {issue.text}"


def _packs(sources: list[Source]) -> Iterator[tuple[Source, Pack]]:
    """The files that decode; why the others do not is told by `errors`."""
    for source in sources:
        try:
            yield source, msgspec.toml.decode(source.content, type=Pack)
        except (msgspec.DecodeError, ValueError):
            continue
