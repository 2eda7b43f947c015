"""A Teams export as a source of messages: one file of JSON, in any form of `keysentry.extraction.formats.teams`.

For programs that want the records themselves; a scan of the file finds the same, faster (`keysentry.scan.teams`).

Units are the conversations of a personal export, in the order of the file; what Graph gave is one unit. Messages come
in the order of the file, a message before its replies. The cursor is the place in the file.

Limits. A file that was changed is read anew. Of a message of more than 256 kB only the first fields are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.errors import ClosedError, GoneError, SourceError
from keysentry.extraction.formats import teams, teamsmessage
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit

_MARK = re.compile(rb"\"(?:originalarrivaltime\"\s*:|[cC]ontentType\"\s*:\s*\"(?:html|text)\")")
_LONGEST_MARK = 128
_STEP = 4 << 20
_SIGHT = 1 << 19
"""How far before and behind a step the rest of its messages may lie."""
_WHOLE = "messages"
"""The unit of a file that names no conversations."""


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """From where on to look for messages, where the last one began, and which file that was (size, time)."""

    at: int = 0
    last: int = -1
    size: int = -1
    modified: int = -1


class _Stretch(NamedTuple):
    """A conversation in the file: where its messages begin and end."""

    conversation: teams.Conversation
    start: int
    end: int


class TeamsExport:
    """One export."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._closed = False

    def units(self) -> Iterator[Unit | Skipped]:
        """The conversations. Raises `SourceError` if the file cannot be read or is no export."""
        for id, stretch in self._stretches():
            yield Unit(id, stretch.conversation.title or stretch.conversation.id or os.path.basename(self._path))  # noqa: PTH119

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """The messages of a conversation from a cursor on. Raises `SourceError`, `GoneError`, `ClosedError`."""
        stretch = next((found for id, found in self._stretches() if id == unit.id), None)
        if stretch is None:
            raise GoneError(f"the export has no conversation {unit.title or unit.id}", place=self._path)
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                status = os.fstat(file.fileno())
                start = _Place(stretch.start, -1, status.st_size, status.st_mtime_ns)
                place = _place(cursor)
                if (place.size, place.modified) != (start.size, start.modified):
                    place = start
                yield from self._messages(file, unit, stretch, place)
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """End a read that is under way."""
        self._closed = True

    def _messages(self, file: BinaryIO, unit: Unit, stretch: _Stretch, place: _Place) -> Iterator[Delivery]:
        head = _head(file)
        while place.at < stretch.end:
            if self._closed:
                raise ClosedError("closed", place=self._path)
            low = max(0, place.at - _SIGHT)
            file.seek(low)
            wanted = place.at - low + _STEP + _SIGHT
            data = file.read(wanted)
            upto = min(place.at + _STEP, stretch.end) if len(data) == wanted else stretch.end
            search = teams.Search(data)
            for mark in _MARK.finditer(data, max(0, place.at - low - _LONGEST_MARK)):
                at = low + mark.end()
                if at <= place.at:
                    continue
                if at > upto:
                    break
                found = search.at(mark.end())
                place = msgspec.structs.replace(place, at=at)
                if isinstance(found, teams.Around) and low + found.start > place.last:
                    place = msgspec.structs.replace(place, last=low + found.start)
                    yield self._delivery(unit, found, stretch, head, place)
                elif isinstance(found, teams.Lost) and found.reason != "outside":
                    yield self._lost(at, found, place)
            place = msgspec.structs.replace(place, at=max(place.at, upto))

    def _delivery(self, unit: Unit, found: teams.Around, stretch: _Stretch, head: bytes, place: _Place) -> Delivery:
        conversation = stretch.conversation.fitting(found)
        if not conversation.id:
            context = teams.context_of(head)
            conversation = teams.Conversation(context.get("chats") or context.get("channels", ""))
        record = teamsmessage.record(found.fields, found.form, conversation, path=self._path, unit=unit.id)
        skipped: tuple[Skipped, ...] = ()
        if not found.whole:
            reason = f"the message at byte {place.last:,} is cut off or very large: only its first fields are read"
            skipped = (Skipped(self._path, reason, partial=True),)
        return Delivery(record, _cursor(place), skipped)

    def _lost(self, at: int, lost: teams.Lost, place: _Place) -> Delivery:
        why = "is damaged" if lost.reason == "damaged" else "is too large or damaged"
        return Delivery(
            None, _cursor(place), (Skipped(self._path, f"the message around byte {at:,} {why}", partial=True),)
        )

    def _stretches(self) -> Iterator[tuple[str, _Stretch]]:
        """The conversations, each by the id of its unit."""
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                size = os.fstat(file.fileno()).st_size
                head = _head(file)
                if not teams.is_export(head):
                    raise SourceError(
                        "this is no Teams export", place=self._path, advice="name a messages.json, or JSON of Graph"
                    )
        except OSError as error:
            raise self._failed(error) from None
        personal = b'"MessageList"' in head or b'"exportDate"' in head
        found = self._conversations() if personal else []
        if not found:
            yield _WHOLE, _Stretch(teams.Conversation(), 0, size)
            return
        ends = [*(start for start, _conversation in found[1:]), size]
        seen: dict[str, int] = {}
        for (start, conversation), end in zip(found, ends, strict=True):
            id = conversation.id or _WHOLE
            seen[id] = seen.get(id, 0) + 1
            yield (id if seen[id] == 1 else f"{id}#{seen[id]}"), _Stretch(conversation, start, end)

    def _conversations(self) -> list[tuple[int, teams.Conversation]]:
        try:
            return teams.Conversations(self._path).all()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> SourceError:
        return SourceError(error.strerror or str(error), place=self._path, advice="check the path")


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(teams.HEAD)


def _cursor(place: _Place) -> Cursor:
    return Cursor(msgspec.json.encode(place).decode())


def _place(cursor: Cursor | None) -> _Place:
    try:
        return msgspec.json.decode(cursor.value, type=_Place) if cursor is not None else _Place()
    except msgspec.DecodeError:
        return _Place()
