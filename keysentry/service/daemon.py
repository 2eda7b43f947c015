"""`keysentry watch`: a loop for each source, and the signals that the process gets.

Invariants. SIGTERM and SIGINT end the daemon within its deadline: each loop stores the batch it holds or gives it back
(its cursor was not moved). SIGHUP reads the configuration and the rules again; if they are faulty the old ones stay,
and that is told. A loop is only replaced if its own options changed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple

from keysentry.errors import HeldError, KeysentryError
from keysentry.model.incident import SourceStatus
from keysentry.response.act import Worker
from keysentry.response.plan import Policy
from keysentry.scan import Scanner
from keysentry.service.journal import Journal
from keysentry.service.loop import SourceLoop, SourceSpec
from keysentry.service.options import WatchOptions
from keysentry.store.base import Store

Message = Literal["stop", "reload"]


class Plan(NamedTuple):
    """What a configuration asks a daemon to do."""

    scanner: Scanner
    sources: Sequence[SourceSpec]
    options: WatchOptions
    policy: Policy | None = None
    """What is to be done about findings."""
    worker: Callable[[Store, Journal], Worker] | None = None
    """Makes the one who does it."""


class Ended(NamedTuple):
    """How a daemon's run went: incidents that are new or back, sources that failed at the end, whether all ended in
    time.
    """

    new_incidents: int
    failed: tuple[str, ...]
    in_time: bool


class Daemon:
    """Runs loops until it is told to end or, with `once`, until each source was read once."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        journal: Journal,
        *,
        replan: Callable[[], Plan] | None = None,
        once: bool = False,
    ) -> None:
        self._plan = plan
        self._store = store
        self._journal = journal
        self._replan = replan
        self._once = once
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._loops: dict[str, SourceLoop] = {}
        self._incidents = 0
        self._worker: Worker | None = None

    def tell(self, message: Message) -> None:
        """Ask it to end or to reload, from any thread or signal handler."""
        self._messages.put(message)

    def statuses(self) -> list[SourceStatus]:
        """How its sources are doing now."""
        return [loop.status for loop in list(self._loops.values())]

    def run(self, show: Callable[[list[SourceStatus]], None] = lambda _statuses: None) -> Ended:
        """Read all sources. `show` is called every now and then with how they are doing.

        Raises `HeldError` if other processes hold all of them.
        """
        self._check_hold()
        with self._signals():
            self._journal.tell("info", "started", sources=len(self._plan.sources), once=self._once)
            self._act()
            for spec in self._plan.sources:
                self._start(spec)
            while any(loop.alive for loop in self._loops.values()) or not (self._once or self._stopped()):
                try:
                    message = self._messages.get(
                        timeout=0.02 if self._once else min(1.0, self._plan.options.status_every)
                    )
                except Empty:
                    show(self.statuses())
                    continue
                if message == "stop":
                    break
                self._reload()
            return self._end()

    def _stopped(self) -> bool:
        return not self._loops

    def _check_hold(self) -> None:
        """A store that only one process may use says so before anything is begun."""
        held: HeldError | None = None
        for spec in self._plan.sources:
            try:
                with self._store.hold(spec.name):
                    return
            except HeldError as error:
                held = error
        if held is not None:
            raise held

    def _start(self, spec: SourceSpec) -> None:
        loop = SourceLoop(
            spec,
            self._plan.scanner,
            self._store,
            self._plan.options,
            self._journal,
            once=self._once,
            planner=self._plan.policy,
            filed=self._wake_worker,
        )
        self._loops[spec.name] = loop
        loop.start()

    def _act(self) -> None:
        """Begin to carry out actions."""
        if self._plan.worker is not None:
            self._worker = self._plan.worker(self._store, self._journal)
            self._worker.start()

    def _wake_worker(self) -> None:
        if self._worker is not None:
            self._worker.wake()

    def _rest(self, seconds: float) -> bool:
        """Let the worker finish what it has in hand, and with `once` all that is due now."""
        worker, self._worker = self._worker, None
        if worker is None:
            return True
        ended = worker.stop(seconds)
        if self._once and ended and self._plan.worker is not None:
            last = self._plan.worker(self._store, self._journal)
            last.drain()
            last.close()
        return ended

    def _end(self) -> Ended:
        deadline = time.monotonic() + self._plan.options.deadline
        loops = list(self._loops.values())
        for loop in loops:
            if loop.alive:
                loop.stop()
        ended = [loop.join(max(0.0, deadline - time.monotonic())) for loop in loops]
        in_time = self._rest(max(0.1, deadline - time.monotonic())) and all(ended)
        if not in_time:
            self._journal.tell(
                "warning", "deadline passed: what is in hand is given back", seconds=self._plan.options.deadline
            )
        failed = tuple(loop.spec.name for loop in loops if loop.failed)
        found = self._incidents + sum(loop.new_incidents for loop in loops)
        self._journal.tell("info", "ended", new_incidents=found, failed=", ".join(failed) or None)
        return Ended(found, failed, in_time)

    def _reload(self) -> None:
        """Take over a changed configuration. Loops whose options are the same go on with the new rules."""
        if self._replan is None:
            return
        try:
            plan = self._replan()
        except KeysentryError as error:
            self._journal.tell("error", "not reloaded: the old configuration stays", error=str(error))
            return
        self._plan = plan
        self._rest(plan.options.deadline)
        self._act()
        wanted = {spec.name: spec for spec in plan.sources}
        for name, loop in list(self._loops.items()):
            spec = wanted.get(name)
            if spec is not None and spec.options == loop.spec.options and spec.platform == loop.spec.platform:
                loop.exchange(plan.scanner, plan.policy)
                loop.wake()
                continue
            loop.stop()
            loop.join(plan.options.deadline)
            self._incidents += loop.new_incidents
            del self._loops[name]
        for name, spec in wanted.items():
            if name not in self._loops:
                self._start(spec)
        self._journal.tell("info", "reloaded", sources=len(wanted))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Hear the process's signals, in the main thread only, and put back who heard them before."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted: dict[int, Message] = {signal.SIGTERM: "stop", signal.SIGINT: "stop"}
        if hasattr(signal, "SIGHUP"):
            wanted[signal.SIGHUP] = "reload"
        # A signal handler may put into a SimpleQueue; it may not set an Event that its own thread waits for.
        before = {number: signal.signal(number, lambda got, _frame: self.tell(wanted[got])) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
