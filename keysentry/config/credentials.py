"""Credentials of a configuration: references only, `env:NAME` or `file:/path`, followed when the configuration is read.

Invariant. What a reference leads to is a `Sensitive` from its first moment, and no message holds any of it, nor
anything of a value that was written where a reference belongs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from keysentry.model.sensitive import Sensitive

ADVICE = "write env:NAME for a variable of the environment, or file:/path for the first line of a file"
_REFERENCE = re.compile(r"(env):([A-Za-z_][A-Za-z0-9_]*)|(file):(.+)")
_LONGEST = 1 << 20
_WHOLE = ("{", "-----BEGIN ")
"""What a file begins with that is one credential as a whole: a service account's JSON, a PEM block."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What a reference led to.

    `origin` is the reference; without a `secret`, `missing` says why; `warning` is what should be better.
    """

    origin: str
    secret: Sensitive | None = None
    missing: str = ""
    warning: str = ""


def is_reference(value: object) -> bool:
    """Whether a value is a reference and not the credential itself."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def follow(reference: str, environment: Mapping[str, str], folder: Path) -> Credential:
    """What a reference leads to. A relative path starts from `folder`."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError("not a reference")
    if match[1]:
        return _from_variable(match[2], environment)
    return _from_file(reference, folder / Path(match[4]).expanduser())


def from_environment(names: tuple[str, ...], environment: Mapping[str, str]) -> Credential | None:
    """The first of some variables that is set; None if none is."""
    found = next((name for name in names if environment.get(name, "").strip()), None)
    return _from_variable(found, environment) if found else None


def _from_variable(name: str, environment: Mapping[str, str]) -> Credential:
    value = environment.get(name, "").strip()
    if not value:
        return Credential(origin=f"env:{name}", missing=f"the variable {name} is not set")
    return Credential(origin=f"env:{name}", secret=Sensitive(value))


def _from_file(origin: str, path: Path) -> Credential:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST).decode("utf-8-sig")
    except UnicodeDecodeError:
        return Credential(origin=origin, missing=f"{path} holds no text")
    except (OSError, ValueError) as error:
        return Credential(origin=origin, missing=f"{path}: {getattr(error, 'strerror', None) or error}")
    value = text.strip() if text.startswith(_WHOLE) else text.partition("\n")[0].strip()
    if not value:
        return Credential(origin=origin, missing=f"the first line of {path} is empty")
    return Credential(origin=origin, secret=Sensitive(value), warning=_readable_by_others(path, mode))


def _readable_by_others(path: Path, mode: int) -> str:
    if os.name != "posix" or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return ""
    return f"{path} can be read by others than its owner (chmod 600)"
