"""What sources yield and extraction takes apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from keysentry.model.location import Audience, Exposure, OffsetMap, Route

__all__ = ["Audience", "Exposure", "Part", "Record", "Segment", "Unit"]


class Unit(msgspec.Struct, frozen=True):
    """What is resumed, sharded and shown as progress: a channel, a folder, a bucket prefix.

    A `live` unit is one that waits: a feed of events or a queue, of which new records come as they happen.
    """

    id: str
    title: str
    size: int | None = None
    live: bool = False


class Segment(msgspec.Struct, frozen=True):
    """A run of text with one meaning: a message, a cell, a field, a file.

    `context` is the words that give it meaning but are not part of it (a column header, a field name); a keyword in it
    counts, nothing in it is ever reported. `origin` maps offsets of `text` to offsets of the original field, where
    markup was undone.
    """

    text: bytes
    route: Route = ()
    context: str = ""
    origin: OffsetMap | None = None


class Part(msgspec.Struct, frozen=True):
    """A piece of a record before extraction: text that is ready, or a content with a name that tells its format.

    The content is one of `content` (in memory), `open` (gives it in pieces, from the start each time it is called; may
    raise `InputError` for what cannot be had and `SourceError` for what may be had later) or `path` (a file or folder
    of this machine, which may be an archive or an export of any size). `size` is in bytes, None if not known.
    """

    segment: Segment | None = None
    content: bytes | None = None
    name: str = ""
    route: Route = ()
    open: Callable[[], Iterator[bytes]] | None = None
    path: str = ""
    size: int | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One message, document or row as its platform knows it.

    `id` is stable across runs and edits and unique in its source; `time` is when it was written (UTC seconds); `uri`
    is a link a person can open; `path` and `member` name the file (and the file inside an archive) that it was read
    from, where there is one. A `deleted` record has no parts: it says that what had this id is not there any more.
    """

    id: str
    parts: tuple[Part, ...] = ()
    unit: str = ""
    author: str = ""
    author_id: str = ""
    time: float | None = None
    container: str = ""
    uri: str = ""
    path: str = ""
    member: str = ""
    chat: bool = False
    exposure: Exposure = Exposure()
    deleted: bool = False
