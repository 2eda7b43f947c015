"""What values must keep to that their types do not say: a table of checks by type and field.

A check yields (reason, advice) for each thing that is wrong with a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec

from keysentry.advice import closest
from keysentry.connectors.base import SourceOptions
from keysentry.response.options import ResponseOptions
from keysentry.scan.options import ScannerOptions
from keysentry.service.options import WatchOptions
from keysentry.store.options import StoreOptions

Wrong = Iterator[tuple[str, str]]
Check = Callable[[object], Wrong]

_USER = r"(?P<before>[A-Za-z][\w+.-]*://[^/?#@\s:]*:)"
_PARAMETER = re.compile(r"(?P<before>[?&](?:password|sslpassword)=)[^&\s]+", re.IGNORECASE)
_PASSWORD = re.compile(_USER + r"[^/?#\s]+@")
_MASKED = re.compile(_USER + r"\S+@")
"""A password that is masked may hold anything, also what must be escaped in an address."""
_STORES = ("sqlite:", "postgresql:", "postgresql+", "postgres:", "memory:")


def positive(value: object) -> Wrong:
    """More than 0, and a number that can be waited for."""
    if not 0 < cast(float, value) < math.inf:
        yield "must be more than 0", ""


def fraction(value: object) -> Wrong:
    """A probability."""
    if not 0 <= cast(float, value) <= 1:
        yield "must be from 0 to 1", ""


def globs(value: object) -> Wrong:
    """Patterns that can match something, as a person means them."""
    for number, pattern in enumerate(cast(tuple[str, ...], value), 1):
        if not pattern.strip():
            yield f"glob {number} is empty, and matches nothing", "write * for everything"
        elif _unclosed(pattern):
            yield f"glob {number}, {pattern!r}, has a [ that is not closed", "write [[] for a bracket itself"


def _unclosed(pattern: str) -> bool:
    """Whether a `[` begins no set: `fnmatch` would take it for itself."""
    rest = re.sub(r"\[!?\]?[^\]]*\]", "", pattern)
    return "[" in rest


def source_name(value: object) -> Wrong:
    """A name that can be typed and shown."""
    name = cast(str, value)
    if not name.strip() or not name.isprintable() or name != name.strip():
        yield "must be a word or some words, without blanks around them", ""


def pack(value: object) -> Wrong:
    """A set of rules that there is, or none."""
    from keysentry.rules.load import built_in_root, pack_sets

    if not value:
        return
    known = sorted(pack_sets(built_in_root()))
    if value not in known:
        yield f"there is no pack {value!r}", closest(str(value), known) or f"one of: {', '.join(known)}"


def rule_files(value: object) -> Wrong:
    """Files and folders that are there."""
    for path in cast(tuple[str, ...], value):
        if not Path(path).exists():
            yield f"{path}: no such file or folder", "relative paths start from the configuration's folder"


def store_url(value: object) -> Wrong:
    """An address of a kind of store that there is."""
    url = cast(str, value)
    if url and not url.startswith(_STORES):
        yield "no store is addressed like this", "sqlite:///path, postgresql://user@host/database or memory:"


CHECKS: dict[tuple[type[msgspec.Struct], str], Check] = {
    (StoreOptions, "url"): store_url,
    (ScannerOptions, "pack"): pack,
    (ScannerOptions, "rules"): rule_files,
    (ScannerOptions, "min_confidence"): fraction,
    (WatchOptions, "deadline"): positive,
    (WatchOptions, "longest_backoff"): positive,
    (WatchOptions, "status_every"): positive,
    (WatchOptions, "batch_records"): positive,
    (WatchOptions, "batch_bytes"): positive,
    (WatchOptions, "batch_seconds"): positive,
    (ResponseOptions, "lease"): positive,
    (ResponseOptions, "workers"): positive,
    (ResponseOptions, "attempts"): positive,
    (ResponseOptions, "longest_backoff"): positive,
    (ResponseOptions, "poll"): positive,
    (SourceOptions, "name"): source_name,
    (SourceOptions, "poll"): positive,
    (SourceOptions, "include"): globs,
    (SourceOptions, "exclude"): globs,
}


def check(options: type[msgspec.Struct], field: str, value: object) -> Wrong:
    """What is wrong with a field's value, by the checks of the type and of those it is derived from."""
    for base in options.__mro__:
        if (base, field) in CHECKS:
            yield from CHECKS[base, field](value)


def has_password(value: object) -> bool:
    """Whether a value is an address with a password in it."""
    return isinstance(value, str) and bool(_PASSWORD.search(value) or _PARAMETER.search(value))


def without_password(value: str) -> str:
    """The value, with three stars where an address has its password."""
    return _PARAMETER.sub(r"\g<before>***", _MASKED.sub(r"\g<before>***@", value))
