"""What was decided and done, by whom and why: the rows of the audit trail."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One decision or action. Free of payload: names, ids, states and reasons only.

    `number` counts from 1 without a gap. `hash` is over all other fields and the hash of the event before it
    (`previous`), so that a row that is changed, removed or moved shows. `time` is UTC seconds and never before that of
    the event before it. `name` is what happened (`incident.opened`, `incident.moved`, `action.planned`,
    `action.approved`, `action.done`, ...); `fields` the facts, sorted by name.
    """

    number: int
    time: float
    actor: str
    name: str
    incident: str = ""
    action: str = ""
    reason: str = ""
    fields: dict[str, str] = {}
    previous: str = ""
    hash: str = ""


class AuditFault(msgspec.Struct, frozen=True):
    """Something wrong with the audit trail: the number of the event, and what."""

    number: int
    reason: str
