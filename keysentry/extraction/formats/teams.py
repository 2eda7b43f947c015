"""Teams exports: which files are some, and where in one the message lies that holds a place of it.

    {"userId": "8:live:x", "exportDate": "2024-03-05T10:00", "conversations":
        [{"id": "19:a@thread.v2", "displayName": "Book club", "MessageList": [{message}, ...]}, ...]}
    {"@odata.context": "...", "@odata.nextLink": "...", "value": [{chatMessage}, ...]}
    [{chatMessage}, ...], or one on each line, or one in a file; `replies` may lie inside of one

The first is what a person downloads of an account of their own (Teams Free, and Skype before it; in a tar):
https://support.microsoft.com/en-us/office/export-or-delete-your-data-in-microsoft-teams-free-1ed6ac68-5fb4-41be-9861-1a4127fecf68
The others are what programs keep of the export interfaces of Microsoft Graph:
https://learn.microsoft.com/en-us/microsoftteams/export-teams-content and
https://learn.microsoft.com/en-us/graph/api/resources/chatmessage

Algorithm. Nothing is read from the beginning, since such a file may have gigabytes. From a place that is asked for, the
nearest key of an object before it is looked for; from there brackets are counted outwards until an object has the
fields of a message.

Invariants. In sound JSON a quote without a backslash before it, letters, a quote and a colon are a key and nothing
else: so the nearest one is where strings and brackets can be told apart, wherever a buffer was cut.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from threading import Lock
from typing import Any, Literal, NamedTuple

import msgspec

from keysentry.extraction.formats.slackmessage import decode

__all__ = [
    "HEAD",
    "MARK_LITERALS",
    "Around",
    "Conversations",
    "Search",
    "contents",
    "damage",
    "is_export",
    "message_at",
]

Fields = dict[str, Any]
Form = Literal["graph", "personal"]

HEAD = 8192
"""How many bytes of a file's beginning tell whether it is an export."""

MARK_LITERALS = (
    b'"originalarrivaltime"',
    *(
        b'"%b"%b"%b"' % (name, colon, kind)
        for name in (b"contentType", b"ContentType")
        for colon in (b":", b": ", b":  ", b" : ")
        for kind in (b"html", b"text")
    ),
)
"""What every message has, one of them: an event in a message makes its file be looked at. Plain literals, which cost a
prefilter nothing; with a `\\s` in them every text would be scanned measurably slower."""

_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]")
_TELLING = re.compile(
    rb"(?i)\"(?:MessageList|originalarrivaltime|exportDate|messageType|replyToId|chatId|channelIdentity)\"\s*:|"
    rb"\"from\"\s*:\s*\{[^{}]{0,400}\"(?:user|application)\"\s*:|"
    rb"#microsoft\.graph\.chatMessage|\$metadata#[^\"]{0,300}(?:chatMessage|messages)"
)
_CONTEXT = re.compile(rb"\"@odata\.context\"\s*:\s*\"([^\"\\]{0,2000})\"")
_IN_CONTEXT = re.compile(r"(chats|teams|channels)\('([^']+)'\)|(chats|teams|channels)/([^/'(]+)/")

_KEY_BACKWARDS = re.compile(rb":[ \t\r\n]*+\"[\w@.$-]{0,255}[A-Za-z@_]\"(?!\\)")
"""A key, read from its colon backwards."""
_LONGEST_KEY = 300
_STRING = rb"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\""
_TO_BRACKET = re.compile(rb"(?:[^\"{}\[\]]++|" + _STRING + rb")*+([{}\[\]])", re.DOTALL)
_TO_BRACKET_BACKWARDS = re.compile(rb"(?:[^\"{}\[\]]++|\"[^\"]*+(?:\"\\(?:\\\\)*+(?!\\)[^\"]*+)*+\")*+([{}\[\]])")
_MEMBER = re.compile(rb"[\s,]*+(\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")\s*+:\s*+")
_PLAIN_VALUE = re.compile(_STRING + rb"|[-+.\w]++(?=[\s,}\]])", re.DOTALL)

_SIGHT = 256 << 10
"""How far from a place the brackets of its message are looked for. Teams takes messages of up to 28 kB."""
_FIRST_LOOK = 4096
_DEEPEST = 12
"""How many brackets further out than a place those of its message may be."""


def is_export(head: bytes) -> bool:
    """Whether a file that begins like this may be an export. A file that is none loses nothing by it."""
    return _BEGINNING.match(head) is not None and _TELLING.search(head) is not None


