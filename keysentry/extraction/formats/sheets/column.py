"""A column of cells that costs nothing a cell until one is asked for."""

from __future__ import annotations

from collections.abc import Sequence


class Column:
    """The cells of some rows in one column: as one text with marks between them, as a list, or as both."""

    __slots__ = ("_cells", "_mark", "_text")

    def __init__(self, text: bytes | None, mark: bytes, cells: list[str] | None = None) -> None:
        self._text = text
        self._mark = mark
        self._cells = cells

    @classmethod
    def of(cls, cells: Sequence[str]) -> Column:
        """The column of a list of cells."""
        return cls(None, b"", list(cells))

    @property
    def cells(self) -> list[str]:
        """The cells."""
        if self._cells is None:
            assert self._text is not None
            self._cells = self._text.decode("utf-8", "surrogateescape").split(self._mark.decode())
        return self._cells

    def __getitem__(self, row: int) -> str:
        return self.cells[row]

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def empty(self) -> bool:
        """Whether no cell holds anything."""
        return not any(self.cells) if self._text is None else not self._text.strip(self._mark)

    def part(self, begin: int, end: int) -> Column:
        """Some of the cells."""
        return Column.of(self.cells[begin:end])

    def first(self, count: int) -> Column:
        """The first cells, not more than there are."""
        if self._cells is not None or self._text is None:
            return Column.of(self.cells[:count])
        return self._decoded(self._text.split(self._mark, count)[:count])

    def last(self, count: int) -> Column:
        """The last cells, not more than there are."""
        if self._cells is not None or self._text is None:
            return Column.of(self.cells[-count:])
        return self._decoded(self._text.rsplit(self._mark, count)[-count:])

    def _decoded(self, cells: list[bytes]) -> Column:
        return Column.of([cell.decode("utf-8", "surrogateescape") for cell in cells])

    def lines(self, before: bytes, after: bytes = b"", changed: bytes | None = None) -> bytes:
        """A text with a line a cell: what is to stand before it, the cell, and what is to stand after it; `changed` is
        a table of bytes to be written for others.
        """
        joint = after + b"\n" + before
        if self._text is not None:
            text = self._text if changed is None else self._text.translate(changed)
            return before + text.replace(self._mark, joint) + after
        cells = [cell.encode("utf-8", "surrogateescape") for cell in self.cells]
        if changed is not None:
            cells = [cell.translate(changed) for cell in cells]
        return before + joint.join(cells) + after
