"""How an incident moves from state to state, and what a person may do with it. Pure: stores and people obey it alike.

The way forward is open -> contained -> assessed -> notified -> remediated -> closed; stages that a playbook has no
steps for are passed over. `accepted-risk` and `false-positive` are ends that a person sets, with a reason and, where
they are to be looked at again, until when. From every end, and from remediated, an incident can be reopened.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

State = Literal["open", "contained", "assessed", "notified", "remediated", "closed", "accepted-risk", "false-positive"]
"""Where an incident stands. It begins open; the last three are ends."""

STATES: tuple[State, ...] = get_args(State)
FORWARD: tuple[State, ...] = ("open", "contained", "assessed", "notified", "remediated", "closed")
ENDS: frozenset[State] = frozenset({"closed", "accepted-risk", "false-positive"})
REOPENING: frozenset[State] = frozenset({"closed", "remediated"})
"""States that end when the secret is seen anew. A risk that was accepted and a false alarm stay what they are."""

Stage = Literal["contain", "assess", "notify", "remediate"]
"""The parts of a playbook, in their order."""

STAGES: tuple[Stage, ...] = get_args(Stage)
REACHED: dict[Stage, State] = {
    "contain": "contained",
    "assess": "assessed",
    "notify": "notified",
    "remediate": "remediated",
}


def may_move(before: State, after: State) -> bool:
    """Whether an incident may go from one state to another: forward, to an end, or back to open."""
    if before == after:
        return False
    if after == "open":
        return True
    if before in ENDS:
        return False
    if after in ("accepted-risk", "false-positive"):
        return True
    return FORWARD.index(after) > FORWARD.index(before)


def reached(before: State, planned: Collection[Stage], unfinished: Collection[Stage]) -> State:
    """The state that an incident has come to when of the `planned` stages those in `unfinished` are not done yet.

    It is that of the last planned stage before the first unfinished one; never further back than `before`, and never
    anything else for an incident that has ended.
    """
    if before in ENDS:
        return before
    state = before
    for stage in STAGES:
        if stage in unfinished:
            break
        if stage in planned and FORWARD.index(REACHED[stage]) > FORWARD.index(state):
            state = REACHED[stage]
    return state
