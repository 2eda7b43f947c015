"""The program that reads the cells of spreadsheets, in a process of its own.

A workbook of five kilobytes can make its reader ask for hundreds of gigabytes and abort. So it is read here: under a
limit of memory, by a process whose end costs nobody but the sheet that it was at. It is started by its path and
imports nothing of keysentry, because it must be ready in milliseconds.

It takes requests on its standard input and answers with frames on its standard output until the input ends. Either
is a head (`HEAD`: a byte and a length) and so many bytes of UTF-8, with `SEPARATOR` between its fields.

    request   Q  first sheet, sheets to be read from their XML, whether to load one sheet at a time, whether content
                 follows, the file's path
              C  the content of a file that has no path of its own
    answer    B  the sheets: name, type and visibility of each
              S  the number of the sheet that is begun
              R  rows, see below
              E  the number of a sheet, and why it could not be read
              X  why the workbook could not be read
              Z  the end of this workbook

Numbers of rows and columns begin with 0; they are written `first+count` or `1,5,9`. Dates and times are as ISO 8601
writes them. Numbers among the cells are not written here, which would take longer than all the rest: `R` begins with
the size of its fields (rows, columns, kinds, sizes of texts), after which come the texts of columns with a `SEPARATOR`
between all their cells, and then the numbers of all columns as doubles. A column of the kind `TEXT` has its cells in
its text, one of `NUMBERS` only among the doubles, and one that is `MIXED` in its text, with `NUMBER` in place of each
cell that is the next of the doubles.

Library: python-calamine, https://docs.rs/calamine (xlsx, xlsb, xls of Excel 5 and later, ods).
"""

from __future__ import annotations

# Only what is there in a millisecond: `typing`, `threading` and `signal` take longer than all of the rest.
import _signal  # type: ignore[import-not-found]  # has no stub
import _thread
import datetime
import gc
import io
import os
import struct
import sys
from array import array
from itertools import chain, islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, BinaryIO

    from python_calamine import CalamineSheet, CalamineWorkbook

    from keysentry.extraction.formats.sheets.ods import OdsFile
    from keysentry.extraction.formats.sheets.xlsx import XlsxFile

    Send = Callable[[bytes, Sequence[str] | bytes], int]

HEAD = struct.Struct("<cI")
SEPARATOR = "\x1e"
NUMBER = "\x1f"
TEXT, NUMBERS, MIXED = "tnm"
SIZE = struct.Struct("<I")
_MARK = SEPARATOR.encode()
CELLS, BYTES = 1 << 15, 2 << 20
"""About how many cells and bytes go into a frame."""
LEAST_ROWS = 32
"""How many rows a frame has at least, but for the last one of a sheet."""
_SUFFIXES = (".xlsx", ".xlsm", ".xlam", ".xlsb", ".xls", ".xla", ".ods")
"""The endings by which calamine knows a format, so that it can say what is wrong with a file."""
NO_MEMORY = 77
"""What the process ends with where Python itself ran out of memory."""
EVERYTHING = "*"
"""In a request, for the sheets to be read from their XML: all, and nothing by calamine."""
_NO_CELLS = ("ChartSheet", "DialogSheet", "Vba")


def written(value: object) -> str:
    """A cell's value that is neither text nor a fraction, as text."""
    if type(value) is bool:
        return "TRUE" if value else "FALSE"
    iso = getattr(value, "isoformat", None)
    return str(iso() if iso is not None else value)


_TIMES = frozenset((datetime.date, datetime.datetime, datetime.time))
_KNOWN: dict[datetime.date | datetime.time, str] = {}
_MOST_KNOWN = 1 << 14


def typed(columns: Iterable[Sequence[Any]]) -> tuple[str, list[bytes], list[bytes]]:
    """The cells of some columns: the kinds of the columns, the texts of those with text, and the numbers."""
    kinds = ""
    texts: list[bytes] = []
    numbers: list[bytes] = []
    for column in columns:
        types = set(map(type, column))
        if types == {float}:
            kinds += NUMBERS
            numbers.append(array("d", column).tobytes())
        elif types == {str}:
            kinds += TEXT
            texts.append(packed(column))
        elif types <= _TIMES:
            kinds += TEXT
            texts.append(packed([*map(_time, column)]))
        else:
            kinds += MIXED
            numbers.append(array("d", [value for value in column if type(value) is float]).tobytes())
            texts.append(packed([*map(_mixed, column)]))
    return kinds, texts, numbers


