"""Cells of Google Sheets: replaced by the placeholder, and put back as they were entered.

What a hold does. In each cell with a secret the value becomes the placeholder, and the note says that it is held and
under which mark; formats stay. A cell whose value has no secret keeps it. All cells of a spreadsheet are written by one
call, which Google carries out as a whole or not at all, so that there is no half of a hold.

Invariants. A cell is only touched if it holds what was sealed, right before the call; Sheets has no conditional calls,
so an edit within that moment is not noticed. A held cell is known by the mark in its note, and is found again where it
went with its row or column. One that somebody wrote anew since is not overwritten by a release.

Cells that only show what others hold (the rest of an array formula) cannot be written; they must not show a secret any
more when all others are replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from keysentry.connectors.forms import covered
from keysentry.connectors.google.acting import Actor
from keysentry.connectors.google.address import Address, shown
from keysentry.connectors.google.fields import Fields, text
from keysentry.connectors.google.grid import Found, Grid, Seen, request
from keysentry.connectors.google.sealed import Cell, SealedCells, Undo, digest, seal, undo_of
from keysentry.connectors.google.spot import Spot, look, unwritten
from keysentry.connectors.google.traces import Traces
from keysentry.errors import ChangedError, GoneError, InputError, SourceError
from keysentry.extraction.formats.sheets.address import address, position
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

At = tuple[int, int, int]

_ADVICE: Final = "let the user who is acted for edit the spreadsheet (`users`)"
_HISTORY: Final = (
    "the version history still has the old value, for those who may edit the spreadsheet (`sheets` = file keeps all "
    "others from it)"
)
_LINK: Final = "userEnteredFormat.textFormat.link"
_MANY: Final = 5_000
"""How many cells are held at most; more than this is a case for the whole file."""


class _Now(NamedTuple):
    """The cells of a hold as they are: `held` are those under its mark, `same` those that hold what was sealed, each as
    (what was sealed, what is there); `other` were written anew.
    """

    held: list[tuple[Cell, Seen]]
    same: list[tuple[Cell, Seen]]
    other: list[Cell]


class CellHolding:
    """Holds and releases cells."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    # -- looking ----------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, where: Address, spot: Spot, secrets: Sequence[Sensitive]) -> Original | None:
        """The cells in which a secret is; None where none is, although nobody wrote the spreadsheet since it was
        scanned: then it is a matter of the whole file.

        Raises `ChangedError` if the secret is gone, `InputError` if it only comes from elsewhere.
        """
        name, traces = shown(place), Traces(secrets)
        grid = Grid(self._actor, spot.user, spot.id)
        named, unseen = _named(place), set(range(len(secrets)))
        found: dict[At, Found] = {}
        for one in grid.cells():
            seen = traces.seen(one.cell.value, one.cell.note, one.cell.formula, one.cell.link)
            if seen or (one.title, one.cell.row, one.cell.column) == named:
                found[one.at] = one
                unseen -= seen
            if len(found) > _MANY:
                raise InputError(f"it is in more than {_MANY:,} cells", place=name, advice="set `sheets` to file")
        hidden = bool(unseen) and unwritten(spot.file, place)
        judge = _Judge(traces, hidden, any(step.kind == "comment" and step.name == "note" for step in place.route))
        cells, shows = judge.sorted(grid.read(list(found)).values())
        if not cells and shows:
            raise InputError(
                "its cells only show a secret that comes from elsewhere",
                place=name,
                advice="set `sheets` to file, or hold it where it comes from",
            )
        if not cells:
            if unwritten(spot.file, place):
                return None
            raise ChangedError("the secret is not in it any more", place=name)
        version = digest([_state(cell) for cell in cells])
        sealed = SealedCells(spot.user, spot.id, where.mark(version)[:16], tuple(cells), tuple(shows))
        called = covered(text(spot.file, "name"), secrets) or spot.id
        titles = {one.sheet: one.title for one in found.values()}
        places = [covered(f"{titles[cell.sheet]}!{address(cell.row, cell.column)}", secrets) for cell in cells[:5]]
        more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
        return seal(sealed, version, f"{', '.join(places)}{more} of {called}")

    # -- holding ----------------------------------------------------------------------------------------------------

    def hold(
        self, place: Place, sealed: SealedCells, original: Original, secrets: Sequence[Sensitive], placeholder: str
    ) -> Receipt:
        """Replace the cells."""
        name = shown(place)
        if look(self._actor, sealed.user, sealed.id) is None:
            raise GoneError("the spreadsheet is not there any more", place=name)
        grid = Grid(self._actor, sealed.user, sealed.id)
        now = self._now(grid, sealed)
        if not now.held and len(now.same) < len(sealed.cells):
            raise ChangedError("a cell was written since it was looked at", place=name)
        self._replace(grid, sealed, [cell for cell, _ in now.same], placeholder)
        return self._held(grid, sealed, secrets, placeholder, name)

    def _replace(self, grid: Grid, sealed: SealedCells, cells: Sequence[Cell], placeholder: str) -> None:
        if cells:
            requests = [_replaced(cell, _line(sealed, cell), placeholder) for cell in cells]
            grid.write(requests, lambda: bool(self._now(grid, sealed).held), _ADVICE)

    def _now(self, grid: Grid, sealed: SealedCells) -> _Now:
        """The cells of a hold, also those that went elsewhere with their row or column."""
        held: list[tuple[Cell, Seen]] = []
        same: list[tuple[Cell, Seen]] = []
        other: list[Cell] = []
        read = grid.read([(cell.sheet, cell.row, cell.column) for cell in sealed.cells])
        for cell in sealed.cells:
            seen = read.get((cell.sheet, cell.row, cell.column))
            if seen is not None and _line(sealed, cell) in seen.cell.note.splitlines():
                held.append((cell, seen))
            elif seen is not None and _state(seen.cell) == _state(cell):
                same.append((cell, seen))
            else:
                other.append(cell)
        if other and (gone := self._elsewhere(grid, sealed, other)):
            held += gone
            other = [cell for cell in other if all(cell is not one for one, _ in gone)]
        return _Now(held, same, other)

    def _elsewhere(self, grid: Grid, sealed: SealedCells, cells: Sequence[Cell]) -> list[tuple[Cell, Seen]]:
        """Held cells that are not where they were."""
        wanted = {_line(sealed, cell): cell for cell in cells}
        at: dict[At, Cell] = {}
        for one in grid.cells():
            for line in one.cell.note.splitlines() if sealed.mark in one.cell.note else ():
                if line in wanted:
                    at[one.at] = wanted[line]
        return [(at[place], seen) for place, seen in grid.read(list(at)).items()] if at else []

    # -- what came of it --------------------------------------------------------------------------------------------

    def held(self, place: Place, sealed: SealedCells, original: Original, placeholder: str) -> Receipt | None:
        """The receipt; where somebody put a cell back as it was meanwhile, it is replaced again."""
        if look(self._actor, sealed.user, sealed.id) is None:
            return None
        grid = Grid(self._actor, sealed.user, sealed.id)
        now = self._now(grid, sealed)
        if not now.held:
            return None
        self._replace(grid, sealed, [cell for cell, _ in now.same], placeholder)
        return self._held(grid, sealed, (), placeholder, shown(place))

    def _held(
        self, grid: Grid, sealed: SealedCells, secrets: Sequence[Sensitive], placeholder: str, name: str
    ) -> Receipt:
        """The receipt, once no cell shows a secret."""
        traces, now = Traces(secrets), self._now(grid, sealed)
        if now.same or not now.held or any(traces.seen(seen.shows, seen.cell.note) for _, seen in now.held):
            raise SourceError("a cell still shows what it held", place=name)
        if any(traces.seen(seen.shows) for seen in grid.read(sealed.shown).values()):
            raise SourceError(
                "cells that only show what others hold still show the secret",
                place=name,
                advice="set `sheets` to file, or hold it where it comes from",
            )
        count = len(now.held)
        notes = [f"{count} cell{'' if count == 1 else 's'} replaced by a placeholder", _HISTORY]
        evidence = {"way": "cells", "file": sealed.id, "cells": str(count), "mark": sealed.mark}
        undo = Undo("cells", sealed.user, digest(placeholder))
        return Receipt(outcome="done", note="; ".join(notes), evidence=evidence, undo=msgspec.json.encode(undo))

    # -- putting back -----------------------------------------------------------------------------------------------

    def release(self, place: Place, sealed: SealedCells, original: Original, receipt: Receipt) -> Receipt:
        """Put back what the cells held, but for those that somebody wrote since."""
        name, undo = shown(place), undo_of(receipt)
        if look(self._actor, sealed.user, sealed.id) is None:
            raise GoneError("the spreadsheet is not there any more", place=name)
        grid = Grid(self._actor, sealed.user, sealed.id)
        now = self._now(grid, sealed)
        ours = [(cell, seen) for cell, seen in now.held if _untouched(cell, seen.cell, undo)]
        if ours:
            self._restore(grid, sealed, ours)
        elif not now.same:
            raise ChangedError("what stood in its place was written by somebody else", place=name)
        done = self._released(grid, sealed, undo)
        if done is None:
            raise SourceError("a cell does not show yet what was put back", place=name)
        return done

    def _restore(self, grid: Grid, sealed: SealedCells, cells: Sequence[tuple[Cell, Seen]]) -> None:
        def done() -> bool:
            return len(self._now(grid, sealed).held) < len(cells)

        there = [(cell, seen.cell) for cell, seen in cells]
        try:
            grid.write([_original(cell, now, chips=True) for cell, now in there], done, _ADVICE)
        except InputError:  # chips of some kinds are read only
            grid.write([_original(cell, now, chips=False) for cell, now in there], done, _ADVICE)

    def released(self, place: Place, sealed: SealedCells, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if the cells are as they were."""
        if look(self._actor, sealed.user, sealed.id) is None:
            return None
        return self._released(Grid(self._actor, sealed.user, sealed.id), sealed, undo_of(receipt))

    def _released(self, grid: Grid, sealed: SealedCells, undo: Undo) -> Receipt | None:
        now = self._now(grid, sealed)
        if any(_untouched(cell, seen.cell, undo) for cell, seen in now.held):
            return None
        left = len(now.held) + len([cell for cell in now.other if not self._is_back(grid, cell)])
        count = len(sealed.cells) - left
        notes = [f"{count} cell{'' if count == 1 else 's'} as they were entered, with their formats"]
        if left:
            notes.append(f"{left} that somebody wrote since {'is' if left == 1 else 'are'} left as they are")
        if any(cell.chips for cell in sealed.cells):
            notes.append("chips (people, files, places) may have become plain text")
        evidence = {"way": "cells", "file": sealed.id, "cells": str(count)}
        return Receipt(outcome="done", note="; ".join(notes), evidence=evidence)

    @staticmethod
    def _is_back(grid: Grid, cell: Cell) -> bool:
        """Whether a cell has its value and note again, whatever became of its runs and chips."""
        seen = grid.read([(cell.sheet, cell.row, cell.column)]).get((cell.sheet, cell.row, cell.column))
        return seen is not None and (seen.cell.value, seen.cell.note) == (cell.value, cell.note)


class _Judge(NamedTuple):
    """Tells what of a cell holds a secret. With `hidden`, one in which none is seen counts as well: it may be encoded,
    in the note if it is `in_note`.
    """

    traces: Traces
    hidden: bool
    in_note: bool

    def sorted(self, cells: Iterable[Seen]) -> tuple[list[Cell], list[At]]:
        """The cells that can be written; and those that only show a secret."""
        written: list[Cell] = []
        shows: list[At] = []
        for seen in cells:
            cell = seen.cell
            noted, linked = bool(self.traces.seen(cell.note)), bool(self.traces.seen(cell.link))
            valued = bool(self.traces.seen(seen.shows))
            if self.hidden and not noted and not valued:
                noted, valued = self.in_note, not self.in_note
            if valued and not cell.value and not linked:
                shows.append((cell.sheet, cell.row, cell.column))
            valued = valued and bool(cell.value)
            if noted or linked or valued:
                written.append(msgspec.structs.replace(cell, valued=valued, noted=noted, linked=linked))
        return written, shows


def _named(place: Place) -> tuple[str, int, int] | None:
    """The cell that a finding names (`Sheet!B7`): sheet, row and column. A sheet's name may have a `!` in it."""
    for step in place.route:
        if step.kind == "cell":
            sheet, _, name = step.name.rpartition("!")
            at = position(name)
            return (sheet, *at) if at is not None else None
    return None


def _state(cell: Cell) -> list[object]:
    """What a cell holds, wherever it is."""
    return [cell.value, cell.note, list(cell.runs), list(cell.chips), cell.link]


def _line(sealed: SealedCells, cell: Cell) -> str:
    """What the note of a held cell has as a line of its own."""
    return f"keysentry holds this cell ({sealed.mark}.{sealed.cells.index(cell) + 1})"


def _untouched(sealed: Cell, now: Cell, undo: Undo) -> bool:
    """Whether a held cell has what the hold put there."""
    return not sealed.valued or digest(text(now.value, "stringValue")) == undo.standing


def _replaced(cell: Cell, line: str, placeholder: str) -> Fields:
    """What makes a cell a placeholder."""
    before = placeholder if cell.noted else cell.note
    data: Fields = {"note": f"{before}\n{line}" if before else line}
    fields = ["note"]
    if cell.valued:
        data["userEnteredValue"] = {"stringValue": placeholder}
        fields.append("userEnteredValue")
    if cell.linked:
        fields.append(_LINK)
    return request(cell, data, fields)


def _original(cell: Cell, at: Cell, *, chips: bool) -> Fields:
    """What makes a placeholder the cell again, at the place where it is now."""
    data: Fields = {"note": cell.note} if cell.note else {}
    fields = ["note"]
    if cell.valued:
        fields.append("userEnteredValue")
        if cell.value:
            data["userEnteredValue"] = cell.value
        if cell.runs:
            data["textFormatRuns"] = list(cell.runs)
            fields.append("textFormatRuns")
        if cell.chips and chips:
            data["chipRuns"] = list(cell.chips)
            fields.append("chipRuns")
    if cell.linked:
        data["userEnteredFormat"] = {"textFormat": {"link": {"uri": cell.link}}}
        fields.append(_LINK)
    return request(at, data, fields)
