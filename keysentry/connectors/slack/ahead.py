"""Reading ahead: the next page is asked for in a thread while one is worked on.

Invariants. Items and the error that ends them come in the order in which they would come without a thread. What is
ahead is bounded: one item, that comes or waits. A thread that is not listened to any more ends by itself, after the
call that it is in.

An interpreter runs one thread at a time, and a thread that works does not let one in that only wants to send something
until it has had its time, which is longer than a page takes. So an item is handed over only once the question for the
next one is out: the platform answers while the item is worked on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

T = TypeVar("T")
Sent = Callable[[], None]
"""Called when a question is sent and only its answer is waited for."""

_PLAIN: Final = 2
"""How many items are read without a thread first: what ends there, as most polls do, needs none."""
_PATIENCE: Final = 0.005
"""Seconds for which an item that is there waits for the next question to be sent: it may be held up by a limit."""


def read_ahead(make: Callable[[Sent], Iterator[T]]) -> Iterator[T]:
    """The items of an iterator that is made here, told how to say that a question is sent, and read in a thread."""
    reading = _Reading(make)
    for _ in range(_PLAIN):
        try:
            yield next(reading.source)
        except StopIteration:
            return
    threading.Thread(target=reading.run, name="keysentry-ahead", daemon=True).start()
    try:
        yield from reading.items()
    finally:
        reading.stop()


class _Reading(Generic[T]):
    def __init__(self, make: Callable[[Sent], Iterator[T]]) -> None:
        self._sent = threading.Event()
        self._wanted = threading.Semaphore(0)
        self._read: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
        self._stopped = False
        self.source = make(self._sent.set)

    def run(self) -> None:
        """Read, in the thread."""
        end: BaseException | None = None
        try:
            for item in self.source:
                self._read.put((item,))
                self._wanted.acquire()
                if self._stopped:
                    return
        except BaseException as error:  # whatever it is, it is raised where the items are read
            end = error
        self._sent.set()
        self._read.put(end)

    def items(self) -> Iterator[T]:
        """What was read, where it is worked on."""
        while True:
            got = self._read.get()
            if got is None:
                return
            if isinstance(got, BaseException):
                raise got
            self._sent.clear()
            self._wanted.release()
            self._sent.wait(_PATIENCE)
            yield got[0]
            del got  # whoever reads lets go of it as well, before there is another

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped = True
        self._wanted.release()
