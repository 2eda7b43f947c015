"""Putting what was held back in its place, version by version, however often it is interrupted.

Algorithm. What is wanted is a row of contents, the oldest first; the last one is to be current. How many of them are
back is seen by comparing the row's beginning with the end of the object's history. The next one is then copied over
what is current, until all are back. An older version that was held alone comes back below a new copy of what is
current; if nothing was, it is deleted again once it is back, so that it ends as an older version.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from keysentry.connectors.objects.holding import Holder, HoldOptions, State, alike, changing
from keysentry.connectors.objects.ticket import Ticket, Undo
from keysentry.errors import ChangedError, GoneError, UnclearError

_TOP = "top"
"""The copy of what is current when an older version is released below it."""
_NOTHING = "nothing"
"""Says that there was nothing current then."""
_MOST_COMPARED = 64 << 20


class _Wanted(NamedTuple):
    """A content that is to come back: the state it had, and its copy."""

    original: State
    copy: State


class Returning:
    """One release."""

    def __init__(self, holder: Holder, options: HoldOptions, ticket: Ticket, undo: Undo) -> None:
        self._holder = holder
        self._quarantine = options.bucket
        self._folder = f"{options.prefix}{ticket.id}/"
        self._ticket = ticket
        self._undo = undo

    def run(self, names: list[str]) -> None:
        """Bring back all that is not back yet. `names` is what lies in the quarantine."""
        if any(f"{self._folder}{item.copy}" not in names for item in self._ticket.items):
            return  # copies are only deleted after everything was read back
        now = self._current()
        wanted = [_Wanted(item.state, copy) for item, copy in zip(self._ticket.items, self._undo.copies, strict=True)]
        hidden = False
        if self._ticket.mode == "version":
            top = self._top(now, names)
            wanted += [top] if top is not None else []
            hidden = top is None
        done = self._back(wanted, now, hidden)
        if not done and self._ticket.mode != "version" and now is not None and now.mark != self._ticket.id:
            raise ChangedError("something else was written in its place since", place=self._ticket.top.title)
        for number in range(done, len(wanted)):
            if number and now is not None:
                self._keep(now)
            now = self._put(wanted[number], now)
        if hidden and now is not None:
            self._hide(now)
        self._drop_stub()

    def _current(self) -> State | None:
        return self._holder.look(self._ticket.bucket, self._ticket.top.key, "", self._ticket.top.title)

    def _top(self, now: State | None, names: list[str]) -> _Wanted | None:
        """A copy of what is current, made before anything is changed; None if nothing was."""
        if f"{self._folder}{_NOTHING}" in names:
            return None
        key = f"{self._folder}{_TOP}"
        if key not in names:
            if now is None:
                changing(lambda: self._holder.write(self._quarantine, f"{self._folder}{_NOTHING}", b""), self._title)
                return None
            changing(lambda: self._holder.save(self._ticket.bucket, now, (self._quarantine, key)), self._title)
        copy = self._holder.look(self._quarantine, key)
        if copy is None:
            raise UnclearError("the copy of what is current is not in the quarantine", place=self._title)
        return _Wanted(msgspec.structs.replace(copy, key=self._ticket.top.key, title=self._title), copy)

    def _back(self, wanted: list[_Wanted], now: State | None, hidden: bool) -> int:
        """How many of the wanted contents are back."""
        history = [now] if now is not None else []
        if len(wanted) > 1 or hidden:
            base = now or self._ticket.top
            history = [*self._holder.older(self._ticket.bucket, base)[-len(wanted) :], *history]
        for count in range(min(len(wanted), len(history)), 0, -1):
            if all(self._same(state, one.copy) for state, one in zip(history[-count:], wanted, strict=False)):
                return count
        return 0

    def _same(self, light: State, copy: State) -> bool:
        if light.size != copy.size or light.mark:
            return False
        version = "" if light.current else light.version
        state = self._holder.look(self._ticket.bucket, light.key, version, self._title)
        if state is None or state.mark:
            return False
        told = alike(state, copy, copies=True)
        if told is None and state.size <= _MOST_COMPARED:
            mine = b"".join(self._holder.content(self._ticket.bucket, state))
            return mine == b"".join(self._holder.content(self._quarantine, copy))
        return bool(told)

    def _put(self, one: _Wanted, now: State | None) -> State:
        bucket, source = self._ticket.bucket, (self._quarantine, one.copy)
        try:
            changing(lambda: self._holder.put_back(source, bucket, now, one.original), self._title)
        except ChangedError:
            if (state := self._current()) is None or not self._same(state, one.copy):
                raise
        except GoneError:
            raise GoneError("the bucket is not there any more", place=self._title) from None
        state = self._current()
        if state is None or not self._same(state, one.copy):
            raise UnclearError("it was not what was put back when it was read", place=self._title)
        return state

    def _keep(self, now: State) -> None:
        changing(lambda: self._holder.keep(self._ticket.bucket, now), self._title)

    def _hide(self, now: State) -> None:
        changing(lambda: self._holder.remove(self._ticket.bucket, now), self._title)

    def _drop_stub(self) -> None:
        """Delete the version that was our placeholder, where the store keeps it."""
        stub = self._undo.stub
        if stub is None or not stub.version:
            return
        state = self._holder.look(self._ticket.bucket, stub.key, stub.version, self._title)
        if state is not None and state.mark == self._ticket.id:
            changing(lambda: self._holder.erase(self._ticket.bucket, state), self._title)

    @property
    def _title(self) -> str:
        return self._ticket.top.title
