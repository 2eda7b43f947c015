"""One file that is a workbook: its cells, the comments on them, and whatever else is in the file.

Algorithm. While a process of its own reads the cells, the file is scanned as the archive (or the bytes) that it is:
that finds what no cell shows (formulas, names, connections, properties, headers and footers, code). Then the cells
are told, the comments, and of the rest what these did not give already.

Invariants. A secret is told once a cell, and a second time only where it stands in another cell or in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from keysentry.errors import InputError
from keysentry.extraction.budget import Account, Budget
from keysentry.extraction.formats.sheets.book import Flavour
from keysentry.extraction.formats.sheets.child import SEPARATOR
from keysentry.extraction.formats.sheets.column import Column
from keysentry.extraction.formats.sheets.ods import Table, tables
from keysentry.extraction.formats.sheets.ole import Compound
from keysentry.extraction.formats.sheets.process import Cells, Fault, Reading, Sheet
from keysentry.extraction.formats.sheets.process import Told as Read
from keysentry.extraction.formats.sheets.strings import unpacked_iwa, wide_runs
from keysentry.extraction.formats.sheets.vba import modules
from keysentry.extraction.formats.sheets.xlsx import Note, SheetPart, notes, sheet_parts
from keysentry.extraction.member import place_in
from keysentry.extraction.zipindex import ZipIndex
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import Step
from keysentry.scan.document import HEAD, Document, DocumentScanner, Outcome, Piece
from keysentry.scan.pool import Pool
from keysentry.scan.workbooks import WorkbookScanner

Told = tuple[Outcome, int, int]
"""(what was found, how many files it counts for, how many bytes were scanned)"""

PART_MOST = 64 << 20
"""How large a part may be that is read again for its comments, its formulas' addresses or its strings, in bytes."""

_CELL = re.compile(rb'<c\s[^>]*?\br="([A-Z]{1,3}[0-9]{1,7})"')
_HOLDS_CELLS = re.compile(r"(?i)(?:^|/)(?:worksheets/|sharedstrings\.)")
_IWORK = "an iWork document: its texts were scanned, but its cells are not told apart (export it as xlsx for addresses)"
_LOCKED = "it is encrypted"


class Known:
    """The secrets that a workbook's cells and comments gave, to tell what the rest of the file adds."""

    def __init__(self) -> None:
        self._fingerprints: set[str] = set()
        self._secrets: set[bytes] = set()
        self.complete = True
        """Whether all the cells were read."""

    def add(self, outcome: Outcome) -> None:
        """Note what was found."""
        for finding in outcome.findings:
            self._fingerprints.add(finding.fingerprint)
            self._secrets.add(finding.secret.reveal_bytes())

    def without(self, outcome: Outcome) -> Outcome:
        """What an outcome adds. Where all the cells were read a pair in a part that holds them is no pair: what stands
        side by side there need not do so in the sheet.
        """
        kept = [one for one in outcome.findings if not self._has(one) and not self._pairs_by_chance(one)]
        return outcome._replace(findings=kept)

    def _has(self, finding: Finding) -> bool:
        """Whether it was found: the same secret, or a part of it, or one that it is a part of."""
        if finding.fingerprint in self._fingerprints:
            return True
        secret = finding.secret.reveal_bytes()
        return any(secret in known or known in secret for known in self._secrets)

    def _pairs_by_chance(self, finding: Finding) -> bool:
        last = next((step.name for step in reversed(finding.location.route) if step.kind == "member"), "")
        return self.complete and bool(finding.companions) and _HOLDS_CELLS.search(last) is not None


