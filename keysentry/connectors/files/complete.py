"""Whether a zip is there to its end.

A zip ends with its directory and a record that says where the directory begins (APPNOTE 4.3.16,
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT): one that is still being written, or was cut off, has none.
"""

from __future__ import annotations

import os

_BEGINNINGS = (b"PK\x03\x04", b"PK\x07\x08")
_END = b"PK\x05\x06"
_END_SIZE = 22
_LONGEST_COMMENT = 0xFFFF
_DIRECTORY = (b"PK\x01\x02", b"PK\x06\x06", b"PK\x05\x06")
_FAR = 0xFFFFFFFF


def is_cut_off(descriptor: int, size: int) -> bool:
    """Whether an open file begins like a zip and does not end like one. Raises `OSError`."""
    if size < 4 or os.pread(descriptor, 4, 0) not in _BEGINNINGS:
        return False
    start = max(0, size - _END_SIZE - _LONGEST_COMMENT)
    tail = os.pread(descriptor, size - start, start)
    at = len(tail)
    while (at := tail.rfind(_END, 0, at)) >= 0:
        if _fits(descriptor, tail[at:], start + at):
            return False
    return True


def _fits(descriptor: int, end: bytes, at: int) -> bool:
    """Whether an end record at an offset of the file has its comment behind it and its directory before it."""
    if len(end) < _END_SIZE or len(end) < _END_SIZE + int.from_bytes(end[20:22], "little"):
        return False
    size, offset = int.from_bytes(end[12:16], "little"), int.from_bytes(end[16:20], "little")
    if _FAR in (size, offset):
        return True  # the figures stand in a record of zip64, right before
    # Where something was put before the archive, offsets in it count from there.
    return at >= size and os.pread(descriptor, 4, at - size) in _DIRECTORY
