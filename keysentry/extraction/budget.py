"""How much one input may ask for, and the account of what it has taken so far.

An archive of a few kilobytes can hold petabytes. Everything that inflates counts here; what is over a limit is not
read, and the error (in the end a `Skipped`) names the place, the limit, and the setting that raises it.
"""

from __future__ import annotations

from threading import Lock

import msgspec

from keysentry.errors import BudgetExceeded

_GIB = 1 << 30
_MIB = 1 << 20


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The limits for one outermost file. Sizes are in bytes."""

    depth: int = 5
    """How many archives may lie one inside the other."""
    entries: int = 1_000_000
    """How many members all its archives may have together."""
    expanded: int = 64 * _GIB
    """How many bytes may come out of it in all."""
    member: int = 4 * _GIB
    """How many bytes may come out of one member."""
    held: int = 256 * _MIB
    """How large an archive may be that must be held in memory, because it lies in another and needs random access."""
    ratio: int = 200
    """How many times larger than the outermost file what comes out of it may be ..."""
    ratio_from: int = 32 * _MIB
    """... once more than this has come out: small files may pack as well as they like."""
    sheet_memory: int = 2 * _GIB
    """How much memory the process may take that reads a spreadsheet's cells."""
    sheet_seconds: float = 300.0
    """How many seconds that process may be silent: as long as one sheet takes to be read."""


class _Totals:
    """What every account of one outermost file shares."""

    __slots__ = ("entries", "expanded", "lock", "packed", "refusal")

    def __init__(self, packed: int | None) -> None:
        self.lock = Lock()
        self.packed = packed
        self.entries = 0
        self.expanded = 0
        self.refusal: BudgetExceeded | None = None


class Account:
    """Counts what one outermost file takes against a budget. Safe to share between threads.

    `packed` is the size of the outermost file. Once too many bytes came out of the whole the account is spent: every
    further request raises the same error.
    """

    __slots__ = ("_totals", "budget", "level")

    def __init__(self, budget: Budget | None = None, *, packed: int | None = None) -> None:
        self.budget = budget or Budget()
        self.level = 1
        self._totals = _Totals(packed)

    @property
    def packed(self) -> int | None:
        """The size of the outermost file, None while it is not known."""
        return self._totals.packed

    @property
    def expanded(self) -> int:
        """How many bytes have come out so far."""
        return self._totals.expanded

    @property
    def entries(self) -> int:
        """How many members were seen so far."""
        return self._totals.entries

    @property
    def refusal(self) -> BudgetExceeded | None:
        """Why nothing more is read of the whole file, None as long as it is."""
        return self._totals.refusal

    def measure(self, packed: int) -> None:
        """Note the size of the outermost file, unless it is known."""
        if self._totals.packed is None:
            self._totals.packed = packed

    def feed(self, count: int) -> None:
        """Count bytes of an outermost file whose size is not known, as they are read."""
        with self._totals.lock:
            self._totals.packed = (self._totals.packed or 0) + count

    def deeper(self, place: str) -> Account:
        """The account for an archive inside this one. Raises `BudgetExceeded` if it lies too deep."""
        if self.level >= self.budget.depth:
            reason = f"more than {self.budget.depth} archives lie one inside the other"
            raise _exceeded(place, reason, "depth")
        inner = Account.__new__(Account)
        inner.budget, inner.level, inner._totals = self.budget, self.level + 1, self._totals
        return inner

    def entry(self, place: str) -> None:
        """Count one member. Raises `BudgetExceeded` if there are too many."""
        totals = self._totals
        with totals.lock:
            if totals.refusal is not None:
                raise totals.refusal
            if totals.entries >= self.budget.entries:
                raise _exceeded(place, f"it has more than {self.budget.entries:,} members", "entries")
            totals.entries += 1

    def expand(self, place: str, count: int, member_total: int) -> None:
        """Count `count` more bytes of a member, which has `member_total` with them.

        Raises `BudgetExceeded` if the member or the whole becomes too large, or larger than its packed size allows.
        """
        totals, budget = self._totals, self.budget
        with totals.lock:
            if totals.refusal is not None:
                raise totals.refusal
            totals.expanded += count
            expanded, packed = totals.expanded, totals.packed
            if expanded > budget.expanded:
                raise self._refuse(place, f"it expands to more than {budget.expanded:,} bytes", "expanded")
            if packed is not None and expanded > budget.ratio_from and expanded > budget.ratio * packed:
                raise self._refuse(place, f"it expands to more than {budget.ratio} times its size", "ratio")
        self.check_member(place, member_total)

    def check_member(self, place: str, size: int) -> None:
        """Raise `BudgetExceeded` if a member of this size is too large."""
        if size > self.budget.member:
            raise _exceeded(place, f"it is larger than {self.budget.member:,} bytes", "member")

    def check_held(self, place: str, size: int) -> None:
        """Raise `BudgetExceeded` if an archive of this size is too large to be held in memory."""
        if size > self.budget.held:
            reason = f"an archive inside another is larger than {self.budget.held:,} bytes"
            raise _exceeded(place, reason, "held")

    def _refuse(self, place: str, reason: str, setting: str) -> BudgetExceeded:
        self._totals.refusal = _exceeded(place, reason, setting)
        return self._totals.refusal


def _exceeded(place: str, reason: str, setting: str) -> BudgetExceeded:
    return BudgetExceeded(reason, place=place, advice=f"raise budget.{setting} if you trust this file")