class WorkbookFile:
    """Scans workbook files; `raw` is the scan of the same file as what it is made of."""

    def __init__(self, documents: DocumentScanner, pool: Pool, budget: Budget) -> None:
        self._documents = documents
        self._cells = documents.workbooks
        self._pool = pool
        self._budget = budget

    def package(
        self, document: Document, index: ZipIndex, kind: Flavour, reading: Reading, raw: Iterator[Told]
    ) -> Iterator[Told]:
        """Scan a workbook that is a zip."""
        parts = _Parts(index, self._budget, document)
        known = Known()
        waiting: list[Outcome] = []
        locked = kind == "ods" and b"encryption-data" in (parts.read("META-INF/manifest.xml") or b"")
        yield from self._told(document, reading, raw, known, waiting, _LOCKED if locked else "")
        sheets = sheet_parts(parts.read) if kind == "xlsx" else []
        commented = self._commented(document, parts, kind, sheets)
        known.add(commented)
        yield commented, 0, 0
        for outcome in waiting:
            left = known.without(outcome)
            yield left._replace(findings=[_addressed(one, sheets, parts) for one in left.findings]), 0, 0
        if kind == "xlsb":
            for entry in index.entries:
                if entry.name.endswith(".bin") and not entry.name.endswith("sharedStrings.bin"):
                    yield known.without(self._strings(parts.document(entry.name), parts.read(entry.name) or b"")), 0, 0
        yield Outcome([], parts.problems), 0, 0

    def compound(
        self, document: Document, content: bytes, compound: Compound, reading: Reading, raw: Iterator[Told]
    ) -> Iterator[Told]:
        """Scan a workbook of Excel 5 to 2003, which is a compound file."""
        known = Known()
        waiting: list[Outcome] = []
        yield from self._told(document, reading, raw, known, waiting, _LOCKED if compound.encrypted else "")
        code = self.code(document, compound)
        known.add(code)
        yield code, 0, 0
        for outcome in [*waiting, self._strings(document, content)]:
            yield known.without(outcome), 0, 0

    def other_compound(self, document: Document, compound: Compound, raw: Iterator[Told]) -> Iterator[Told]:
        """Scan any other compound file: its macros, and its bytes as they are."""
        known = Known()
        code = self.code(document, compound)
        known.add(code)
        yield code, 0, 0
        for outcome, files, size in raw:
            yield known.without(outcome), files, size

    def code(self, document: Document, compound: Compound) -> Outcome:
        """What the macros of a compound file give, by module and line."""
        findings: list[Finding] = []
        for name, source in modules(compound):
            members = (*document.members, name)
            part = document._replace(members=members, kind="text", name=f"{'/'.join(members)}.vbs")
            findings += self._documents.whole(part, source).findings
        return Outcome(findings, [])

    def _told(
        self,
        document: Document,
        reading: Reading,
        raw: Iterator[Told],
        known: Known,
        waiting: list[Outcome],
        encrypted: str,
    ) -> Iterator[Told]:
        """What the cells give. Findings of the raw file go to `waiting`; `encrypted` says why nothing can be read."""
        with reading:
            self._cells.prepare()
            for outcome, _files, size in raw:
                if outcome.findings:
                    waiting.append(Outcome(outcome.findings, []))
                yield Outcome([], outcome.skipped), 0, size
            for outcome, size in self._cells.cells(document, _watched(reading, known), self._pool):
                known.add(outcome)
                if encrypted and outcome.skipped:
                    outcome = outcome._replace(skipped=[Skipped(document.place, encrypted)])
                yield outcome, 0, size

    def _commented(self, document: Document, parts: _Parts, kind: Flavour, sheets: list[SheetPart]) -> Outcome:
        findings: list[Finding] = []
        for sheet in sheets:
            findings += self._cells.notes(document, sheet.name, notes(parts.read, sheet))
        if kind == "ods" and any(b"annotation" in two for two in _overlapping(parts.chunks("content.xml"))):
            for name, note in _annotations(parts.chunks("content.xml")):
                findings += self._cells.notes(document, name, [note])
        return Outcome(findings, [])

    def _strings(self, document: Document, content: bytes) -> Outcome:
        """What the UTF-16 strings of a binary part give; they have no place in it that a person could look up."""
        runs = wide_runs(content)
        if not runs:
            return Outcome([], [])
        outcome = self._documents.whole(document._replace(kind="text"), runs)
        return outcome._replace(findings=[_without_place(finding) for finding in outcome.findings])

    def part(self, document: Document, chunks: Iterator[bytes]) -> Iterator[Told]:
        """Scan a large part of a package, in its order and without counting lines: it mostly has but one."""
        scanner, margin = self._documents, self._documents.margin
        buffer = head = b""
        base = done = 0
        more = True
        while more:
            chunk = next(chunks, b"")
            more = bool(chunk)
            kept = buffer[-2 * margin :]
            base += len(buffer) - len(kept)
            buffer = kept + chunk
            head = head or buffer[:HEAD]
            end = base + len(buffer) - (margin if more else 0)
            events = scanner.engine.events(buffer) if end > done else []
            if events:
                piece = Piece(0, len(buffer), done - base, end - base, base)
                outcome = scanner.piece(document, buffer, piece, events, head)
                yield outcome._replace(findings=[_without_line(one) for one in outcome.findings]), 0, 0
            done = max(done, end)
        yield Outcome([], []), 0, done

    def iwork(self, document: Document, index: ZipIndex, raw: Iterator[Told]) -> Iterator[Told]:
        """Scan a document of Apple's programs, of which no cell is told apart."""
        yield from raw
        parts = _Parts(index, self._budget, document)
        findings: list[Finding] = []
        for entry in index.entries:
            text = unpacked_iwa(parts.read(entry.name) or b"") if entry.name.endswith(".iwa") else None
            if text:
                outcome = self._documents.whole(parts.document(entry.name)._replace(kind="text"), text)
                findings += map(_without_place, outcome.findings)
        yield Outcome(findings, [*parts.problems, Skipped(document.place, _IWORK, partial=True)]), 0, 0


