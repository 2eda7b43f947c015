"""What processes that are forked from the scan have in common: when that is safe, and messages through a pipe.

A message is its length and its bytes. Who reads from a pipe that the other side has closed gets None.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading

_SIZE = 8
_AT_ONCE = 1 << 20


def can_fork() -> bool:
    """Whether processes can be forked safely: on systems that fork, from a process without other threads."""
    return hasattr(os, "fork") and threading.active_count() == 1


def deaf() -> None:
    """In a child: leave Ctrl-C, which reaches the whole group, to the parent. It ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def kill(pid: int) -> None:
    """Tell a child to end, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end(pid: int) -> None:
    """End a child, and wait until it has."""
    kill(pid)
    os.waitpid(pid, 0)


def send(descriptor: int, content: bytes) -> None:
    """Write a message."""
    rest = memoryview(len(content).to_bytes(_SIZE, "big") + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int) -> bytes | None:
    """Read the next message."""
    head = _exactly(descriptor, _SIZE)
    return None if head is None else _exactly(descriptor, int.from_bytes(head, "big"))


def _exactly(descriptor: int, count: int) -> bytes | None:
    content = b""
    while len(content) < count:
        part = os.read(descriptor, min(count - len(content), _AT_ONCE))
        if not part:
            return None
        content += part
    return content


def whole(received: bytearray) -> bytes | None:
    """Take the first message off what was received so far; None if it is not all there."""
    end = _SIZE + int.from_bytes(received[:_SIZE], "big")
    if len(received) < _SIZE or len(received) < end:
        return None
    content = bytes(memoryview(received)[_SIZE:end])
    del received[:end]
    return content
