"""Which playbook governs what, and what it asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keysentry.errors import ConfigError
from keysentry.model.action import IRREVERSIBLE, Action
from keysentry.model.finding import Lifetime, Severity
from keysentry.model.incident import Appearance, Incident, Occurrence
from keysentry.model.lifecycle import ENDS, FORWARD, STAGES, STATES, may_move, reached
from keysentry.model.location import Exposure
from keysentry.response.plan import Policy
from keysentry.response.policy import Contain, Match, Notify, Playbook, Remediate, duration, governing, matches

NOW = 1_800_000_000.0


def appearance(
    id: str = "inc_1", *, author: str = "U1", record: str = "C1/1", distinct: int = 1, **fields: object
) -> Appearance:
    incident = Incident(
        id=id,
        fingerprint=f"f-{id}",
        rule="github.pat-classic",
        title="GitHub personal access token",
        provider="github",
        category="credential",
        severity=Severity.CRITICAL,
        confidence=0.99,
        lifetime=Lifetime.LONG_LIVED,
        secret="ghp_…4f",
        state="open",
        places=0,
        seen=0,
        first_seen=NOW,
        last_seen=NOW,
    )
    occurrence = Occurrence(
        incident=id,
        source="acme-slack",
        unit="C1",
        record=record,
        uri="",
        path="",
        part="",
        line=1,
        column=1,
        container="#general",
        author="Ada",
        author_id=author,
        time="",
        exposure=Exposure("internal", 40),
        confidence=0.99,
        reasons=(),
        first_seen=NOW,
        last_seen=NOW,
    )
    known = {name: value for name, value in fields.items() if name in Incident.__struct_fields__}
    return Appearance(
        incident=replace(incident, **known),
        occurrence=replace(occurrence, **{name: value for name, value in fields.items() if name not in known}),
        key=f"key-{record}",
        distinct=distinct,
    )


FULL = Playbook(
    name="all",
    mode="enforce",
    contain=Contain(hold=True, within="5m"),
    notify=Notify(to=("author", "security"), within="1h"),
    remediate=Remediate(revoke="auto", vault="team", prevent=True),
    close=True,
)


def plan(playbook: Playbook, *appearances: Appearance, time: float = NOW) -> list[Action]:
    return list(Policy([playbook], {"acme-slack": "slack"})(appearances or (appearance(),), time))


def kinds(actions: list[Action]) -> list[str]:
    return [one.kind for one in actions]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("15m", 900.0), ("1.5h", 5400.0), ("30d", 30 * 86400.0), (" 5s ", 5.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "5 weeks"])
def test_what_is_no_duration_says_what_one_is(text: str) -> None:
    with pytest.raises(ConfigError, match="15m"):
        duration(text)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(), True),
        (Match(category=("credential",)), True),
        (Match(category=("pii",)), False),
        (Match(rule=("github.*",)), True),
        (Match(rule=("aws.*", "gitlab.*")), False),
        (Match(provider=("GitHub",)), True),
        (Match(severity=Severity.HIGH), True),
        (Match(confidence=0.995), False),
        (Match(platform=("slack",)), True),
        (Match(platform=("s3",)), False),
        (Match(source=("acme-*",)), True),
        (Match(container=("general",)), True),
        (Match(container=("#gen*",)), True),
        (Match(container=("#random",)), False),
        (Match(author=("ada",)), True),
        (Match(author=("U1",)), True),
        (Match(author=("U2",)), False),
        (Match(audience=("public", "internal")), True),
        (Match(audience=("public",)), False),
        (Match(lifetime=(Lifetime.LONG_LIVED,)), True),
        (Match(lifetime=(Lifetime.EPHEMERAL,)), False),
        (Match(liveness=("live",)), False),
        (Match(distinct=2), False),
    ],
)
def test_each_condition(match: Match, fits: bool) -> None:
    assert matches(match, appearance(), "slack") is fits


def test_liveness_matches_once_it_is_known() -> None:
    assert matches(Match(liveness=("live",)), appearance(), "slack", "live")
    assert matches(Match(distinct=2), appearance(distinct=2), "slack")


def test_the_first_that_matches_governs() -> None:
    narrow, wide = Playbook(name="narrow", match=Match(container=("#ops",))), Playbook(name="wide")
    assert governing([narrow, wide], appearance(), "slack") == wide
    assert governing([narrow, wide], appearance(container="#ops"), "slack") == narrow
    assert governing([narrow], appearance(), "slack") is None
    assert not plan(narrow)


def test_a_whole_playbook() -> None:
    actions = plan(FULL)
    assert kinds(actions) == ["hold", "assess", "notify", "notify", "vault", "revoke", "prevent", "close"]
    assert {one.state for one in actions} == {"ready"}
    by_kind = {one.kind: one for one in actions}
    assert by_kind["hold"].subject == "key-C1/1" and by_kind["hold"].due_by == NOW + 300
    assert by_kind["hold"].settings == {"vault": "team"}, "so that the placeholder can name the reference"
    assert by_kind["revoke"].target == "auto" and by_kind["vault"].target == "team"
    assert all(one.platform == "slack" and one.playbook == "all" for one in actions)


def test_modes() -> None:
    observed = plan(replace(FULL, mode="observe"))
    assert {one.state for one in observed} == {"proposed"}
    approved = {one.kind: one.state for one in plan(replace(FULL, mode="approve"))}
    assert approved["hold"] == approved["revoke"] == approved["notify"] == "waiting"
    assert approved["assess"] == "ready"


def test_an_irreversible_step_waits_unless_it_is_enforced() -> None:
    lenient = replace(FULL, mode="approve", contain=Contain(hold=True, approval=False))
    lenient = replace(lenient, remediate=Remediate(revoke="auto", approval=False))
    states = {one.kind: one.state for one in plan(lenient)}
    assert states["hold"] == "ready" and states["revoke"] == "waiting"
    strict = replace(FULL, remediate=Remediate(revoke="auto", approval=True))
    assert {one.kind: one.state for one in plan(strict)}["revoke"] == "waiting"
    assert {"revoke", "rotate"} == IRREVERSIBLE


def test_a_record_is_held_once_and_an_author_is_told_once() -> None:
    """A bulk leak: twenty secrets in one message, and more in others of the same author."""
    many = [appearance(f"inc_{number}", distinct=20) for number in range(20)]
    many += [appearance(f"inc_more_{number}", record=f"C1/{number + 2}") for number in range(5)]
    actions = plan(FULL, *many)
    holds = [one for one in actions if one.kind == "hold"]
    assert len(holds) == 6 and len(holds[0].incidents) == 20
    told = [one for one in actions if one.target == "author"]
    assert len(told) == 1 and len(told[0].incidents) == 25
    assert told[0].due_from > NOW, "and not before those that come next are gathered"


def test_two_authors_are_told_each() -> None:
    actions = plan(FULL, appearance("inc_1"), appearance("inc_1", author="U2", record="C1/2"))
    assert len([one for one in actions if one.target == "author"]) == 2
    assert len([one for one in actions if one.kind == "revoke"]) == 1


def test_planning_again_gives_the_same_ids_and_a_regression_gives_others() -> None:
    first, again = plan(FULL), plan(FULL)
    assert [one.id for one in first] == [one.id for one in again]
    back = plan(FULL, appearance(regressions=1), time=NOW + 100)
    assert not {one.id for one in first} & {one.id for one in back}


def test_ids_are_unique() -> None:
    actions = plan(FULL, *(appearance(f"inc_{number}", record=f"C1/{number}") for number in range(50)))
    assert len({one.id for one in actions}) == len(actions)


states = st.sampled_from(STATES)
stages = st.sets(st.sampled_from(STAGES))


@given(states, states)
def test_moves_keep_to_the_way(before: str, after: str) -> None:
    if may_move(before, after):
        assert before != after
        assert after == "open" or before not in ENDS
        if before in FORWARD and after in FORWARD and after != "open":
            assert FORWARD.index(after) > FORWARD.index(before)


@given(states, stages, stages)
def test_what_is_reached_never_goes_back_and_never_passes_an_unfinished_stage(before, planned, unfinished) -> None:
    after = reached(before, planned, unfinished)
    if before in ENDS:
        assert after == before
        return
    assert FORWARD.index(after) >= FORWARD.index(before)
    assert after != "closed"
    if after != before:
        stage = STAGES[FORWARD.index(after) - 1]
        assert stage in planned
        assert not {one for one in STAGES[: STAGES.index(stage) + 1] if one in unfinished}
