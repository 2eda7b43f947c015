"""Teams exports among files: only the messages in which something may be found are decoded.

Algorithm. A file goes through the prefilter as it lies, like any other. Where an event is the mark of a message
(`teams.MARK_LITERALS`) and the file begins like an export, its HTML goes through once more, loosened: the tags that
split words are taken out. For each event of the two passes the message around it is decoded whole and scanned as a
record. What lies in no message, or in one that is damaged, is scanned as the text it is.

Invariants. The result is that of decoding every message: whatever a rule matches in a message's text makes an event in
its raw or in its loosened form. It does not depend on how a file is cut into pieces, as long as a message is not larger
than the margin between them. Comments never silence a finding in chat.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from keysentry.engine.engine import Engine
from keysentry.engine.prefilter.base import Buffer, Event
from keysentry.engine.triggers import CODINGS
from keysentry.extraction.encoding import original_span
from keysentry.extraction.formats import teams, teamsmessage
from keysentry.extraction.formats.html import loosen
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan
from keysentry.scan.document import Document, DocumentScanner, Outcome, Piece
from keysentry.scan.locate import Lines, line_and_column
from keysentry.scan.records import scan_records


def _rules_end(engine: Engine) -> int:
    """The first target that is neither a rule's nor an encoding's."""
    return len(engine.program.rules) + len(CODINGS)


def scan_piece(
    scanner: DocumentScanner, document: Document, buffer: Buffer, piece: Piece, events: list[Event], head: bytes
) -> Outcome | None:
    """The findings in a piece of an export; None if the document is none."""
    if not teams.is_export(head):
        return None
    return _Messages(scanner, document, buffer, piece, head).scan(events)


class _Messages:
    """The messages of one piece in which something may be found. Offsets are those of `data`, the piece's bytes."""

    def __init__(self, scanner: DocumentScanner, document: Document, buffer: Buffer, piece: Piece, head: bytes) -> None:
        self._scanner = scanner
        self._document = document
        self._buffer = buffer
        self._piece = piece
        self._head = head
        self._data = bytes(buffer[piece.start : piece.end])
        self._core = (piece.core_start - piece.start, piece.core_end - piece.start)
        self._offset = piece.offset + piece.start
        self._whole = self._core == (0, len(self._data)) and self._offset == 0
        self._skipped: list[Skipped] = []

    def scan(self, events: list[Event]) -> Outcome:
        """Everything that is found in the core of the piece."""
        limit = _rules_end(self._scanner.engine)
        plain = [(target, offset) for target, offset in events if target < limit]
        wanted = {offset - self._piece.start for _target, offset in plain}
        wanted.update(_loosened(self._scanner.engine, self._data, self._head))
        self._tell_damage()
        messages, outside = self._locate(sorted(wanted))
        findings = list(self._in_messages(messages))
        rest = self._around(messages, [one for one in plain if one[1] - self._piece.start in outside])
        findings += rest.findings
        findings.sort(key=_place)
        return Outcome(findings, self._skipped + rest.skipped, rest.below)

    def _locate(self, wanted: Sequence[int]) -> tuple[list[teams.Around], set[int]]:
        """The messages that some offsets lie in, and the offsets that lie in none that can be read."""
        found: dict[int, teams.Around] = {}
        outside: set[int] = set()
        last: teams.Around | None = None
        search = teams.Search(self._data)
        for at in wanted:
            if last is not None and at < last.end and not last.nested:
                continue
            around = search.at(at)
            if isinstance(around, teams.Around):
                last = found[around.start] = around
                continue
            outside.add(at)
            if self._core[0] <= at < self._core[1]:
                self._tell_lost(around, at)
        return [found[start] for start in sorted(found)], outside

    def _in_messages(self, messages: list[teams.Around]) -> Iterator[Finding]:
        """The findings in messages, each at its place in the document."""
        start, end = self._core
        inside = [one for one in messages if one.start < end and one.end > start]
        names = _Names(self._document, self._data, self._offset, self._head)
        member = " » ".join(self._document.members)
        records = [
            teamsmessage.record(one.fields, one.form, names.of(one), path=self._document.path, member=member)
            for one in inside
        ]
        scanner = self._scanner
        found: list[tuple[ByteSpan, Finding]] = []
        for number, finding in scan_records(scanner.engine, scanner.maker, records, self._skipped):
            span = self._span(inside[number], finding)
            if start <= span.start < end:
                found.append((span, finding))
        found.sort(key=lambda pair: pair[0])
        lines = Lines(self._data, start, self._piece.lines + 1, self._piece.columns)
        for span, finding in found:
            line, column = lines.at(span.start)
            location = msgspec.structs.replace(
                finding.location,
                line=line,
                column=column,
                span=self._original(span),
                route=(*self._document.route, *finding.location.route),
            )
            yield msgspec.structs.replace(finding, location=location)

    def _span(self, message: teams.Around, finding: Finding) -> ByteSpan:
        """The bytes of the secret; those of the message if they cannot be told."""
        location = finding.location
        raw = self._data[message.start : message.end]
        inner = teamsmessage.places(raw, location.route, location.span) if location.span is not None else None
        if inner is None:
            return ByteSpan(message.start, message.end)
        return ByteSpan(message.start + inner.start, message.start + inner.end)

    def _original(self, span: ByteSpan) -> ByteSpan:
        """A span of the data as one of the document."""
        if self._document.kind != "text" and self._offset == 0:
            return original_span(self._document.kind, self._data, span)
        return ByteSpan(self._offset + span.start, self._offset + span.end)

    def _around(self, messages: list[teams.Around], events: list[Event]) -> Outcome:
        """What is found outside of messages."""
        if not events:
            return Outcome([], [])
        rest = self._scanner.judged(self._document, self._buffer, self._piece, events, self._head, allow_comments=False)
        taken = [self._original(ByteSpan(one.start, one.end)) for one in messages]
        starts = [span.start for span in taken]
        kept = []
        for finding in rest.findings:
            at = _place(finding).start
            before = bisect_right(starts, at) - 1
            if before < 0 or at >= taken[before].end:
                kept.append(finding)
        return rest._replace(findings=kept)

    # -- what must be told --------------------------------------------------------------------------------------------

    def _tell_damage(self) -> None:
        """Say once for a document what is wrong with its JSON."""
        names = self._document.names
        if self._whole:
            wrong = teams.damage(self._data)
        else:
            wrong = names.damage() if names is not None and self._offset + self._core[0] == 0 else None
        if wrong is None:
            return
        place = f"byte {wrong.offset:,}"
        if self._whole:
            place = "line {:,}, column {:,}".format(*line_and_column(self._data, wrong.offset))
        reason = (
            f"its JSON is damaged at {place} ({wrong.reason}): the messages that are whole are read, what else is "
            "found is told without author and time"
        )
        self._skipped.append(Skipped(self._document.place, reason, partial=True))

    def _tell_lost(self, lost: teams.Lost, at: int) -> None:
        if lost.reason == "outside" or self._skipped:
            return
        why = "is damaged" if lost.reason == "damaged" else "is damaged, too large, or lies in no message"
        reason = f"what stands around byte {self._offset + at:,} {why}: it is read without author and time"
        self._skipped.append(Skipped(self._document.place, reason, partial=True))


