"""The parent's side of the processes that read workbooks: they are started, asked, watched, and replaced when they die.

Algorithm. A process serves one workbook after the other. Its answers come as frames through a pipe, so that it reads
on while the parent scans, and no further ahead than the pipe holds and one sheet. When it dies another one goes on
where it was, with one sheet at a time; if that dies too, the sheet that it was at is read from its XML, for which
little memory is needed; and if even that fails, the sheet is given up and the next one begun.

Invariants. Every sheet ends in its cells or in a `Fault`; nothing that a workbook does to its reader reaches the
caller as an exception. A process that was left in the middle of an answer is not used again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import msgspec

from keysentry.extraction.budget import Budget
from keysentry.extraction.formats.sheets.book import Book
from keysentry.extraction.formats.sheets.child import (
    EVERYTHING,
    HEAD,
    MIXED,
    NO_MEMORY,
    NUMBER,
    NUMBERS,
    SEPARATOR,
    SIZE,
)
from keysentry.extraction.formats.sheets.column import Column

_DEATHS = 16
"""How many processes a workbook may cost before the rest of it is given up."""
_PACKAGES = ("keysentry", "python_calamine")
_MARK = SEPARATOR.encode()
_PIPE = 1 << 20
"""How many bytes a pipe holds, where the system lets it: a frame or two."""
_DOUBLE = 8
"""Bytes of a number."""


class Sheet(NamedTuple):
    """A sheet begins; its cells follow. `visibility` is Visible, Hidden or VeryHidden."""

    number: int
    name: str
    visibility: str


class Cells(NamedTuple):
    """Some rows of the sheet, ascending: the numbers of the rows and of the columns, from 0, and the cells by column.

    `text` is UTF-8 that holds the cells again of the columns (by their place) that are `worded`, those with more than
    numbers: one after the other, with `SEPARATOR` between the cells.
    """

    rows: Sequence[int]
    columns: Sequence[int]
    cells: list[Column]
    text: bytes
    worded: list[int]


class Fault(NamedTuple):
    """A sheet, or with no name the whole workbook, that was not read, or not to its end."""

    sheet: str
    reason: str
    partial: bool = False


Told = Sheet | Cells | Fault


class _Died(Exception):
    """A process has ended, or had to be ended; the text says why."""


class SheetReader:
    """Reads workbooks, each in a process; processes are used again. `close` ends them."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._idle: list[_Process] = []

    def read(self, book: Book) -> Reading:
        """Begin with a workbook: a process is at work from now on; what it tells is for whoever iterates."""
        return Reading(self, book)

    def take(self) -> _Process:
        """A process that waits for a request."""
        return self._idle.pop() if self._idle else _Process(self.budget)

    def give(self, process: _Process) -> None:
        """Take back a process that has answered its request to the end."""
        self._idle.append(process)

    def close(self) -> None:
        """End the processes that are not at work."""
        while self._idle:
            self._idle.pop().end()


class _Process:
    """A process that reads workbooks, as its parent sees it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        specs = [spec for name in _PACKAGES if (spec := find_spec(name)) is not None]
        roots = [os.path.dirname(os.path.dirname(spec.origin)) for spec in specs if spec.origin]  # noqa: PTH120
        child = os.path.join(os.path.dirname(__file__), "child.py")  # noqa: PTH118,PTH120  pathlib is slow to import
        # -P: the folder that a person happens to stand in is no place to import from.
        command = [sys.executable, "-P", child, str(budget.sheet_memory), *roots]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0, pipesize=_PIPE
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._requests, self._answers = self._child.stdin.fileno(), self._child.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN | select.POLLHUP)
        self.end = weakref.finalize(self, _ended, self._child)

    def ask(self, book: Book, first: int = 0, by_xml: str = "", *, alone: bool = False) -> None:
        """Send a request. A process that is gone is noticed when its answer is read."""
        fields = (str(first), by_xml, "1" if alone else "", "" if book.path else "1", book.path)
        with contextlib.suppress(BrokenPipeError):
            self._send(b"Q", os.fsencode(SEPARATOR.join(fields)))
            if not book.path:
                self._send(b"C", book.content)

    def _send(self, kind: bytes, content: bytes) -> None:
        for part in (HEAD.pack(kind, len(content)), content):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(self._requests, rest) :]

    def frame(self) -> tuple[bytes, bytes]:
        """The next frame: its kind and what is in it. Raises `_Died`."""
        limit = time.monotonic() + self._budget.sheet_seconds
        kind, size = HEAD.unpack(self._exactly(HEAD.size, limit))
        return kind, bytes(self._exactly(size, limit))

    def _exactly(self, count: int, limit: float) -> bytearray:
        content = bytearray(count)
        view = memoryview(content)
        while view:
            left = limit - time.monotonic()
            if left <= 0 or not self._poll.poll(1000 * left):
                raise _Died(f"reading it takes longer than {self._budget.sheet_seconds:g} seconds")
            got = os.readv(self._answers, [view])
            if not got:
                raise _Died(self._death())
            view = view[got:]
        return content

    def _death(self) -> str:
        """Why the process has ended."""
        code = self._child.wait()
        if code in (-signal.SIGABRT, -signal.SIGKILL, NO_MEMORY):  # a failed allocation, the system's, and Python's
            return f"reading it takes more than {self._budget.sheet_memory:,} bytes of memory"
        return f"the process that read it ended unexpectedly ({code})"


def _ended(child: subprocess.Popen[bytes]) -> None:
    """End a process, whatever it is doing."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    child.kill()
    child.wait()


