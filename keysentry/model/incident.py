"""What the store remembers: incidents, where their secrets were seen, and how far sources were read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from keysentry.model.action import Action, Assessment
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Finding, Lifetime, Severity
from keysentry.model.lifecycle import State
from keysentry.model.location import Exposure


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One secret, wherever it was seen: identified by its keyed fingerprint, shown as its mask.

    `places` is how many occurrences are there now, `seen` how many there ever were; times are UTC seconds. A secret
    that is seen anew after its incident was closed reopens it, and counts as a regression. `until` is when an accepted
    risk or a false alarm is to be looked at again; `state_reason` what the one who moved it said.
    """

    id: str
    fingerprint: str
    rule: str
    title: str
    provider: str
    category: str
    severity: Severity
    confidence: float
    lifetime: Lifetime
    secret: str
    state: State
    places: int
    seen: int
    first_seen: float
    last_seen: float
    regressions: int = 0
    audience: str = "unknown"
    state_since: float = 0.0
    until: float | None = None
    state_reason: str = ""
    assessment: Assessment | None = None


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a secret was seen. `gone` is when it was found to be there no more (UTC seconds), or None.

    `record` is the id of the message or document on its platform; `part` is the way inside it.
    """

    incident: str
    source: str
    unit: str
    record: str
    uri: str
    path: str
    part: str
    line: int | None
    column: int | None
    container: str
    author: str
    author_id: str
    time: str
    exposure: Exposure
    confidence: float
    reasons: tuple[str, ...]
    first_seen: float
    last_seen: float
    gone: float | None = None


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one record, or in a stretch of one that is too large to be held whole.

    `scan` names the pass over the record: the same for all its stretches, and one that was never used before each
    time the record is scanned. With `last` the record was seen to its end: what was known of it and was not found in
    this pass is gone.
    """

    unit: str
    record: str
    scan: str
    findings: tuple[Finding, ...] = ()
    last: bool = True


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not read, or not to its end: the latest time and how often."""

    source: str
    unit: str
    place: str
    reason: str
    partial: bool
    first_seen: float
    last_seen: float
    times: int = 1


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit stores, all of it or nothing: sightings, what was not read, and how far the units were read.

    `unread` holds (unit, place, reason, partial); `platform` is that of the source.
    """

    source: str
    time: float
    platform: str = ""
    sightings: tuple[Sighting, ...] = ()
    unread: tuple[tuple[str, str, str, bool], ...] = ()
    cursors: tuple[tuple[str, Cursor], ...] = ()


class Committed(msgspec.Struct, frozen=True):
    """What a commit changed: ids of incidents that are new, and of those that came back after their end; how many
    occurrences are new, and how many are gone; ids of actions that were filed.
    """

    new: tuple[str, ...] = ()
    reopened: tuple[str, ...] = ()
    occurrences: int = 0
    gone: int = 0
    actions: tuple[str, ...] = ()


class Appearance(msgspec.Struct, frozen=True, kw_only=True):
    """An occurrence that is new, or back, as a planner is told of it inside the commit.

    `key` names the record (`Action.subject` of a hold). `distinct` is how many different secrets were found in the
    same record. `incident` is as it will be stored; its counts over occurrences are not known yet.
    """

    incident: Incident
    occurrence: Occurrence
    key: str
    distinct: int = 1


class Planner(Protocol):
    """Says what is to be done about what a commit brings. It is called inside the transaction: pure and quick."""

    def __call__(self, appearances: Sequence[Appearance], time: float) -> Sequence[Action]:
        """The actions; those whose ids are known already are left out by the store."""
        ...


SourceState = Literal["starting", "reading", "waiting", "backing-off", "needs-attention", "stopped"]


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is doing, as its daemon last told. Times are UTC seconds; rates are of the latest pass.

    `lag` is how many seconds passed between the newest record's own time and its commit.
    """

    source: str
    platform: str
    state: SourceState
    at: float
    unit: str = ""
    units: int = 0
    records: int = 0
    bytes: int = 0
    findings: int = 0
    unread: int = 0
    records_per_second: float = 0.0
    lag: float | None = None
    last_record: float | None = None
    last_error: str = ""
    last_error_at: float | None = None
    process: str = ""