def _time(value: datetime.date | datetime.time) -> str:
    """A date or a time, of which a sheet mostly has the same ones again and again."""
    known = _KNOWN.get(value)
    if known is None:
        if len(_KNOWN) > _MOST_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[value] = value.isoformat()
    return known


def _mixed(value: object) -> str:
    if type(value) is str:
        return value if value != NUMBER else "\ufffd"
    return NUMBER if type(value) is float else written(value)


def packed(fields: Sequence[str]) -> bytes:
    """Fields as the text of a frame."""
    text = SEPARATOR.join(fields)
    if text.count(SEPARATOR) >= max(len(fields), 1):
        text = SEPARATOR.join([field.replace(SEPARATOR, "\ufffd") for field in fields])
    return text.encode("utf-8", "surrogatepass")


def rows_frame(rows: str, columns: str, kinds: str, texts: Sequence[bytes], numbers: Sequence[bytes]) -> bytes:
    """What is in a frame of rows."""
    head = packed([rows, columns, kinds, ",".join([str(len(text)) for text in texts])])
    return b"".join((SIZE.pack(len(head)), head, _MARK.join(texts), *numbers))


def _sheet(sheet: CalamineSheet, send: Send) -> None:
    """Send the rows of a sheet."""
    start, width = sheet.start, sheet.width
    if start is None or not width:
        return
    first, column = start
    rows: Iterator[list[Any]] = sheet.iter_rows()
    if first and (top := next(rows, None)) is not None:
        # Rows come from the sheet's first one on, though columns do not; should that change, they come from `start` on.
        rows = islice(rows, first - 1, None) if not any(top) else chain((top,), rows)
    count = LEAST_ROWS
    while part := list(islice(rows, count)):
        kinds, texts, numbers = typed(zip(*part, strict=True))
        payload = rows_frame(f"{first}+{len(part)}", f"{column}+{width}", kinds, texts, numbers)
        size = send(b"R", payload)
        first += len(part)
        count = max(LEAST_ROWS, min(8 * count, CELLS // width, BYTES * count // size))


def _name_of(kind: object) -> str:
    return str(kind).rpartition(".")[2]


def _open(path: str, content: bytes) -> CalamineWorkbook:
    from python_calamine import CalamineWorkbook

    if path and path.lower().endswith(_SUFFIXES):
        return CalamineWorkbook.from_path(path)
    if not path:
        return CalamineWorkbook.from_filelike(io.BytesIO(content))
    with open(path, "rb") as file:  # noqa: PTH123  pathlib takes longer to import than all of this
        return CalamineWorkbook.from_filelike(file)


def _sheets(book: CalamineWorkbook, asked: Asked, send: Send) -> None:
    """Send the sheets of a workbook that calamine has opened."""
    sheets = book.sheets_metadata
    send(b"B", [field for one in sheets for field in (one.name, _name_of(one.typ), _name_of(one.visible))])
    wanted = [n for n, one in enumerate(sheets) if n >= asked.first and _name_of(one.typ) not in _NO_CELLS]
    waiting: Callable[[], CalamineSheet | str] | None = None
    for place, number in enumerate(wanted):
        if asked.alone:
            send(b"S", [str(number)])
        sheet = waiting() if waiting is not None else _loaded(book, number, asked)
        if not asked.alone:
            send(b"S", [str(number)])
            waiting = _ahead(book, wanted[place + 1], asked) if place + 1 < len(wanted) else None
        if isinstance(sheet, str):
            _by_xml(asked, number, send, sheet)
        else:
            _sheet(sheet, send)


def _loaded(book: CalamineWorkbook, number: int, asked: Asked) -> CalamineSheet | str:
    """A sheet, or why there is none."""
    if asked.by_xml and number in asked.by_xml:
        return "it cannot be read"
    try:
        return book.get_sheet_by_index(number)
    except BaseException as error:  # a panic of the library is no Exception
        return reason(error)


def _ahead(book: CalamineWorkbook, number: int, asked: Asked) -> Callable[[], CalamineSheet | str]:
    """Load a sheet while another is sent, for which the library lets other threads run: what to call for it."""
    done: list[CalamineSheet | str] = []
    busy = _thread.allocate_lock()
    busy.acquire()

    def load() -> None:
        try:
            done.append(_loaded(book, number, asked))
        finally:
            busy.release()

    _thread.start_new_thread(load, ())

    def wait() -> CalamineSheet | str:
        busy.acquire()
        return done[0] if done else "it cannot be read"

    return wait


def _by_hand(asked: Asked) -> XlsxFile | OdsFile:
    """The workbook, to be read from its XML. Raises an error of any kind if that cannot be."""
    from keysentry.extraction.formats.sheets.ods import OdsFile
    from keysentry.extraction.formats.sheets.xlsx import XlsxFile

    try:
        return XlsxFile(asked.source())
    except Exception:
        return OdsFile(asked.source())


def _by_xml(asked: Asked, number: int, send: Send, why: str) -> None:
    """Send the rows of a sheet as its XML has them, however far apart its cells are; `why` calamine does not."""
    try:
        with _by_hand(asked) as book:
            for rows, columns, cells in book.rows(number):
                texts = [packed(column) for column in cells]
                send(b"R", rows_frame(listed(rows), listed(columns), TEXT * len(columns), texts, ()))
    except BrokenPipeError:
        raise
    except Exception:
        send(b"E", [str(number), why])


def _all_by_xml(asked: Asked, send: Send) -> bool:
    """Send all sheets of a workbook that calamine will not open; False if its XML cannot be read either."""
    try:
        with _by_hand(asked) as book:
            names = book.names
    except Exception:
        return False
    send(b"B", [field for name in names for field in (name, "WorkSheet", "Visible")])
    for number in range(asked.first, len(names)):
        send(b"S", [str(number)])
        _by_xml(asked, number, send, "it cannot be read")
    return True


def listed(numbers: Sequence[int]) -> str:
    """Numbers as a frame has them."""
    return ",".join(map(str, numbers))


def reason(error: BaseException) -> str:
    """What is wrong, in words; a password is the one thing that a person can do something about."""
    if type(error).__name__ == "PasswordError":
        return "it is encrypted"
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have"
    text = str(error) or type(error).__name__
    return text[:1].lower() + text[1:200]


class Asked:
    """A request: the file (its path or its content), the first sheet, the sheets to be read from their XML (None: all),
    and whether no sheet may be loaded before the one before it is done.
    """

    def __init__(self, path: str, content: bytes, first: int, by_xml: frozenset[int] | None, alone: bool) -> None:
        self.path = path
        self.content = content
        self.first = first
        self.by_xml = by_xml
        self.alone = alone

    def source(self) -> str | BinaryIO:
        """The file, to be opened."""
        return self.path or io.BytesIO(self.content)


def serve(asked: Asked, send: Send) -> None:
    """Answer one request."""
    why = "it cannot be read"
    book: CalamineWorkbook | None = None
    if asked.by_xml is not None:
        try:
            book = _open(asked.path, asked.content)
        except BaseException as error:  # a panic of the library is no Exception
            why = reason(error)
    if book is not None:
        _sheets(book, asked, send)
    elif not _all_by_xml(asked, send):
        send(b"X", [why])
    send(b"Z", [])


def requests(stream: BinaryIO) -> Iterator[Asked]:
    """The requests of the parent."""
    while (request := _frame(stream)) is not None:
        first, by_xml, alone, follows, path = os.fsdecode(request).split(SEPARATOR, 4)
        content = (_frame(stream) or b"") if follows else b""
        listed = None if by_xml == EVERYTHING else frozenset(map(int, by_xml.split(",") if by_xml else ()))
        yield Asked(path, content, int(first), listed, bool(alone))


def _frame(stream: BinaryIO) -> bytes | None:
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    return stream.read(HEAD.unpack(head)[1])


def _limit(memory: int) -> None:
    """Take no more memory than allowed, and leave none of it behind in a core file."""
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # the parent hears it, and ends this process
    try:
        import resource
    except ImportError:  # no such limits on this system
        return
    for kind, wanted in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
        _soft, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def main(memory: int, roots: list[str]) -> None:
    """Serve until the input ends. `roots` are the folders in which the packages lie."""
    _limit(memory)
    gc.disable()  # cells are no trees: nothing here is ever in a circle
    sys.path += [root for root in roots if root not in sys.path]
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints is no frame

    def send(kind: bytes, content: Sequence[str] | bytes) -> int:
        payload = content if isinstance(content, bytes) else packed(content)
        rest = memoryview(HEAD.pack(kind, len(payload)) + payload)
        while rest:
            rest = rest[out.write(rest) :]
        return len(payload)

    try:
        for asked in requests(sys.stdin.buffer):
            serve(asked, send)
    except MemoryError:
        os._exit(NO_MEMORY)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
