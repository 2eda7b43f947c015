"""The worker: an incident taken through a playbook, whatever gets in its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from keysentry.errors import AccessError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.model.action import Receipt
from keysentry.response.base import Verdict
from keysentry.response.handlers import release_of
from keysentry.response.policy import Assess, Contain, Match, Notify, Playbook, Remediate
from keysentry.store import open_store
from keysentry.store.base import Store
from tests.response.platforms import World
from tests.response.stage import FULL, Stage, sealer
from tests.store.making import KEY, forged


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store("memory:", key=KEY, sealer=sealer())
    yield store
    store.close()


@pytest.fixture
def stage(store: Store) -> Stage:
    return Stage(store)


def once(world: World, call: str, error: KeysentryError, *, after: bool = False, times: int = 1) -> None:
    """Let a call fail, before or after it had its effect."""
    left = [times]

    def fail(name: str) -> None:
        if name == call and left[0]:
            left[0] -= 1
            raise error

    if after:
        world.after = fail
    else:
        world.before = fail


def test_the_whole_story(stage: Stage) -> None:
    stage.post("M1", 1)
    stage.work()
    incident = stage.incident()
    assert incident.state == "closed", stage.states()
    assert set(stage.states().values()) == {"done"}
    assert forged(1) not in stage.world.messages["M1"] and incident.id in stage.world.messages["M1"]
    assert "safe:inc_" in stage.world.messages["M1"], "the reference stands where the secret was"
    assert stage.world.effects == {"hold": 1, "revoke": 1, "put": 1, "tell": 2}
    assessment = incident.assessment
    assert assessment is not None
    assert (assessment.liveness, assessment.identity, assessment.scopes) == ("live", "ada", ("repo",))
    assert not list(stage.store.check_audit())
    assert "action.done" in set(stage.names())


def test_a_release_puts_back_what_was_there_and_it_stays(stage: Stage) -> None:
    stage.post("M1", 1)
    stage.work()
    (held,) = stage.store.holdings()
    assert held.state == "held"
    stage.store.file(
        [release_of(held, actor="ada", reason="a test key", time=stage.now)], actor="ada", reason="", time=1
    )
    stage.work()
    assert stage.world.messages["M1"] == forged(1)
    stage.scan("M1", 1)
    stage.work()
    assert stage.world.messages["M1"] == forged(1), "what was released is not held again"
    assert stage.incident().state == "closed" and stage.incident().regressions == 0
    assert stage.world.effects["release"] == 1 and stage.world.effects["hold"] == 1


def test_a_repost_is_a_regression_and_is_dealt_with(stage: Stage) -> None:
    stage.post("M1", 1)
    stage.work()
    stage.post("M2", 1)
    assert stage.incident().state == "open" and stage.incident().regressions == 1
    stage.world.revoked_secrets.clear()  # the provider was asked before; this is another round
    stage.world.kept_secrets.clear()
    stage.work()
    assert stage.incident().state == "closed"
    assert forged(1) not in stage.world.messages["M2"]
    assert stage.world.effects["hold"] == 2


def test_observing_touches_nothing(store: Store) -> None:
    stage = Stage(
        store, Playbook(**{name: getattr(FULL, name) for name in FULL.__struct_fields__} | {"mode": "observe"})
    )
    stage.post("M1", 1)
    stage.work()
    assert set(stage.states().values()) == {"proposed"}
    assert not stage.world.effects and stage.world.messages["M1"] == forged(1)
    assert stage.incident().state == "open"


def test_what_waits_is_done_once_it_is_approved(store: Store) -> None:
    stage = Stage(store, Playbook(name="careful", mode="approve", contain=Contain(hold=True)))
    stage.post("M1", 1)
    stage.work()
    (hold,) = stage.actions("hold")
    assert hold.state == "waiting" and not stage.world.effects
    store.decide([hold.id], "approve", actor="ada", reason="yes", time=stage.now)
    stage.work()
    assert stage.world.effects["hold"] == 1 and stage.actions("hold")[0].approved_by == "ada"
    assert stage.incident().state == "assessed"


def test_what_is_rejected_is_not_done(store: Store) -> None:
    stage = Stage(store, Playbook(name="careful", mode="approve", contain=Contain(hold=True)))
    stage.post("M1", 1)
    store.decide([one.id for one in stage.actions("hold")], "reject", actor="ada", reason="no", time=stage.now)
    stage.work()
    assert not stage.world.effects


def test_many_secrets_in_one_message_are_one_hold_and_one_notice(stage: Stage) -> None:
    stage.post("M1", *range(20))
    stage.work(120)
    assert stage.world.effects["hold"] == 1
    assert stage.world.effects["tell"] == 2, "one to the author, one to the channel"
    author = next(one for one in stage.world.told.values() if one.kind == "author")
    assert "20" in author.text
    assert all(incident.state == "closed" for incident in stage.store.incidents())
    assert not any(forged(seed) in notice.text for notice in stage.world.told.values() for seed in range(20))


@pytest.mark.parametrize("call", ["read", "hold", "tell", "revoke", "put", "verify"])
@pytest.mark.parametrize("after", [False, True])
def test_what_fails_is_tried_again_and_done_once(stage: Stage, call: str, after: bool) -> None:
    error = UnclearError("the connection broke") if after else SourceError("the platform is down")
    once(stage.world, call, error, after=after)
    stage.post("M1", 1)
    stage.work(120)
    assert stage.incident().state == "closed", [(one.kind, one.state, one.note) for one in stage.actions()]
    assert stage.world.effects == {"hold": 1, "revoke": 1, "put": 1, "tell": 2}


def test_what_always_fails_needs_a_person_and_holds_nothing_else_up(stage: Stage) -> None:
    once(stage.world, "hold", SourceError("the platform is down"), times=1000)
    stage.post("M1", 1)
    stage.work(300)
    states = stage.states()
    assert states["hold"] == "needs-a-person" and states["revoke"] == "done"
    assert stage.incident().state == "open", "it is not contained"
    stage.world.before = lambda _call: None
    stage.store.decide([one.id for one in stage.actions("hold")], "retry", actor="ada", reason="", time=stage.now)
    stage.work(120)
    assert stage.incident().state == "closed"


@pytest.mark.parametrize("error", [AccessError("the scope chat:write is missing"), InputError("too large")])
def test_what_trying_does_not_help_needs_a_person_at_once(stage: Stage, error: KeysentryError) -> None:
    once(stage.world, "hold", error, times=1000)
    stage.post("M1", 1)
    stage.work()
    (hold,) = stage.actions("hold")
    assert (hold.state, hold.attempts) == ("needs-a-person", 1)
    assert error.reason in hold.note


def test_an_unclear_outcome_is_asked_for(stage: Stage) -> None:
    once(stage.world, "revoke", UnclearError("the connection broke"), after=True)
    stage.post("M1", 1)
    stage.work(120)
    assert stage.world.effects["revoke"] == 1
    assert stage.actions("revoke")[0].state == "done"


def test_an_error_that_tells_the_secret_is_masked(stage: Stage) -> None:
    once(stage.world, "revoke", SourceError(f"cannot revoke {forged(1)}"), times=1000)
    stage.post("M1", 1)
    stage.work(300)
    (revoke,) = stage.actions("revoke")
    assert revoke.state == "needs-a-person" and revoke.note and forged(1) not in revoke.note
    assert not any(forged(1) in str(event) for event in stage.store.events())


def test_a_revoker_that_raises_anything_does_not_end_the_worker(stage: Stage) -> None:
    def fail(call: str) -> None:
        if call == "revoke":
            raise ZeroDivisionError(forged(1))

    stage.world.before = fail
    stage.post("M1", 1)
    stage.work(300)
    (revoke,) = stage.actions("revoke")
    assert revoke.state == "needs-a-person" and "ZeroDivisionError" in revoke.note and forged(1) not in revoke.note


@pytest.mark.parametrize("what", ["edit", "delete"])
def test_what_is_gone_before_the_hold_is_not_touched(stage: Stage, what: str) -> None:
    stage.post("M1", 1)
    if what == "edit":
        stage.world.messages["M1"] = "nothing to see"
    else:
        del stage.world.messages["M1"]
    stage.work()
    assert stage.world.effects["hold"] == 0
    assert stage.actions("hold")[0].state == "done"
    assert stage.store.held(stage.actions("hold")[0].subject) is None
    assert stage.incident().state == "closed"


def test_what_is_edited_between_look_and_touch_is_looked_at_again(stage: Stage) -> None:
    looked = []

    def edit(call: str) -> None:
        if call == "read":
            looked.append(call)
            if len(looked) == 2:  # after `inspect`, before `hold`
                stage.world.messages["M1"] += " and more"

    stage.world.before = edit
    stage.post("M1", 1)
    stage.work()
    assert stage.world.effects["hold"] == 1
    (held,) = stage.store.holdings()
    place, original, _ = stage.store.original(held.id)
    assert original.content.decode() == f"{forged(1)} and more", "the original is the newer one"
    assert place.record == "M1"


def test_a_dead_credential_is_governed_by_the_playbook_for_it(store: Store) -> None:
    live = Playbook(name="live", mode="enforce", match=Match(liveness=("live",)), remediate=Remediate(revoke="auto"))
    rest = Playbook(name="rest", mode="enforce", assess=Assess(verify=True))
    stage = Stage(store, live, rest)
    stage.post("M1", 1)
    stage.world.liveness = Verdict(liveness="dead")
    stage.work()
    assert not stage.actions("revoke")
    stage.world.liveness = Verdict(liveness="live")
    stage.post("M2", 2)
    stage.work()
    assert [one.state for one in stage.actions("revoke")] == ["done"]


def test_a_missed_deadline_is_told_once(store: Store) -> None:
    book = Playbook(name="slow", mode="approve", contain=Contain(hold=True, within="5m"), escalate=("security",))
    stage = Stage(store, book)
    stage.post("M1", 1)
    stage.work(240)
    assert not stage.world.told
    stage.work(600)
    (notice,) = stage.world.told.values()
    assert notice.kind == "escalation" and notice.urgent


def test_an_accepted_risk_is_open_again_when_its_time_is_over(store: Store) -> None:
    stage = Stage(store, Playbook(name="careful", mode="approve", contain=Contain(hold=True)))
    stage.post("M1", 1)
    id = stage.incident().id
    store.move(id, "accepted-risk", actor="ada", reason="a test", time=stage.now, until=stage.now + 100)
    assert stage.actions("hold")[0].state == "cancelled"
    stage.work(50)
    assert stage.incident().state == "accepted-risk"
    stage.work(100)
    assert stage.incident().state == "open"
    assert [one.state for one in stage.actions("hold")] == ["cancelled", "waiting"], "and planned anew"


def test_without_a_seal_key_nothing_is_touched(tmp_path: object) -> None:
    store = open_store("memory:", key=KEY)
    stage = Stage(store)
    stage.post("M1", 1)
    stage.work()
    assert not stage.world.effects["hold"] and not stage.world.effects["revoke"]
    assert stage.states()["hold"] == "needs-a-person"
    assert "seal" in stage.actions("hold")[0].note
    store.close()


def test_notices_wait_for_more_of_the_same_author(store: Store) -> None:
    stage = Stage(store, Playbook(name="tell", mode="enforce", notify=Notify(to=("author",), gather="1h")))
    for number in range(5):
        stage.post(f"M{number}", number)
        stage.work(60)
    assert not stage.world.told
    stage.work(3700)
    assert sum(len(one.incidents) for one in stage.actions("notify")) == 5
    assert len(stage.world.told) <= 2, "an hour may end in between"


def test_threads_do_each_action_once(store: Store) -> None:
    """The daemon's way: several threads, woken by commits."""
    import time

    stage = Stage(store)
    stage.worker._clock = time.time  # real time, since the threads wait for it
    stage.now = time.time()
    stage.worker.start()
    try:
        for number in range(30):
            stage.now = time.time()
            stage.post(f"M{number}", number)
            stage.worker.wake()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and stage.world.effects["revoke"] < 30:
            time.sleep(0.01)
    finally:
        assert stage.worker.stop(10.0)
    assert stage.world.effects["hold"] == 30 and stage.world.effects["revoke"] == 30


