"""One transaction of the response part: rows are read once, changed in memory, and written together at its end.

So that nothing is written where something is refused, and that what a later step of the same transaction asks for has
what an earlier one changed.

Invariant. Every change of a state leaves an event.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from keysentry.errors import MoveError, SealError, StoreError
from keysentry.model.action import SETTLED, Action, ActionState
from keysentry.model.lifecycle import ENDS, STAGES, Stage, State, may_move, reached
from keysentry.model.sensitive import Sensitive
from keysentry.store.audit import Draft
from keysentry.store.masking import Masks
from keysentry.store.outbox import NO_STAGE, Books, Revoked, Task, Writes
from keysentry.store.rows import IncidentRow
from keysentry.store.sealed import Seals, secrets_of

_UNFINISHED: frozenset[ActionState] = frozenset({"waiting", "ready", "running", "needs-a-person"})
"""What keeps a stage from being done. What is only proposed is no part of it: nobody will do it."""
_NOT_BEGUN: frozenset[ActionState] = frozenset({"proposed", "waiting", "ready"})


class Desk:
    """What a transaction has read and is about to write."""

    def __init__(self, books: Books, incidents: Iterable[IncidentRow] = ()) -> None:
        """`incidents` are rows that the same transaction writes anyway."""
        self.books = books
        self.writes = Writes()
        self._incidents = {row.id: row for row in incidents}
        self._tasks: dict[str, Task] = {}
        self._filed: dict[str, Task] = {}
        self._changed: dict[str, Task] = {}
        self._moved: dict[str, IncidentRow] = {}

    def flush(self) -> None:
        """Write everything."""
        self.writes.filed = list(self._filed.values())
        self.writes.tasks = [task for id, task in self._changed.items() if id not in self._filed]
        self.writes.incidents = list(self._moved.values())
        self.books.write(self.writes)

    def event(
        self,
        name: str,
        actor: str,
        time: float,
        *,
        incidents: Sequence[str] = (),
        action: str = "",
        reason: str = "",
        **more: str,
    ) -> None:
        """Note what happens; of `more` only what is not empty."""
        fields = {key: value for key, value in more.items() if value}
        first, *others = incidents or ("",)
        self.writes.events.append(Draft(name, actor, time, first, action, reason, fields, tuple(others)))

    # Incidents.

    def incident(self, id: str) -> IncidentRow:
        """An incident that is there. Raises `StoreError`."""
        row = self.incidents([id]).get(id)
        if row is None:
            raise StoreError("there is no such incident", place=id)
        return row

    def incidents(self, ids: Collection[str]) -> dict[str, IncidentRow]:
        """Those of the incidents that are there."""
        missing = {id for id in ids if id not in self._incidents}
        if missing:
            self._incidents |= self.books.incident_rows(missing)
        return {id: self._incidents[id] for id in ids if id in self._incidents}

    def change(self, row: IncidentRow) -> None:
        """An incident's row was changed."""
        self._moved[row.id] = row

    def move(self, id: str, state: State, *, actor: str, reason: str, time: float, until: float | None = None) -> None:
        """See `Store.move`."""
        row = self.incident(id)
        if not may_move(row.state, state):
            again = row.state == state
            reason = (
                f"it is {row.state} already" if again else f"it is {row.state} and cannot become {state} from there"
            )
            raise MoveError(reason, place=id, advice="" if again else "reopen it first")
        self._move(row, state, actor, reason, time, until)
        if state in ENDS:
            self._cancel(row, actor, time)

    def _move(
        self, row: IncidentRow, state: State, actor: str, reason: str, time: float, until: float | None = None
    ) -> None:
        told = "" if until is None else f"{until:.0f}"
        before, row.state, row.state_since, row.state_reason, row.until = row.state, state, time, reason, until
        self.change(row)
        self.event(
            "incident.moved",
            actor,
            time,
            incidents=(row.id,),
            reason=reason,
            **{"from": before, "to": state, "until": told},
        )

    def _cancel(self, row: IncidentRow, actor: str, time: float) -> None:
        """What is not running, undoes nothing and belongs to no incident that goes on, is not done any more."""
        for task in self.tasks_of([row.id]):
            state = task.action.state
            if state in SETTLED or state == "running" or task.interrupted or task.action.kind == "release":
                continue
            if self.ended(task):
                self.cancel(task, actor, time, f"{row.id} is {row.state}")

    def ended(self, task: Task) -> bool:
        """Whether all incidents of an action have ended."""
        rows = self.incidents(task.action.incidents)
        return bool(rows) and all(row.state in ENDS for row in rows.values())

    def advance(self, incidents: Collection[str], actor: str, time: float) -> None:
        """Move incidents on to what their actions of this round have brought them to."""
        rows = {id: row for id, row in self.incidents(incidents).items() if row.state not in ENDS}
        if not rows:
            return
        planned: dict[str, set[Stage]] = {id: set() for id in rows}
        unfinished: dict[str, set[Stage]] = {id: set() for id in rows}
        for task in self.tasks_of(rows):
            if task.stage == NO_STAGE:
                continue
            for id, round in zip(task.action.incidents, task.rounds, strict=True):
                if id in rows and round == rows[id].regressions:
                    if task.action.state in _UNFINISHED:
                        unfinished[id].add(STAGES[task.stage])
                    elif task.action.state == "done":
                        planned[id].add(STAGES[task.stage])
        for id, row in rows.items():
            state = reached(row.state, planned[id], unfinished[id])
            if state != row.state:
                self._move(row, state, actor, "all that was planned up to here is done", time)
            if not unfinished[id]:
                self._may_close(id, time)

    def _may_close(self, incident: str, time: float) -> None:
        """Nothing else is left to do: an incident that is to be closed then can be closed now."""
        for task in self.tasks_of([incident]):
            if task.action.kind == "close" and task.action.state == "ready" and task.action.due_from > time:
                self.update(task, due_from=time)

    # Actions.

    def task(self, id: str) -> Task:
        """An action that is there. Raises `StoreError`."""
        task = self.find(id)
        if task is None:
            raise StoreError("there is no such action", place=id)
        return task

    def find(self, id: str) -> Task | None:
        """An action, if it is there."""
        if id not in self._tasks:
            self._tasks |= self.books.tasks([id])
        return self._tasks.get(id)

    def tasks_of(self, incidents: Collection[str]) -> list[Task]:
        """All actions of some incidents, as they are now."""
        for task in self.books.tasks_of(incidents):
            self._tasks.setdefault(task.action.id, task)
        wanted = set(incidents)
        return [task for task in self._tasks.values() if not wanted.isdisjoint(task.action.incidents)]

    def update(self, task: Task, **fields: object) -> Task:
        """Change fields of an action."""
        task.update(**fields)
        self._tasks[task.action.id] = self._changed[task.action.id] = task
        return task

    def cancel(self, task: Task, actor: str, time: float, reason: str) -> None:
        """There is nothing to do any more."""
        self.update(task, state="cancelled", updated=time, note=reason)
        self.tell(task, "cancelled", actor, time, reason)

    def tell(self, task: Task, what: str, actor: str, time: float, reason: str = "", **more: str) -> None:
        """Note what happened to an action."""
        action = task.action
        facts = {"kind": action.kind, "target": action.target} | more
        self.event(f"action.{what}", actor, time, incidents=action.incidents, action=action.id, reason=reason, **facts)

    def file(self, actions: Sequence[Action], actor: str, reason: str, time: float) -> tuple[str, ...]:
        """See `Store.file`. Where `actor` or `reason` is empty, it is the action's own."""
        if not actions:
            return ()
        missing = {action.id for action in actions} - self._tasks.keys()
        self._tasks |= self.books.tasks(missing)
        rows = self.incidents({id for action in actions for id in action.incidents})
        filed = []
        for action in actions:
            known = self._tasks.get(action.id)
            if known is None:
                filed.append(action.id)
                self._file(action, rows, actor, reason, time)
            else:
                self._join(known, action, actor, time)
        return tuple(filed)

    def _join(self, task: Task, action: Action, actor: str, time: float) -> None:
        """An action that nobody has begun takes in what else it is to be done for."""
        new = tuple(id for id in action.incidents if id not in task.action.incidents)
        begun = task.action.attempts or task.interrupted or task.action.state not in _NOT_BEGUN
        if begun or not new:
            return
        rounds = tuple(self.incident(id).regressions for id in new)
        task.rounds += rounds
        self.update(task, incidents=task.action.incidents + new, updated=time)
        self.event("action.joined", actor or action.actor, time, incidents=new, action=action.id, kind=action.kind)

    def _file(self, action: Action, rows: dict[str, IncidentRow], actor: str, reason: str, time: float) -> None:
        for id in action.incidents:
            if id not in rows:
                raise StoreError("there is no such incident", place=id)
        task = Task(action=action, rounds=tuple(rows[id].regressions for id in action.incidents))
        if not action.created or not action.updated:
            task.update(created=action.created or time, updated=action.updated or time)
        self._tasks[action.id] = self._filed[action.id] = task
        fields: dict[str, str] = {"kind": action.kind, "state": action.state}
        if action.target:
            fields["target"] = action.target
        told = actor or action.actor, time, action.incident, action.id, reason or action.reason, fields
        self.writes.events.append(Draft("action.planned", *told, action.incidents[1:]))

    # Secrets.

    def masks(self, seals: Seals, incidents: Iterable[str]) -> Masks:
        """What takes the secrets of incidents out of a text, as far as they can be unsealed."""
        secrets: list[Sensitive] = []
        for incident in incidents if seals.sealer else ():
            for row in self.books.sealed_rows(self.books.sealed_ids(incident, "", 1)).values():
                try:
                    _, credential = seals.open_finding(row.id, row.incident, row.sealed or b"")
                except SealError:
                    continue
                secrets += secrets_of(credential)
        return Masks(secrets)

    def remember_revoked(self, fingerprint: str, incident: str, actor: str, time: float, action: str = "") -> None:
        """See `Store.remember_revoked`."""
        if not self.books.revoked([fingerprint]):
            self.writes.revoked.append(Revoked(fingerprint, incident, time))
            self.event("secret.revoked", actor, time, incidents=(incident,), action=action)
