"""On which line of a TOML document each key stands, which no TOML reader tells.

Algorithm. The document was read before, so it is valid: what remains is to walk over its statements. A statement is a
header (`[store]`, `[[source]]`) or a key with a value; a value ends at the first line end that is inside no string and
no bracket. Keys inside of inline tables are not looked at; their line is that of the statement.

TOML 1.0: https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
"""The way to a key from the top of the document; tables of an array count from 0."""

_VALUE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]"
    r"|[^\"'\#\[\]{}\n]+",
    re.DOTALL,
)
_KEY = re.compile(r"""\s*(?:"((?:\\.|[^"\\])*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*(\.?)""")
_BLANK = re.compile(r"(?:\s+|#[^\n]*)*")


class _Walk:
    """The walk over one document; `lines` is what it gathers."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._table: Path = ()
        self._arrays: dict[Path, int] = {}

    def run(self) -> None:
        """From statement to statement. Every step moves on, whatever the text."""
        while (start := self._skip(_BLANK)) < len(self._text):
            if self._text[start] == "[":
                self._header()
            else:
                self._note((*self._table, *self._keys()), start)
            self._to_end()

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _keys(self) -> list[str]:
        """The parts of a dotted key from here on."""
        keys = []
        while match := _KEY.match(self._text, self._at):
            self._at = match.end()
            keys.append(match[1] or match[2] or match[3] or "")
            if not match[4]:
                break
        return keys

    def _header(self) -> None:
        start = self._at
        array = self._text.startswith("[[", start)
        self._at += 2 if array else 1
        keys = self._keys()
        path = self._within(keys[:-1]) + tuple(keys[-1:])
        if array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
        self._table = self._within_last(path)
        self._note(self._table, start)

    def _within(self, keys: list[str]) -> Path:
        """The way to a table, through the last table of each array on it."""
        path: Path = ()
        for key in keys:
            path = self._within_last((*path, key))
        return path

    def _within_last(self, path: Path) -> Path:
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _note(self, path: Path, start: int) -> None:
        self.lines.setdefault(path, self._text.count("\n", 0, start) + 1)

    def _to_end(self) -> None:
        depth = 0
        while match := _VALUE.match(self._text, self._at):
            self._at = match.end()
            piece = match[0]
            if piece == "\n" and depth <= 0:
                return
            depth += (piece in "[{") - (piece in "]}")
        if self._at < len(self._text):
            self._at += 1


def key_lines(text: str) -> dict[Path, int]:
    """The line of every table and key of a valid document: `("source", 1, "poll")` -> 14."""
    walk = _Walk(text)
    walk.run()
    return walk.lines
