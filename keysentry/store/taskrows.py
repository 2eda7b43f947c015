"""Actions, holds, receipts and events as rows of tables, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from keysentry.model.action import Action, Held, Receipt
from keysentry.store import exact
from keysentry.store.outbox import HoldRow, ReceiptRow, Task, rank

_FIELDS = tuple(field for field in Action.__struct_fields__ if field not in ("incidents", "settings"))


def task_values(task: Task) -> tuple[Any, ...]:
    """An action, in the order of the columns of `actions`."""
    action = task.action
    return (
        action.id,
        action.kind,
        rank(action.kind),
        task.stage,
        action.subject,
        task.record,
        texted(action.incidents),
        texted(task.rounds),
        action.target,
        action.source,
        action.platform,
        action.playbook,
        action.state,
        action.round,
        texted(action.settings),
        action.actor,
        action.reason,
        action.created,
        action.updated,
        action.due_from,
        action.due_by,
        action.attempts,
        action.approved_by,
        action.note,
        action.escalated,
        task.worker,
        task.leased_until,
        task.interrupted,
    )


def task_of(row: Row[Any]) -> Task:
    """What `task_values` was given."""
    values = row._mapping
    action = Action(
        **{name: values[name] for name in _FIELDS},
        incidents=exact.decode(values["incidents"], tuple[str, ...]),
        settings=exact.decode(values["settings"], dict[str, str]),
    )
    return Task(
        action=action,
        rounds=exact.decode(values["rounds"], tuple[int, ...]),
        worker=values["worker"],
        leased_until=values["leased_until"],
        interrupted=values["interrupted"],
    )


def link_values(task: Task) -> list[tuple[Any, ...]]:
    """Which incidents it belongs to, as rows of `action_incidents`."""
    action = task.action
    return [(action.id, incident, round) for incident, round in zip(action.incidents, task.rounds, strict=True)]


def hold_values(row: HoldRow) -> tuple[Any, ...]:
    """A held record, in the order of the columns of `holds`."""
    held = row.held
    told = held.id, held.source, held.platform, held.state, texted(held.incidents), held.at, held.note, held.version
    return (*told, row.place, row.original, row.action)


def held_of(row: Row[Any]) -> Held:
    """What is known of a held record."""
    return Held(
        id=row.id,
        source=row.source,
        platform=row.platform,
        state=row.state,
        incidents=exact.decode(row.incidents, tuple[str, ...]),
        at=row.at,
        note=row.note,
        version=row.version,
    )


def receipt_values(number: int, row: ReceiptRow) -> tuple[Any, ...]:
    """What came of an action, in the order of the columns of `receipts`."""
    return row.action, number, row.time, texted(row.receipt), row.undo


def receipt_of(row: Row[Any]) -> ReceiptRow:
    """What `receipt_values` was given."""
    return ReceiptRow(action=row.action, time=row.time, receipt=exact.decode(row.receipt, Receipt), undo=row.undo)


def texted(value: Any) -> str:
    """A list, a dict or a struct as JSON."""
    return exact.encode(value).decode()
