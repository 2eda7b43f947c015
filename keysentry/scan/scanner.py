"""The Scanner: rules compiled once, any number of texts, records and files scanned with them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from keysentry.engine.cache import load_built_in, load_program
from keysentry.engine.engine import Engine, Match, Result
from keysentry.engine.program import EngineName, Program, compile_program
from keysentry.errors import ConfigError
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan, Location
from keysentry.rules.load import built_in_sources, file_sources
from keysentry.rules.schema import RuleSet
from keysentry.scan.findings import FindingMaker
from keysentry.scan.locate import Lines
from keysentry.scan.options import FileOptions, OnProgress
from keysentry.scan.texts import batches, encode, scan_batch

if TYPE_CHECKING:
    from pathlib import Path

    from keysentry.model.record import Record
    from keysentry.scan.lister import Lister
    from keysentry.scan.run import Scan

DEFAULT_CONFIDENCE = 0.5


class Scanner:
    """Finds credentials in texts, records and files.

    Thread-safe, and picklable (a worker process gets the compiled rules, and the key that fingerprints are made with).
    """

    def __init__(
        self,
        rules: RuleSet | None = None,
        *,
        engine: EngineName = "auto",
        min_confidence: float = DEFAULT_CONFIDENCE,
        key: bytes | None = None,
    ) -> None:
        """Compile `rules`, or take the built-in ones; `key` is that of the fingerprints (default: the installation's).

        Raises `ConfigError` for a confidence outside 0 to 1 and `RulePackError` for rules that cannot be compiled.
        """
        program = load_built_in("default", engine) if rules is None else compile_program(rules, engine)
        self._set(program, min_confidence, key)

    @classmethod
    def load(
        cls,
        *,
        pack: str | None = "default",
        rule_files: Sequence[str | Path] = (),
        engine: EngineName = "auto",
        min_confidence: float = DEFAULT_CONFIDENCE,
        key: bytes | None = None,
        cache: bool = True,
        notice: Callable[[str], None] | None = None,
    ) -> Scanner:
        """A Scanner with a named set of the built-in rules (None: without) and the rules of some files or folders.

        `notice` gets a line for a person when something takes long or cannot be used. Raises `ConfigError` for a set
        or a file that does not exist and `RulePackError` for faults in rules.
        """
        if pack and not rule_files:
            program = load_built_in(pack, engine, cached=cache, notice=notice)
        else:
            from pathlib import Path

            sources = built_in_sources(pack) if pack else []
            sources += file_sources(Path(path) for path in rule_files)
            if not sources:
                raise ConfigError("there are no rules to scan with", advice="name a pack or a rule file")
            program = load_program(sources, engine, cached=cache, notice=notice)
        scanner = cls.__new__(cls)
        scanner._set(program, min_confidence, key)
        return scanner

    def _set(self, program: Program, min_confidence: float, key: bytes | None) -> None:
        if not 0 <= min_confidence <= 1:
            raise ConfigError("the confidence must lie between 0 and 1", place="min_confidence")
        self._program = program
        self._key = key
        self._engine = Engine(program, min_confidence)
        self._maker = FindingMaker(program, key)

    def __reduce__(self) -> tuple[Callable[..., Scanner], tuple[object, ...]]:
        return _rebuilt, (self._program, self._engine.min_confidence, self._key)

    @property
    def rules(self) -> RuleSet:
        """The rules that this Scanner looks for, ordered by id."""
        compiled = self._program.rules
        return RuleSet(tuple(one.rule for one in compiled), {one.rule.id: one.provider for one in compiled})

    @property
    def engine(self) -> str:
        """The prefilter in use: `vectorscan` or `ahocorasick`."""
        return self._engine.name

    def scan_text(self, text: str | bytes, skipped: list[Skipped] | None = None) -> list[Finding]:
        """Scan one text.

        Offsets in the findings are bytes of its UTF-8 form; lines and columns (characters) count from 1. A rule that
        was too slow and had to be stopped goes to `skipped`; without a list for it, it is a `RuntimeWarning`.
        """
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        events = self._engine.events(data)
        if not events:
            return []
        result = self._engine.judge(data, (0, len(data)), events)
        if result.slow:
            tell(self._slow(result, "the text"), skipped)
        lines = Lines(data)
        return [self._in_text(match, lines, 0) for match in result.matches]

    def scan_texts(
        self, texts: Iterable[str | bytes], skipped: list[Skipped] | None = None
    ) -> Iterator[tuple[int, Finding]]:
        """Scan many texts, joined into large buffers: (number of the text from 0, finding), in their order.

        What could not be looked at to its end goes to `skipped`, or is a `RuntimeWarning`, as in `scan_text`.
        """
        first = 0
        for batch in batches(texts):
            for number, start, result in scan_batch(self._engine, batch):
                if result.slow:
                    tell(self._slow(result, f"text {first + number}"), skipped)
                lines = Lines(encode(batch[number]))
                for match in result.matches:
                    yield first + number, self._in_text(match, lines, start)
            first += len(batch)

    def _slow(self, result: Result, place: str) -> list[Skipped]:
        rules = sorted({self._program.rules[slow.rule].rule.id for slow in result.slow})
        return [Skipped(place, f"the rule {rule} took too long and was stopped", partial=True) for rule in rules]

    def _in_text(self, match: Match, lines: Lines, base: int) -> Finding:
        span = ByteSpan(match.start - base, match.end - base)
        line, column = lines.at(span.start)
        return self._maker.make(match, span, Location(line=line, column=column, span=span))

    def scan_records(
        self, records: Iterable[Record], skipped: list[Skipped] | None = None, options: FileOptions | None = None
    ) -> Iterator[tuple[Record, Finding]]:
        """Scan records of a source of one's own: (record, finding), in the order of the records.

        Texts and contents of parts are both read, of any format and size; a secret that stands in several parts of a
        record is reported once for each part. What could not be read of a part goes to `skipped`, or is a
        `RuntimeWarning`; a `SourceError` while a content is read passes through.
        """
        from keysentry.scan.contents import ContentScanner

        problems: list[Skipped] = [] if skipped is None else skipped
        scanner = ContentScanner(self._engine, self._maker, options or FileOptions())
        try:
            yield from scanner.scan(records, problems)
        finally:
            scanner.close()
        if skipped is None and problems:
            tell(problems, None)

    def scan_path(self, path: str | Path, options: FileOptions | None = None) -> Scan:
        """Scan a file, a folder, an archive or a Slack export; see `scan_paths`."""
        return self.scan_paths([path], options)

    def scan_paths(
        self,
        paths: Sequence[str | Path],
        options: FileOptions | None = None,
        progress: OnProgress | None = None,
        *,
        lister: Lister | None = None,
    ) -> Scan:
        """Scan files, folders, archives and Slack exports; `-` is standard input.

        The work is done while the result is iterated over; its `summary` then tells what was read and what was not.
        `lister` is what has begun to list one of them, with the same options. Raises `InputError` at the first
        iteration if a path does not exist.
        """
        from keysentry.scan.run import Scan

        names = [str(path) for path in paths]
        return Scan(self._engine, self._maker, names, options or FileOptions(), progress, lister)


def tell(problems: list[Skipped], skipped: list[Skipped] | None) -> None:
    """Hand over what was not read; to nobody in particular, as warnings."""
    if skipped is not None:
        skipped += problems
        return
    for problem in problems:
        warnings.warn(f"{problem.place}: {problem.reason}", RuntimeWarning, stacklevel=3)


def _rebuilt(program: Program, min_confidence: float, key: bytes | None) -> Scanner:
    scanner = Scanner.__new__(Scanner)
    scanner._set(program, min_confidence, key)
    return scanner
