"""The worker of the outbox: takes actions that are ready, carries them out, and stores what came of them.

    store.lease -> handler (asks whether it was done before, seals, acts, reads back) -> store.finish

Invariants. An action is only begun once its lease is stored, and its outcome is stored before the next one begins: a
process that dies leaves an action that is given again, as interrupted, and whose handler first asks the platform
whether it had its effect. Nothing that goes wrong is lost: it is tried again, later and later, and at last needs a
person. No reason, receipt or line of the journal holds a secret.

Rates. Each platform keeps its own limits (`connectors.pace`); of one record only one action runs at a time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from keysentry.errors import (
    AccessError,
    ChangedError,
    ClosedError,
    ConfigError,
    GoneError,
    InputError,
    KeysentryError,
    SealError,
    StoreError,
    UnclearError,
)
from keysentry.model.action import Action, Kind, action_id
from keysentry.model.incident import Appearance, Incident
from keysentry.model.sensitive import Sensitive
from keysentry.response.handlers import HANDLERS, UNLIMITED, Job
from keysentry.response.hands import Hands
from keysentry.response.options import ResponseOptions
from keysentry.response.plan import Policy
from keysentry.store.base import ActionQuery, Leased, Outcome, Store, Whereabouts
from keysentry.store.masking import Masks

FIRST_BACKOFF = 1.0
SWEEP_EVERY = 5.0
"""Seconds between two looks for missed deadlines and for acceptances whose time is over."""
PERSONS: tuple[type[KeysentryError], ...] = (AccessError, InputError, ConfigError, SealError)
"""What trying again does not help."""

UNKNOWN = "outcome unknown"
"""What the note of an action begins with whose last attempt may have had its effect."""
KNOWN_FAILURES: frozenset[Kind] = frozenset({"notify"})
"""Kinds of which an attempt that failed for sure is not asked about: some notifiers cannot be asked."""

Clock = Callable[[], float]
Level = Literal["info", "warning", "error"]


class Telling(Protocol):
    """Where events go: the daemon's journal."""

    def tell(self, level: Level, event: str, **fields: str | int | float | bool | None) -> None:
        """Write one event."""
        ...


class Silence:
    """Tells nobody."""

    def tell(self, level: Level, event: str, **fields: str | int | float | bool | None) -> None:
        """Nothing."""