class _Names:
    """Which conversation a message belongs to."""

    def __init__(self, document: Document, data: bytes, offset: int, head: bytes) -> None:
        self._document = document
        self._data = data
        self._offset = offset
        self._head = head
        self._near: list[tuple[int, teams.Conversation]] | None = None

    def of(self, message: teams.Around) -> teams.Conversation:
        """What the file says of the conversation: in the piece, before it, or at its beginning."""
        if self._near is None:
            self._near = teams.conversations(self._data)
        number = bisect_right(self._near, message.start, key=lambda pair: pair[0]) - 1
        found = self._near[number][1] if number >= 0 else teams.Conversation()
        if found == teams.Conversation() and self._document.names is not None:
            found = self._document.names.at(self._offset + message.start)
        if found != teams.Conversation():
            return found.fitting(message)
        context = teams.context_of(self._head)
        return teams.Conversation(context.get("chats") or context.get("channels", ""))


def _loosened(engine: Engine, data: bytes, head: bytes) -> Iterator[int]:
    """The beginnings of strings with HTML in which something may be found once its tags are taken out."""
    found = teams.contents(data, head)
    yield from found.cards()
    text = loosen(found.lines)
    limit = _rules_end(engine)
    counted = number = 0
    for offset in sorted({offset for target, offset in engine.events(text) if target < limit}):
        number += text.count(b"\n", counted, offset)
        counted = offset
        yield found.starts[number]


def _place(finding: Finding) -> ByteSpan:
    return finding.location.span or ByteSpan(0, 0)
