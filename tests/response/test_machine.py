"""Whatever happens in whatever order, the invariants of response hold.

Findings, edits, deletions, re-posts, decisions of people, time that passes, releases, and a process that dies in the
middle of any call to the outside: a machine of hypothesis plays all of it, and checks after every step.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keysentry.errors import MoveError
from keysentry.model.action import SETTLED
from keysentry.model.lifecycle import ENDS, FORWARD, may_move
from keysentry.response.handlers import release_of
from keysentry.response.policy import Assess, Contain, Match, Notify, Playbook, Remediate
from keysentry.store import open_store
from keysentry.store.base import ActionQuery
from tests.response.stage import Stage, sealer
from tests.store.making import KEY, forged

RECORDS = st.sampled_from(["M1", "M2", "M3"])
SEEDS = st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3, unique=True)

BOOKS = (
    Playbook(
        name="one",
        mode="enforce",
        match=Match(container=("ops",), distinct=2),
        contain=Contain(hold=True, within="5m"),
        assess=Assess(verify=True),
        notify=Notify(to=("author",), gather="5s"),
        remediate=Remediate(revoke="auto", vault="team"),
        close=True,
        escalate=("security",),
    ),
    Playbook(
        name="other",
        mode="approve",
        contain=Contain(hold=True),
        notify=Notify(to=("security",), approval=False),
        remediate=Remediate(revoke="auto", approval=False),
        close=True,
    ),
)


class Killed(BaseException):
    """The process dies here."""


class Response(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = open_store("memory:", key=KEY, sealer=sealer())
        self.stage = Stage(self.store, *BOOKS)
        self.stage.provider.world.liveness = None
        self.seeds: dict[str, list[int]] = {}
        self.pasted: dict[str, set[str]] = {}
        self.states: dict[str, str] = {}
        self.events = 0
        self.dying = 0

    def teardown(self) -> None:
        self.store.close()

    # -- what happens ------------------------------------------------------------------------------------------------

    @rule(record=RECORDS, seeds=SEEDS)
    def post(self, record: str, seeds: list[int]) -> None:
        """Somebody posts, or edits what stands there."""
        self.seeds[record] = seeds
        self.pasted.setdefault(record, set()).add(" ".join(forged(seed) for seed in seeds))
        self.stage.post(record, *seeds)

    @rule(record=RECORDS)
    def edit_away(self, record: str) -> None:
        """Somebody takes the secret out, and the source may or may not have told it yet."""
        if record in self.stage.world.messages:
            self.stage.world.messages[record] = "never mind"

    @rule(record=RECORDS)
    def scan_as_it_is(self, record: str) -> None:
        """The source tells of the message as it is now."""
        text = self.stage.world.messages.get(record, "")
        self.stage.scan(record, *(seed for seed in (1, 2, 3) if forged(seed) in text))

    @rule(record=RECORDS)
    def delete(self, record: str) -> None:
        self.stage.world.messages.pop(record, None)

    @rule(verdict=st.sampled_from(["approve", "reject", "retry"]), pick=st.integers(0, 5))
    def decide(self, verdict: Any, pick: int) -> None:
        wanted = {"approve": ("proposed", "waiting"), "reject": ("waiting", "ready"), "retry": ("needs-a-person",)}
        actions = list(self.store.actions(ActionQuery(states=wanted[verdict])))  # type: ignore[arg-type]
        if actions:
            one = actions[pick % len(actions)]
            try:
                self.store.decide([one.id], verdict, actor="ada", reason="", time=self.stage.now)
            except MoveError:
                assert one.attempts, "only what was begun cannot be decided: a worker finds out first"

    @rule(state=st.sampled_from(["closed", "accepted-risk", "false-positive", "open"]), pick=st.integers(0, 3))
    def move(self, state: Any, pick: int) -> None:
        incidents = list(self.store.incidents())
        if not incidents:
            return
        one = incidents[pick % len(incidents)]
        until = self.stage.now + 30 if state == "accepted-risk" else None
        try:
            self.store.move(one.id, state, actor="ada", reason="", time=self.stage.now, until=until)
        except MoveError:
            assert not may_move(one.state, state)
        else:
            assert may_move(one.state, state)

    @rule(pick=st.integers(0, 3))
    def release(self, pick: int) -> None:
        held = [one for one in self.store.holdings() if one.state == "held"]
        if held:
            action = release_of(held[pick % len(held)], actor="ada", reason="", time=self.stage.now)
            self.store.file([action], actor="ada", reason="", time=self.stage.now)

    @rule(seconds=st.sampled_from([1.0, 20.0, 400.0]))
    def work(self, seconds: float) -> None:
        self.stage.work(seconds)

    @rule(steps=st.integers(1, 6), after=st.booleans())
    def work_and_die(self, steps: int, after: bool) -> None:
        """The process dies around the n-th call to the outside; another one takes over."""
        left = [steps]

        def die(_call: str) -> None:
            left[0] -= 1
            if not left[0]:
                raise Killed

        world = self.stage.world
        world.before, world.after = (lambda _call: None, die) if after else (die, lambda _call: None)
        try:
            self.stage.work(20.0)
        except Killed:
            self.dying += 1
            self.stage.worker.begin()
        finally:
            world.before = world.after = lambda _call: None

    # -- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def states_follow_the_way(self) -> None:
        for incident in self.store.incidents():
            assert incident.state in FORWARD or incident.state in ENDS
            self.states[incident.id] = incident.state

    @invariant()
    def the_trail_is_sound_and_only_grows(self) -> None:
        assert not list(self.store.check_audit())
        events = list(self.store.events())
        assert len(events) >= self.events
        self.events = len(events)

    @invariant()
    def no_original_is_lost(self) -> None:
        """What a hold took away can be read back from the store, exactly."""
        for held in self.store.holdings():
            if held.state == "held":
                place, original, receipt = self.store.original(held.id)
                text = original.content.decode()
                assert any(forged(seed) in text for seed in (1, 2, 3))
                assert text in self.pasted[place.record]
                assert receipt is not None

    @invariant()
    def nothing_is_done_twice(self) -> None:
        """Revoking or keeping one secret twice, and telling a notice twice, raise in the world itself."""
        assert self.stage.world.effects["revoke"] == len(self.stage.world.revoked_secrets)
        assert self.stage.world.effects["tell"] == len(self.stage.world.told)

    @invariant()
    def an_ended_incident_has_nothing_left_to_begin(self) -> None:
        ended = {one.id for one in self.store.incidents() if one.state in ENDS}
        for action in self.store.actions(ActionQuery(states=("proposed", "waiting", "ready"))):
            if action.kind != "release" and not action.attempts and set(action.incidents) <= ended:
                raise AssertionError(f"{action.kind} of an incident that ended is {action.state}")

    @invariant()
    def no_secret_is_told(self) -> None:
        told = [str(one) for one in self.store.events()]
        told += [str(one) for one in self.store.actions()] + [one.text for one in self.stage.world.told.values()]
        assert not any(forged(seed) in text for text in told for seed in (1, 2, 3))

    @precondition(lambda self: self.dying)
    @rule()
    def after_a_death_all_is_brought_to_an_end(self) -> None:
        """Left alone, everything that needs no person is finished."""
        self.stage.work(2000.0)
        for action in self.store.actions():
            assert action.state in (*SETTLED, "waiting", "needs-a-person", "proposed", "ready"), action
            assert action.state != "ready" or action.kind == "close", action
        self.dying = 0


Response.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestResponse = Response.TestCase
