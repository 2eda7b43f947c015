"""What an object store is to its quarantine: looking at one state of an object, copying it, replacing it, bringing it
back. S3, Google Cloud Storage and Azure Blob implement `Holder` in their `holding.py` and nothing else.

Invariants.

- Every call that changes an object of people's is conditional on the state that was looked at, as far as the platform
  offers it, and raises `ChangedError` where it is another one.
- A copy is made by the platform itself; no content passes through this machine.
- A copy holds the content with all that describes it (metadata, tags, type), and is not shared with anybody.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import msgspec

from keysentry.connectors.base import QuarantineOptions, SourceOptions
from keysentry.connectors.objects.store import Entry
from keysentry.connectors.pace import Pace
from keysentry.errors import ConfigError, SourceError, UnclearError

T = TypeVar("T")

MARK = "keysentry-hold"
"""The name of the metadata by which a placeholder of ours is recognised; its value is the id of the hold."""


class HoldOptions(QuarantineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the acting side of every object store can be told.

    `quarantine`: the bucket, and a prefix in it, into which originals are copied (`acme-quarantine/held`), required.
    `mode`: `stub` puts a small text in the place of the object, `delete` leaves nothing there. `versions`: take away
    older versions (generations, snapshots) in which the secret stands as well, and the one that was replaced.
    `max_search`: in objects of more bytes the secret is not looked for again; they must be unchanged since they were
    scanned. `per_minute`: how many requests of ours a minute at most; 0: no limit of ours.
    """

    quarantine: str = ""
    mode: Literal["stub", "delete"] = "stub"
    versions: bool = True
    max_search: int = 256 << 20
    per_minute: float = 1200.0

    named: ClassVar[str] = "bucket"

    @property
    def bucket(self) -> str:
        """Where originals are kept."""
        return self.quarantine.partition("/")[0]

    @property
    def prefix(self) -> str:
        """What the keys of originals begin with: empty, or with a slash at its end."""
        prefix = self.quarantine.partition("/")[2].strip("/")
        return f"{prefix}/" if prefix else ""

    def check(self) -> None:
        """Raise `ConfigError` for values that make no sense."""
        if not self.bucket:
            raise ConfigError(
                "it has no quarantine", place=self.source, advice=f'set quarantine = "a-{self.named}/prefix"'
            )
        if self.max_search < 0 or self.per_minute < 0:
            raise ConfigError("max_search and per_minute are 0 or more", place=self.source, advice="0: no limit")

    def check_apart(self, scheme: str, buckets: tuple[str, ...], source: SourceOptions) -> None:
        """Raise `ConfigError` if the source reads the quarantine: what was held would be found again there."""
        if buckets and self.bucket not in buckets:
            return
        title = f"{scheme}{self.bucket}/{self.prefix}"
        prefixes: tuple[str, ...] = getattr(source, "prefixes", ())
        if prefixes and not any(self.prefix.startswith(one) or one.startswith(self.prefix or one) for one in prefixes):
            return
        if any(fnmatch.fnmatchcase(title, glob) for glob in source.exclude):
            return
        raise ConfigError(
            f"the source {source.name} reads the quarantine {title}",
            place=self.source,
            advice=f'name another {self.named}, or set exclude = ["{scheme}{self.bucket}/*"] in the source',
        )

    def pace(self, place: str) -> Pace:
        """The limit on requests that these options set."""
        per_second = self.per_minute / 60
        return Pace(place, per_second=per_second, burst=max(1, int(per_second * 5)))


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One state of one object, with all that is needed to make another one like it.

    `tag` is what conditions name it by; `version` is empty where the store keeps no versions; `digests` are sums over
    the content by their kinds; `mark` is the id of the hold whose placeholder this is; `locked` says why it may not be
    replaced; `more` is the platform's own. `title` is how errors name it, with every secret masked.
    """

    key: str
    size: int = 0
    tag: str = ""
    modified: float = 0.0
    version: str = ""
    current: bool = True
    mark: str = ""
    locked: str = ""
    archived: str = ""
    digests: dict[str, str] = {}
    more: dict[str, Any] = {}
    title: str = ""

    @property
    def name(self) -> str:
        """This state among all that the object ever has."""
        return f"{self.version}|{self.tag}|{self.modified:.6f}|{self.size}"

    @property
    def entry(self) -> Entry:
        """What a reader asks for."""
        version = "" if self.current else self.version
        return Entry(
            key=self.key, modified=self.modified, size=self.size, tag=self.tag, version=version, current=self.current
        )


def alike(one: State, other: State, *, copies: bool) -> bool | None:
    """Whether two states have the same content; None if nothing tells. Sums that depend on how an object was uploaded
    (their kinds have a `-`) only count between two `copies` of ours.
    """
    if one.size != other.size:
        return False
    kinds = one.digests.keys() & other.digests.keys()
    common = [kind for kind in kinds if copies or "-" not in kind]
    if not common:
        return None
    return all(one.digests[kind] == other.digests[kind] for kind in common)


class Holder(Protocol):
    """One account's objects, to act upon. Errors as in `Quarantine`."""

    older_readers: str
    """Who can read an older version, for notes: in the platform's words."""

    def place(self, bucket: str, key: str = "") -> str:
        """How a person names an object."""
        ...

    def look(self, bucket: str, key: str, version: str = "", title: str = "") -> State | None:
        """An object (a version of it) as it is now; None if there is nothing."""
        ...

    def described(self, bucket: str, state: State) -> State:
        """The state with what it takes calls of its own to know: tags, grants."""
        ...

    def content(self, bucket: str, state: State) -> Iterator[bytes]:
        """The content in pieces."""
        ...

    def older(self, bucket: str, state: State) -> list[State]:
        """The versions before the current one, the oldest first; of each only its key, version and size are sure."""
        ...

    def save(self, bucket: str, state: State, to: tuple[str, str]) -> None:
        """Copy a state into the quarantine (bucket, key)."""
        ...

    def stub(self, bucket: str, state: State, text: bytes, mark: str) -> None:
        """Put a text in the place of the current object."""
        ...

    def remove(self, bucket: str, state: State) -> None:
        """Delete the current object."""
        ...

    def erase(self, bucket: str, state: State) -> None:
        """Delete a version that is not current, for good."""
        ...

    def put_back(self, copy: tuple[str, State], bucket: str, over: State | None, original: State) -> None:
        """Copy out of the quarantine (bucket, state), in the place of `over` (None: of nothing), with what `original`
        had.
        """
        ...

    def keep(self, bucket: str, state: State) -> None:
        """Have the current object kept as an older version, where the store does not do so by itself."""
        ...

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object of ours."""
        ...

    def fetch(self, bucket: str, key: str) -> bytes | None:
        """Read a small object of ours; None if there is none."""
        ...

    def names(self, bucket: str, prefix: str) -> list[str]:
        """The keys of objects of ours that begin so."""
        ...

    def drop(self, bucket: str, key: str) -> None:
        """Delete an object of ours, with all of its versions; nothing happens if there is none."""
        ...

    def public(self, bucket: str) -> bool:
        """Whether everybody can read what is in a bucket."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def changing(call: Callable[[], T], place: str) -> T:
    """Make a call that changes something. What failed without a clear answer is an `UnclearError`."""
    try:
        return call()
    except SourceError as error:
        if type(error) is SourceError:
            raise UnclearError(error.reason, place=place or error.place, advice=error.advice) from error
        raise
