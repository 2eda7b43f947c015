"""What an Options type declares: its fields, what each one means, and which of them hold credentials.

What a field means stands once, in the docstring of the type, in sentences like these:

    `poll`: seconds between two passes. `include`, `exclude`: globs on the titles of units.

or in a docstring below the field. `keysentry config init`, `config show` and the tests of the documentation read it
from there.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import msgspec
from msgspec.structs import FieldInfo

from keysentry.model.sensitive import Sensitive

Options = type[msgspec.Struct]
Kind = type[object]

_HEAD = re.compile(r"(?:^(?:[-*] )?|(?<=[.;)] ))((?:`\w+`(?:, (?:and )?| and )?)+)([^:`.]*): ")
_NAME = re.compile(r"`(\w+)`")
_CLAUSE = re.compile(r"(?<=[.;]) ")
_SHARED = {"name": "what the source is called in commands, in logs and in the store; no two have the same"}
"""What is known of fields that a type inherits without a word."""


class Field(msgspec.Struct, frozen=True):
    """A field of an Options type.

    `default` is `msgspec.NODEFAULT` where a value is required; `variables` are those that are looked at for a
    credential that the configuration does not name.
    """

    name: str
    type: object
    default: object
    text: str
    credential: bool
    variables: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is msgspec.NODEFAULT

    @property
    def scalar(self) -> bool:
        """Whether one variable of the environment can hold the value."""
        return all(one in (str, int, float, bool, type(None)) for one in _scalar_types(self.type))

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that a field, or each of its items, is limited to, if it is."""
        found = [one for member in _members(self.type) for one in (member, *typing.get_args(member))]
        choices = [one for one in found if typing.get_origin(one) is typing.Literal]
        return tuple(str(value) for choice in choices for value in typing.get_args(choice))

    def holds(self, kind: Kind) -> bool:
        """Whether a value may be of a kind."""
        members = [typing.get_origin(member) or member for member in _members(self.type)]
        return any(isinstance(member, type) and issubclass(member, kind) for member in members)

    @property
    def path(self) -> bool:
        """Whether it holds a path, or several."""
        return any(one is Path for member in _members(self.type) for one in (member, *typing.get_args(member)))


@cache
def fields_of(options: Options) -> tuple[Field, ...]:
    """The fields of an Options type, in their order."""
    texts = field_docs(options)
    return tuple(_field(info, options, texts) for info in msgspec.structs.fields(options))


def _field(info: FieldInfo, options: Options, texts: dict[str, str]) -> Field:
    default = info.default
    if info.default_factory is not msgspec.NODEFAULT:
        default = typing.cast(typing.Callable[[], object], info.default_factory)()
    credential = Sensitive in _members(info.type)
    variables = getattr(options, "environment", {}).get(info.name, ())
    return Field(info.name, info.type, default, texts.get(info.name, ""), credential, tuple(variables))


def _members(type_: object) -> tuple[object, ...]:
    """The members of a union; a type that is none is its own only member."""
    origin = typing.get_origin(type_)
    if origin is typing.Annotated:
        return _members(typing.get_args(type_)[0])
    return typing.get_args(type_) if _is_union(origin) else (type_,)


def _is_union(origin: object) -> bool:
    return origin is typing.Union or origin is types.UnionType


def _scalar_types(type_: object) -> Iterator[object]:
    for member in _members(type_):
        if typing.get_origin(member) is typing.Literal:
            yield from (type(value) for value in typing.get_args(member))
        else:
            yield member


def field_docs(options: Options) -> dict[str, str]:
    """What each field of an Options type means, in the words of its docstrings; a field nobody explains is left out.

    A base's words hold for the types derived from it, unless these have words of their own.
    """
    names = {info.name for info in msgspec.structs.fields(options)}
    texts = dict(_SHARED)
    loose: dict[str, str] = {}
    for base in reversed(options.__mro__):
        if isinstance(base, type) and issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            texts |= _class_docs(base.__doc__ or "") | _attribute_docs(base)
            loose |= _mentions(base.__doc__ or "", names)
    return {name: texts.get(name) or loose[name] for name in sorted(names) if name in texts or name in loose}


def _class_docs(doc: str) -> dict[str, str]:
    """The sentences of a class's docstring that begin with the names of fields."""
    texts: dict[str, str] = {}
    for paragraph in _paragraphs(doc):
        heads = list(_HEAD.finditer(paragraph))
        ends = [*(head.start() for head in heads[1:]), len(paragraph)]
        for head, end in zip(heads, ends, strict=False):
            condition = head[2].strip(" ,")
            words = _sentence(paragraph[head.end() : end])
            for name in _NAME.findall(head[1]):
                texts[name] = f"{condition}: {words}" if condition else words
    return texts


def _paragraphs(doc: str) -> Iterator[str]:
    """The paragraphs and the points of lists, each as one line."""
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=[-*] )", inspect.cleandoc(doc)):
        yield " ".join(paragraph.split())


def _sentence(text: str) -> str:
    return text.strip().removesuffix(".").removesuffix(";")


def _mentions(doc: str, names: Iterable[str]) -> dict[str, str]:
    """For each field the first clause that mentions it, for docstrings that do not keep to the form."""
    clauses = [clause for paragraph in _paragraphs(doc) for clause in _CLAUSE.split(paragraph)]
    return {name: _sentence(clause) for name in names for clause in reversed(clauses) if f"`{name}`" in clause}


def _attribute_docs(options: type) -> dict[str, str]:
    """The docstrings below fields, which only the source has."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(options)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    texts = {}
    for statement, following in itertools.pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = _string(following)
            if text and statement.target.id != "environment":
                texts[statement.target.id] = _sentence(" ".join(text.split()))
    return texts


def _string(statement: ast.stmt) -> str:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
