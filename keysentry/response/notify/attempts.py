"""Which notices were surely not told, by what this process saw of its own attempts.

A worker asks before every further try whether the last one had its effect. Where the other side cannot be asked, the
answer is still known after an attempt that failed before anything was told: a server that says "later" has told nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from keysentry.errors import KeysentryError, UnclearError

_REMEMBERED = 10_000


class Attempts:
    """What became of the attempts of this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[str, None] = {}

    @contextmanager
    def trying(self, id: str) -> Iterator[None]:
        """An attempt to tell a notice. That it failed is remembered, unless it is unclear whether it did."""
        with self._lock:
            self._failed.pop(id, None)
        try:
            yield
        except UnclearError:
            raise
        except KeysentryError:
            with self._lock:
                while len(self._failed) >= _REMEMBERED:
                    del self._failed[next(iter(self._failed))]
                self._failed[id] = None
            raise

    def surely_failed(self, id: str) -> bool:
        """Whether the last attempt to tell a notice was one of this process and had no effect."""
        with self._lock:
            return id in self._failed
