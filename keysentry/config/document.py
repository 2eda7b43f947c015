"""The configuration before it is understood: where it is, its tables, and on which line each key stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import msgspec

from keysentry.config.faults import ConfigFaults, Fault
from keysentry.config.lines import Path as KeyPath
from keysentry.config.lines import key_lines

FILE = "keysentry.toml"
PATH_VARIABLE = "KEYSENTRY_CONFIG"
CONTENT_VARIABLE = "KEYSENTRY_CONFIG_TOML"

How = Literal["--config", "KEYSENTRY_CONFIG", "KEYSENTRY_CONFIG_TOML", "in this folder", "nowhere"]
_SAYS_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class Origin(msgspec.Struct, frozen=True):
    """Which configuration governs, and why: by the option, by a variable, or because it lies in this folder.

    `path` is its file; None where a variable holds the content, and where there is no configuration at all.
    """

    how: How
    path: Path | None = None

    @property
    def file(self) -> str:
        """What messages call it."""
        if self.how == "nowhere":
            return "no configuration"
        return str(self.path) if self.path else self.how

    @property
    def folder(self) -> Path:
        """What relative paths in it are relative to."""
        return self.path.absolute().parent if self.path else Path.cwd()

    def __str__(self) -> str:
        if self.how == "nowhere":
            return "no configuration file, so the defaults"
        return f"{self.path} ({self.how})" if self.path else self.how


class Document(msgspec.Struct, frozen=True):
    """A configuration's tables as TOML gives them, and the lines of its keys."""

    origin: Origin
    tables: dict[str, object]
    lines: dict[KeyPath, int]
    overruled: tuple[str, ...] = ()
    """Other places that hold a configuration too, and do not count."""

    def line(self, *path: str | int) -> int | None:
        """The line of a key, or of the nearest table around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def find(path: Path | None, environment: Mapping[str, str]) -> tuple[Origin, tuple[str, ...]]:
    """The configuration that governs, and those that it overrules: the option, the variables, the folder's own file."""
    found: list[Origin] = []
    if path is not None:
        found.append(Origin("--config", path))
    if environment.get(PATH_VARIABLE):
        found.append(Origin("KEYSENTRY_CONFIG", Path(environment[PATH_VARIABLE])))
    if environment.get(CONTENT_VARIABLE):
        found.append(Origin("KEYSENTRY_CONFIG_TOML"))
    if not found:
        here = Path(FILE)
        return (Origin("in this folder", here) if here.exists() else Origin("nowhere")), ()
    return found[0], tuple(one.how for one in found[1:])


def read(path: Path | None, environment: Mapping[str, str]) -> Document:
    """Find and read the configuration. Raises `ConfigFaults` if it is not there or no TOML."""
    origin, overruled = find(path, environment)
    if origin.how == "nowhere":
        return Document(origin, {}, {})
    text = environment[CONTENT_VARIABLE] if origin.path is None else _text(origin)
    return Document(origin, _parse(text, origin), key_lines(text), overruled)


def _text(origin: Origin) -> str:
    assert origin.path is not None
    advice = "keysentry config init writes one; keysentry config init --help tells how"
    try:
        return origin.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        fault = Fault(file=origin.file, reason=f"not UTF-8 (byte {error.start})", advice="save it as UTF-8")
    except FileNotFoundError:
        fault = Fault(file=origin.file, reason=f"no such file, but {origin.how} names it", advice=advice)
    except OSError as error:
        fault = Fault(file=origin.file, reason=error.strerror or str(error), advice="name a readable file")
    raise ConfigFaults([fault]) from None


def _parse(text: str, origin: Origin) -> dict[str, object]:
    try:
        return cast(dict[str, object], tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        where = _SAYS_WHERE.search(message)
        line = int(where[1]) if where and where[1] else text.rstrip("\n").count("\n") + 1
        reason = f"not valid TOML: {_SAYS_WHERE.sub('', message)}"
        raise ConfigFaults([Fault(file=origin.file, reason=reason, line=line)]) from None
