"""Which cells of a table are names of values: `Passwort`, `API key`, or the word that a rule wants beside a value.

Algorithm. One call of a small prefilter of its own looks at all cells at once for parts of such names, so that a table
without any costs a pass over its bytes and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from keysentry.engine.engine import Engine
from keysentry.engine.prefilter.base import Prefilter, Target
from keysentry.extraction.formats.headings import LONGEST, STEMS

_PLAIN = re.compile(r"[\w .-]+")
_EDGE = "\\b"


class Names:
    """Finds the cells that may be names: those with a part of one, and not longer than one is."""

    def __init__(self, engine: Engine) -> None:
        words = {word for rule in engine.program.rules for word in rule.rule.near}
        stems = [*STEMS, *sorted(_literals(words))]
        # Apart: one expression with an edge makes the compilation of all the others ten times as long.
        edged = [stem for stem in stems if _EDGE in stem]
        plain = [stem for stem in stems if _EDGE not in stem]
        self._prefilters = [_prefilter(engine, part) for part in (edged, plain)]

    def cells(self, text: bytes, mark: bytes, rows: int, columns: Sequence[int]) -> dict[int, list[int]]:
        """Which cells may be names: columns by row. `text` holds the columns (so many cells each as there are `rows`)
        one after the other, with a mark between the cells.
        """
        found: dict[int, list[int]] = {}
        at = number = 0
        last = -1
        for offset in sorted({offset for one in self._prefilters for _target, offset in one.events(text)}):
            number += text.count(mark, at, offset)
            at = offset
            if number == last:
                continue
            last = number
            begin, end = text.rfind(mark, 0, offset) + 1, text.find(mark, offset)
            # A character has four bytes at most; the rest is for those who look at the name.
            if (end if end >= 0 else len(text)) - begin <= 4 * LONGEST:
                place, row = divmod(number, rows)
                found.setdefault(row, []).append(columns[place])
        return found


def _literals(words: Iterable[str]) -> Iterator[str]:
    """What is always in a word of a rule, which may be a regular expression."""
    from keysentry.engine.prefilter.expression import Unsupported
    from keysentry.engine.prefilter.literals import literals

    for word in words:
        if _PLAIN.fullmatch(word) and "." not in word:
            yield word
            continue
        try:
            yield from (literal.decode() for literal in literals(word) or ())
        except (Unsupported, UnicodeDecodeError):
            continue


def _prefilter(engine: Engine, stems: Iterable[str]) -> Prefilter:
    targets = []
    for number, stem in enumerate(stems):
        literal = stem.replace(_EDGE, "").encode()
        quoted = "".join(f"\\x{byte:02x}" for byte in literal)
        before, after = (_EDGE if edge else "" for edge in (stem.startswith(_EDGE), stem.endswith(_EDGE)))
        targets.append(Target(number, f"(?i:{before}{quoted}{after})", (literal.lower(),)))
    if engine.name == "vectorscan":
        from keysentry.engine.prefilter.vectorscan import VectorscanPrefilter, compile_database

        return VectorscanPrefilter(compile_database(targets)[0])
    from keysentry.engine.prefilter.ahocorasick import AhoCorasickPrefilter

    return AhoCorasickPrefilter(targets)