class Reading:
    """What a workbook's process tells, in order: each sheet, its cells, and what could not be read.

    For one iteration. Whoever stops before its end calls `close`.
    """

    def __init__(self, reader: SheetReader, book: Book) -> None:
        self._reader = reader
        self._book = book
        self._process: _Process | None = reader.take()
        self._process.ask(book)
        self._sheets: list[tuple[str, str]] = []
        self._sheet: Sheet | None = None
        self._next = 0
        """The row of the sheet that is to come next, and 0 as long as none has come."""
        self._known = 0
        """The row from which on a sheet that is read once more is new."""
        self._alone = False
        self._by_xml: dict[int, str] = {}
        """The sheets that are read from their XML, each with the reason."""

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if it has not answered to the end."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def __iter__(self) -> Iterator[Told]:
        deaths = 0
        while self._process is not None:
            try:
                yield from self._answer(self._process)
                self._reader.give(self._process)
                self._process = None
            except _Died as died:
                deaths += 1
                self.close()
                yield from self._after(str(died), deaths)

    def _answer(self, process: _Process) -> Iterator[Told]:
        while True:
            kind, payload = process.frame()
            if kind == b"Z":
                return
            if kind == b"R":
                yield from self._new(_cells(payload))
                continue
            fields = payload.decode("utf-8", "surrogatepass").split(SEPARATOR)
            if kind == b"B":
                self._sheets = list(zip(fields[::3], fields[2::3], strict=False))
            elif kind == b"S":
                yield from self._begun(int(fields[0]))
            elif kind == b"E":
                number = int(fields[0])
                reason = self._by_xml.get(number) or fields[1]
                yield Fault(self._sheets[number][0], reason, partial=self._next > 0)
            elif kind == b"X":
                yield Fault("", self._by_xml.get(-1) or fields[0])

    def _begun(self, number: int) -> Iterator[Sheet]:
        if self._sheet is not None and self._sheet.number == number:
            return  # the same once more
        self._sheet, self._next, self._known = Sheet(number, *self._sheets[number]), 0, 0
        yield self._sheet

    def _new(self, cells: Cells) -> Iterator[Cells]:
        """What of some rows has not come before."""
        known = bisect_left(cells.rows, self._known) if self._known else 0
        if known < len(cells.rows):
            self._next = cells.rows[-1] + 1
            yield cells if not known else _without(cells, known)

    def _after(self, reason: str, deaths: int) -> Iterator[Fault]:
        """Go on after a death: with the same sheet in another way, with the next one, or not at all."""
        number = -1 if self._sheet is None else self._sheet.number
        slow = "seconds" in reason
        if not self._alone and not slow:
            self._alone, self._known = True, self._next
        elif number not in self._by_xml and not self._next and not slow:
            self._by_xml[number] = reason
        else:
            yield Fault("" if self._sheet is None else self._sheet.name, reason, partial=self._next > 0)
            if self._sheet is None:
                return
            number += 1
        if deaths >= _DEATHS:
            yield Fault("", f"after {deaths} sheets like that the rest is left", partial=True)
            return
        by_xml = EVERYTHING if -1 in self._by_xml else ",".join(map(str, sorted(set(self._by_xml))))
        self._process = self._reader.take()
        self._process.ask(self._book, max(number, 0), by_xml, alone=True)


def _cells(payload: bytes) -> Cells:
    (size,) = SIZE.unpack_from(payload)
    at = begin = SIZE.size + size
    listed, columns, kinds, sizes = payload[SIZE.size : at].decode().split(SEPARATOR)
    rows = _numbers(listed)
    text_sizes = [int(one) for one in sizes.split(",")] if sizes else []
    doubles = begin + sum(text_sizes) + max(len(text_sizes) - 1, 0)
    cells: list[Column] = []
    following = iter(text_sizes)
    for kind in kinds:
        if kind == NUMBERS:
            written = _written(payload[doubles : doubles + _DOUBLE * len(rows)])
            doubles += _DOUBLE * len(rows)
            cells.append(Column(written, b","))
            continue
        end = at + next(following)
        column = Column(payload[at:end], _MARK)
        at = end + 1
        if kind == MIXED:
            count = column.cells.count(NUMBER)
            numbers = iter(_written(payload[doubles : doubles + _DOUBLE * count]).decode().split(","))
            doubles += _DOUBLE * count
            column = Column.of([next(numbers) if cell == NUMBER else cell for cell in column.cells])
        cells.append(column)
    worded = [place for place, kind in enumerate(kinds) if kind != NUMBERS]
    return Cells(rows, _numbers(columns), cells, payload[begin : max(at - 1, begin)], worded)


def _without(cells: Cells, known: int) -> Cells:
    """Some rows without the first of them."""
    columns = [column.part(known, len(column)) for column in cells.cells]
    text = SEPARATOR.join(cell for place in cells.worded for cell in columns[place].cells)
    return Cells(cells.rows[known:], cells.columns, columns, text.encode("utf-8", "surrogateescape"), cells.worded)


def _written(doubles: bytes) -> bytes:
    """Numbers as text with commas between them, whole ones without a fraction."""
    # In a JSON list only a whole number has `.0` before its comma. It is three times as fast as `repr` one by one.
    text = msgspec.json.encode(list(array("d", doubles)))
    return (text[1:-1] + b",").replace(b".0,", b",")[:-1]


def _numbers(listed: str) -> Sequence[int]:
    """Numbers as a frame has them: `first+count`, or one by one."""
    first, plus, count = listed.partition("+")
    return range(int(first), int(first) + int(count)) if plus else [int(one) for one in listed.split(",")]