def flat(scanner: WorkbookScanner, document: Document, pieces: Iterator[bytes], outcome: Outcome) -> Outcome:
    """Scan a workbook that is one XML file (fods); `outcome` is what it gave as the text that it is, of which is kept
    what the cells and comments do not give.
    """
    known = Known()
    findings: list[Finding] = []
    skipped = list(outcome.skipped)
    below = allowed = 0
    notes: list[tuple[str, Note]] = []
    for task in scanner.tasks(document, _flat_cells(pieces, notes)):
        cells = task().outcome
        findings += cells.findings
        skipped += cells.skipped
        below, allowed = below + cells.below, allowed + cells.allowed
    for sheet, note in notes:
        findings += scanner.notes(document, sheet, [note])
    known.add(Outcome(findings, []))
    return Outcome([*findings, *known.without(outcome).findings], skipped, below, allowed)


def _flat_cells(pieces: Iterator[bytes], notes: list[tuple[str, Note]]) -> Iterator[Read]:
    """The sheets and cells of flat XML; comments go to `notes`, with the names of their sheets."""
    sheet, number = "", -1
    try:
        for one in tables(pieces):
            if isinstance(one, Table):
                sheet, number = one.name, number + 1
                yield Sheet(number, sheet, "Visible")
            elif isinstance(one, Note):
                notes.append((sheet, one))
            else:
                rows, columns, cells = one
                text = SEPARATOR.join(cell for column in cells for cell in column).encode()
                yield Cells(rows, columns, [Column.of(column) for column in cells], text, list(range(len(columns))))
    except ValueError as error:
        yield Fault(sheet, f"its XML is damaged: {error}", partial=True)


class _Parts:
    """The parts of a package, read a second time and on an account of their own, for what only some of them need."""

    def __init__(self, index: ZipIndex, budget: Budget, document: Document) -> None:
        self._index = index.again(Account(budget))
        self._document = document
        self._by_name = {entry.name: entry for entry in index.entries}
        self._last: tuple[str, bytes | None] = ("", None)
        self.problems: list[Skipped] = []

    def document(self, name: str) -> Document:
        """A part, as a document."""
        members = (*self._document.members, name)
        return self._document._replace(members=members, kind="text", name="/".join(members))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a part; nothing where there is none, and what is good of one that is damaged."""
        entry = self._by_name.get(name)
        if entry is None:
            return
        try:
            yield from self._index.chunks(entry)
        except InputError:  # the scan of the file as an archive has told it
            return

    def read(self, name: str) -> bytes | None:
        """A part; None where there is none, or none that can be read whole."""
        if self._last[0] != name:
            self._last = (name, self._read(name))
        return self._last[1]

    def _read(self, name: str) -> bytes | None:
        if name not in self._by_name:
            return None
        content = bytearray()
        for chunk in self.chunks(name):
            content += chunk
            if len(content) > PART_MOST:
                reason = f"larger than {PART_MOST:,} bytes: it was not looked at for comments and addresses"
                self.problems.append(Skipped(place_in(self._document.place, name), reason, partial=True))
                return None
        return bytes(content)


def _watched(reading: Iterable[Read], known: Known) -> Iterator[Read]:
    """Pass on what is read, and note whether it is all."""
    for one in reading:
        if isinstance(one, Fault):
            known.complete = False
        yield one


def _overlapping(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Each piece with the end of the one before it."""
    end = b""
    for piece in pieces:
        yield end + piece
        end = piece[-32:]


def _annotations(pieces: Iterator[bytes]) -> Iterator[tuple[str, Note]]:
    """The comments of an ods, each with the name of its sheet."""
    sheet = ""
    try:
        for one in tables(pieces, cells=False):
            if isinstance(one, Table):
                sheet = one.name
            elif isinstance(one, Note):
                yield sheet, one
    except ValueError:  # what is good of it was given
        return


def _addressed(finding: Finding, sheets: list[SheetPart], parts: _Parts) -> Finding:
    """A finding in a sheet's XML with the address of the cell that it belongs to, where it belongs to one."""
    location = finding.location
    name = next((step.name for step in reversed(location.route) if step.kind == "member"), "")
    sheet = next((sheet.name for sheet in sheets if sheet.part == name), "")
    xml = parts.read(name) if sheet and location.span is not None else None
    if xml is None or location.span is None:
        return finding
    begin = xml.rfind(b"<c ", 0, location.span.start)
    cell = _CELL.match(xml, begin) if begin >= 0 else None
    if cell is None or xml.find(b"</c>", begin, location.span.start) >= 0:
        return finding
    formula = xml.rfind(b"<f", begin, location.span.start) > xml.rfind(b"</f>", begin, location.span.start)
    there = [Step("cell", f"{sheet}!{cell[1].decode()}"), *([Step("property", "formula")] if formula else [])]
    at = max(number for number, step in enumerate(location.route) if step.kind == "member")
    route = (*location.route[:at], *there, *location.route[at + 1 :])
    return msgspec.structs.replace(
        finding, location=msgspec.structs.replace(location, route=route, line=None, column=None)
    )


def _without_line(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, location=msgspec.structs.replace(finding.location, line=None, column=None))


def _without_place(finding: Finding) -> Finding:
    location = msgspec.structs.replace(finding.location, line=None, column=None, span=None)
    return msgspec.structs.replace(finding, location=location)
