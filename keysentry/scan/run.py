"""One scan of files, from beginning to end, in the order of the paths.

The calling thread lists files, gives out work, and passes on findings; workers read, inflate and match. What is
large, packed, or an export comes back from the workers as deferred and is taken apart here, in its place in the order.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from keysentry.engine.engine import Engine
from keysentry.errors import InputError
from keysentry.extraction.sniff import HEAD, sniff
from keysentry.model.finding import Finding, Skipped
from keysentry.model.summary import Summary
from keysentry.scan.document import Document, DocumentScanner, Outcome
from keysentry.scan.findings import FindingMaker
from keysentry.scan.options import FileOptions, OnProgress, Progress
from keysentry.scan.pipes import can_fork
from keysentry.scan.pool import Pool
from keysentry.scan.reader import Batch, Deferred, Reader
from keysentry.scan.walk import Folder, spread, walk

if TYPE_CHECKING:
    from keysentry.scan.exports import Export
    from keysentry.scan.lister import Lister
    from keysentry.scan.pieces import PieceScanner

FORK_FROM = 512
"""How many files make worker processes worth while."""
BATCH = 128
"""How many files a worker process is given at once."""
_TELL_EVERY = 0.1
"""Seconds between two reports of progress."""


class Scan:
    """A scan of some paths. Iterating does the work and gives the findings; `summary` is complete afterwards.

    Iterating a second time scans again.
    """

    def __init__(
        self,
        engine: Engine,
        maker: FindingMaker,
        paths: Sequence[str],
        options: FileOptions,
        on_progress: OnProgress | None = None,
        lister: Lister | None = None,
    ) -> None:
        self._engine = engine
        self._paths = paths
        self._options = options
        self._on_progress = on_progress
        self._lister = lister
        self._scanner = DocumentScanner(engine, maker, allow_comments=options.allow_comments)
        self.summary = self._new_summary()
        self._began = False

    def _new_summary(self) -> Summary:
        return Summary(rules=len(self._engine.program.rules), engine=self._engine.name)

    def __iter__(self) -> Iterator[Finding]:
        if self._began:
            self.summary = self._new_summary()
        self._began = True
        self._listed = 0
        self._progress = Progress()
        self._told = 0.0
        began = time.perf_counter()
        self._jobs = self._options.jobs or os.cpu_count() or 1
        self._pool = Pool(self._jobs)
        try:
            for path in self._paths:
                yield from self._target(path)
        except (KeyboardInterrupt, GeneratorExit):  # the second: whoever iterates has stopped
            self.summary.interrupted = True
            raise
        finally:
            self._pool.close()
            self._scanner.close()
            self.summary.seconds = time.perf_counter() - began
            self._tell("", last=True)

    def _target(self, path: str) -> Iterator[Finding]:
        if path == "-":
            yield from self._standard_input()
            return
        base = len(os.path.dirname(path)) if os.path.isfile(path) else len(path)  # noqa: PTH113,PTH120  hot start
        for batch in self._batches(path, base):
            self.summary.files += batch.files
            self.summary.bytes += batch.size
            for outcome in batch.outcomes:
                if isinstance(outcome, Deferred):
                    yield from self._deferred(outcome, base)
                else:
                    yield from self._outcome(outcome)
            self._tell(path)

    def _batches(self, target: str, base: int) -> Iterator[Batch]:
        """What the files below a target give, batch by batch; what the listing leaves out goes to the summary."""
        reader = Reader(self._scanner, self._options.max_size)
        found = self._walk(target)
        ahead: list[Folder] = []
        export: Export | None = None
        while True:
            files = self._files(found, ahead, export)
            first = list(islice(files, FORK_FROM))
            if len(first) == FORK_FROM and self._options.processes and self._jobs > 1 and can_fork():
                yield from self._forked(chain(first, files), reader, base, export)
            else:
                yield from self._pool.ordered(reader.tasks(chain(first, files), base, export))
            if not ahead:
                break
            export = self._export_of(ahead.pop())
        if target == self._paths[-1]:
            self._progress.total_files = self._listed

    def _walk(self, target: str) -> Iterator[str | Folder | Skipped]:
        """What is below a target; what a lister has begun to list is taken from it, once."""
        lister = self._lister
        if lister is None or lister.target != target or lister.asked:
            return walk(target, self._options)
        return spread(lister.folders())

    def _forked(self, files: Iterator[str], reader: Reader, base: int, export: Export | None) -> Iterator[Batch]:
        from keysentry.scan.workers import Workers

        workers = Workers(partial(_batch, reader, base, export), self._jobs, export)
        try:
            workers.start()
            yield from workers.ordered(iter(lambda: list(islice(files, BATCH)), []))
        finally:
            workers.close()

    def _files(
        self, found: Iterator[str | Folder | Skipped], ahead: list[Folder], export: Export | None
    ) -> Iterator[str]:
        """The files up to the next folder where an export begins or ends, which goes to `ahead`."""
        for one in found:
            if isinstance(one, str):
                self._listed += 1
                yield one
            elif isinstance(one, Skipped):
                self.summary.skipped.append(one)
            elif self._is_border(one, export):
                ahead.append(one)
                return

    def _is_border(self, folder: Folder, export: Export | None) -> bool:
        if export is not None:
            return not folder.path.startswith(export.root)
        return "users.json" in folder.files or "channels.json" in folder.files

    def _export_of(self, folder: Folder) -> Export | None:
        """The export that begins at a folder, if one does."""
        if "users.json" not in folder.files and "channels.json" not in folder.files:
            return None
        from keysentry.scan.exports import Export

        found = Export.of_folder(folder)
        if found is None:
            return None
        self.summary.skipped += found.skipped
        return found

    def _deferred(self, deferred: Deferred, base: int) -> Iterator[Finding]:
        document = Document(deferred.path, kind=deferred.kind, name=deferred.path[base:])
        if deferred.export is not None and deferred.kind == "text":
            from keysentry.scan.members import DAY_MOST

            if deferred.size <= DAY_MOST:
                yield from self._day(document, deferred.export)
                return
        if deferred.kind in ("text", "binary"):
            yield from self._large(document, deferred.size)
            return
        from keysentry.scan.members import Members

        members = Members(self._scanner, self._pieces, self._pool, self._options.budget)
        for outcome, files, size in members.of_file(document):
            self.summary.files += files
            self.summary.bytes += size
            yield from self._outcome(outcome)
            self._tell(document.path)

    @cached_property
    def _pieces(self) -> PieceScanner:
        from keysentry.scan.pieces import PieceScanner

        return PieceScanner(self._scanner)

    def _day(self, document: Document, export: Export) -> Iterator[Finding]:
        """Scan a day of a chat export that is too large for an arena."""
        try:
            with open(document.path, "rb") as file:  # noqa: PTH123
                data = file.read()
        except OSError as error:
            self.summary.skipped.append(Skipped(document.path, f"cannot be read: {error.strerror}"))
            return
        self.summary.bytes += len(data)
        offsets = [offset for _target, offset in self._engine.events(data)]
        yield from self._outcome(export.day(self._scanner, document, data, offsets))

    def _large(self, document: Document, size: int) -> Iterator[Finding]:
        from keysentry.scan.pieces import Fields, together

        fields = Fields(document, size)
        for outcome, length in together(self._pool.ordered(self._pieces.of_file(document, size))):
            self.summary.bytes += length
            yield from self._outcome(fields.told(outcome))
            self._tell(document.path)

    def _standard_input(self) -> Iterator[Finding]:
        from keysentry.scan.members import Members, headed

        if sys.stdin is None:
            raise InputError("there is no standard input", place="-", advice="name a file, or pipe something in")
        head, stream = headed(sys.stdin.buffer, HEAD)
        document = Document("-", kind=sniff(head))
        members = Members(self._scanner, self._pieces, self._pool, self._options.budget)
        self.summary.files += 1
        for outcome, _files, size in members.of_stream(document, stream):
            self.summary.bytes += size
            yield from self._outcome(outcome)
            self._tell("-")

    def _outcome(self, outcome: Outcome) -> Iterator[Finding]:
        self.summary.skipped += outcome.skipped
        self.summary.below_threshold += outcome.below
        self.summary.allowed += outcome.allowed
        self._progress.findings += len(outcome.findings)
        yield from outcome.findings

    def _tell(self, current: str, *, last: bool = False) -> None:
        if self._on_progress is None:
            return
        now = time.perf_counter()
        if not last and now - self._told < _TELL_EVERY:
            return
        self._told = now
        progress = self._progress
        progress.files, progress.bytes, progress.current = self.summary.files, self.summary.bytes, current
        self._on_progress(progress)


def _batch(reader: Reader, base: int, export: Export | None, paths: list[str]) -> Batch:
    """Scan some files, in the calling thread."""
    outcomes: list[Outcome | Deferred] = []
    files = size = 0
    for task in reader.tasks(paths, base, export):
        batch = task()
        outcomes += batch.outcomes
        files += batch.files
        size += batch.size
    return Batch(outcomes, files, size)
