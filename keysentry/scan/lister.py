"""A process that lists a folder while its parent still loads the rules, for whoever owns the whole process.

Loading takes one processor as long as listing some ten thousand files takes another. The lister is forked before
anything heavy is imported, and sends what `folders` gives through a pipe.

Invariants. What comes out is what `folders` gives, in its order. A lister that dies costs its time only: the rest is
listed by the parent. One that nobody reads from waits, with no more in memory than the pipe holds.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import NoReturn

from keysentry.model.finding import Skipped
from keysentry.scan.options import FileOptions
from keysentry.scan.pipes import can_fork, deaf, end, receive, send
from keysentry.scan.walk import Folder, folders

_AT_ONCE = 256
"""How many files a message names, or a few more."""
_PATIENCE = 0.05
"""Seconds after which a message is sent with fewer."""
_ROOM = 1 << 20
"""Bytes that the pipe is to hold, so that the lister need not wait while the parent loads."""

Told = tuple[str, tuple[str, ...], tuple[str, ...]] | tuple[str, str]
"""A `Folder`, or a `Skipped` (of which there are no partial ones), as it goes through the pipe."""


def may_list(target: str, jobs: int) -> bool:
    """Whether a lister is of use: for a folder, where there is a second processor, and where one may fork."""
    return jobs != 1 and (os.cpu_count() or 1) > 1 and os.path.isdir(target) and can_fork()  # noqa: PTH112  hot start


class Lister:
    """A forked process that lists `target`. It begins at once and ends with `close`."""

    def __init__(self, target: str, options: FileOptions) -> None:
        self.target = target
        self.asked = False
        self._options = options
        self._pipe, answers = os.pipe()
        # An interrupt between the fork and the child's own handler would unwind the parent's calls in the child; one
        # before the parent has noted the child would leave it behind.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._pid = os.fork()
            if not self._pid:
                os.close(self._pipe)
                _serve(target, options, answers)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.close(answers)

    def __enter__(self) -> Lister:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def folders(self) -> Iterator[Folder | Skipped]:
        """What `keysentry.scan.walk.folders` gives for the target. Can be asked once."""
        self.asked = True
        given = 0
        while message := receive(self._pipe):
            for one in marshal.loads(message):  # noqa: S302  from our own child, through a pipe that only it has
                yield Folder(*one) if len(one) == 3 else Skipped(*one)
                given += 1
        if message is None:  # it has not said that this was all
            yield from islice(folders(self.target, self._options), given, None)

    def close(self) -> None:
        """End the process, if it has not ended yet."""
        if self._pid:
            os.close(self._pipe)
            end(self._pid)
            self._pid = 0


def _serve(target: str, options: FileOptions, answers: int) -> NoReturn:
    """The lister's life: everything that is in the folder, and an empty message at the end."""
    code = 1
    try:
        deaf()
        gc.disable()
        _widen(answers)
        for part in _parts(target, options):
            send(answers, marshal.dumps(part))
        send(answers, b"")
        code = 0
    except Exception:  # noqa: S110  the parent lists the rest, and meets the same fault where it can be told
        pass
    finally:
        os._exit(code)


def _parts(target: str, options: FileOptions) -> Iterator[list[Told]]:
    part: list[Told] = []
    files = 0
    began = time.monotonic()
    for one in folders(target, options):
        if isinstance(one, Folder):
            part.append((one.path, one.files, one.folders))  # marshal takes plain tuples only
            files += len(one.files)
        elif isinstance(one, Skipped):
            part.append((one.place, one.reason))
        if files >= _AT_ONCE or time.monotonic() - began > _PATIENCE:
            yield part
            part, files, began = [], 0, time.monotonic()
    if part:
        yield part


def _widen(pipe: int) -> None:
    """Let a pipe hold more, where the system can do that and allows it."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _ROOM)