def test_receipts_say_what_was_done(stage: Stage) -> None:
    stage.post("M1", 1)
    stage.work()
    receipts = {action.kind: receipt for action, receipt in stage.store.receipts(stage.incident().id)}
    assert receipts["revoke"] == Receipt(outcome="done", note="revoked", evidence={"status": "204"})
    assert receipts["hold"].undo == b"", "how to undo it is not shown"
    assert receipts["vault"].evidence["reference"].startswith("safe:")


Fails = Callable[[str], None]


def test_what_is_written_anew_while_it_is_held_is_held_as_well(stage: Stage) -> None:
    """Somebody puts another file in the place of the one that was taken away."""
    stage.post("M1", 1)
    stage.work()
    stage.post("M1", 2)
    stage.work()
    assert stage.world.effects["hold"] == 2 and forged(2) not in stage.world.messages["M1"]
    originals = [stage.store.original(held.id)[1].content.decode() for held in stage.store.holdings()]
    assert sorted(originals) == sorted([forged(1), forged(2)]), "both originals are kept"


def test_what_is_released_as_another_record_is_known_there(stage: Stage) -> None:
    """Slack posts a message anew: it has another id, and is not held again."""
    stage.post("M1", 1)
    stage.work()
    stage.world.reposts_as = "M9"
    (held,) = stage.store.holdings()
    stage.store.file([release_of(held, actor="ada", reason="", time=stage.now)], actor="ada", reason="", time=1)
    stage.work()
    assert stage.world.messages["M9"] == forged(1)
    stage.scan("M9", 1)
    stage.work()
    assert stage.world.messages["M9"] == forged(1) and stage.incident().regressions == 0


def test_an_incident_is_closed_as_soon_as_all_is_done(stage: Stage) -> None:
    stage.post("M1", 1)
    stage.work(30)
    assert stage.incident().state == "closed"
    assert stage.actions("close")[0].attempts == 1
