"""What a store promises. `tests/contract/test_store.py` holds every one to it.

Invariants.

- A commit is stored whole or not at all, and lasts once it returns.
- Committing the same batch twice leaves the store as it was after the first time.
- No secret is stored in clear: of a finding its fingerprint, its mask and its place remain. With a sealer the secret
  and its exact place are kept too, sealed; cursors are always covered, because they may name an object after a secret.
- Every decision and every action leaves an event in the audit trail, in the transaction that stores it.
- A store belongs to one fingerprint key; opened with another one it says so, because no fingerprint would match.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from keysentry.model.action import Action, ActionState, Assessment, Credential, Held, Kind, Original, Place, Receipt
from keysentry.model.audit import AuditFault, Event
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Severity
from keysentry.model.incident import Batch, Committed, Incident, Occurrence, Planner, SourceStatus, Unread
from keysentry.model.lifecycle import State

if TYPE_CHECKING:
    from keysentry.store.sealing import Sealer


class IncidentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents to give, the newest first. An empty field asks for nothing in particular.

    `severity` is the least; `since` is the least time last seen (UTC seconds); `text` is looked for, in any case, in
    title, provider, rule, mask, and in the container, author and place of occurrences.
    """

    states: tuple[State, ...] = ()
    severity: Severity | None = None
    source: str = ""
    provider: str = ""
    rule: str = ""
    text: str = ""
    since: float | None = None
    limit: int | None = None


class ActionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which actions to give, the oldest first. An empty field asks for nothing in particular.

    `late_at`: only those whose deadline had passed by then without their being settled, and which were not escalated.
    """

    incident: str = ""
    states: tuple[ActionState, ...] = ()
    kinds: tuple[Kind, ...] = ()
    subject: str = ""
    late_at: float | None = None
    limit: int | None = None


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """An action that a worker has to itself until `until`.

    `interrupted`: an earlier attempt began and nobody knows how it ended; the worker first asks whether it had its
    effect.
    """

    action: Action
    until: float
    interrupted: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended.

    `receipt`: it is done. Else `retry_at`: it is tried again then. Else it needs a person. `reason` says why it was not
    done. `placed`: what the record is now (`held`, `released`), by its `hold` (empty: the action's subject).
    `followed_by`: what is to be done next, filed in the same transaction. `assessment`: what was learnt of the
    incident. `gone`: occurrences of the record are not there any more.
    """

    receipt: Receipt | None = None
    retry_at: float | None = None
    reason: str = ""
    placed: Literal["held", "released"] | None = None
    hold: str = ""
    followed_by: tuple[Action, ...] = ()
    assessment: Assessment | None = None
    gone: bool = False


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence with its exact place and its secret, unsealed."""

    occurrence: Occurrence
    key: str
    place: Place
    credential: Credential


class Store(Protocol):
    """Incidents, occurrences, cursors, actions, the audit trail and the state of sources.

    Safe to use from several threads. `actor` is who decides (`policy`, `playbook:NAME`, `worker`, a person's name),
    `reason` why, in words; both go to the audit trail.
    """

    shared: bool
    """Whether several processes may carry out actions at a time."""

    def commit(self, batch: Batch, planner: Planner | None = None) -> Committed:
        """Store a batch, and what `planner` says is to be done about what is new or back in it.

        Raises `StoreError` (a full disk, a lost connection): then nothing of it is stored.
        """
        ...

    def cursor(self, source: str, unit: str) -> Cursor | None:
        """How far a unit was read; None if never."""
        ...

    def cursors(self, source: str) -> dict[str, Cursor]:
        """How far each unit of a source was read."""
        ...

    def forget(self, source: str, unit: str = "") -> int:
        """Forget how far a unit (or all of a source) was read, so that it is read anew; how many cursors that was."""
        ...

    def incidents(self, query: IncidentQuery | None = None) -> Iterator[Incident]:
        """Incidents that fit, the last seen first."""
        ...

    def incident(self, id: str) -> Incident | None:
        """One incident by its id, or by the beginning of it that no other has."""
        ...

    def occurrences(self, incident: str) -> Iterator[Occurrence]:
        """Where an incident's secret was seen, those still there first, then by time."""
        ...

    def unread(self, source: str = "") -> Iterator[Unread]:
        """What was not read, the latest first."""
        ...

    def report(self, status: SourceStatus) -> None:
        """Note how a source is doing."""
        ...

    def statuses(self) -> list[SourceStatus]:
        """How all sources are doing, by name."""
        ...

    def hold(self, source: str) -> AbstractContextManager[None]:
        """Be the only process that reads a source, as long as the context lasts (or the process lives).

        Raises `HeldError`, which says who holds it.
        """
        ...

    # -- response ------------------------------------------------------------------------------------------------

    def move(
        self, incident: str, state: State, *, actor: str, reason: str, time: float, until: float | None = None
    ) -> Incident:
        """Move an incident. A closed, accepted or false one has no open actions any more: those not begun are cancelled
        (but releases).

        Raises `MoveError` if it may not go there (`lifecycle.may_move`), `StoreError` if there is none with this id.
        """
        ...

    def expired(self, time: float) -> list[Incident]:
        """Accepted risks and false alarms whose time is over."""
        ...

    def file(self, actions: Sequence[Action], *, actor: str, reason: str, time: float) -> tuple[str, ...]:
        """Put actions into the outbox; the ids of those that were not known yet. Known ones stay as they are, except
        that one which nobody has begun takes in the incidents that it did not have yet. The same holds for what a
        planner asks for.

        Raises `StoreError` for an incident that is not there.
        """
        ...

    def decide(
        self,
        actions: Sequence[str],
        verdict: Literal["approve", "reject", "retry"],
        *,
        actor: str,
        reason: str,
        time: float,
    ) -> tuple[str, ...]:
        """What a person says of actions: `approve` makes proposed and waiting ones ready, `reject` ends what was not
        begun, `retry` makes those that need a person ready again, with their attempts counted anew.

        Gives the ids that changed. Raises `StoreError` for an id that is none, `MoveError` for an action that is done
        or running.
        """
        ...

    def lease(
        self, worker: str, *, time: float, seconds: float, limit: int = 1, kinds: Sequence[Kind] = ()
    ) -> list[Leased]:
        """Actions that are ready and due, for this worker alone until `time + seconds`; counts an attempt of each.

        Two workers never get the same one (PostgreSQL: `FOR UPDATE SKIP LOCKED`). An action whose lease ran out, or
        ends later than any lease can (a clock that went back), is given again, as interrupted. Of an incident (and of a
        record) those of an earlier stage come first: an action waits while one of an earlier stage of the same round of
        the same incident is ready and was never tried, or is running; of one record only one action runs at a time.
        """
        ...

    def renew(self, worker: str, action: str, until: float) -> bool:
        """Keep a lease longer; whether it still was this worker's."""
        ...

    def release_leases(self, worker: str = "") -> int:
        """Give back, as interrupted, what a worker (empty: any) has leased. For the only worker of a store, when it
        begins."""
        ...

    def finish(self, worker: str, action: str, outcome: Outcome, *, time: float) -> Action | None:
        """Store how an attempt ended, move the incidents on (`lifecycle.reached`), and note it in the audit trail.

        None, and nothing is stored, if the lease is not this worker's any more.
        """
        ...

    def actions(self, query: ActionQuery | None = None) -> Iterator[Action]:
        """Actions that fit, the oldest first."""
        ...

    def action(self, id: str) -> Action | None:
        """One action by its id, or by the beginning of it that no other has."""
        ...

    def receipts(self, incident: str) -> Iterator[tuple[Action, Receipt]]:
        """What came of an incident's actions, in the order in which they were done; `undo` is left out."""
        ...

    def escalate(self, action: str, followed_by: Sequence[Action], *, reason: str, time: float) -> bool:
        """Mark an action as escalated and file who is to be told; False if it was already."""
        ...

    def whereabouts(self, incident: str = "", key: str = "") -> Iterator[Whereabouts]:
        """The places of an incident, or all that was found in a record, with their secrets: those still there first.

        Raises `SealError` without a sealer, or with another key than they were sealed with. Places stored before there
        was a sealer are left out.
        """
        ...

    def keep(self, held: Held, original: Original) -> None:
        """Seal an original and note what is about to be held, before the platform is touched. Keeping it again (after
        an interruption, or because the record was edited) replaces what is `sealed`, never what is `held`.

        Raises `SealError` without a sealer.
        """
        ...

    def held(self, key: str) -> Held | None:
        """What is known of a record that was held."""
        ...

    def holdings(self, incident: str = "") -> Iterator[Held]:
        """What was held, of an incident or of all, the latest first."""
        ...

    def original(self, key: str) -> tuple[Place, Original, Receipt | None]:
        """What a held record was: its place, its original, and the receipt of its hold with `undo`.

        Raises `SealError`, and `StoreError` if nothing is kept of it.
        """
        ...

    def revoked(self, fingerprints: Sequence[str]) -> frozenset[str]:
        """Those of the secrets that are known to be revoked, for ever."""
        ...

    def remember_revoked(self, fingerprint: str, *, incident: str, time: float) -> None:
        """Remember that a secret is revoked."""
        ...

    def reseal(self, sealer: Sealer) -> Iterator[int]:
        """Seal everything anew with another key (`keysentry store rotate-key`), some hundred at a time, and yield how
        many were; can be interrupted and repeated. The old key must be known to the new sealer until it has ended.
        """
        ...

    # -- audit ---------------------------------------------------------------------------------------------------

    def note(
        self,
        name: str,
        *,
        actor: str,
        time: float,
        incident: str = "",
        action: str = "",
        reason: str = "",
        fields: Mapping[str, str] | None = None,
    ) -> Event:
        """Append an event of its own to the audit trail."""
        ...

    def events(self, incident: str = "", *, after: int = 0, since: float | None = None) -> Iterator[Event]:
        """The audit trail, or an incident's part of it, in its order."""
        ...

    def check_audit(self) -> Iterator[AuditFault]:
        """What is wrong with the audit trail: events that were changed, removed (also at the end) or moved."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
