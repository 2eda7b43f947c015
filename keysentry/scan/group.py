"""Documents that are in memory, or come there in the worker: members of archives, joined for one call of the
prefilter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from keysentry.engine.arena import by_segment
from keysentry.extraction.archive import ARCHIVES
from keysentry.extraction.encoding import is_wide
from keysentry.extraction.formats.sheets.book import OLD_SHEET
from keysentry.extraction.sniff import sniff, worth_sniffing
from keysentry.model.finding import Skipped
from keysentry.scan.document import HEAD, NOTHING, Document, DocumentScanner, Outcome, Piece, is_table
from keysentry.scan.exports import Export
from keysentry.scan.pool import Task

GROUP = 4 << 20
MOST = 4096
"""How many bytes and how many documents are joined."""

Read = Callable[[list[Skipped]], bytes]
"""Gives a document's content; what is wrong with it goes into the list."""


class Held(NamedTuple):
    """A document, how large it is, and the function that reads it (in the worker, so that inflating is shared)."""

    document: Document
    size: int
    read: Read
    export: Export | None = None


class Packed(NamedTuple):
    """A document that turned out to be an archive or a compound file."""

    document: Document
    content: bytes


class Grouped(NamedTuple):
    """What a group gave, in the order of its documents."""

    outcomes: list[Outcome | Packed]
    files: int
    size: int


def groups(held: Iterable[Held], scanner: DocumentScanner) -> Iterator[Task[Grouped]]:
    """Tasks that scan documents group by group."""
    group: list[Held] = []
    size = 0
    for one in held:
        if group and (size + one.size > GROUP or len(group) >= MOST):
            yield partial(scan_group, scanner, group)
            group, size = [], 0
        group.append(one)
        size += one.size
    if group:
        yield partial(scan_group, scanner, group)


def scan_group(scanner: DocumentScanner, group: list[Held]) -> Grouped:
    """Scan the documents of a group."""
    outcomes: list[Outcome | Packed] = []
    contents: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    aside: dict[int, Outcome | Packed] = {}
    problems: list[Skipped] = []
    at = 0
    for number, held in enumerate(group):
        content = held.read(problems)
        if worth_sniffing(content):
            kind = sniff(content, held.document.name)
            document = held.document._replace(kind=kind)
            if kind == "sheet":
                problems.append(Skipped(document.place, OLD_SHEET, partial=True))
            elif kind in ARCHIVES or kind == "ole":
                aside[number] = Packed(document, content)
                content = b""
            elif is_wide(kind):
                aside[number] = scanner.whole(document, content)
                content = b""
        contents.append(content)
        starts.append(at)
        ends.append(at + len(content))
        at += len(content) + 1
    buffer = contents[0] if len(contents) == 1 else b"\n".join(contents)
    found = dict(by_segment(scanner.engine.events(buffer), starts, ends))
    view = memoryview(buffer)
    tables = {number for number, held in enumerate(group) if is_table(held.document.name) and contents[number]}
    for number in sorted(found.keys() | aside.keys() | tables):
        if number in aside:
            outcomes.append(aside[number])
            continue
        held, start, end = group[number], starts[number], ends[number]
        if held.export is not None:
            offsets = [offset - start for _target, offset in found[number]]
            outcomes.append(held.export.day(scanner, held.document, contents[number], offsets))
            continue
        piece = Piece(start, end, start, end, offset=-start)
        events = found.get(number)
        outcome = scanner.piece(held.document, view, piece, events, contents[number][:HEAD]) if events else NOTHING
        if number in tables:
            outcome = scanner.tables.whole(held.document, contents[number], outcome)
        outcomes.append(outcome)
    if problems:
        outcomes.append(Outcome([], problems))
    return Grouped(outcomes, len(group), at - len(group))
