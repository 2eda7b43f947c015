"""A Slack export as a source: the zip that an administrator downloads, or the folder that it was unpacked to.

A unit is a conversation, in which the days follow each other as the names of their files do; a day is held at a time.
The layout is `keysentry.extraction.formats.slack`. An export does not change, so there are no edits and no deletions to
tell of; a later export that is put into the same place is read on from where the earlier one ended.

Slack's own exports hold no files, only their addresses. Those that slackdump writes may (in `__uploads/<id>/` or
`<conversation>/attachments/<id>-<name>`), and then they are parts of the messages that share them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack.exportfiles import ExportFiles, content, open_files
from keysentry.errors import ClosedError, GoneError, InputError, SourceError
from keysentry.extraction.formats.slack import Channel, Workspace, day_channel, elements, is_export, message_record
from keysentry.extraction.formats.slack import record as raw_record
from keysentry.extraction.formats.slackmessage import decode
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Part, Record, Unit

_ATTACHED: Final = re.compile(r"(?:^|/)(?:__uploads/(F[A-Z0-9]+)/|attachments/(F[A-Z0-9]+)-)([^/]+)$")

_SETTLED: Final = 60.0
"""Seconds after which a zip that is cut off is not expected to become whole."""


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """The day, how many of its messages were given, whether its damage was told, and whether the export was whole."""

    day: str = ""
    given: int = 0
    told: bool = False
    whole: bool = True


class ExportSource:
    """One export."""

    def __init__(
        self,
        path: str,
        *,
        channels: tuple[str, ...] = (),
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        since: float = 0.0,
        files: bool = True,
        max_file: int = 100 << 20,
    ) -> None:
        """`channels` are titles or ids (none: all), `include` and `exclude` globs on titles; `since` is in UTC seconds,
        `max_file` in bytes.
        """
        self._path = path.rstrip("/") or path
        self._chosen = channels
        self._include = include
        self._exclude = exclude
        self._since = since
        self._with_files = files
        self._max_file = max_file
        self._closed = False
        self._files: ExportFiles | None = None
        self._known_as: tuple[int, int, int] | None = None
        self._retired: list[ExportFiles] = []
        self._workspace = Workspace()
        self._channels: dict[str, Channel] = {}
        self._days: dict[str, list[str]] = {}
        self._attached: dict[str, str] = {}
        self._problems: list[Skipped] = []

    def units(self) -> Iterator[Unit | Skipped]:
        """The conversations of the export, and what of it cannot be read. Raises `SourceError` if it is none."""
        self._open()
        yield from self._problems
        for channel in sorted(self._channels.values(), key=lambda channel: (channel.title, channel.id)):
            if self._wants(channel):
                yield Unit(channel.id, channel.title)

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """A conversation's messages from a cursor on, day by day. Raises `SourceError`, `GoneError`."""
        if self._files is None:
            self._open()
        channel = self._channels.get(unit.id)
        if channel is None:
            raise GoneError(f"the export has no conversation {unit.title or unit.id}", place=self._path)
        place, reached, absent = self._start(cursor), cursor, 0
        for name in self._days[unit.id]:
            day = _day_of(name)
            if day >= place.day:
                start = place if day == place.day else _Place(day, whole=self._whole)
                for delivery, lacking in self._day(channel, name, start):
                    absent += lacking
                    reached = delivery.cursor
                    yield delivery
        if absent and reached is not None:
            reason = f"{absent:,} files are named in its messages whose content the export does not hold"
            yield Delivery(None, reached, (Skipped(f"{self._path} » {channel.title}", reason, partial=True),))

    def close(self) -> None:
        """Let go of the file; a read that is under way raises `ClosedError`."""
        self._closed = True
        for files in (*self._retired, self._files):
            if files is not None:
                files.close()

    # -- a day ------------------------------------------------------------------------------------------------------

    def _day(self, channel: Channel, name: str, start: _Place) -> Iterator[tuple[Delivery, int]]:
        """The messages of a day from a place on, each with how many files it names that are not there."""
        where = f"{self._path} » {name}"
        try:
            data = self._read(name)
        except SourceError:
            raise
        except InputError as error:
            if not start.told:
                told = _cursor(_Place(start.day, start.given, True, start.whole))
                yield Delivery(None, told, (Skipped(where, f"the day cannot be read: {error.reason}"),)), 0
            return
        found = elements(data)
        for number, (begin, end) in enumerate(found.spans, 1):
            if number > start.given:
                record, skipped, absent = self._record(data[begin:end], channel, name, number)
                if record is not None:
                    yield (
                        Delivery(record, _cursor(_Place(start.day, number, whole=start.whole)), tuple(skipped)),
                        absent,
                    )
        if found.damage and not (start.told and start.given >= len(found.spans)):
            told = _cursor(_Place(start.day, len(found.spans), True, start.whole))
            yield Delivery(None, told, (Skipped(where, found.damage, partial=True),)), 0

    def _record(self, raw: bytes, channel: Channel, name: str, number: int) -> tuple[Record | None, list[Skipped], int]:
        """A message as a record (None: it is too old), files that are too large, and how many are not there."""
        zipped = self._files is not None and self._files.zipped
        path, member = (self._path, name) if zipped else (f"{self._path}/{name}", "")
        message = decode(raw)
        skipped: list[Skipped] = []
        absent = 0
        if isinstance(message, dict):
            record = message_record(message, channel, self._workspace, path=path, member=member)
            parts, skipped, absent = self._attachments(message, record.uri or f"{self._path} » {name}")
            if parts:
                record = msgspec.structs.replace(record, parts=(*record.parts, *parts))
        else:
            record = raw_record(raw, channel, self._workspace, path=path, member=member)
        if record.time is None:  # it has no id of its own
            record = msgspec.structs.replace(record, id=f"{channel.id}/{_day_of(name)}#{number}")
        elif record.time < self._since:
            return None, [], 0
        return record, skipped, absent

    def _attachments(self, message: dict[str, Any], where: str) -> tuple[list[Part], list[Skipped], int]:
        parts: list[Part] = []
        skipped: list[Skipped] = []
        absent = 0
        listed = message.get("files")
        for file in listed if self._with_files and isinstance(listed, list) else ():
            id = file.get("id") if isinstance(file, dict) else None
            name = self._attached.get(id) if isinstance(id, str) else None
            if name is None or self._files is None:
                absent += 1
                continue
            size = self._files.size(name)
            title = name.rpartition("/")[2].removeprefix(f"{id}-")
            if size is not None and size > self._max_file:
                reason = f"it has {size:,} bytes; more than {self._max_file:,} (`max_file`) are not read"
                skipped.append(Skipped(f"{where} » {title}", reason))
            else:
                parts.append(Part(name=title, size=size, open=partial(self._files.chunks, name)))
        return parts, skipped, absent

    def _read(self, name: str) -> bytes:
        if self._closed or self._files is None:
            raise ClosedError("closed while it was read", place=self._path)
        return content(self._files, name)

    def _start(self, cursor: Cursor | None) -> _Place:
        """Where to go on. What was read of an export that was cut off is read anew once it is whole: earlier days may
        have come to it.
        """
        place = _read_place(cursor)
        return place if place.whole or not self._whole else _Place()

    @property
    def _whole(self) -> bool:
        return self._files is None or self._files.damage is None

    # -- what there is ----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Find out what there is, unless that is known and has not changed. Raises `SourceError`."""
        known_as = _identity(self._path)
        if self._files is not None and known_as is not None and known_as == self._known_as:
            return
        files = open_files(self._path)
        try:
            names = list(files.names())
            self._check(files, names)
        except BaseException:
            files.close()
            raise
        if self._files is not None:
            self._retired.append(self._files)  # somebody may still read it
        self._files, self._known_as = files, known_as
        self._problems = [] if files.damage is None else [files.damage]
        self._workspace, skipped = Workspace.read(self._list, names)
        self._problems += [msgspec.structs.replace(one, place=f"{self._path} » {one.place}") for one in skipped]
        self._arrange(names)

    def _check(self, files: ExportFiles, names: list[str]) -> None:
        """Raise `SourceError` for what is no export, or not yet a whole one."""
        if files.damage is not None and _age(self._path) < _SETTLED:
            raise SourceError(
                f"the export is cut off and was written to a moment ago ({files.damage.reason})",
                place=self._path,
                advice="it is read once it is complete, or has not changed for a minute",
            )
        if not is_export(names):
            raise SourceError(
                "it is not a Slack export (channels.json and users.json are not in it)",
                place=self._path,
                advice="give the zip that Slack made, or the folder that it was unpacked to",
            )

    def _list(self, name: str) -> bytes | None:
        try:
            return self._read(name)
        except ClosedError:
            raise
        except InputError as error:
            self._problems.append(Skipped(f"{self._path} » {name}", error.reason))
            return None

    def _arrange(self, names: list[str]) -> None:
        """Which days belong to which conversation, in their order, and which files are there."""
        channels: dict[str, Channel] = {}
        days: dict[str, list[str]] = {}
        self._attached = {}
        for name in names:
            channel = day_channel(name, self._workspace)
            attached = _ATTACHED.search(name) if channel is None else None
            if channel is not None:
                channels[channel.id] = channel
                days.setdefault(channel.id, []).append(name)
            elif attached is not None:
                self._attached[attached[1] or attached[2]] = name
        for one in days.values():
            one.sort(key=lambda name: (_day_of(name), name))
        self._channels, self._days = channels, days

    def _wants(self, channel: Channel) -> bool:
        title, bare = channel.title, channel.title.lstrip("#@")
        if self._chosen and not {channel.id, title, bare}.intersection(self._chosen):
            return False
        if self._include and not any(fnmatchcase(title, glob) or fnmatchcase(bare, glob) for glob in self._include):
            return False
        return not any(fnmatchcase(title, glob) or fnmatchcase(bare, glob) for glob in self._exclude)


def _day_of(name: str) -> str:
    """The day of a file: `2024-01-02` of `general/2024-01-02.json`."""
    return name.rpartition("/")[2].removesuffix(".json")


def _identity(path: str) -> tuple[int, int, int] | None:
    """What changes when a file is replaced; None for a folder, of which no such thing tells."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return None if Path(path).is_dir() else (found.st_ino, found.st_size, found.st_mtime_ns)


def _age(path: str) -> float:
    """How many seconds ago a file was written to."""
    try:
        return abs(time.time() - Path(path).stat().st_mtime)
    except OSError:
        return 0.0


def _cursor(place: _Place) -> Cursor:
    return Cursor(msgspec.json.encode(place).decode())


def _read_place(cursor: Cursor | None) -> _Place:
    """Where to go on; at the beginning if the cursor says nothing that can be understood."""
    if cursor is None or not cursor.value:
        return _Place()
    try:
        return msgspec.json.decode(cursor.value, type=_Place)
    except msgspec.DecodeError:
        return _Place()
