"""What sources yield and extraction takes apart."""

from __future__ import annotations

from typing import Literal

import msgspec

from keysentry.model.location import OffsetMap, Route

Audience = Literal["unknown", "private", "internal", "external", "public"]


class Exposure(msgspec.Struct, frozen=True):
    """Who could read something: the widest audience, how many people (None: not known), and since when (UTC
    seconds).
    """

    audience: Audience = "unknown"
    reach: int | None = None
    since: float | None = None


class Unit(msgspec.Struct, frozen=True):
    """What is resumed, sharded and shown as progress: a channel, a folder, a bucket prefix."""

    id: str
    title: str
    size: int | None = None


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
    """A piece of a record before extraction: text that is ready, or bytes with a name that tells their format."""

    segment: Segment | None = None
    content: bytes | None = None
    name: str = ""
    route: Route = ()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One message, document or row as its platform knows it.

    `id` is stable across runs; `time` is when it was written (UTC seconds); `uri` is a link a person can open;
    `path` and `member` name the file (and the file inside an archive) that it was read from, where there is one.
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
