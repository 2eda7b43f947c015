"""The response part of the `Store` protocol, over any store that gives `Books`: the rules are written once.

Each method is one transaction. What a listing gives is read page by page, so that nothing stays open between them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from time import time as now
from typing import Literal, TypeVar

from msgspec.structs import replace

from keysentry.errors import MoveError, SealError, StoreError
from keysentry.model.action import SETTLED, Action, Held, Kind, Original, Place, Receipt, record_of
from keysentry.model.audit import AuditFault, Event
from keysentry.model.incident import Incident
from keysentry.model.lifecycle import State
from keysentry.store import audit
from keysentry.store.audit import Draft
from keysentry.store.base import ActionQuery, Leased, Outcome, Whereabouts
from keysentry.store.desk import Desk
from keysentry.store.finishing import finish
from keysentry.store.outbox import DRAWERS, LONGEST_LEASE, Books, Drawer, HoldRow, Task, Writes, compatible
from keysentry.store.rows import occurrence_of
from keysentry.store.sealed import Seals
from keysentry.store.sealing import Sealer

T = TypeVar("T")
_PAGE = 200
_EVENTS = 1000
_CANDIDATES = 4
"""How many actions are looked at for each that may begin, because some get into each other's way."""


class Responding(ABC):
    """What is done about incidents, and the audit trail."""

    _seals: Seals

    @abstractmethod
    def _look(self) -> AbstractContextManager[Books]:
        """A transaction that reads."""

    @abstractmethod
    def _change(self) -> AbstractContextManager[Books]:
        """A transaction that writes, and is the only one that changes incidents until it ends."""

    @abstractmethod
    def incident(self, id: str) -> Incident | None:
        """See `Store`."""

    # -- incidents -----------------------------------------------------------------------------------------------

    def move(
        self, incident: str, state: State, *, actor: str, reason: str, time: float, until: float | None = None
    ) -> Incident:
        """See `Store`."""
        with self._change() as books:
            desk = Desk(books)
            desk.move(incident, state, actor=actor, reason=reason, time=time, until=until)
            desk.flush()
        return self._there(incident)

    def expired(self, time: float) -> list[Incident]:
        """See `Store`."""
        with self._look() as books:
            ids = books.expired(time)
        return [incident for id in ids if (incident := self.incident(id)) is not None]

    def _there(self, id: str) -> Incident:
        incident = self.incident(id)
        if incident is None:
            raise StoreError("there is no such incident", place=id)
        return incident

    # -- the outbox ----------------------------------------------------------------------------------------------

    def file(self, actions: Sequence[Action], *, actor: str, reason: str, time: float) -> tuple[str, ...]:
        """See `Store`."""
        with self._change() as books:
            desk = Desk(books)
            filed = desk.file(actions, actor, reason, time)
            desk.flush()
            return filed

    def decide(
        self,
        actions: Sequence[str],
        verdict: Literal["approve", "reject", "retry"],
        *,
        actor: str,
        reason: str,
        time: float,
    ) -> tuple[str, ...]:
        """See `Store`."""
        with self._change() as books:
            desk = Desk(books)
            tasks = [desk.task(id) for id in dict.fromkeys(actions)]
            for task in tasks:
                _check_decidable(task, verdict)
            changed = [task for task in tasks if _DECIDING[verdict](desk, task, actor, reason, time)]
            if verdict == "reject":
                desk.advance({id for task in changed for id in task.action.incidents}, actor, time)
            desk.flush()
            return tuple(task.action.id for task in changed)

    def lease(
        self, worker: str, *, time: float, seconds: float, limit: int = 1, kinds: Sequence[Kind] = ()
    ) -> list[Leased]:
        """See `Store`."""
        if limit <= 0:
            return []
        with self._look() as books:  # so that looking for work disturbs nobody while there is none
            if not books.due(time, kinds, 1):
                return []
        until = time + min(seconds, LONGEST_LEASE)
        with self._change() as books:
            desk = Desk(books)
            leased = []
            for task in compatible(books.due(time, kinds, _CANDIDATES * limit), limit):
                interrupted = task.interrupted or task.action.state == "running"
                task.worker, task.leased_until, task.interrupted = worker, until, interrupted
                desk.update(task, state="running", attempts=task.action.attempts + 1, updated=time)
                again = {"interrupted": "yes"} if interrupted else {}
                desk.tell(task, "started", "worker", time, worker=worker, attempt=str(task.action.attempts), **again)
                leased.append(Leased(action=task.action, until=until, interrupted=interrupted))
            desk.flush()
            return leased

    def renew(self, worker: str, action: str, until: float) -> bool:
        """See `Store`."""
        with self._change() as books:
            task = books.tasks([action]).get(action)
            if task is None or not _has(task, worker):
                return False
            task.leased_until = until
            books.write(Writes(tasks=[task]))
            return True

    def release_leases(self, worker: str = "") -> int:
        """See `Store`."""
        with self._change() as books:
            tasks = books.running(worker)
            for task in tasks:
                task.give_back()
                task.interrupted = True
                task.update(state="ready")
            if tasks:
                books.write(Writes(tasks=tasks))
            return len(tasks)

    def finish(self, worker: str, action: str, outcome: Outcome, *, time: float) -> Action | None:
        """See `Store`."""
        with self._change() as books:
            desk = Desk(books)
            task = desk.find(action)
            if task is None or not _has(task, worker):
                return None
            finish(desk, self._seals, task, outcome, worker, time)
            desk.flush()
            return task.action

    def actions(self, query: ActionQuery | None = None) -> Iterator[Action]:
        """See `Store`."""
        with self._look() as books:
            ids = books.task_ids(query or ActionQuery())
        return (task.action for task in self._paged(ids, lambda books, page: books.tasks(page)))

    def action(self, id: str) -> Action | None:
        """See `Store`."""
        with self._look() as books:
            found = books.task_ids_like(id) if id else []
            if not found or (len(found) > 1 and found[0] != id):
                return None
            return books.tasks(found[:1])[found[0]].action

    def receipts(self, incident: str) -> Iterator[tuple[Action, Receipt]]:
        """See `Store`."""
        with self._look() as books:
            ids = books.receipts_of(incident)
        return self._paged(ids, _with_receipts)

    def escalate(self, action: str, followed_by: Sequence[Action], *, reason: str, time: float) -> bool:
        """See `Store`."""
        with self._change() as books:
            desk = Desk(books)
            task = desk.task(action)
            if task.action.escalated or task.action.state in SETTLED:
                return False
            desk.update(task, escalated=True, updated=time)
            desk.tell(task, "escalated", "policy", time, reason)
            desk.file(followed_by, "policy", reason, time)
            desk.flush()
            return True

    # -- secrets and originals -----------------------------------------------------------------------------------

    def whereabouts(self, incident: str = "", key: str = "") -> Iterator[Whereabouts]:
        """See `Store`."""
        self._seals.required(f"occurrences of {incident or key}")
        with self._look() as books:
            ids = books.sealed_ids(incident, key)
        return self._paged(ids, self._unsealed)

    def _unsealed(self, books: Books, ids: list[str]) -> dict[str, Whereabouts]:
        found = {}
        for id, row in books.sealed_rows(ids).items():
            place, credential = self._seals.open_finding(id, row.incident, row.sealed or b"")
            found[id] = Whereabouts(
                occurrence=occurrence_of(row), key=row.record_id, place=place, credential=credential
            )
        return found

    def keep(self, held: Held, original: Original) -> None:
        """See `Store`."""
        self._seals.required(f"original/{held.id}")
        with self._change() as books:
            known = books.held([held.id]).get(held.id)
            if known is not None and known.state == "held":
                return
            ids = books.sealed_ids("", record_of(held.id), 1)
            if not ids:
                raise StoreError("nothing is known of what was found in this record", place=held.id)
            place = next(iter(self._unsealed(books, ids).values())).place
            incidents = tuple(dict.fromkeys((*held.incidents, *(known.incidents if known else ()))))
            held = replace(held, state="sealed", incidents=incidents)
            sealed = self._seals.seal_original(held.id, place, original)
            desk = Desk(books)
            desk.writes.kept.append(HoldRow(held=held, place=sealed[0], original=sealed[1]))
            facts = {"record": held.id, "source": held.source, "version": held.version}
            desk.event("original.sealed", "worker", held.at, incidents=held.incidents, **facts)
            desk.flush()

    def held(self, key: str) -> Held | None:
        """See `Store`."""
        with self._look() as books:
            return books.held([key]).get(key)

    def holdings(self, incident: str = "") -> Iterator[Held]:
        """See `Store`."""
        with self._look() as books:
            keys = books.held_keys(incident)
        return self._paged(keys, lambda books, page: books.held(page))

    def original(self, key: str) -> tuple[Place, Original, Receipt | None]:
        """See `Store`."""
        self._seals.required(f"original/{key}")
        with self._look() as books:
            row = books.kept(key)
            if row is None:
                raise StoreError("nothing is kept of this record", place=key)
            receipt = books.receipts([row.action]).get(row.action) if row.action else None
        place, original = self._seals.open_original(key, row.place, row.original)
        if receipt is None:
            return place, original, None
        undo = self._seals.open_undo(receipt.action, receipt.undo)
        return place, original, replace(receipt.receipt, undo=undo)

    def revoked(self, fingerprints: Sequence[str]) -> frozenset[str]:
        """See `Store`."""
        with self._look() as books:
            return frozenset(books.revoked(set(fingerprints)))

    def remember_revoked(self, fingerprint: str, *, incident: str, time: float) -> None:
        """See `Store`."""
        with self._change() as books:
            desk = Desk(books)
            desk.remember_revoked(fingerprint, incident, "worker", time)
            desk.flush()

    def reseal(self, sealer: Sealer) -> Iterator[int]:
        """See `Store`. Raises `SealError` at its end, if there were values that the new sealer could not open."""
        self._seals.sealer = sealer  # what is written meanwhile is sealed with the new key as well
        broken: list[SealError] = []
        count = 0
        for drawer in DRAWERS:
            for resealed in self._resealed(drawer, sealer, broken):
                count += resealed
                yield resealed
        if count:
            self.note("store.resealed", actor="policy", time=now(), fields={"values": str(count)})
        if broken:
            raise SealError(
                f"{len(broken)} values could not be opened, and were left as they are; the first: {broken[0].reason}",
                place=broken[0].place,
                advice="name the key that they were sealed with beside the new one",
            )

    def _resealed(self, drawer: Drawer, sealer: Sealer, broken: list[SealError]) -> Iterator[int]:
        name, after = bytes.fromhex(sealer.key_name), ""
        while True:
            anew = []
            with self._change() as books:
                values = books.stale(drawer, name, after, drawer.page)
                for id, sealed in values:
                    try:
                        value = sealer.open(sealed, drawer.word, id)
                    except SealError as error:
                        broken.append(error)
                        continue
                    anew.append((id, sealer.seal(value, drawer.word, id)))
                if anew:
                    books.reseal(drawer, anew)
            if anew:
                yield len(anew)
            if not values:
                return
            after = values[-1][0]

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
        """See `Store`."""
        with self._change() as books:
            draft = Draft(name, actor, time, incident, action, reason, fields or {})
            return books.write(Writes(events=[draft]))[-1].event()

    def events(self, incident: str = "", *, after: int = 0, since: float | None = None) -> Iterator[Event]:
        """See `Store`."""
        first = self._events(incident, after, since)
        return self._more_events(first, incident, since)

    def _events(self, incident: str, after: int, since: float | None) -> list[Event]:
        with self._look() as books:
            return books.events(incident, after, since, _EVENTS)

    def _more_events(self, page: list[Event], incident: str, since: float | None) -> Iterator[Event]:
        while page:
            yield from page
            page = self._events(incident, page[-1].number, since) if len(page) == _EVENTS else []

    def check_audit(self) -> Iterator[AuditFault]:
        """See `Store`. What is appended while it looks is left for the next time."""
        with self._look() as books:
            head, last = books.head()
        end = max(last, head.number if head else 0)
        whole = takewhile(lambda event: event.number <= end, self.events())
        return audit.faults(self._seals.audit, head, whole)

    # -- listings ------------------------------------------------------------------------------------------------

    def _paged(self, keys: list[str], read: Callable[[Books, list[str]], Mapping[str, T]]) -> Iterator[T]:
        """What stands under some keys, in their order; what is not there any more is left out."""
        for at in range(0, len(keys), _PAGE):
            page = keys[at : at + _PAGE]
            with self._look() as books:
                found = read(books, page)
            yield from (found[key] for key in page if key in found)


