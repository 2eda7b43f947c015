"""A few threads, and results in the order in which the work was given out.

`concurrent.futures` would do, but importing it costs more than scanning a small file takes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from queue import SimpleQueue

T = TypeVar("T")
Task = Callable[[], T]


class _Slot(Generic[T]):
    """A result that may not be there yet."""

    __slots__ = ("_done", "_error", "_value", "task")

    def __init__(self, task: Task[T]) -> None:
        self.task = task
        self._done = threading.Lock()
        self._done.acquire()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value = self.task()
        except BaseException as error:  # handed to the thread that waits for the result
            self._error = error
        finally:
            self._done.release()

    def result(self) -> T:
        # In steps, so that Ctrl-C is noticed while waiting.
        while not self._done.acquire(timeout=1.0):
            pass
        self._done.release()
        if self._error is not None:
            raise self._error
        return self._value


class Pool:
    """Runs tasks on `jobs` threads; `ordered` gives their results in the order of the tasks.

    Threads start when there is a second task; a single one runs in the calling thread.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._threads: list[threading.Thread] = []
        self._closed = False

    def _start(self) -> None:
        if not self._threads:
            from queue import SimpleQueue  # most scans of one file, and those by processes, need no threads

            self._queue: SimpleQueue[_Slot[object] | None] = SimpleQueue()
            for _ in range(self._jobs):
                thread = threading.Thread(target=self._work, name="keysentry-scan", daemon=True)
                thread.start()
                self._threads.append(thread)

    def _work(self) -> None:
        while (slot := self._queue.get()) is not None:
            if not self._closed:
                slot.run()

    def ordered(self, tasks: Iterator[Task[T]]) -> Iterator[T]:
        """The results of tasks, in their order; only a few more tasks are taken than results were given."""
        first = next(tasks, None)
        if first is None:
            return
        second = next(tasks, None)
        if second is None and not self._threads:
            yield first()
            return
        self._start()
        waiting: deque[_Slot[T]] = deque()
        self._submit(first, waiting)
        if second is not None:
            self._submit(second, waiting)
        for task in tasks:
            self._submit(task, waiting)
            if len(waiting) > 3 * self._jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _submit(self, task: Task[T], waiting: deque[_Slot[T]]) -> None:
        slot = _Slot(task)
        waiting.append(slot)
        self._queue.put(slot)  # type: ignore[arg-type]  # the queue does not look inside

    def close(self) -> None:
        """Let the threads end; tasks that have not begun are dropped."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
