"""What an object store is to us: buckets of named contents, listed in order, read by ranges.

S3, Google Cloud Storage and Azure Blob differ in words and in how they tell of versions; here they are made equal, so
that passes, cursors and reading are written once. A platform implements `ObjectStore` in its `client.py` and nothing
else.

Invariants.

- Entries of a listing come in the platform's own order of keys; entries of one key in an order that lasts.
- An entry's `tag` is that of the content that will be read: a range is only given while it still has that tag.
- A call that may be tried again raises `Refused`; everything else is one of our errors. The SDK itself does not retry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from keysentry.errors import AccessError, InputError
from keysentry.model.location import Exposure

PAGE = 1000
"""How many entries a page of a listing has, at most."""


class CredentialsError(AccessError):
    """The credentials themselves do not work: whoever made a client of them must make a new one."""


class Denied(InputError):
    """This one object may not be read."""


class Scope(msgspec.Struct, frozen=True):
    """What a unit covers: all keys of a bucket that begin with a prefix, or (`top`) only those of them that have no
    further `/`.
    """

    bucket: str
    prefix: str = ""
    top: bool = False

    @property
    def id(self) -> str:
        """The unit's id: it holds all that is needed to read the unit again."""
        return f"{'top' if self.top else 'tree'}:{self.bucket}/{self.prefix}"

    @classmethod
    def of(cls, unit: str) -> Scope | None:
        """The scope that a unit's id stands for; None for a unit of another kind."""
        kind, _, rest = unit.partition(":")
        bucket, slash, prefix = rest.partition("/")
        if kind not in ("top", "tree") or not slash:
            return None
        return cls(bucket, prefix, kind == "top")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one key.

    `modified` is when the content was written and `hidden`, of a version that is not current, since when it is not
    (UTC seconds). A `deleted` entry says that from `modified` on there is nothing under this key. `archived` is the
    reason why the content cannot be read now; empty if it can.
    """

    key: str
    modified: float
    size: int = 0
    tag: str = ""
    version: str = ""
    current: bool = True
    hidden: float | None = None
    deleted: bool = False
    archived: str = ""
    author: str = ""
    author_id: str = ""

    @property
    def stamp(self) -> int:
        """When this came to be as it is, in whole seconds of the platform's clock."""
        return int(self.modified if self.current or self.hidden is None else self.hidden)


class Position(msgspec.Struct, frozen=True):
    """The last entry of a listing that was dealt with: nothing before it will be asked for again."""

    key: str = ""
    version: str = ""
    modified: int = 0


class Page(NamedTuple):
    """A stretch of a listing, and the platform's clock when it was made (UTC seconds)."""

    entries: list[Entry]
    at: float


class Level(NamedTuple):
    """What lies directly under a prefix: prefixes one step longer, and whether there are keys as well.

    Not `complete` if there is more than a unit each would be sensible for.
    """

    prefixes: list[str]
    keys: bool
    complete: bool


class ObjectStore(Protocol):
    """One account's buckets. Safe to use from several threads."""

    scheme: str
    """How places are written: `s3` for `s3://bucket/key`."""
    permissions: tuple[str, str]
    """What it takes to list and to read, in the platform's words."""

    def place(self, bucket: str, key: str = "") -> str:
        """How a person names a bucket, a prefix or an object: `s3://bucket/key`."""
        ...

    def link(self, bucket: str, entry: Entry) -> str:
        """An https address that a person can open."""
        ...

    def buckets(self) -> Iterator[str]:
        """All buckets that there are. Raises `SourceError`."""
        ...

    def level(self, bucket: str, prefix: str, versions: bool, most: int) -> Level:
        """What lies under a prefix, up to so many prefixes. Raises `SourceError`."""
        ...

    def pages(self, scope: Scope, after: Position, versions: bool) -> Iterator[Page]:
        """A listing, from behind a position. With `versions`, with all versions and deletions that are told.

        Raises `SourceError`; `GoneError` where the bucket is not there any more.
        """
        ...

    def unfinished(self, scope: Scope) -> Iterable[tuple[str, int]]:
        """Uploads under way that will appear with a time in the past: the key, and that time."""
        ...

    def read(self, bucket: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a half-open range, as they are stored.

        Raises `Refused` where the connection breaks (what was given before counts), `InputError` for what cannot be
        had (changed, denied, gone), and `SourceError`.
        """
        ...

    def exposure(self, bucket: str, entry: Entry) -> Exposure:
        """Who could read an object. What we are not permitted to ask makes it unknown, never an error."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
