"""Sources read once, from their beginning, without a store: what `keysentry scan slack:...` does.

As `scan.Scan` for files: iterating does the work, and `summary` then tells what was read and what was not.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from keysentry.connectors.base import Delivery, Source, SourceOptions
from keysentry.errors import AccessError, SourceError
from keysentry.model.finding import Finding, Skipped
from keysentry.model.record import Record, Unit
from keysentry.model.summary import Summary
from keysentry.pipeline import record_size
from keysentry.scan import FileOptions, OnProgress, Progress, Scanner

BATCH = 256
"""How many records are read ahead of the scanner, at most."""


class Survey:
    """Reads all units of a source and scans what is in them."""

    def __init__(
        self,
        scanner: Scanner,
        source: Source,
        options: SourceOptions,
        files: FileOptions | None = None,
        progress: OnProgress | None = None,
    ) -> None:
        self.summary = Summary(rules=len(scanner.rules.rules), engine=scanner.engine)
        self._scanner = scanner
        self._source = source
        self._options = options
        self._files = files or FileOptions()
        self._tell = progress
        self._progress = Progress()
        self._units: Iterator[Unit | Skipped] | None = None

    def begin(self) -> None:
        """Connect and list the first unit, so that what keeps all from being read is raised before anything is
        reported. Raises `SourceError`.
        """
        units = self._source.units()
        try:
            first = next(units, None)
        except BaseException:
            self._source.close()
            raise
        self._units = iter(()) if first is None else chain((first,), units)

    def __iter__(self) -> Iterator[Finding]:
        """Findings as they come. Raises `SourceError` if nothing can be read at all."""
        began = time.perf_counter()
        if self._units is None:
            self.begin()
        try:
            for unit in self._units or ():
                if isinstance(unit, Skipped):
                    self.summary.skipped.append(unit)
                elif chosen(unit, self._options) and not unit.live:
                    yield from self._unit(unit)
        except SourceError as error:
            self.summary.skipped.append(Skipped(self._options.name, f"not read to its end: {error}", partial=True))
        except (KeyboardInterrupt, GeneratorExit):
            self.summary.interrupted = True
            raise
        finally:
            self.summary.seconds = time.perf_counter() - began
            self._source.close()

    def _unit(self, unit: Unit) -> Iterator[Finding]:
        self._progress.current = unit.title
        deliveries = self._source.records(unit, None)
        try:
            while True:
                batch, error = _ahead(deliveries)
                if batch:
                    yield from self._batch(batch)
                if error is not None:
                    raise error
                if not batch:
                    return
        except AccessError:
            raise
        except SourceError as error:
            self.summary.skipped.append(Skipped(unit.title, f"not read to its end: {error}", partial=True))

    def _batch(self, batch: list[Delivery]) -> Iterator[Finding]:
        records = []
        for delivery in batch:
            self.summary.skipped += delivery.skipped
            if delivery.record is not None and not delivery.record.deleted:
                records.append(delivery.record)
        for _record, finding in self._scanner.scan_records(self._counted(records), self.summary.skipped, self._files):
            self._progress.findings += 1
            yield finding
        if self._tell is not None:
            self._progress.records, self._progress.bytes = self.summary.records, self.summary.bytes
            self._tell(self._progress)

    def _counted(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self.summary.records += 1
            self.summary.bytes += record_size(record)
            yield record


def _ahead(deliveries: Iterator[Delivery]) -> tuple[list[Delivery], SourceError | None]:
    """The next deliveries, and the error that came after them."""
    batch: list[Delivery] = []
    try:
        batch.extend(islice(deliveries, BATCH))
    except SourceError as error:
        return batch, error
    return batch, None


def chosen(unit: Unit, options: SourceOptions) -> bool:
    """Whether a source's `include` and `exclude` want a unit."""
    names = (unit.title, unit.id)

    def fits(globs: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in globs)

    return (not options.include or fits(options.include)) and not fits(options.exclude)
