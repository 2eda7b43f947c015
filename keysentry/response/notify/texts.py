"""Texts that people can edit: `templates/<language>/<kind>.txt` in the package, and single files of a folder instead.

A template is plain text, line by line:

    # a comment
    Subject: {count} secrets in {place}

    [author]Hello {author},
    [!author]Hello,
    [one][held]It was taken out of view. \\
    Nothing is lost.

`{name}` is replaced by a value, `{{` and `}}` are braces. A line that begins with `[name]` stands only where the
value is not empty, with `[!name]` only where it is; several of them must all hold. A line that ends with a backslash
goes on with the next one that stands. Lines left out leave no gap: blank lines never follow each other. `words.txt`
has single words, `key: text`, which the same names may stand in.

Values are put in as they are and never read as a template. Every fault of a file is a `ConfigError` that names the
file, the line and the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from keysentry.advice import closest
from keysentry.errors import ConfigError

BUILT_IN: Final = Path(__file__).parent / "templates"
KINDS: Final = ("author", "channel", "escalation", "placeholder")
_STEPS = ("seal", "hold", "release", "assess", "verify", "notify", "revoke", "rotate", "vault", "prevent", "close")
WORDS: Final = frozenset(
    (
        *("item", "item-in-place", "somewhere"),
        *(f"severity.{name}" for name in ("low", "medium", "high", "critical")),
        *(f"audience.{name}" for name in ("unknown", "private", "internal", "external", "public")),
        *(f"step.{name}" for name in _STEPS),
    )
)
"""The keys of `words.txt`."""
NAMES: Final = frozenset(
    (
        *("one", "many", "count", "items", "more", "secret", "title", "severity", "credential", "personal"),
        *("place", "link", "time", "author", "source", "incident", "incidents", "contact", "guide", "again"),
        *("audience", "reach", "public", "external", "internal", "private", "live", "dead", "owner"),
        *("held", "revoked", "rotated", "reference", "nothing"),
        *("step", "due", "waiting", "note", "action"),
    )
)
"""What may stand in a template."""

_PIECE = re.compile(r"\{\{|\}\}|\{([a-z]+)\}|[{}]")
_CONDITION = re.compile(r"\[(!?)([a-z]+)\]")
_SUBJECT = "Subject:"


class Line(NamedTuple):
    """One line: what must hold for it to stand (name, whether it must be set), and its text."""

    conditions: tuple[tuple[str, bool], ...]
    text: str

    def stands(self, values: Mapping[str, str]) -> bool:
        """Whether it stands with these values."""
        return all(bool(values.get(name)) == wanted for name, wanted in self.conditions)


class Template(NamedTuple):
    """A text with places to fill in."""

    subjects: tuple[Line, ...]
    lines: tuple[Line, ...]

    @property
    def names(self) -> frozenset[str]:
        """Every name that it asks for, as a value or as a condition."""
        lines = (*self.subjects, *self.lines)
        asked = {name for line in lines for name, _ in line.conditions}
        return frozenset(asked.union(*(_names(line.text) for line in lines)))

    def subject(self, values: Mapping[str, str]) -> str:
        """The first subject that stands, as one line; empty where there is none."""
        return next((" ".join(fill(line.text, values).split()) for line in self.subjects if line.stands(values)), "")

    def text(self, values: Mapping[str, str]) -> str:
        """What stands with these values, without blank lines at the ends or two in a row."""
        written = ""
        for line in self.lines:
            if line.stands(values):
                goes_on = line.text.endswith("\\")  # asked of the template: a value may end like that, too
                written += fill(line.text[:-1] if goes_on else line.text, values) + ("" if goes_on else "\n")
        return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", written)).strip()


class Texts:
    """The templates and words of all languages. What was read once is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` has files that are used instead of the built-in ones: `<folder>/<language>/<kind>.txt`."""
        self._folders = (folder, BUILT_IN) if folder is not None else (BUILT_IN,)
        self._templates: dict[tuple[str, str], Template] = {}
        self._words: dict[str, dict[str, str]] = {}

    def languages(self) -> tuple[str, ...]:
        """The languages that there is something of."""
        found = {path.name for folder in self._folders if folder.is_dir() for path in folder.iterdir() if path.is_dir()}
        return tuple(sorted(found))

    def template(self, language: str, kind: str) -> Template:
        """A template. Raises `ConfigError`."""
        language = self.language(language)
        if (language, kind) not in self._templates:
            file = self._file(language, kind)
            self._templates[language, kind] = parse(read(file), str(file))
        return self._templates[language, kind]

    def word(self, language: str, key: str, values: Mapping[str, str] | None = None) -> str:
        """A word; `key` itself, after its last point, where nobody wrote one. Raises `ConfigError`."""
        language = self.language(language)
        if language not in self._words:
            self._words[language] = {}
            for folder in reversed(self._folders):  # a user's file need not have all of them
                file = folder / language / "words.txt"
                if file.is_file():
                    self._words[language] |= parse_words(read(file), str(file))
        return fill(self._words[language].get(key, key.rpartition(".")[2]), values or {})

    def language(self, name: str) -> str:
        """The language that there is texts of: `de` for `de-AT`. Raises `ConfigError`."""
        known = self.languages()
        for one in (name, name.lower(), re.split(r"[-_]", name.lower())[0]):
            if one in known:
                return one
        advice = f"one of: {', '.join(known)}; or write templates/{name}/ of your own"
        raise ConfigError(f"there are no texts in the language {name!r}", place="language", advice=advice)

    def faults(self) -> Iterator[ConfigError]:
        """All that is wrong with the files, for whoever lints a configuration."""
        if not all(folder.is_dir() for folder in self._folders):
            yield ConfigError("there is no such folder", place=str(self._folders[0]))
            return
        for file in sorted(path for folder in self._folders for path in folder.glob("*/*")):
            try:
                if file.name == "words.txt":
                    parse_words(read(file), str(file))
                elif file.name.removesuffix(".txt") in KINDS and file.name.endswith(".txt"):
                    parse(read(file), str(file))
                else:
                    advice = f"files are called {', '.join(f'{kind}.txt' for kind in KINDS)} and words.txt"
                    yield ConfigError("no text is read from here", place=str(file), advice=advice)
            except ConfigError as error:
                yield error

    def _file(self, language: str, kind: str) -> Path:
        for folder in self._folders:
            file = folder / language / f"{kind}.txt"
            if file.is_file():
                return file
        missing = self._folders[0] / language / f"{kind}.txt"
        raise ConfigError("there is no such text", place=str(missing), advice="copy the English one and translate it")


def read(file: Path) -> str:
    """The text of a file. Raises `ConfigError`."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("the text is not UTF-8", place=str(file), advice="save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", place=str(file)) from None


def parse(text: str, file: str) -> Template:
    """Read a template. Raises `ConfigError` naming `file`, the line and the name."""
    subjects: list[Line] = []
    lines: list[Line] = []
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.startswith("#"):
            continue
        line = _line(raw.rstrip(), f"{file}:{number}")
        if line.text.startswith(_SUBJECT):
            subjects.append(line._replace(text=line.text.removeprefix(_SUBJECT).strip()))
        else:
            lines.append(line)
    if not any(line.text for line in lines):
        raise ConfigError("the text is empty", place=file)
    return Template(tuple(subjects), tuple(lines))


def parse_words(text: str, file: str) -> dict[str, str]:
    """Read a file of words. Raises `ConfigError`."""
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        place = f"{file}:{number}"
        if not raw.strip() or raw.startswith("#"):
            continue
        key, colon, value = (part.strip() for part in raw.partition(":"))
        if not colon or not value:
            raise ConfigError("a line must be a key, a colon and a text", place=place)
        if key not in WORDS:
            raise ConfigError(f"there is no word {key!r}", place=place, advice=closest(key, sorted(WORDS)) or "")
        _check(value, place)
        found[key] = value
    return found


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its names replaced; a name without a value by nothing."""
    return _PIECE.sub(lambda piece: values.get(piece[1], "") if piece[1] else piece[0][0], text)


def _line(raw: str, place: str) -> Line:
    conditions: list[tuple[str, bool]] = []
    while match := _CONDITION.match(raw):
        _known(match[2], f"[{match[1]}{match[2]}]", place)
        conditions.append((match[2], not match[1]))
        raw = raw[match.end() :]
    _check(raw, place)
    return Line(tuple(conditions), raw)


def _check(text: str, place: str) -> None:
    for piece in _PIECE.finditer(text):
        if piece[1]:
            _known(piece[1], piece[0], place)
        elif len(piece[0]) == 1:
            start = text[piece.start() : piece.start() + 20]
            advice = "a name in braces is in small letters: {place}; a brace itself is written twice"
            raise ConfigError(f"a brace that belongs to no name, at {start!r}", place=place, advice=advice)


def _known(name: str, written: str, place: str) -> None:
    if name not in NAMES:
        advice = closest(name, sorted(NAMES)) or f"one of: {', '.join(sorted(NAMES))}"
        raise ConfigError(f"there is nothing called {written}", place=place, advice=advice)


def _names(text: str) -> set[str]:
    return {piece[1] for piece in _PIECE.finditer(text) if piece[1]}
