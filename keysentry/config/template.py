"""A configuration to begin with: every setting with its meaning and its default, commented out.

It is made from the Options types themselves. Lines that begin with `# ` are words; what begins with `#` alone is a
setting, and may be taken into use as it stands: the result is a valid configuration.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from keysentry.config.fields import Field, fields_of
from keysentry.config.variables import TABLES, variable_of
from keysentry.connectors.base import SourceOptions

_HEAD = """\
What `keysentry watch` reads and how, and where what it found is kept.

Words stand behind "# ". A setting behind "#" alone shows its default, or an example where it has none: take the #
away and change it. Where a setting has a variable of the environment, that one weighs more.

No credential belongs in this file: write env:NAME for a variable of the environment, or file:/path for the first
line of a file. Relative paths start from this file's folder.

`keysentry config lint` tells every fault; `keysentry config show` tells what is in effect, and why.
"""
_TITLES = {
    "store": "Where incidents are kept, and how far each source was read.",
    "scan": "What is looked for.",
    "watch": "How the daemon works.",
    "response": "How actions are carried out; docs/playbooks.md tells what can be done about findings.",
    "outbound": "What requests that rules and revokers send may do.",
}
_WIDTH = 116
_EXAMPLES: tuple[tuple[type, object], ...] = (
    (tuple, ()), (list, ()), (dict, {}), (msgspec.Struct, {}), (bool, False), (int, 1), (float, 1.0),
)  # fmt: skip
"""What stands where a setting has no default that TOML can say."""


def template(platforms: Iterable[tuple[str, str, type[SourceOptions]]]) -> str:
    """The text of a configuration with a source of each platform, given as (name, title, Options)."""
    return "\n".join([*_words(_HEAD), *_tables(), *_sources(platforms)]) + "\n"


def _tables() -> Iterator[str]:
    for name, options in TABLES.items():
        yield from ("", *_words(_TITLES[name]), f"[{name}]")
        for field in fields_of(options):
            yield from _setting(field, variable_of(name, field))


def _sources(platforms: Iterable[tuple[str, str, type[SourceOptions]]]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for platform, title, options in platforms:
        seen[platform] = seen.get(platform, 0) + 1
        number = seen[platform]
        name = platform if number == 1 else f"{platform}-{number}"
        yield from ("", *_words(f"{title}; docs/{platform}.md tells how to give access to it."), "[[source]]")
        yield from _source(platform, name, options)


def _source(platform: str, name: str, options: type[SourceOptions]) -> Iterator[str]:
    for field in fields_of(options):
        if field.name == "name":
            yield from (*_words(f"name: {field.text}."), f"name = {toml(name)}", f"platform = {toml(platform)}")
        else:
            yield from _setting(field)


def _words(text: str) -> Iterator[str]:
    """Lines of comment; a blank line stays one."""
    for line in text.strip().split("\n"):
        yield from (f"# {piece}" for piece in textwrap.wrap(line, _WIDTH)) if line else ("#",)


def _setting(field: Field, variable: str = "") -> Iterator[str]:
    """What a setting means, and the setting: commented out unless it must be given."""
    about = ". ".join(filter(None, _about(field, variable)))
    yield from _words(f"{field.name}: {about}." if about else f"{field.name}.")
    mark = "" if field.required else "#"
    yield f"{mark}{field.name} = {toml(example(field))}"


def _about(field: Field, variable: str) -> Iterator[str]:
    yield field.text
    if field.choices:
        yield f"One of {', '.join(field.choices)}"
    if field.variables:
        yield f"If it is not given, {' or '.join(field.variables)} is looked at"
    elif field.credential:
        yield "A credential"
    if variable:
        yield f"Variable: {variable}"


def example(field: Field) -> object:
    """The default, or something of the right kind where the default is nothing that TOML can say."""
    if field.credential:
        return f"env:{field.variables[0]}" if field.variables else f"env:{field.name.upper()}"
    if not field.required and field.default is not None:
        return field.default
    if field.choices and field.scalar:
        return field.choices[0]
    if field.path:
        return f"path/to/{field.name}"
    for kind, value in _EXAMPLES:
        if field.holds(kind):
            return value
    return f"your-{field.name.replace('_', '-')}"


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml(str(key))} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, msgspec.Struct):
        return toml({key: one for key, one in msgspec.structs.asdict(value).items() if one is not None})
    if isinstance(value, Iterable):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return str(value)
