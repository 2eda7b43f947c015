"""The fast prefilter: every target's expression in one Vectorscan database.

Algorithm. All expressions are compiled into one block-mode database in prefilter mode; one call reports the end of
every match. The call releases the interpreter's lock, so that threads scan side by side, each with its own scratch
space.

Invariants. As `base.Prefilter` says; see `expression.py` for why an expression's match ends inside the pattern's.

Failure modes. A stored database of another version or machine raises `CacheError`; an expression that Vectorscan
cannot compile is replaced by its target's literals.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

import hyperscan

from keysentry.engine.prefilter.base import Buffer, Event, Target
from keysentry.errors import CacheError

VERSION = f"hyperscan {hyperscan.__version__}"  # type: ignore[attr-defined]  # its stub forgets it


def _note(target: int, _start: int, end: int, _flags: int, events: list[Event]) -> None:
    events.append((target, end))


def compile_database(targets: Sequence[Target]) -> tuple[bytes, frozenset[int]]:
    """Compile targets into a serialised database, valid for this version of the library and this kind of processor.

    Also gives the ids of the targets whose expression it could not take, and which it finds by their literals.
    """
    expressions = [target.expression for target in targets]
    try:
        return _compile(targets, expressions), frozenset()
    except hyperscan.error:
        taken = [_compilable(target) for target in targets]
        by_literals = {target.id for target, one in zip(targets, taken, strict=True) if one != target.expression}
        return _compile(targets, taken), frozenset(by_literals)


def _compile(targets: Sequence[Target], expressions: Sequence[str]) -> bytes:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = [hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_DOTALL] * len(expressions)
    encoded = [expression.encode("latin-1") for expression in expressions]
    database.compile(expressions=encoded, ids=[target.id for target in targets], elements=len(encoded), flags=flags)
    return bytes(hyperscan.dumpb(database))


def _compilable(target: Target) -> str:
    try:
        _compile([target], [target.expression])
    except hyperscan.error:
        words = "|".join(re.escape(literal.decode("latin-1")) for literal in target.literals)
        return f"(?i:{words})"
    return target.expression


class VectorscanPrefilter:
    """A prefilter over full expressions, by Vectorscan."""

    name = "vectorscan"

    def __init__(self, database: bytes) -> None:
        try:
            self._database = hyperscan.loadb(database, hyperscan.HS_MODE_BLOCK)
            self._local = threading.local()
            self._scratch()
        except hyperscan.error as error:
            raise CacheError(f"the stored Vectorscan database cannot be used: {error}") from None

    def _scratch(self) -> hyperscan.Scratch:
        scratch = self._local.scratch = hyperscan.Scratch(self._database)
        return scratch

    def events(self, buffer: Buffer) -> list[Event]:
        """The ends of all matches in a buffer."""
        events: list[Event] = []
        try:
            scratch = self._local.scratch
        except AttributeError:
            scratch = self._scratch()
        self._database.scan(buffer, _note, context=events, scratch=scratch)  # type: ignore[type-var,arg-type]
        return events
