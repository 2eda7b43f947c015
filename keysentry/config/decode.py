"""From a table of the document to the Options of a part: every fault of every setting, not only the first.

Algorithm. Each setting is converted by msgspec to its own type, so that one fault hides no other; then the values are
held to what their types do not say (`checks`), and the whole is made. A setting comes from, in this order: a variable
that stands for it, the document, its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from keysentry.advice import closest
from keysentry.config import credentials
from keysentry.config.checks import check, has_password
from keysentry.config.document import Document
from keysentry.config.faults import Fault
from keysentry.config.fields import Field, fields_of
from keysentry.config.variables import variable_of
from keysentry.errors import KeysentryError
from keysentry.scan.options import ScannerOptions
from keysentry.store.options import StoreOptions

T = TypeVar("T", bound=msgspec.Struct)

_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time",
}
_EXPECTED = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`")
_REFERABLE = {(StoreOptions, "url")}
"""Settings that are no credentials, but may hold one, and so may be references."""
_PATHS = {(ScannerOptions, "rules")}
"""Settings that hold paths as text."""


class Setting(msgspec.Struct, frozen=True):
    """A value that is in effect: of which table, and where it comes from.

    `origin` is `line 12`, the name of a variable, `default`, or for credentials the reference (`env:NAME`). A
    credential that is not set has the value None.
    """

    table: str
    field: Field
    value: object
    origin: str


class Notes(msgspec.Struct):
    """What is gathered on the way: faults, references that lead to nothing, and what could be better."""

    faults: list[Fault] = []
    missing: list[Fault] = []
    warnings: list[Fault] = []
    settings: list[Setting] = []


class Table:
    """One table of the document on its way to its Options."""

    def __init__(
        self,
        document: Document,
        path: tuple[str | int, ...],
        title: str,
        values: Mapping[str, object],
        environment: Mapping[str, str],
        notes: Notes,
    ) -> None:
        """`path` leads to the table in the document, `title` is what a person knows it by."""
        self._document = document
        self._path = path
        self._title = title
        self._values = values
        self._environment = environment
        self._notes = notes

    def fault(self, reason: str, key: str = "", *, advice: str = "", known: str | None = None) -> Fault:
        """A fault of this table; `known` is the key whose line is told, where it is not the key itself."""
        line = self._document.line(*self._path, *filter(None, (known if known is not None else key,)))
        file = self._document.origin.file
        return Fault(file=file, table=self._title, key=key, line=line, reason=reason, advice=advice)

    def decode(self, options: type[T], also: tuple[str, ...] = ()) -> T | None:
        """The Options; None, with the faults noted, where they cannot be made. `also` are keys that are not theirs."""
        faults, missing = len(self._notes.faults), len(self._notes.missing)
        fields = fields_of(options)
        self._unknown([*also, *(field.name for field in fields)])
        values = {field.name: value for field in fields for value in self._value(options, field)}
        if len(self._notes.faults) > faults or any(field.required and field.name not in values for field in fields):
            return None
        try:
            return options(**values)
        except KeysentryError as error:
            fault = self.fault(error.reason, error.place, advice=error.advice, known="")
        except (TypeError, ValueError) as error:
            fault = self.fault(str(error))
        if len(self._notes.missing) == missing:  # else it may be wrong for no other reason
            self._notes.faults.append(fault)
        return None

    def _unknown(self, known: list[str]) -> None:
        for key in self._values:
            if key not in known:
                advice = closest(key, known) or f"one of: {', '.join(known)}"
                self._notes.faults.append(self.fault("there is no such setting", key, advice=advice))

    def _value(self, options: type[msgspec.Struct], field: Field) -> Iterator[object]:
        """The field's value, if it has one that can be used; its default goes without saying."""
        if field.credential:
            yield from self._credential(field)
            return
        variable = variable_of(self._title, field)
        instead = next((name for name in field.variables if self._environment.get(name)), "")
        if variable and self._environment.get(variable):
            yield from self._overridden(options, field, variable)
        elif field.name in self._values:
            yield from self._written(options, field)
        elif instead:
            yield from self._overridden(options, field, instead)
        elif field.required:
            self._notes.faults.append(self.fault("must be given", field.name, advice=field.text))
        else:
            self._set(field, field.default, "default")

    def tell(self, key: str, value: object) -> None:
        """Note a setting that is none of the Options."""
        self._set(Field(key, str, msgspec.NODEFAULT, "", False), value, self._origin(key))

    def _set(self, field: Field, value: object, origin: str) -> None:
        self._notes.settings.append(Setting(self._title, field, value, origin))

    def _overridden(self, options: type[msgspec.Struct], field: Field, variable: str) -> Iterator[object]:
        """The value of a variable that stands for the field."""
        wrong: list[tuple[str, str, str]] = []
        value = _convert(field, self._environment[variable], Path.cwd(), wrong, strict=False)
        wrong += [("", *one) for one in check(options, field.name, value)] if not wrong else []
        for _, reason, advice in wrong:
            self._notes.faults.append(Fault(file=variable, reason=reason, advice=advice))
        if not wrong:
            self._set(field, value, variable)
            yield value

    def _written(self, options: type[msgspec.Struct], field: Field) -> Iterator[object]:
        """The value that the document holds."""
        raw, origin = self._values[field.name], self._origin(field.name)
        if ((options, field.name) in _REFERABLE or field.variables) and credentials.is_reference(raw):
            raw, origin = self._referred(field, cast(str, raw))
            if raw is None:
                return
        elif has_password(raw):
            reason = "has a password in it, which does not belong in a file"
            self._notes.faults.append(self.fault(reason, field.name, advice=self._elsewhere(field)))
            return
        wrong: list[tuple[str, str, str]] = []
        value = _located(options, field, _convert(field, raw, self._document.origin.folder, wrong), self._document)
        wrong += [("", *one) for one in check(options, field.name, value)] if not wrong else []
        for place, reason, advice in wrong:
            self._notes.faults.append(self.fault(reason, f"{field.name}{place}", advice=advice, known=field.name))
        if not wrong:
            self._set(field, value, origin)
            yield value

    def _referred(self, field: Field, reference: str) -> tuple[object, str]:
        """What a reference in a setting that is no credential itself leads to, None if nowhere; and its origin.

        Where the setting is the path of a file, `file:` before it changes nothing.
        """
        if field.path and reference.startswith("file:"):
            return reference.removeprefix("file:"), self._origin(field.name)
        found = self._follow(field, reference)
        return (found.secret.reveal() if found.secret else None), found.origin

    def _elsewhere(self, field: Field) -> str:
        variable = variable_of(self._title, field)
        return f"set {variable}, or write env:NAME" if variable else "leave it out of the address"

    def _origin(self, key: str) -> str:
        line = self._document.line(*self._path, key)
        return f"line {line}" if line else self._document.origin.file

    def _credential(self, field: Field) -> Iterator[object]:
        if field.name not in self._values:
            found = credentials.from_environment(field.variables, self._environment)
            if found is not None:
                self._set(field, found.secret, found.origin)
                yield found.secret
            else:
                self._without_credential(field)
            return
        raw = self._values[field.name]
        if not credentials.is_reference(raw):
            reason = "a credential does not belong in a file"
            self._notes.faults.append(self.fault(reason, field.name, advice=credentials.ADVICE))
            return
        credential = self._follow(field, cast(str, raw))
        self._set(field, credential.secret, credential.origin)
        if credential.secret is not None or not field.required:
            yield credential.secret

    def _without_credential(self, field: Field) -> None:
        names = " or ".join(field.variables)
        self._set(field, None, names or "default")
        if field.required:
            advice = f"set {names}, or write env:NAME" if names else credentials.ADVICE
            self._notes.faults.append(self.fault("must be given", field.name, advice=advice))

    def _follow(self, field: Field, reference: str) -> credentials.Credential:
        credential = credentials.follow(reference, self._environment, self._document.origin.folder)
        if credential.missing:
            self._notes.missing.append(self.fault(credential.missing, field.name, advice="set it before the start"))
        if credential.warning:
            self._notes.warnings.append(self.fault(credential.warning, field.name))
        return credential


