"""What every platform's connector offers, and what it may use.

A source reads: it lists `Unit`s and gives each one's records from a cursor on. A quarantine takes what was found out of
readers' hands, and puts it back; a notifier tells people. Each has its own file and its own credentials, and none of
them scans, stores or decides.

Invariants that every source keeps, and the contract suite (`tests/contract/`) holds it to:

- After any delivery, reading again from its cursor gives exactly what came after it: nothing missing, nothing twice.
- The same state of the platform gives the same records with the same ids, however often it is read.
- A record that was edited comes again under the same id; one that was deleted comes as `deleted`, where the platform
  tells of it at all.
- What cannot be read is a `Skipped` with its reason. One bad record costs only itself.
- Limits are kept as the platform states them (`pace.Pace`); memory does not grow with the unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol

import msgspec

from keysentry.model.action import Original, Place, Receipt
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record, Unit
from keysentry.model.sensitive import Sensitive

MAX_FILE = 100 << 20
"""The largest file or attachment that a platform reads unless it is told otherwise (bytes): larger ones are hardly ever
text. Buckets have no such limit, because archives and dumps are kept there."""


class Delivery(NamedTuple):
    """What a source gives next.

    `cursor` is where to go on once this is dealt with. `record` is None where only the place has moved or something
    was skipped. `done`, if there is one, is called after the record's findings and the cursor were stored: it tells
    the platform (a queue, an event feed) that it need not send this again.
    """

    record: Record | None
    cursor: Cursor
    skipped: tuple[Skipped, ...] = ()
    done: Callable[[], None] | None = None


class Source(Protocol):
    """One configured place where people put things: a workspace, a tenant, a bucket, a folder."""

    def units(self) -> Iterator[Unit | Skipped]:
        """What there is to read now. Raises `SourceError` (`AccessError` where a person must act)."""
        ...

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is in a unit from a cursor on (None: from its beginning), and what changed since, in the source's order.

        Ends when everything that is there now was given; a live unit ends after a while without news. Raises
        `SourceError`; `GoneError` if the unit is not there any more.
        """
        ...

    def close(self) -> None:
        """Let go of connections, and make whatever waits in another thread raise `ClosedError`."""
        ...


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every source can be told; each platform's own options add to it.

    `name`: what the source is called in commands, in the journal and in the store; no two have the same. `poll`:
    seconds between two passes. `include`: globs on the titles of units; with any, only units that fit one are read.
    `exclude`: globs on the titles of units that are not read. `base_url`: another address of the platform's interface
    (a proxy, a sovereign cloud, an emulator).
    """

    name: str
    poll: float = 60.0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    environment: ClassVar[dict[str, tuple[str, ...]]] = {}
    """For each field that holds a credential: the variables that are looked at if the configuration does not name
    one, in this order."""
    paths: ClassVar[tuple[str, ...]] = ()
    """The fields that are paths; relative ones start from the configuration's folder."""


class PlatformModule(Protocol):
    """What a platform's package (`keysentry/connectors/<platform>/__init__.py`) offers. It imports its SDK only inside
    `open_source`.
    """

    Options: type[SourceOptions]

    def target_options(self, target: str) -> dict[str, object]:
        """The options that a target of `keysentry scan` stands for (`s3://bucket/prefix`), as in a configuration.

        Raises `ConfigError` if it cannot be understood.
        """
        ...

    def open_source(self, options: SourceOptions) -> Source:
        """Connect. Raises `ConfigError` for options that do not fit together and `MissingExtraError`."""
        ...


class Quarantine(Protocol):
    """The acting side of a platform (`keysentry/connectors/<platform>/quarantine.py`).

    Invariants that the contract suite holds every one to:

    - Nothing is touched but by `hold` and `release`, and only if it still is in the state that `inspect` saw.
    - What was done is read back before it is reported as done.
    - `inspect` gives all that `release` needs, so that after release people find what they had: the same text,
      file, permissions, thread, as far as the platform allows; what it does not allow is told in the receipt's note.
    - Each can be asked after an interruption whether it had its effect (`held`, `released`), and then does nothing
      twice.
    - Errors: `GoneError` (it is not there any more), `ChangedError` (it was edited: inspect anew), `AccessError` (a
      person must act; the advice names the permission), `InputError` (never possible: too large, not supported),
      `UnclearError` (sent, outcome unknown), other `SourceError`s (try again later).
    """

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        """Read the thing as it is now, without touching it. `secrets` are those that were found in it.

        Raises `ChangedError` if none of them is in it any more.
        """
        ...

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        """Take it out of readers' hands; `placeholder` stands in its place where the platform lets something stand."""
        ...

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        """Whether an interrupted `hold` had its effect: its receipt, or None where nothing was touched."""
        ...

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        """Put it back as it was. `receipt` is that of the hold."""
        ...

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        """Whether an interrupted `release` had its effect."""
        ...

    def close(self) -> None:
        """Let go of connections; whatever waits in another thread raises `ClosedError`."""
        ...


class QuarantineOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the acting side of every source can be told; each platform's own options add to it.

    `source`: the name of the source whose findings it acts upon. `per_minute`: how many requests of ours a minute at
    most; 0: no limit of ours. `base_url`: another address of the platform's interface.
    """

    source: str
    per_minute: float = 50.0
    base_url: str = ""

    environment: ClassVar[dict[str, tuple[str, ...]]] = {}
    paths: ClassVar[tuple[str, ...]] = ()


class QuarantineModule(Protocol):
    """What `keysentry/connectors/<platform>/quarantine.py` offers. SDKs are imported inside `open_quarantine`."""

    Options: type[QuarantineOptions]

    def open_quarantine(self, options: QuarantineOptions, source: SourceOptions) -> Quarantine:
        """Connect; `source` is how the source itself is configured. Raises `ConfigError` and `MissingExtraError`."""
        ...


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people are told. It holds no secret, only masks.

    `id` is its idempotency key: a notice with an id that was told already is not told again. `subject` is one line,
    `text` the whole in plain text with blank lines between paragraphs, `links` (label, address) of what can be opened.
    `facts` are for machines: incident ids, rule, severity, masks, places. `urgent`: it was escalated.
    """

    id: str
    kind: Literal["author", "channel", "escalation"]
    subject: str
    text: str
    links: tuple[tuple[str, str], ...] = ()
    facts: dict[str, object] = {}
    severity: str = "high"
    language: str = "en"
    time: float = 0.0
    urgent: bool = False


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told: the author of what was found (`author_id` and `place` are the platform's own), or, where
    `author_id` is empty, whoever the notifier is configured for.
    """

    author: str = ""
    author_id: str = ""
    email: str = ""
    place: Place | None = None


class Notifier(Protocol):
    """Tells people, by a platform or a service. Errors as in `Quarantine`."""

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """Tell it, once."""
        ...

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Whether an interrupted `tell` had its effect, as far as can be asked; None: it had none, or nothing is known
        and telling it again does no harm, because the other side knows notices by their ids.

        Raises `UnclearError` where telling it again would be seen twice.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class NotifierOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every notifier can be told. `name`: what playbooks call it. `language`: of the texts that it sends."""

    name: str
    language: str = "en"

    environment: ClassVar[dict[str, tuple[str, ...]]] = {}
    paths: ClassVar[tuple[str, ...]] = ()
