"""Keeping to a platform's limits: a token bucket in front, and waiting as long as the platform says.

Algorithm. Before each call a token is taken from a bucket that fills at the platform's stated rate. A call that is
refused for its rate is tried again after the time that the platform names (Retry-After), one that failed for a passing
reason after exponentially longer times with jitter.

Failure modes. After `tries` calls, or when the platform asks to wait longer than `longest`, the call ends as
`SourceError`, so that the source's own loop decides when to go on. Closing wakes every waiting thread with
`ClosedError`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from keysentry.errors import ClosedError, SourceError

T = TypeVar("T")
Clock = Callable[[], float]


class Refused(Exception):
    """A call that may be tried again: the platform said so, or the connection broke.

    `after` is how many seconds the platform asked to wait; None if it said nothing.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Pace:
    """One limit: calls go through `call`, from any number of threads."""

    def __init__(
        self,
        place: str,
        *,
        per_second: float = 0.0,
        burst: int = 1,
        tries: int = 6,
        first_wait: float = 0.5,
        longest: float = 300.0,
        clock: Clock = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`place` names the platform in errors; `per_second` is the rate (0: no bucket); `longest` is the longest
        single wait in seconds. `wait` sleeps so many seconds and answers True if it was woken to stop.
        """
        self._place = place
        self._rate = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._tries = tries
        self._first = first_wait
        self._longest = longest
        self._clock = clock
        self._filled = clock()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait

    def call(self, operation: Callable[[], T]) -> T:
        """The operation's result. It raises `Refused` for what is worth another try; all else passes through."""
        for attempt in range(1, self._tries + 1):
            self._take()
            try:
                return operation()
            except Refused as refused:
                self._after(refused, attempt)
        raise AssertionError("unreachable")

    def pause(self, seconds: float) -> None:
        """Wait. Raises `ClosedError` if closed meanwhile."""
        if self._closed.is_set() or (seconds > 0 and self._wait(seconds)):
            raise ClosedError("closed while it waited", place=self._place)

    def close(self) -> None:
        """Wake all who wait."""
        self._closed.set()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def _take(self) -> None:
        self.pause(self._due())

    def _due(self) -> float:
        """Take a token, which may be one that is still to come, and tell how long that takes."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._rate)

    def _after(self, refused: Refused, attempt: int) -> None:
        seconds = refused.after
        if seconds is None:
            seconds = self._first * 2 ** (attempt - 1) * (0.5 + random.random())  # noqa: S311  jitter
        if attempt == self._tries or seconds > self._longest:
            asked = f"; it asks to wait {refused.after:,.0f} s" if refused.after else ""
            raise SourceError(f"{refused.reason} ({attempt} tries{asked})", place=self._place)
        self.pause(seconds)