class Around(NamedTuple):
    """The message around a place: its bytes in the buffer, its decoded fields, and where it belongs.

    `whole` is false if its end was not found: then its first fields are here.
    """

    start: int
    end: int
    fields: Fields
    form: Form
    whole: bool = True

    @property
    def nested(self) -> bool:
        """Whether other messages may lie in it."""
        return any(name.lower() == "replies" and value for name, value in self.fields.items())


class Lost(NamedTuple):
    """No message was found around a place: it lies in none (`outside`), the brackets or the JSON around it do not fit
    (`damaged`), or they are too far away (`far`).
    """

    reason: Literal["outside", "damaged", "far"]


class Search:
    """Finds the messages around places of one buffer, which are asked for in ascending order.

    What was passed over once is not read again: linear in the buffer, and in the size of each message.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._asked = 0
        self._key = -1
        self._floor = 0
        """What is open at or before this key is no message."""

    def at(self, at: int) -> Around | Lost:
        """The innermost message that an offset lies in."""
        found = _key_between(self._data, max(self._asked - _LONGEST_KEY, at - _SIGHT, 0), at)
        self._key = found if found >= 0 else self._key
        self._asked = at
        if self._key < 0 or at - self._key > _SIGHT:
            return Lost("outside" if at < _SIGHT else "far")
        around = self._around(self._key, at)
        if isinstance(around, Lost):
            self._floor = max(self._floor, self._key)
        return around

    def _around(self, key: int, at: int) -> Around | Lost:
        data, start = self._data, key
        lowest = max(self._floor, key - _SIGHT)
        for _level in range(_DEEPEST):
            start = _opening(data, start, lowest)
            if start < 0:
                return Lost("outside" if lowest == self._floor else "far")
            if data[start] != 0x7B:
                continue
            end = _closing(data, start, min(len(data), at + _SIGHT))
            if 0 <= end <= at:
                continue  # an object that ended before the place
            fields, until = _decoded(data, start, end)
            if not fields:
                return Lost("damaged")
            form = form_of(fields)
            if form is not None:
                return Around(start, until, fields, form, end >= 0) if at <= until else Lost("far")
        return Lost("outside")


def message_at(data: bytes, at: int) -> Around | Lost:
    """The innermost message that an offset lies in."""
    return Search(data).at(at)


def form_of(fields: Fields) -> Form | None:
    """What kind of message these are the fields of; None for something else."""
    names = {name.lower() for name in fields}
    if "messagetype" in names and ("originalarrivaltime" in names or "conversationid" in names):
        return "personal"
    if "messagelist" in names or "internetmessageid" in names or "receiveddatetime" in names:
        return None
    if "body" in names and names & {"createddatetime", "messagetype", "from", "chatid", "channelidentity"}:
        return "graph"
    return None


def _key_between(data: bytes, low: int, at: int) -> int:
    """Where the last key before an offset begins, from `low` on; -1 if there is none."""
    look = _FIRST_LOOK
    while True:
        start = max(low, at - look)
        found = _KEY_BACKWARDS.search(data[start:at][::-1])
        if found is not None and (found.end() < at - start or data[start - 1 : start] != b"\\"):
            return at - found.end()
        if start == low:
            return -1
        look *= 16


def _opening(data: bytes, before: int, lowest: int) -> int:
    """The bracket that is open at `before` (which lies in no string); -1 if there is none from `lowest` on."""
    look = _FIRST_LOOK
    while True:
        low = max(lowest, before - look)
        mirrored = data[low:before][::-1]
        position = depth = 0
        while bracket := _TO_BRACKET_BACKWARDS.match(mirrored, position):
            position = bracket.end()
            if bracket[1] in b"}]":
                depth += 1
            elif depth:
                depth -= 1
            else:
                return before - position
        if low <= lowest:
            return -1
        look *= 16


def _closing(data: bytes, start: int, limit: int) -> int:
    """Where the bracket at `start` is closed (the offset behind it); -1 if that is not before `limit`."""
    position, depth = start + 1, 1
    while bracket := _TO_BRACKET.match(data, position, limit):
        position = bracket.end()
        depth += 1 if bracket[1] in b"{[" else -1
        if not depth:
            return position
    return -1


def _decoded(data: bytes, start: int, end: int) -> tuple[Fields, int]:
    """The fields of an object and where it ends; if that is not known (-1) its first fields and where the last of
    them ends. No fields if it cannot be read.
    """
    if end >= 0:
        found = decode(data[start:end])
        return (found if isinstance(found, dict) else {}), end
    fields: Fields = {}
    position, limit = start + 1, min(len(data), start + _SIGHT)
    while member := _MEMBER.match(data, position, limit):
        name, at = decode(member[1]), member.end()
        value = _PLAIN_VALUE.match(data, at, limit)
        after = value.end() if value else -1
        if value is None and data[at : at + 1] in (b"{", b"["):
            after = _closing(data, at, limit)
        if not isinstance(name, str):
            break
        fields[name] = decode(data[at:after]) if after >= 0 else None
        if after < 0:
            break
        position = after
    return fields, position


# -- contents ---------------------------------------------------------------------------------------------------------

_VALUE = (
    rb"\s*+:\s*+\"(?:"
    # read as it lies: nothing to undo, or one paragraph around it
    rb"(?:<(p|div)>)?+(?:[^<&\"\xc2\\]++|\\[^u\"]|&(?:amp|lt|gt|quot|#39);)*+(?(1)<\\?/\1>)\""
    rb"|((?:[^\"\\]++|\\.)*+))"
)
_CONTENTS = {
    "graph": re.compile(rb"\"content\"" + _VALUE, re.DOTALL),
    "PowerShell": re.compile(rb"\"Content\"" + _VALUE, re.DOTALL),
    "personal": re.compile(rb"\"c(?:ontent|ards)\"" + _VALUE, re.DOTALL),
}
_PASCAL = re.compile(rb"\"(?:Body|MessageType|CreatedDateTime|ReplyToId)\"\s*:")
_PERSONAL = re.compile(rb"\"(?:MessageList|originalarrivaltime|exportDate)\"\s*:")
_FACT = b'value\\"'
"""In a card, the value of a fact: its title is read as its name, which it is not in the raw text."""


class Contents(NamedTuple):
    """The strings of JSON that do not read as they lie: where each begins, and their bytes, one a line."""

    starts: list[int]
    lines: bytes

    def cards(self) -> list[int]:
        """The beginnings of those that hold cards with facts."""
        if _FACT not in self.lines:
            return []
        return [at for at, line in zip(self.starts, self.lines.split(b"\n"), strict=True) if _FACT in line]


def contents(data: bytes, head: bytes) -> Contents:
    """What may be HTML in a stretch of an export that begins with `head`."""
    form = "personal" if _PERSONAL.search(head) else "PowerShell" if _PASCAL.search(head) else "graph"
    spans = [match.span(2) for match in _CONTENTS[form].finditer(data) if match.lastindex == 2]
    return Contents([start for start, _end in spans], b"\n".join([data[start:end] for start, end in spans]))


# -- conversations ----------------------------------------------------------------------------------------------------


class Damage(NamedTuple):
    """What is wrong with JSON, and the offset from which on it cannot be read."""

    offset: int
    reason: str


class Conversation(NamedTuple):
    """A conversation, channel or chat, as far as the file names it around its messages."""

    id: str = ""
    title: str = ""

    def fitting(self, message: Around) -> Conversation:
        """This one, unless the message says that it was written elsewhere."""
        there = next((value for name, value in message.fields.items() if name.lower() in _THREADS and value), self.id)
        return self if not self.id or there == self.id else Conversation()


_THREADS = ("conversationid", "chatid")
_LISTS = (b'"MessageList"', b'"messages"')
_LIST = re.compile(rb"\"[A-Za-z]++\"\s*+:\s*+\[")
_OVERLAP = 64 << 10
"""How long the head of a conversation may be, before its messages."""
_STEP = 4 << 20
CHECKED = 64 << 20
"""The largest file that is checked from its beginning to its end, once something is found in it."""


class Conversations:
    """The conversations of an export and where their messages begin: told as the file goes by, or read when asked.

    Safe to use from several threads.
    """

    def __init__(self, path: str = "") -> None:
        """`path` names the file, if it is one; else its bytes are to be fed in order."""
        self._path = path
        self._lock = Lock()
        self._offsets: list[int] = []
        self._found: list[Conversation] = []
        self._tail = b""
        self._seen = 0

    def feed(self, chunk: bytes) -> None:
        """Take note of the next bytes."""
        with self._lock:
            self._feed(chunk)

    def at(self, offset: int) -> Conversation:
        """The conversation that a message at an offset of the file belongs to; an empty one if that is not known."""
        with self._lock:
            if self._path and self._seen <= offset:
                self._read(offset)
            number = bisect_right(self._offsets, offset) - 1
            return self._found[number] if number >= 0 else Conversation()

    def all(self) -> list[tuple[int, Conversation]]:
        """All conversations of a file, and where the messages of each begin. Raises `OSError`."""
        with self._lock:
            with open(self._path, "rb") as file:  # noqa: PTH123
                file.seek(self._seen)
                while chunk := file.read(_STEP):
                    self._feed(chunk)
            return list(zip(self._offsets, self._found, strict=True))

    def damage(self) -> Damage | None:
        """What is wrong with the file, as far as it can be told: of one that is larger than `CHECKED` whether it was
        cut off. None for what is no file.
        """
        if not self._path:
            return None
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                size = file.seek(0, 2)
                file.seek(0)
                first = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
                file.seek(0 if size <= CHECKED else size - 64)
                data = file.read(CHECKED)
        except OSError:
            return None
        if size <= CHECKED:
            return damage(data)
        sound = data.rstrip().endswith(b"}" if first == b"{" else b"]")
        return None if sound else Damage(size, "it is cut off")

    def _read(self, offset: int) -> None:
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                file.seek(self._seen)
                while self._seen <= offset and (chunk := file.read(_STEP)):
                    self._feed(chunk)
        except OSError:
            return

    def _feed(self, chunk: bytes) -> None:
        text = self._tail + chunk
        base = self._seen - len(self._tail)
        for offset, conversation in conversations(text, len(self._tail) - _LONGEST_LIST):
            if not self._offsets or base + offset > self._offsets[-1]:
                self._offsets.append(base + offset)
                self._found.append(conversation)
        self._seen += len(chunk)
        self._tail = text[-_OVERLAP:]


_LONGEST_LIST = 64


def conversations(data: bytes, start: int = 0) -> list[tuple[int, Conversation]]:
    """The conversations whose messages begin from `start` on: where, and what their heads say."""
    found: list[tuple[int, Conversation]] = []
    for name in _LISTS:
        at = max(start, 0) - 1
        while (at := data.find(name, at + 1)) >= 0:
            match = _LIST.match(data, at)
            if match is None or data[at - 1 : at] == b"\\":
                continue
            opening = _opening(data, at, max(0, at - _OVERLAP))
            fields = _decoded(data[: match.end()], opening, -1)[0] if opening >= 0 and data[opening] == 0x7B else {}
            found.append((match.end(), named(fields)))
    found.sort()
    return found


def named(fields: Fields) -> Conversation:
    """The conversation that these are the fields of."""
    lower = {name.lower(): value for name, value in fields.items()}
    threads = lower.get("threadproperties")
    titles = (lower.get("topic"), lower.get("displayname"), threads.get("topic") if isinstance(threads, dict) else None)
    title = next((name for name in titles if isinstance(name, str) and name), "")
    id = lower.get("id")
    return Conversation(id if isinstance(id, str) else "", title)


def context_of(head: bytes) -> dict[str, str]:
    """What the address that a page of Graph was asked for names: `chats`, `teams`, `channels`, each by its id."""
    from urllib.parse import unquote

    found = _CONTEXT.search(head)
    if found is None:
        return {}
    text = found[1].decode("utf-8", "replace")
    return {match[1] or match[3]: unquote(match[2] or match[4]) for match in _IN_CONTEXT.finditer(text)}


# -- damage -----------------------------------------------------------------------------------------------------------

_PLACE = re.compile(r"\(byte (\d+)\)")


def damage(data: bytes) -> Damage | None:
    """What is wrong with a file, as a document or as lines of JSON; None if nothing is."""
    begin = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    found = _wrong(data[begin:] if begin else data)
    if found is None:
        return None
    first_line = data.find(b"\n", begin)
    if "trailing" not in found.reason or first_line < 0:
        return Damage(begin + found.offset, found.reason)
    at = begin
    for line in data[begin:].splitlines(keepends=True):
        wrong = _wrong(line) if line.strip() else None
        if wrong is not None:
            return Damage(at + wrong.offset, wrong.reason)
        at += len(line)
    return None


def _wrong(data: bytes) -> Damage | None:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except RecursionError:
        return None
    except UnicodeDecodeError as error:
        return Damage(error.start, "it is not UTF-8")
    except msgspec.DecodeError as error:
        place = _PLACE.search(str(error))
        reason = _PLACE.sub("", str(error)).strip().removeprefix("JSON is malformed: ")
        return Damage(int(place[1]) if place else len(data), reason)
    return None
