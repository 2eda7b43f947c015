"""The source code of macros: the modules of a VBA project, which are packed inside a compound file.

Format: [MS-OVBA] 2.4.1 (compression), 2.3.4.3 (a module's stream: compiled code, then the packed source, which begins
with `Attribute`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from keysentry.extraction.formats.sheets.ole import Compound

_CHUNK = 4096
MOST = 16 << 20
"""How many bytes the stream of a module may have: the largest that programs write are a tenth of that."""
_NAME = re.compile(rb'Attribute VB_Name = "([^"\r\n]{1,64})"')
_SOURCE = re.compile(rb"\x01[\x00-\xff][\xb0-\xbf]\x00Attribut", re.DOTALL)
"""How packed source begins: the mark of a container, the head of a packed chunk, and eight plain letters."""


def modules(compound: Compound) -> Iterator[tuple[str, bytes]]:
    """The modules of the projects in a compound file: name and source, as far as it can be unpacked."""
    if "vba" not in compound.names:
        return
    for stream in compound.streams:
        content = compound.content(stream) if stream.name != "Root Entry" and stream.size <= MOST else b""
        found = _SOURCE.search(content)
        if found is not None:
            source = unpacked(content[found.start() :])
            name = _NAME.match(source)
            yield name[1].decode("latin-1") if name else stream.name, source


def unpacked(container: bytes) -> bytes:
    """The content of a compressed container; of a damaged one, what comes before the damage."""
    out = bytearray()
    at = 1
    while at + 2 <= len(container):
        head = int.from_bytes(container[at : at + 2], "little")
        if head >> 12 & 7 != 3:
            break
        end = min(at + (head & 0xFFF) + 3, len(container))
        if head & 0x8000:
            try:
                _unpack(container[at + 2 : end], out)
            except IndexError:
                break
        else:
            out += container[at + 2 : at + 2 + _CHUNK]
        at = end
    return bytes(out)


def _unpack(chunk: bytes, out: bytearray) -> None:
    """Unpack one chunk to the end of `out`. Raises `IndexError` where it is damaged."""
    start, at = len(out), 0
    while at < len(chunk):
        flags = chunk[at]
        at += 1
        for bit in range(8):
            if at >= len(chunk):
                return
            if not flags >> bit & 1:
                out.append(chunk[at])
                at += 1
                continue
            token = chunk[at] | chunk[at + 1] << 8
            at += 2
            # The further into the chunk, the more of a token's bits say how far back to copy from.
            width = max((len(out) - start - 1).bit_length(), 4)
            length, back = (token & (0xFFFF >> width)) + 3, (token >> (16 - width)) + 1
            if back > len(out) - start:
                raise IndexError
            for _ in range(length):
                out.append(out[-back])
