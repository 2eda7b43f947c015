"""What is done about an incident: actions, what they are about, and what came of them.

Invariants. An action's id is its idempotency key: the same thing to do, about the same subject, in the same round of
the incident, has the same id whoever plans it, and is stored once. Nothing here holds a secret but `Place` and
`Credential`, which are only ever stored sealed.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from keysentry.model.finding import Lifetime
from keysentry.model.lifecycle import Stage
from keysentry.model.location import ByteSpan, Exposure, Route
from keysentry.model.sensitive import Sensitive

Kind = Literal["seal", "hold", "release", "assess", "verify", "notify", "revoke", "rotate", "vault", "prevent", "close"]

STAGE_OF: dict[Kind, Stage | None] = {
    "seal": "contain",
    "hold": "contain",
    "release": None,
    "assess": "assess",
    "verify": "assess",
    "notify": "notify",
    "revoke": "remediate",
    "rotate": "remediate",
    "vault": "remediate",
    "prevent": "remediate",
    "close": None,
}
"""The stage that an action belongs to. A release belongs to none: it undoes one; closing comes after all."""

IRREVERSIBLE: frozenset[Kind] = frozenset({"revoke", "rotate"})
"""What cannot be taken back, and waits for approval unless the playbook enforces it."""

ActionState = Literal["proposed", "waiting", "ready", "running", "done", "needs-a-person", "rejected", "cancelled"]
"""`proposed`: a playbook that only observes would do it. `waiting`: for approval. `ready`: to be done at `due_from`.
`running`: leased by a worker. `needs-a-person`: every attempt failed, or its outcome cannot be known. `rejected`: a
person said no. `cancelled`: there is nothing to do any more.
"""
SETTLED: frozenset[ActionState] = frozenset({"done", "rejected", "cancelled"})
"""What nothing more will come of by itself or by a person."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do. Times are UTC seconds.

    `subject`: what it is done to: for hold, seal and release the key of the record (`record_key`), else the incident's
    id. `target`: by whom or where to (the name of a revoker, a vault, a channel; `author`; empty where there is no
    choice). `incidents`: all that it belongs to; the first one gives its place in listings. `round`: how many times the
    incident had come back when it was planned. `settings`: what else the playbook says about it, without secrets.
    `actor`: who planned it (`playbook:NAME` or a person). `due_by`: when its deadline is missed; None: there is none.
    """

    id: str
    kind: Kind
    subject: str
    incidents: tuple[str, ...]
    target: str = ""
    source: str = ""
    platform: str = ""
    playbook: str = ""
    state: ActionState = "ready"
    round: int = 0
    settings: dict[str, str] = {}
    actor: str = ""
    reason: str = ""
    created: float = 0.0
    updated: float = 0.0
    due_from: float = 0.0
    due_by: float | None = None
    attempts: int = 0
    approved_by: str = ""
    note: str = ""
    escalated: bool = False

    @property
    def incident(self) -> str:
        """The incident that it is listed under."""
        return self.incidents[0] if self.incidents else ""

    @property
    def stage(self) -> Stage | None:
        """The part of the playbook that it belongs to."""
        return STAGE_OF[self.kind]


def action_id(kind: Kind, subject: str, target: str = "", round: int = 0) -> str:
    """The idempotency key of an action: 128 bits in hex behind `act_`."""
    words = "\x00".join((kind, subject, target, str(round)))
    return f"act_{hashlib.sha256(words.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly where a secret is, as its source told it, nothing masked: what a quarantine needs to find it again.

    `record`, `unit` and `source` are those of `Record`; `route`, `line`, `column` and `span` those of `Location`.
    """

    source: str
    platform: str = ""
    unit: str
    record: str
    uri: str = ""
    path: str = ""
    route: Route = ()
    line: int | None = None
    column: int | None = None
    span: ByteSpan | None = None
    container: str = ""
    author: str = ""
    author_id: str = ""
    time: str = ""
    exposure: Exposure = Exposure()


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A secret with what is known of it, for those who verify, revoke, rotate or keep it. Only in memory.

    `companions` are the other parts of a composite credential by their names in the rule (`key_id`, `account`).
    """

    incident: str
    fingerprint: str
    rule: str
    title: str
    provider: str
    category: str
    lifetime: Lifetime
    secret: Sensitive
    companions: dict[str, Sensitive] = {}


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was taken out of readers' hands, or is about to be. `id` is its record key; where the record was
    written anew and is held once more while it is held, `#1` and so on behind it (`record_of`).

    `sealed`: the original is kept, the platform not touched yet. `held`: readers do not see it any more. `released`:
    it is back; what stands in it is known and not acted upon again. `note` says in words what was held.
    """

    id: str
    source: str
    platform: str
    state: Literal["sealed", "held", "released"]
    incidents: tuple[str, ...]
    at: float
    note: str = ""
    version: str = ""


def record_of(hold: str) -> str:
    """The key of the record that a hold is of."""
    return hold.partition("#")[0]


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """A thing as it was before it was touched: all that is needed to put it back.

    `content` is known to nobody but the quarantine that made it, and stored sealed. `version` is the platform's own
    name for this state of the thing (an ETag, a generation, the time of the last edit): what is touched later must
    still be this. `note` describes it in words without payload (`message of 2026-01-31 in #ops, 2 files`).
    """

    content: bytes
    version: str
    note: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an action: free of payload, for the timeline, the audit and the evidence.

    `outcome`: `done`; `already`: it was so before; `nothing`: there was nothing to do any more. `evidence`: facts that
    prove it (an HTTP status, an id, what was read back). `undo`: what undoing it needs beside the original, known to
    the one who made it only; it is stored sealed and never shown.
    """

    outcome: Literal["done", "already", "nothing"]
    note: str
    evidence: dict[str, str] = {}
    undo: bytes = b""


Liveness = Literal["live", "dead", "unknown"]


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an incident beyond its findings. Times are UTC seconds; None or empty: not known.

    `readable_from`, `readable_until`: since when the secret could be read in the place where it was readable first,
    and until when in the one where it was readable last (None: still). `reach`: the largest number of people.
    `identity` and `scopes`: whose the credential is and what it can do, as the provider told.
    """

    at: float
    audience: str = "unknown"
    reach: int | None = None
    readable_from: float | None = None
    readable_until: float | None = None
    places: int = 0
    containers: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    owner: str = ""
    lifetime: str = "unknown"
    liveness: Liveness = "unknown"
    liveness_at: float | None = None
    identity: str = ""
    scopes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
