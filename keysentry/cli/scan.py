"""`keysentry scan`: files, folders and standard input, to a report."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

from keysentry.cli.exit_codes import FOUND, INCOMPLETE, INTERRUPTED
from keysentry.cli.parser import Parser, fraction, size, whole
from keysentry.cli.rule_options import NO_PACK, add_rule_options, chosen_pack
from keysentry.cli.scan_targets import scanning, source_of
from keysentry.errors import ConfigError
from keysentry.model.finding import Finding, Severity
from keysentry.model.summary import Summary
from keysentry.report import FORMATS
from keysentry.report.closing import SHOWN, Tally, closing, plural
from keysentry.report.place import clean

if TYPE_CHECKING:
    from keysentry.cli.progress import ProgressBar
    from keysentry.cli.scan_targets import Scanning
    from keysentry.report.baseline import Baseline
    from keysentry.scan import FileOptions, Scanner
    from keysentry.scan.lister import Lister

STDIN = "-"


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="TARGET",
        help="a file or folder; - is standard input; slack:, teams:, gdrive:, s3://, gs://, az:// are sources",
    )
    parser.add_argument("--config", metavar="FILE", help="where sources get their settings (default: keysentry.toml)")
    _report_options(parser)
    add_rule_options(parser)
    _file_options(parser)
    _run_options(parser)


def _report_options(parser: Parser) -> None:
    group = parser.add_argument_group("report")
    group.add_argument("--format", choices=tuple(FORMATS), default="table", help="default: table")
    group.add_argument("-o", "--output", metavar="FILE", help="write the report there, not to standard output")
    group.add_argument("--show-secrets", action="store_true", help="write secrets themselves, not their masks")
    group.add_argument(
        "--min-confidence", type=fraction, default=0.5, metavar="P", help="report from this probability (default: 0.5)"
    )
    levels = [level.value for level in Severity]
    group.add_argument("--severity", choices=levels, default=levels[0], help="report from this severity (default: low)")
    group.add_argument("--baseline", metavar="FILE", help="report only what this baseline does not know")
    group.add_argument("--write-baseline", metavar="FILE", help="write all findings as known; the exit code is then 0")


def _file_options(parser: Parser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out files whose path below the target, or bare name, matches (repeatable)",
    )
    group.add_argument("--gitignore", action="store_true", help="leave out what .gitignore files name")
    group.add_argument("--follow-symlinks", action="store_true", help="follow symbolic links to files and folders")
    group.add_argument("--max-size", type=size, metavar="SIZE", help="do not read larger files: 10MB, 1GiB")
    group.add_argument("--no-allow-comments", action="store_true", help="report also what a comment in code allows")


def _run_options(parser: Parser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--engine", choices=("auto", "vectorscan", "ahocorasick"), default="auto", help="default: auto")
    group.add_argument("--jobs", type=whole(0), default=0, metavar="N", help="threads (default: 0, one a core)")
    group.add_argument("--no-cache", action="store_true", help="compile the rules anew and keep nothing")
    group.add_argument("--no-progress", action="store_true", help="show no progress bar")
    group.add_argument(
        "--exit-code", type=whole(0, 255), default=FOUND, metavar="N", help="the exit code when something is found"
    )
    group.add_argument("--fail-on-incomplete", action="store_true", help="leave with 3 if something could not be read")


def run(arguments: argparse.Namespace) -> int:
    """Scan, report, and return the exit code."""
    _check_targets(arguments.targets)
    options = _file_choices(arguments)
    with _lister(arguments, options) as lister:
        return _scan(arguments, options, lister)


def _lister(arguments: argparse.Namespace, options: FileOptions) -> AbstractContextManager[Lister | None]:
    """What begins to list a folder before the rules are loaded, if the targets are one folder."""
    from keysentry.scan.lister import Lister, may_list

    if len(arguments.targets) == 1 and may_list(arguments.targets[0], arguments.jobs):
        return Lister(arguments.targets[0], options)
    return nullcontext()


def _scan(arguments: argparse.Namespace, options: FileOptions, lister: Lister | None) -> int:
    scanner = _scanner(arguments)
    baseline = _baseline(arguments)
    with _output(arguments) as out:
        bar = _progress_bar(arguments)
        scan = scanning(scanner, arguments.targets, options, bar, arguments.config, lister)
        passed = _Passage(scan, Severity(arguments.severity), baseline, bar, keep=bool(arguments.write_baseline))
        write = FORMATS[arguments.format].writer()
        try:
            write(
                passed.findings(),
                passed.summary,
                out,
                show_secrets=arguments.show_secrets,
                rules=scanner.rules,
                against_baseline=baseline is not None,
            )
        except KeyboardInterrupt:  # it came while the report was written, not while the scan ran
            passed.end(interrupted=True)
        out.flush()
    _tell_end(arguments, passed)
    if arguments.write_baseline:
        return _write_baseline(arguments, passed)
    return _exit_code(arguments, passed)


def _check_targets(targets: list[str]) -> None:
    """A target that is not there is a mistake in the command; a scan of nothing must not look like a clean one."""
    for target in targets:
        if target != STDIN and not os.path.lexists(target) and source_of(target) is None:
            raise ConfigError("no such file or folder", place=clean(target))


def _scanner(arguments: argparse.Namespace) -> Scanner:
    from keysentry.scan import Scanner

    if arguments.pack == NO_PACK and not arguments.rules:
        raise ConfigError("no rules are left", place=f"--pack {NO_PACK}", advice="name rule files with --rules")
    return Scanner.load(
        pack=chosen_pack(arguments),
        rule_files=arguments.rules,
        engine=arguments.engine,
        min_confidence=arguments.min_confidence,
        cache=not arguments.no_cache,
        notice=_tell,
    )


def _file_choices(arguments: argparse.Namespace) -> FileOptions:
    from keysentry.scan import FileOptions

    return FileOptions(
        exclude=tuple(arguments.exclude),
        gitignore=arguments.gitignore,
        follow_symlinks=arguments.follow_symlinks,
        max_size=arguments.max_size,
        jobs=arguments.jobs,
        processes=True,
        allow_comments=not arguments.no_allow_comments,
    )


def _baseline(arguments: argparse.Namespace) -> Baseline | None:
    if not arguments.baseline:
        return None
    from keysentry.installation import key, key_id
    from keysentry.report.baseline import Baseline

    return Baseline.load(arguments.baseline, key_id=key_id(key()))


def _progress_bar(arguments: argparse.Namespace) -> ProgressBar | None:
    """A bar, unless it would be drawn through the findings of a report that streams to the same terminal."""
    if arguments.no_progress or not sys.stderr.isatty():
        return None
    if FORMATS[arguments.format].streams and not arguments.output and sys.stdout.isatty():
        return None
    from keysentry.cli.progress import ProgressBar

    return ProgressBar()


@contextmanager
def _output(arguments: argparse.Namespace) -> Iterator[TextIO]:
    """Where the report goes: always UTF-8 in a file, and on standard output with escapes for what it cannot write."""
    if not arguments.output:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        yield sys.stdout
        return
    try:
        file = open(arguments.output, "w", encoding="utf-8", newline="\n")  # noqa: PTH123,SIM115  closed below
    except OSError as error:
        raise ConfigError(error.strerror or str(error), place=arguments.output, advice="name a writable file") from None
    with file:
        yield file


class _Passage:
    """The findings on their way to the report: chosen by severity and baseline, counted, and kept where asked.

    `summary` is the report's own account, there before the scan begins: it is filled when the last finding has passed.
    """

    def __init__(
        self, scan: Scanning, least: Severity, baseline: Baseline | None, bar: ProgressBar | None, *, keep: bool
    ) -> None:
        self.summary = Summary()
        self.tally = Tally()
        self.baseline = baseline
        self.below_severity = 0
        self.kept: list[Finding] = []
        self._scan = scan
        self._least = least
        self._bar = bar
        self._keep = keep
        self._known = 0

    def findings(self) -> Iterator[Finding]:
        """Those to report. An interrupt ends the scan, not the report."""
        interrupted = False
        try:
            for finding in self._scan:
                if self._passes(finding):
                    self.tally.add(finding)
                    yield finding
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self.end(interrupted=interrupted)

    def end(self, *, interrupted: bool) -> None:
        """Take the progress bar away and close the account."""
        if self._bar is not None:
            self._bar.close()
        for field in Summary.__struct_fields__:
            setattr(self.summary, field, getattr(self._scan.summary, field))
        self.summary.baselined = self._known
        self.summary.interrupted |= interrupted

    def _passes(self, finding: Finding) -> bool:
        if finding.severity.rank < self._least.rank:
            self.below_severity += 1
            return False
        if self._keep:
            self.kept.append(finding)
        if self.baseline is not None and self.baseline.knows(finding):
            self._known += 1
            return False
        return True


def _tell_end(arguments: argparse.Namespace, passed: _Passage) -> None:
    """What a person must know after the report: the table has said the most of it itself."""
    if arguments.format != "table" or arguments.output:
        for line in closing(passed.summary, passed.tally):
            sys.stderr.write(line + "\n")
    if passed.below_severity:
        _tell(f"{plural(passed.below_severity, 'finding')} below severity {arguments.severity} not reported")
    unused = passed.baseline.unused() if passed.baseline else []
    if unused:
        _tell(f"{arguments.baseline}: {plural(len(unused), 'known finding')} not seen in this scan:")
        for entry in unused[:SHOWN]:
            sys.stderr.write(f"  {entry.fingerprint[:12]}  {clean(entry.rule)}  {clean(entry.place)}\n")
        if len(unused) > SHOWN:
            sys.stderr.write(f"  and {len(unused) - SHOWN:,} more\n")


def _write_baseline(arguments: argparse.Namespace, passed: _Passage) -> int:
    if passed.summary.interrupted:
        _tell(f"{arguments.write_baseline}: not written, because the scan was interrupted")
        return INTERRUPTED
    from keysentry.installation import key, key_id
    from keysentry.report.baseline import write_baseline

    count = write_baseline(arguments.write_baseline, passed.kept, key_id(key()))
    _tell(f"{arguments.write_baseline}: {plural(count, 'known secret')} written")
    return _incomplete(arguments, passed)


def _exit_code(arguments: argparse.Namespace, passed: _Passage) -> int:
    """What was found weighs more than what was not read; with `--exit-code 0` only the latter can fail the run."""
    if passed.summary.interrupted:
        return INTERRUPTED
    if passed.tally.total and arguments.exit_code:
        return int(arguments.exit_code)
    return _incomplete(arguments, passed)


def _incomplete(arguments: argparse.Namespace, passed: _Passage) -> int:
    return INCOMPLETE if arguments.fail_on_incomplete and not passed.summary.complete else 0


def _tell(text: str) -> None:
    sys.stderr.write(f"keysentry: {text}\n")