def _with_receipts(books: Books, ids: list[str]) -> dict[str, tuple[Action, Receipt]]:
    tasks, rows = books.tasks(ids), books.receipts(ids)
    return {id: (tasks[id].action, row.receipt) for id, row in rows.items()}


def _has(task: Task, worker: str) -> bool:
    return task.action.state == "running" and task.worker == worker


# What a person may say of an action. Each tells whether that changes anything.


def _approve(desk: Desk, task: Task, actor: str, reason: str, time: float) -> bool:
    if task.action.state not in ("proposed", "waiting"):
        return False
    desk.update(task, state="ready", approved_by=actor, updated=time)
    desk.tell(task, "approved", actor, time, reason)
    return True


def _reject(desk: Desk, task: Task, actor: str, reason: str, time: float) -> bool:
    if task.action.state in SETTLED:
        return False
    desk.update(task, state="rejected", updated=time, note=reason)
    desk.tell(task, "rejected", actor, time, reason)
    return True


def _retry(desk: Desk, task: Task, actor: str, reason: str, time: float) -> bool:
    if task.action.state != "needs-a-person":
        return False
    desk.update(task, state="ready", attempts=0, due_from=time, updated=time)
    desk.tell(task, "retried", actor, time, reason)
    return True


_DECIDING = {"approve": _approve, "reject": _reject, "retry": _retry}


def _check_decidable(task: Task, verdict: str) -> None:
    """Raises `MoveError` for an action that is done, running, or may have been done without anybody knowing."""
    action = task.action
    if action.state in ("done", "running"):
        raise MoveError(f"it is {action.state}", place=action.id)
    if task.interrupted and verdict == "reject":
        reason = "it was begun, and nobody knows yet how that ended"
        raise MoveError(reason, place=action.id, advice="let a worker find out first: keysentry watch")
