"""Chat exports among files: only the messages in which the prefilter sees something are decoded.

Algorithm. A day of a channel goes through the prefilter as it lies in the file. For each event the message around it is decoded whole (blocks,
markup, names) and scanned as a record.

Invariants. The result is that of decoding every message: whatever a rule matches in a message's text makes an event in its raw form too.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import msgspec

from keysentry.engine.engine import Engine
from keysentry.engine.prefilter.base import Buffer, Event, Prefilter, Target
from keysentry.extraction.formats import slack
from keysentry.extraction.formats.slackmarkup import MARKUP_GLUE
from keysentry.extraction.jsonpath import value_span
from keysentry.extraction.unescape import backslash
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan
from keysentry.scan.document import Document, DocumentScanner, Outcome
from keysentry.scan.locate import line_and_column
from keysentry.scan.records import scan_records
from keysentry.scan.walk import Folder

GLUE = 1 << 20
"""The target of events of markup: above every rule and every encoding, which is why the engine passes over it."""


class Export:
    """One Slack export: its folder or archive, and who and what is in it."""

    def __init__(self, root: str, workspace: slack.Workspace, skipped: list[Skipped]) -> None:
        self.root = root
        self.skipped = skipped
        self._workspace = workspace

    @classmethod
    def of_folder(cls, folder: Folder) -> Export | None:
        """The export that a folder is, if it is one."""
        if "users.json" not in folder.files and "channels.json" not in folder.files:
            return None
        names = [*folder.files, *_days_below(folder)]
        if not slack.is_export(names):
            return None

        def read(name: str) -> bytes | None:
            try:
                with open(os.path.join(folder.path, name), "rb") as file:  # noqa: PTH118,PTH123  beside the hot path's style
                    return file.read()
            except OSError:
                return None

        return cls._read(folder.path.rstrip("/") + "/", read, names)

    @classmethod
    def of_archive(cls, names: Sequence[str], read: Callable[[str], bytes | None]) -> Export | None:
        """The export that an archive with these members is, if it is one."""
        return cls._read("", read, names) if slack.is_export(names) else None

    @classmethod
    def _read(cls, root: str, read: Callable[[str], bytes | None], names: Sequence[str]) -> Export:
        workspace, skipped = slack.Workspace.read(read, names)
        return cls(root, workspace, [msgspec.structs.replace(one, place=root + one.place) for one in skipped])

    def glue(self, engine: Engine, buffer: Buffer) -> list[Event]:
        """Events where undoing a message's markup joins text, so that the message must be read as a person reads it."""
        return _glue(engine.name).events(buffer)

    def holds(self, path: str) -> bool:
        """Whether a file (its path, or its name in the archive) is a day of one of the export's channels."""
        return slack.day_channel(path.removeprefix(self.root), self._workspace) is not None

    def day(self, scanner: DocumentScanner, document: Document, data: bytes, offsets: Iterable[int]) -> Outcome:
        """Scan the messages of a day that events lie in."""
        name = document.members[-1] if document.members else document.path.removeprefix(self.root)
        channel = slack.day_channel(name, self._workspace)
        assert channel is not None
        spans, damage = slack.elements(data)
        ends = [end for _start, end in spans]
        wanted = sorted({number for offset in offsets if (number := bisect_left(ends, offset)) < len(spans)})
        findings: list[Finding] = []
        skipped = [Skipped(document.place, damage, partial=True)] if damage else []
        for number in wanted:
            start, end = spans[number]
            raw = data[start:end]
            member = " » ".join(document.members)
            record = slack.record(raw, channel, self._workspace, path=document.path, member=member)
            for _record, finding in scan_records(scanner.engine, scanner.maker, [record], skipped):
                findings.append(_placed(finding, document, data, start, raw))
        return Outcome(findings, skipped)


class _Expression:
    """A prefilter for one regular expression, where Vectorscan is not there."""

    name = "re"

    def events(self, buffer: Buffer) -> list[Event]:
        """The ends of all its matches."""
        return [(GLUE, match.end()) for match in re.finditer(MARKUP_GLUE, buffer)]


@cache
def _glue(engine: str) -> Prefilter:
    if engine != "vectorscan":
        return _Expression()
    from keysentry.engine.prefilter.vectorscan import VectorscanPrefilter, compile_database

    return VectorscanPrefilter(compile_database([Target(GLUE, MARKUP_GLUE.decode("ascii"), ())]))


def _days_below(folder: Folder) -> Iterable[str]:
    for name in folder.folders:
        try:
            with os.scandir(f"{folder.path}/{name}") as entries:
                yield from (f"{name}/{entry.name}" for entry in entries)
        except OSError:
            continue


def _placed(finding: Finding, document: Document, data: bytes, start: int, raw: bytes) -> Finding:
    """A finding of a message with its place in the file: the line, the column and the bytes of the secret."""
    location = finding.location
    field = next((step.name for step in location.route if step.kind == "field"), "")
    value = value_span(raw, field) if field else None
    route = (*document.route, *location.route)
    if value is None or location.span is None:
        line, column = line_and_column(data, start)
        placed = msgspec.structs.replace(location, line=line, column=column, span=ByteSpan(start, start + len(raw)), route=route)
        return msgspec.structs.replace(finding, location=placed)
    escaped = backslash(raw[value.start : value.end])
    inner = escaped[1].span_to_original(location.span) if escaped else location.span
    span = ByteSpan(start + value.start + inner.start, start + value.start + inner.end)
    line, column = line_and_column(data, span.start)
    placed = msgspec.structs.replace(location, line=line, column=column, span=span, route=route)
    return msgspec.structs.replace(finding, location=placed)


