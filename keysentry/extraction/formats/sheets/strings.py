"""Text in binary parts of workbooks that no reader takes apart: runs of UTF-16, and Apple's packed archives.

Formats: xls and xlsb keep most of their strings as UTF-16-LE ([MS-XLS] 2.5.293, [MS-XLSB] 2.5.169). An iWork archive
(iwa) is chunks of a zero byte, a length of three bytes and a block of raw Snappy
(https://github.com/google/snappy/blob/main/format_description.txt); its content is Protocol Buffers, with strings as
UTF-8.
"""

from __future__ import annotations

import re

_WIDE = re.compile(rb"(?:[\x20-\x7e\xa0-\xff\t]\x00){5,}")


def wide_runs(data: bytes) -> bytes:
    """The runs of UTF-16-LE in some bytes, a line each, as UTF-8; of letters, digits and signs of Western Europe."""
    return b"\n".join(run.decode("utf-16-le").encode() for run in _WIDE.findall(data))


def unpacked_iwa(data: bytes) -> bytes | None:
    """The content of an iWork archive; None where it is damaged or none."""
    out = bytearray()
    at = 0
    try:
        while at < len(data):
            if data[at] != 0:
                return None
            length = int.from_bytes(data[at + 1 : at + 4], "little")
            _unsnappy(data[at + 4 : at + 4 + length], out)
            at += 4 + length
    except IndexError:
        return None
    return bytes(out)


def _unsnappy(block: bytes, out: bytearray) -> None:
    """Unpack a block of raw Snappy to the end of `out`. Raises `IndexError` where it is damaged."""
    start, at = len(out), 0
    while block[at] & 0x80:  # how long the result is; it is known when the block ends
        at += 1
    at += 1
    while at < len(block):
        tag = block[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                size = length - 59
                length = int.from_bytes(block[at : at + size], "little")
                at += size
            out += block[at : at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag & 0xE0) << 3 | block[at]
            at += 1
        else:
            size = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(block[at : at + size], "little")
            at += size
        _copy(out, start, offset, length)


def _copy(out: bytearray, start: int, offset: int, length: int) -> None:
    """Repeat what stands `offset` bytes before the end; a run may repeat itself."""
    begin = len(out) - offset
    if begin < start or not offset:
        raise IndexError
    while length > 0:
        part = out[begin : begin + length]
        out += part
        begin += len(part)
        length -= len(part)
