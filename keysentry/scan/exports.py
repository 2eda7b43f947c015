"""Chat exports among files: only the messages in which the prefilter sees something are decoded.

Algorithm. A day of a channel goes through the prefilter as it lies in the file. For each event the message around it
is decoded whole (blocks, markup, names) and scanned as a record.

Invariants. The result is that of decoding every message: whatever a rule matches in a message's text makes an event
in its raw form too.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

import msgspec

from keysentry.extraction.formats import slack, slackmessage
from keysentry.model.finding import Finding, Skipped
from keysentry.model.location import ByteSpan
from keysentry.scan.document import Document, DocumentScanner, Outcome
from keysentry.scan.locate import line_and_column
from keysentry.scan.records import scan_records
from keysentry.scan.walk import Folder


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
            for _number, finding in scan_records(scanner.engine, scanner.maker, [record], skipped):
                findings.append(_placed(finding, document, data, start, raw))
        return Outcome(findings, skipped)


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
    places = slackmessage.places(raw, field, location.span) if field and location.span is not None else ()
    if places:
        # A secret that is split over runs of rich text reaches from its first run to its last.
        span = ByteSpan(start + places[0][1].start, start + places[-1][1].end)
    else:
        span = ByteSpan(start, start + len(raw))
    line, column = line_and_column(data, span.start)
    route = (*document.route, *location.route)
    placed = msgspec.structs.replace(location, line=line, column=column, span=span, route=route)
    return msgspec.structs.replace(finding, location=placed)