class Worker:
    """Carries actions out, several at a time in a daemon (`start`), or until none is left (`drain`)."""

    def __init__(
        self,
        store: Store,
        hands: Hands,
        policy: Policy,
        options: ResponseOptions | None = None,
        *,
        name: str = "worker",
        journal: Telling | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.policy = policy
        self._store = store
        self._hands = hands
        self._options = options or ResponseOptions()
        self._name = name
        self._journal = journal or Silence()
        self._clock = clock
        self._stop = threading.Event()
        self._wake = threading.Condition()
        self._news = 0
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    # -- one action ----------------------------------------------------------------------------------------------

    def step(self, name: str = "") -> bool:
        """Take one action that is due and carry it out; False if there is none.

        Raises `StoreError` if the store cannot be asked.
        """
        name = name or self._name
        leased = self._store.lease(name, time=self._clock(), seconds=self._options.lease, limit=1)
        for one in leased:
            self._perform(name, one)
        return bool(leased)

    def drain(self, limit: int = 100_000) -> int:
        """Carry out what is due until nothing is; how many actions that were."""
        for done in range(limit):
            if self._stop.is_set() or not self.step():
                return done
        return limit

    def _perform(self, name: str, leased: Leased) -> None:
        action = leased.action
        with self._lock:
            self._running[action.id] = name
        try:
            outcome = self._attempt(leased)
            finished = self._store.finish(name, action.id, outcome, time=self._clock())
        finally:
            with self._lock:
                self._running.pop(action.id, None)
        self._tell(action, outcome, stored=finished is not None)
        if finished is not None:
            self.wake()

    def _attempt(self, leased: Leased) -> Outcome:
        action, secrets = leased.action, list[Sensitive]()
        again = (
            leased.interrupted
            or action.note.startswith(UNKNOWN)
            or (action.attempts > 1 and action.kind not in KNOWN_FAILURES)
        )
        job = Job(action, again, self._store, self._hands, self.policy, self._clock(), secrets)
        try:
            return HANDLERS[action.kind](job)
        except StoreError as error:
            if isinstance(error, PERSONS):
                return self._failed(action, error, secrets)
            raise  # nothing was stored; the lease runs out, and the action is given again
        except KeysentryError as error:
            return self._failed(action, error, secrets)
        except Exception as error:  # a revoker or a driver that somebody wrote; told by its kind, tried again
            return self._failed(action, KeysentryError(f"an unexpected fault ({type(error).__name__})"), secrets)

    def _failed(self, action: Action, error: KeysentryError, secrets: list[Sensitive]) -> Outcome:
        reason = Masks(secrets)(str(error))
        if isinstance(error, UnclearError):
            reason = f"{UNKNOWN}: {reason}"
        lost = isinstance(error, GoneError) and action.kind not in ("hold", "seal")
        spent = action.attempts >= self._options.attempts and action.kind not in UNLIMITED
        if isinstance(error, PERSONS) or spent or lost:
            return Outcome(reason=reason)
        pause = 0.0 if isinstance(error, ChangedError) else self._backoff(action.attempts)
        return Outcome(retry_at=self._clock() + pause, reason=reason)

    def _backoff(self, attempts: int) -> float:
        longest = min(self._options.longest_backoff, FIRST_BACKOFF * float(1 << min(max(attempts, 1) - 1, 20)))
        return longest * (0.5 + random.random() / 2)  # noqa: S311  jitter

    def _tell(self, action: Action, outcome: Outcome, *, stored: bool) -> None:
        facts = {"action": action.id, "incident": action.incident, "target": action.target or None}
        if not stored:
            self._journal.tell("warning", f"{action.kind} was taken over by another worker", **facts)
        elif outcome.receipt is not None:
            self._journal.tell("info", f"{action.kind} {outcome.receipt.outcome}", **facts, note=outcome.receipt.note)
        elif outcome.retry_at is not None:
            if action.kind not in UNLIMITED:
                self._journal.tell(
                    "warning", f"{action.kind} failed, and is tried again", **facts, error=outcome.reason
                )
        else:
            self._journal.tell("error", f"{action.kind} needs a person", **facts, error=outcome.reason)

    # -- what time brings ----------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Reopen what was accepted for a time that is over, and escalate missed deadlines."""
        now = self._clock()
        for incident in self._store.expired(now):
            moved = self._store.move(
                incident.id, "open", actor="policy", reason=f"the time of its {incident.state} is over", time=now
            )
            self._plan_anew(moved, now)
            self._journal.tell("warning", "incident is open again", incident=incident.id)
        for action in list(self._store.actions(ActionQuery(late_at=now))):
            if action.state == "proposed":
                continue
            if self._store.escalate(action.id, self._escalations(action, now), reason="deadline missed", time=now):
                self._journal.tell("error", "deadline missed", action=action.id, incident=action.incident)

    def _escalations(self, action: Action, now: float) -> list[Action]:
        playbook = self.policy.named(action.playbook)
        return [
            Action(
                id=action_id("notify", action.id, target),
                kind="notify",
                subject=f"escalation/{action.id}",
                incidents=action.incidents,
                target=target,
                source=action.source,
                platform=action.platform,
                playbook=action.playbook,
                round=action.round,
                settings={"escalates": action.kind},
                actor=action.actor,
                created=now,
                updated=now,
                due_from=now,
            )
            for target in (playbook.escalate if playbook else ())
        ]

    def _plan_anew(self, incident: Incident, now: float) -> None:
        appearances = [
            Appearance(incident=incident, occurrence=one.occurrence, key=one.key)
            for one in self._whereabouts(incident.id)
            if one.occurrence.gone is None
        ]
        actions = self.policy.plan(appearances, now)
        if actions:
            self._store.file(actions, actor="policy", reason="the incident is open again", time=now)

    def _whereabouts(self, incident: str) -> list[Whereabouts]:
        try:
            return list(self._store.whereabouts(incident))
        except SealError:
            return []

    def begin(self) -> None:
        """Take back what a process that is gone had in hand. For the only worker of a store that only one may use."""
        if not self._store.shared:
            self._store.release_leases()

    def close(self) -> None:
        """Let go of all connections."""
        self._hands.close()

    # -- in a daemon ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work in threads of its own."""
        self.begin()
        for number in range(max(1, self._options.workers)):
            self._thread(f"{self._name}.{number + 1}", self._work)
        self._thread(f"{self._name}.sweep", self._sweeps)
        self._thread(f"{self._name}.renew", self._renew)

    def wake(self) -> None:
        """Look for actions now: something was filed."""
        with self._wake:
            self._news += 1
            self._wake.notify_all()

    def stop(self, seconds: float) -> bool:
        """Finish what is in hand and end; whether that was done in time. What was not is given again later."""
        self._stop.set()
        self.wake()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._hands.close()  # what still waits is told so
        return not any(thread.is_alive() for thread in self._threads)

    def _thread(self, name: str, work: Callable[[str], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(work, name), name=f"keysentry-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, work: Callable[[str], None], name: str) -> None:
        """No error ends a thread but being told to stop; a store that fails is asked again after a while."""
        failures = 0
        while not self._stop.is_set():
            try:
                work(name)
                failures = 0
            except ClosedError:
                return
            except KeysentryError as error:
                failures += 1
                self._journal.tell("error", "actions rest", error=str(error))
                self._stop.wait(self._backoff(failures))
            except Exception as error:  # as above; the threads of a daemon must outlive a fault
                failures += 1
                self._journal.tell("error", "actions rest", error=f"an unexpected fault ({type(error).__name__})")
                self._stop.wait(self._backoff(failures))

    def _work(self, name: str) -> None:
        with self._wake:
            news = self._news
        while not self._stop.is_set() and self.step(name):
            pass
        with self._wake:
            if self._news == news and not self._stop.is_set():
                self._wake.wait(self._options.poll)

    def _sweeps(self, _name: str) -> None:
        self.sweep()
        self._stop.wait(SWEEP_EVERY)

    def _renew(self, _name: str) -> None:
        self._stop.wait(self._options.lease / 3)
        with self._lock:
            running: Iterable[tuple[str, str]] = list(self._running.items())
        for action, name in running:
            self._store.renew(name, action, self._clock() + self._options.lease)
