"""What the end of an attempt changes: the action, its receipt, the record that it was done to, what follows from it."""

from __future__ import annotations

from msgspec.structs import replace

from keysentry.errors import StoreError
from keysentry.model.action import Held, Receipt
from keysentry.store import exact
from keysentry.store.base import Outcome
from keysentry.store.desk import Desk
from keysentry.store.masking import Masks
from keysentry.store.outbox import HoldRow, Placed, ReceiptRow, Task
from keysentry.store.passes import record_id
from keysentry.store.sealed import Seals

_KILLS = ("revoke", "rotate")


def finish(desk: Desk, seals: Seals, task: Task, outcome: Outcome, worker: str, time: float) -> None:
    """See `Store.finish`. The worker has masked what it tells; what the store can unseal is masked once more.

    Raises `StoreError` for a record that was held without its original being kept, and `SealError` where there is
    something to be sealed and no seal key.
    """
    masks = desk.masks(seals, task.action.incidents)
    task.give_back()
    task.interrupted = False
    if outcome.receipt is not None:
        _done(desk, seals, task, _masked(outcome.receipt, masks), worker, time)
        _place(desk, seals, task, outcome, time)
    else:
        _not_done(desk, task, outcome, masks(outcome.reason), worker, time)
    if outcome.gone and task.action.subject:
        desk.writes.gone.append((task.action.subject, time))
    if outcome.assessment is not None and task.action.incident:
        row = desk.incident(task.action.incident)
        row.assessment = exact.encode(outcome.assessment).decode()
        desk.change(row)
    if task.action.kind == "release" or not desk.ended(task):
        desk.file(outcome.followed_by, "", "", time)
    desk.advance(task.action.incidents, "worker", time)


def _masked(receipt: Receipt, masks: Masks) -> Receipt:
    evidence = {masks(name): masks(value) for name, value in receipt.evidence.items()}
    return replace(receipt, note=masks(receipt.note), evidence=evidence)


def _done(desk: Desk, seals: Seals, task: Task, receipt: Receipt, worker: str, time: float) -> None:
    action = task.action
    undo = seals.seal_undo(action.id, receipt.undo)
    desk.update(task, state="done", updated=time, note=receipt.note)
    desk.writes.receipts.append(ReceiptRow(action=action.id, time=time, receipt=replace(receipt, undo=b""), undo=undo))
    desk.tell(task, "done", "worker", time, receipt.note, worker=worker, outcome=receipt.outcome)
    if action.kind in _KILLS and receipt.outcome != "nothing":
        for id, row in desk.incidents(action.incidents).items():
            desk.remember_revoked(row.fingerprint, id, "worker", time, action.id)


def _not_done(desk: Desk, task: Task, outcome: Outcome, reason: str, worker: str, time: float) -> None:
    if outcome.retry_at is None:
        desk.update(task, state="needs-a-person", updated=time, note=reason)
        desk.tell(task, "needs-a-person", "worker", time, reason, worker=worker)
        return
    desk.update(task, state="ready", due_from=outcome.retry_at, updated=time, note=reason)
    if task.action.kind == "close":  # it is put off, which is no failure
        return
    desk.tell(task, "failed", "worker", time, reason, worker=worker, retry_at=f"{outcome.retry_at:.3f}")
    if task.action.kind != "release" and desk.ended(task):
        desk.cancel(task, "worker", time, reason)


def _place(desk: Desk, seals: Seals, task: Task, outcome: Outcome, time: float) -> None:
    """A record is held, or released. One that was held already keeps the receipt of the hold that it was."""
    action = task.action
    key = outcome.hold or action.subject
    held = desk.books.held([key]).get(key)
    placed = outcome.placed or ("released" if action.kind == "release" and held is not None else None)
    if placed is None:
        return
    if held is None:
        raise StoreError("a record cannot be held before its original is kept", place=key)
    incidents = tuple(dict.fromkeys((*held.incidents, *action.incidents)))
    if held.state == placed:
        desk.writes.placed.append(Placed(held.id, placed, incidents, held.at, ""))
        return
    if placed == "released" and outcome.receipt is not None and outcome.receipt.evidence.get("record"):
        _put_elsewhere(desk, seals, held, outcome.receipt.evidence["record"], time)
    hold = action.id if placed == "held" else ""
    desk.writes.placed.append(Placed(held.id, placed, incidents, time, hold))
    desk.event(
        f"record.{placed}", "worker", time, incidents=incidents, action=action.id, reason=held.note, record=held.id
    )


def _put_elsewhere(desk: Desk, seals: Seals, held: Held, record: str, time: float) -> None:
    """What was released is another record now (a message that was posted again): it is known, as the old one is."""
    row = desk.books.kept(held.id)
    key = record_id(held.source, record)
    if row is None or key == held.id:
        return
    place, original = seals.open_original(held.id, row.place, row.original)
    sealed = seals.seal_original(key, place, original)
    there = replace(held, id=key, state="released", at=time)
    desk.writes.kept.append(HoldRow(held=there, place=sealed[0], original=sealed[1]))
