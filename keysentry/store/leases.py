"""Which actions may begin, as one statement, and which ones a query asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

from keysentry.model.action import Kind
from keysentry.store.base import ActionQuery
from keysentry.store.outbox import LONGEST_LEASE, NO_STAGE
from keysentry.store.tables import LATE, action_incidents, actions


def running(worker: str) -> Select[Any]:
    """What a worker (empty: any) has leased."""
    query = select(*actions.c).where(actions.c.state == "running")
    return query.where(actions.c.worker == worker) if worker else query


def lapsed(time: float, kinds: Sequence[Kind], limit: int) -> Select[Any]:
    """Running actions whose lease is over, or was given by a clock that has gone back since."""
    until = actions.c.leased_until
    over = or_(until <= time, until > time + LONGEST_LEASE)
    return _first(and_(actions.c.state == "running", over, ~_behind()), kinds, limit)


def ready(time: float, kinds: Sequence[Kind], limit: int) -> Select[Any]:
    """Actions that are ready and due."""
    may = and_(actions.c.state == "ready", actions.c.due_from <= time, ~_taken(), ~_behind())
    return _first(may, kinds, limit)


def _first(may: ColumnElement[bool], kinds: Sequence[Kind], limit: int) -> Select[Any]:
    table = actions.c
    query = select(*table).where(may).order_by(table.rank, table.due_from, table.created, table.id).limit(limit)
    if kinds:
        query = query.where(table.kind.in_(kinds))
    return query.with_for_update(skip_locked=True, of=actions)


def _taken() -> ColumnElement[bool]:
    """Something else is being done to the record."""
    other = actions.alias()
    same = and_(other.c.record == actions.c.record, other.c.state == "running")
    return and_(actions.c.record != "", exists().where(same))


def _behind() -> ColumnElement[bool]:
    """One of an earlier stage, of the same round of an incident, stands before it."""
    other, own, its = actions.alias(), action_incidents.alias(), action_incidents.alias()
    stands = or_(other.c.state == "running", and_(other.c.state == "ready", other.c.attempts == 0))
    before = and_(
        own.c.action == actions.c.id,
        its.c.incident == own.c.incident,
        its.c.round == own.c.round,
        other.c.id == its.c.action,
        other.c.stage != NO_STAGE,
        other.c.stage < actions.c.stage,
        stands,
    )
    return and_(actions.c.stage > 0, exists().where(before))


def of_query(query: ActionQuery) -> Select[Any]:
    """Ids of the actions that fit, the oldest first."""
    table = actions.c
    ids = select(table.id).where(*_conditions(query)).order_by(table.created, table.rank, table.id)
    return ids.limit(query.limit)


def _conditions(query: ActionQuery) -> Iterator[ColumnElement[bool]]:
    table = actions.c
    if query.incident:
        own = select(action_incidents.c.action).where(action_incidents.c.incident == query.incident)
        yield table.id.in_(own)
    if query.states:
        yield table.state.in_(query.states)
    if query.kinds:
        yield table.kind.in_(query.kinds)
    if query.subject:
        yield table.subject == query.subject
    if query.late_at is not None:
        yield and_(LATE, table.due_by <= query.late_at)
