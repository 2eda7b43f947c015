"""Processes that scan files side by side, for whoever owns the whole process: the command line.

Reading small files is Python and short system calls, for which threads only get in each other's way. Worker
processes are forked from one that has loaded its rules already, get lists of paths, and send back what they found;
the order of the lists is kept.

Invariants. Workers hold no secret longer than a batch, and what they send goes through pipes that only the parent
has. A worker that dies takes nothing with it but the batches it had, and these are named.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from keysentry.extraction.sniff import Kind
from keysentry.model.finding import Skipped
from keysentry.model.sensitive import Sensitive
from keysentry.scan.document import Outcome
from keysentry.scan.pipes import deaf, end, kill, receive, send, whole
from keysentry.scan.reader import Batch, Deferred

if TYPE_CHECKING:
    from keysentry.scan.exports import Export

_WAITING = 2
"""How many batches a worker has been given at most."""

Work = Callable[[list[str]], Batch]


class _Wire(msgspec.Struct, array_like=True):
    """A batch as it goes through a pipe: of each entry either the outcome or the deferred file."""

    entries: list[tuple[Outcome | None, tuple[str, Kind, int] | None]]
    files: int
    size: int


def _reveal(value: Any) -> Any:
    if isinstance(value, Sensitive):
        return value.reveal_bytes()
    raise NotImplementedError(type(value))


def _hide(kind: type, value: Any) -> Any:
    return Sensitive(value) if kind is Sensitive else value


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_reveal)


class _Worker:
    """One forked process, as its parent sees it."""

    def __init__(self, work: Work, others: list[_Worker]) -> None:
        requests, self.requests = os.pipe()
        self.answers, answers = os.pipe()
        self.waiting: deque[tuple[int, list[str]]] = deque()
        self.received = bytearray()
        self.pid = os.fork()
        if not self.pid:
            for other in [*others, self]:
                os.close(other.requests)
                os.close(other.answers)
            _serve(work, requests, answers)
        os.close(requests)
        os.close(answers)

    def give(self, number: int, paths: list[str]) -> None:
        """Give it a batch. A worker that is gone is noticed when its answer is read.

        Raises `UnicodeEncodeError` for a path that is no text, which could not come back in an answer.
        """
        request = msgspec.msgpack.encode(paths)
        self.waiting.append((number, paths))
        with contextlib.suppress(BrokenPipeError):
            send(self.requests, request)

    def end(self) -> None:
        """Let it end, and wait until it has."""
        for descriptor in (self.requests, self.answers):
            os.close(descriptor)
        end(self.pid)


def _serve(work: Work, requests: int, answers: int) -> NoReturn:
    """The worker's life: batches in, answers out, until the parent closes the pipe."""
    deaf()
    gc.disable()  # findings are trees, and die with their batch: there is nothing to collect
    code = 1
    try:
        while (request := receive(requests)) is not None:
            batch = work(msgspec.msgpack.decode(request, type=list[str]))
            entries: list[tuple[Outcome | None, tuple[str, Kind, int] | None]] = [
                (None, (one.path, one.kind, one.size)) if isinstance(one, Deferred) else (one, None)
                for one in batch.outcomes
            ]
            send(answers, _ENCODER.encode(_Wire(entries, batch.files, batch.size)))
        code = 0
    finally:
        os._exit(code)


class Workers:
    """A few worker processes: they begin with `start` and end with `close`."""

    def __init__(self, work: Work, count: int, export: Export | None = None) -> None:
        self._work = work
        self._count = count
        self._export = export
        self._workers: list[_Worker] = []
        self._done: dict[int, Batch] = {}
        self._decoder = msgspec.msgpack.Decoder(_Wire, dec_hook=_hide)

    def start(self) -> None:
        """Fork them. Whatever ends this, `close` ends those that were forked."""
        gc.freeze()  # what is there already is shared with the workers: no collection may touch its pages
        try:
            for _ in range(self._count):
                # An interrupt between the fork and the child's own handler would unwind the parent's calls in the
                # child; one before the parent has noted the child would leave it behind.
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                try:
                    self._workers.append(_Worker(self._work, self._workers))
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        finally:
            gc.unfreeze()

    def ordered(self, batches: Iterator[list[str]]) -> Iterator[Batch]:
        """The results of batches of paths, in their order."""
        given = told = 0
        more = True
        while True:
            while more and ((worker := self._idle()) is not None or not self._workers):
                paths = next(batches, None)
                if paths is None:
                    more = False
                    break
                if worker is None:  # all have died
                    self._done[given] = _lost(paths)
                else:
                    try:
                        worker.give(given, paths)
                    except UnicodeEncodeError:  # rare enough to be done here
                        self._done[given] = self._work(paths)
                given += 1
            while told in self._done:
                yield self._done.pop(told)
                told += 1
            if told == given and not more:
                return
            if told not in self._done:
                self._listen()

    def _idle(self) -> _Worker | None:
        """The living worker with the least to do, if it may be given more."""
        worker = min(self._workers, key=lambda one: len(one.waiting), default=None)
        return worker if worker is not None and len(worker.waiting) < _WAITING else None

    def _listen(self) -> None:
        """Wait for the next answer."""
        busy = {worker.answers: worker for worker in self._workers if worker.waiting}
        for descriptor in select.select(list(busy), [], [])[0]:
            worker = busy[descriptor]
            part = os.read(descriptor, 1 << 20)
            if not part:
                self._bury(worker)
                continue
            worker.received += part
            self._take(worker)

    def _take(self, worker: _Worker) -> None:
        while (message := whole(worker.received)) is not None:
            wire = self._decoder.decode(message)
            number, _paths = worker.waiting.popleft()
            outcomes = [self._entry(*entry) for entry in wire.entries]
            self._done[number] = Batch(outcomes, wire.files, wire.size)

    def _entry(self, outcome: Outcome | None, deferred: tuple[str, Kind, int] | None) -> Outcome | Deferred:
        if deferred is not None:
            return Deferred(*deferred, self._export)
        assert outcome is not None
        return outcome

    def _bury(self, worker: _Worker) -> None:
        """A worker has died: name what it had, and go on without it."""
        self._workers.remove(worker)
        worker.end()
        for number, paths in worker.waiting:
            self._done[number] = _lost(paths)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            kill(worker.pid)  # all of them first, so that they go at the same time
        for worker in self._workers:
            worker.end()
        self._workers.clear()


def _lost(paths: list[str]) -> Batch:
    """What is told of a batch that nobody scanned."""
    reason = "not read: the worker process ended unexpectedly (scan it again with --jobs 1)"
    return Batch([Outcome([], [Skipped(path, reason) for path in paths])], len(paths), 0)