def _convert(
    field: Field, raw: object, folder: Path, wrong: list[tuple[str, str, str]], *, strict: bool = True
) -> object:
    """The value in the field's own type. What is wrong goes to `wrong`: where inside the value, what, and advice."""

    def custom(type_: type, value: object) -> object:
        if type_ is Path and isinstance(value, str):
            return folder / Path(value).expanduser()
        raise TypeError(f"expected {type_.__name__}")

    try:
        return msgspec.convert(raw, field.type, strict=strict, dec_hook=custom)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        place = re.sub(r"\[(\d+)\]", lambda index: f"[{int(index[1]) + 1}]", where.rstrip("`"))
        wrong.append((place, *_plain(reason, field)))
        return None


def _plain(reason: str, field: Field) -> tuple[str, str]:
    """msgspec's reason in words for a person, and advice."""
    if reason.startswith("Invalid enum value "):
        word = reason.removeprefix("Invalid enum value ").strip("'")
        known = f"one of: {', '.join(field.choices)}" if field.choices else ""
        return f"there is no {word!r}", closest(word, field.choices) or known
    if reason.startswith("Object contains unknown field "):
        return f"there is no such setting as {reason.removeprefix('Object contains unknown field ')}", ""
    expected = _EXPECTED.match(reason)
    if expected is None:
        return reason[:1].lower() + reason[1:], ""
    kinds = [_WORDS.get(kind, kind) for kind in expected[1].split(" | ") if kind != "null"]
    given = "a number with a point" if expected[2] == "float" else _WORDS.get(expected[2], expected[2])
    return f"must be {' or '.join(kinds)}, not {given}", ""


def _located(options: type[msgspec.Struct], field: Field, value: object, document: Document) -> object:
    """The value, with paths that are written as text made whole: they start from the configuration's folder."""
    folder = document.origin.folder
    if options is StoreOptions and field.name == "url" and isinstance(value, str):
        return _sqlite_located(value, folder)
    if not value or ((options, field.name) not in _PATHS and field.name not in getattr(options, "paths", ())):
        return value
    if isinstance(value, Path):  # it was made whole when it was converted
        return value
    if isinstance(value, str):
        return str(folder / Path(value).expanduser())
    return tuple(str(folder / Path(one).expanduser()) for one in cast(tuple[str, ...], value))


def _sqlite_located(url: str, folder: Path) -> str:
    scheme = "sqlite:///"
    path = url.removeprefix(scheme)
    if not url.startswith(scheme) or not path or path.startswith(("/", ":", "file:")):
        return url
    return scheme + str(folder / Path(path).expanduser())
