"""The portable prefilter: one Aho-Corasick automaton over the literals of all targets.

Algorithm. The buffer is put in small letters and read as Latin-1, so that one character is one byte; the automaton
reports the end of every literal in it.

Invariants. As `base.Prefilter` says: a target's match holds one of its literals, so the literal's end lies inside
the match.

Limits. It copies the buffer twice; a target with frequent literals costs a window at each of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import ahocorasick

from keysentry.engine.prefilter.base import Buffer, Event, Target


class AhoCorasickPrefilter:
    """A prefilter over literals, by pyahocorasick."""

    name = "ahocorasick"

    def __init__(self, targets: Iterable[Target]) -> None:
        by_literal: dict[bytes, list[int]] = {}
        for target in targets:
            for literal in target.literals:
                by_literal.setdefault(literal, []).append(target.id)
        self._automaton = ahocorasick.Automaton()
        for literal, ids in by_literal.items():
            self._automaton.add_word(literal.decode("latin-1"), tuple(ids))
        self._empty = not by_literal
        if not self._empty:
            self._automaton.make_automaton()

    def events(self, buffer: Buffer) -> list[Event]:
        """All the ends of literals in a buffer."""
        if self._empty:
            return []
        text = bytes(buffer).lower().decode("latin-1")
        return [(target, last + 1) for last, ids in self._automaton.iter(text) for target in ids]
