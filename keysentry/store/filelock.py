"""A lock on a file that tells who has it, and ends with the process that has it, however that ends.

On Unix it is `flock`, whose lock belongs to the open file: a second one in the same process is refused as well, and a
child process would keep it alive, so children let go of it when they are forked.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from pathlib import Path

import msgspec

from keysentry.errors import HeldError, StoreError
from keysentry.store.database import Holder, this_process

_ADVICE = "stop it, or let them share a PostgreSQL store"
_OPEN_LOCKS: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """A lock on a file, taken by a process once and shared by what it holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._held: set[str] = set()
        self._descriptor: int | None = None
        _OPEN_LOCKS.add(self)

    def take(self, name: str, place: str) -> None:
        """Hold something by its name. Raises `HeldError`."""
        with self._guard:
            if name in self._held:
                raise HeldError("this process reads it already", place=name)
            if self._descriptor is None:
                self._descriptor = self._locked(place)
            self._held.add(name)

    def give(self, name: str) -> None:
        """Hold it no more."""
        with self._guard:
            self._held.discard(name)
            if not self._held:
                self._release()

    def close(self) -> None:
        """Hold nothing."""
        with self._guard:
            self._held.clear()
            self._release()

    def forked(self) -> None:
        """In a child process: the lock is the parent's, and must end with it."""
        self._guard = threading.Lock()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _locked(self, place: str) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"the lock cannot be made: {error.strerror}", place=str(self._path)) from None
        try:
            if not _lock(descriptor):
                raise _refusal(descriptor, place)
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, msgspec.json.encode(this_process()))
        except OSError as error:
            os.close(descriptor)
            raise StoreError(f"the lock cannot be taken: {error.strerror}", place=str(self._path)) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _refusal(descriptor: int, place: str) -> HeldError:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        holder = msgspec.json.decode(os.read(descriptor, 4096), type=Holder)
    except msgspec.DecodeError:
        return HeldError("another process holds it", place=place, advice=_ADVICE)
    return holder.refusal(place, _ADVICE)


if sys.platform == "win32":
    import msvcrt

    _BEYOND = 1 << 30
    """A locked range cannot be read by others: one that is past the holder's note."""

    def _lock(descriptor: int) -> bool:
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _after_fork() -> None:
    for lock in list(_OPEN_LOCKS):
        lock.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
