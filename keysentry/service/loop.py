"""One source's own life: pass after pass, with backoff when it fails, until it is told to end.

Algorithm. A pass lists the source's units and takes each through the pipeline. Units that are live (a feed, a queue)
get a thread of their own, which goes on between the passes. Whatever fails is told, noted in the store, and tried
again after a time that doubles up to a limit; the other sources do not notice.

Invariants. Only one process reads a source at a time (`store.hold`). No error ends the loop but being told to.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from keysentry.connectors.base import Source, SourceOptions
from keysentry.errors import AccessError, ClosedError, GoneError, HeldError, KeysentryError, SourceError, StoreError
from keysentry.model.finding import Skipped
from keysentry.model.incident import Planner, SourceState, SourceStatus
from keysentry.model.record import Unit
from keysentry.pipeline import BatchLimits, Pipeline, Progressed
from keysentry.scan import FileOptions, Scanner
from keysentry.service.journal import Journal
from keysentry.service.options import WatchOptions
from keysentry.store.base import Store
from keysentry.survey import chosen

STANDBY = 30.0
"""Seconds after which a source that another process holds is asked for again."""
FIRST_BACKOFF = 1.0
HEARTBEAT = 30.0
"""Seconds between two notes of a source that waits."""


class SourceSpec(NamedTuple):
    """A configured source, and how to open it."""

    platform: str
    options: SourceOptions
    open: Callable[[], Source]

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.options.name


class SourceLoop:
    """Reads one source in a thread of its own."""

    def __init__(
        self,
        spec: SourceSpec,
        scanner: Scanner,
        store: Store,
        options: WatchOptions,
        journal: Journal,
        *,
        once: bool,
        planner: Planner | None = None,
        filed: Callable[[], None] = lambda: None,
    ) -> None:
        """`planner` says what is to be done about findings; `filed` is called when something is."""
        self.spec = spec
        self.failed = False
        self.new_incidents = 0
        self.error: KeysentryError | None = None
        self._scanner = scanner
        self._store = store
        self._options = options
        self._journal = journal
        self._once = once
        self._planner = planner
        self._filed = filed
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._source: Source | None = None
        self._pipeline: Pipeline | None = None
        self._live: dict[str, threading.Thread] = {}
        self._thread = threading.Thread(target=self._run, name=f"keysentry-{spec.name}", daemon=True)
        self._reported = 0.0
        self._pass_began = time.monotonic()
        self._pass_records = 0
        process = f"{socket.gethostname()}:{os.getpid()}"
        self.status = SourceStatus(
            source=spec.name, platform=spec.platform, state="starting", at=time.time(), process=process
        )

    # -- what the daemon does with it ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Do not wait any longer: make the next pass now."""
        self._wake.set()

    def exchange(self, scanner: Scanner, planner: Planner | None = None) -> None:
        """Go on with other rules and another policy, from the next batch on."""
        self._scanner, self._planner = scanner, planner
        if self._pipeline is not None:
            self._pipeline.scanner = scanner
            self._pipeline.planner = planner

    def stop(self) -> None:
        """Finish the batch in hand, and end."""
        self._stop.set()
        self._wake.set()
        source = self._source
        if source is not None:
            source.close()

    def join(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        deadline = time.monotonic() + seconds
        for thread in (self._thread, *self._live.values()):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not self.alive

    @property
    def alive(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive() or any(thread.is_alive() for thread in self._live.values())

    # -- its life ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                with self._store.hold(self.spec.name):
                    self._serve()
                    break
            except KeysentryError as error:
                if self._stop.is_set():
                    break
                failures += 1
                self._complain(error)
            except Exception as error:  # one source's fault must not end the others; it is told, and tried again
                failures += 1
                fault = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
                self._complain(SourceError(f"an unexpected fault ({fault})", place=self.spec.name))
            if self._once:
                break
            pause = STANDBY if isinstance(self.error, HeldError) else self._backoff(failures)
            self._sleep(pause)
        self._report("stopped")

    def _backoff(self, failures: int) -> float:
        longest = min(self._options.longest_backoff, FIRST_BACKOFF * float(1 << min(failures - 1, 20)))
        return longest * (0.5 + random.random() / 2)  # noqa: S311  jitter

    def _serve(self) -> None:
        """Open the source and read it until it is told to end, or fails."""
        source = self._source = self.spec.open()
        try:
            if self._stop.is_set():
                return
            limits = BatchLimits(
                records=self._options.batch_records,
                bytes=self._options.batch_bytes,
                seconds=self._options.batch_seconds,
            )
            files = FileOptions(jobs=0)
            self._pipeline = Pipeline(
                self.spec.name,
                source,
                self._scanner,
                self._store,
                limits=limits,
                files=files,
                planner=self._planner,
                platform=self.spec.platform,
            )
            while not self._stop.is_set():
                self._pass(source, self._pipeline)
                if self._once:
                    return
                if not self._stop.is_set():
                    self._report("waiting")
                    self._sleep(self.spec.options.poll)
        finally:
            source.close()
            self._source = None

    def _sleep(self, seconds: float) -> None:
        """Wait, telling now and then that it still lives."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._wake.wait(min(left, HEARTBEAT)):
            self._report(self.status.state)
        if not self._stop.is_set():
            self._wake.clear()

    def _pass(self, source: Source, pipeline: Pipeline) -> None:
        """Read what is new in every unit. Raises the last `SourceError` of a unit, when all others were read."""
        self._pass_began, self._pass_records = time.monotonic(), 0
        failed: SourceError | None = None
        units = 0
        for unit in source.units():
            if self._stop.is_set():
                return
            if isinstance(unit, Skipped):
                self._unread(pipeline, "", unit)
                continue
            if not chosen(unit, self.spec.options):
                continue
            units += 1
            self._change(units=max(units, self.status.units), unit=unit.title)
            if unit.live and not self._once:
                self._follow(unit, pipeline)
                continue
            try:
                self._read(unit, pipeline)
            except (AccessError, ClosedError):
                raise
            except GoneError as error:
                self._unread(pipeline, unit.id, Skipped(unit.title, f"it is not there any more: {error.reason}"))
            except SourceError as error:
                failed = error
                self._journal.tell("warning", "unit failed", source=self.spec.name, unit=unit.title, error=str(error))
        self._change(units=units, unit="")
        if failed is not None:
            raise failed
        self.error, self.failed = None, False
        if self.status.last_error:
            self._journal.tell("info", "recovered", source=self.spec.name)
            self._change(last_error="", last_error_at=None)

    def _follow(self, unit: Unit, pipeline: Pipeline) -> None:
        """Read a live unit in a thread of its own, if it is not read already."""
        thread = self._live.get(unit.id)
        if thread is None or not thread.is_alive():
            name = f"keysentry-{self.spec.name}-live"
            thread = threading.Thread(target=self._live_loop, args=(unit, pipeline), name=name, daemon=True)
            self._live[unit.id] = thread
            thread.start()

    def _live_loop(self, unit: Unit, pipeline: Pipeline) -> None:
        failures = 0
        while not self._stop.is_set() and pipeline is self._pipeline and self._source is not None:
            try:
                self._read(unit, pipeline)
                failures = 0
            except ClosedError:
                return
            except KeysentryError as error:
                failures += 1
                self._complain(error)
                self._stop.wait(self._backoff(failures))

    def _read(self, unit: Unit, pipeline: Pipeline) -> None:
        if not unit.live:
            self._report("reading", unit=unit.title)
        for progressed in pipeline.run(unit, self._stop.is_set):
            self._progressed(progressed)

    # -- what is told of it --------------------------------------------------------------------------------------

    def _progressed(self, progressed: Progressed) -> None:
        committed = progressed.committed
        if committed.actions:
            self._filed()
        with self._lock:
            self.new_incidents += len(committed.new) + len(committed.reopened)
            self._pass_records += progressed.records
            seconds = max(time.monotonic() - self._pass_began, 0.001)
            status = self.status
            self.status = msgspec.structs.replace(
                status,
                records=status.records + progressed.records,
                bytes=status.bytes + progressed.bytes,
                findings=status.findings + progressed.findings,
                unread=status.unread + len(progressed.skipped),
                records_per_second=round(self._pass_records / seconds, 1),
                lag=status.lag if progressed.lag is None else progressed.lag,
                last_record=time.time() if progressed.records else status.last_record,
            )
        for incident in committed.new:
            self._announce("new incident", incident)
        for incident in committed.reopened:
            self._announce("incident is back", incident)
        if time.monotonic() - self._reported >= self._options.status_every:
            self._report(self.status.state)

    def _announce(self, event: str, id: str) -> None:
        incident = self._store.incident(id)
        severity, title = (incident.severity.value, incident.title) if incident is not None else (None, None)
        self._journal.tell("warning", event, source=self.spec.name, incident=id, severity=severity, title=title)

    def _unread(self, pipeline: Pipeline, unit: str, skipped: Skipped) -> None:
        pipeline.note(unit, [skipped])
        self._change(unread=self.status.unread + 1)
        self._journal.tell("warning", "not read", source=self.spec.name, place=skipped.place, reason=skipped.reason)

    def _complain(self, error: KeysentryError) -> None:
        self.error, self.failed = error, True
        person = isinstance(error, AccessError)
        self._change(last_error=str(error), last_error_at=time.time())
        self._journal.tell("error", "needs attention" if person else "failed", source=self.spec.name, error=str(error))
        self._report("needs-attention" if person else "backing-off")

    def _change(self, **fields: object) -> None:
        with self._lock:
            self.status = msgspec.structs.replace(self.status, **fields)

    def _report(self, state: SourceState, unit: str | None = None) -> None:
        """Note the state in the store, as far as that is possible; a store that fails is told of elsewhere."""
        fields: dict[str, object] = {"state": state, "at": time.time()}
        if unit is not None:
            fields["unit"] = unit
        self._change(**fields)
        self._reported = time.monotonic()
        try:
            self._store.report(self.status)
        except StoreError as error:
            self._journal.tell("warning", "state not stored", source=self.spec.name, error=str(error))
