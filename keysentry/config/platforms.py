"""The Options of platforms, without their SDKs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import cast

from keysentry.advice import closest
from keysentry.connectors import PLATFORMS, platform
from keysentry.connectors.base import PlatformModule, SourceOptions
from keysentry.errors import ConfigError

OptionsOf = Callable[[str], type[SourceOptions]]
"""From a platform's name to its Options. Raises `ConfigError`."""


def platform_options(name: str) -> type[SourceOptions]:
    """A platform's Options. Its extra need not be installed.

    Raises `ConfigError` for a name that is none, and for a platform that this installation lacks or cannot import.
    """
    known = [one.name for one in PLATFORMS]
    if name not in known:
        advice = closest(name, known) or f"one of: {', '.join(known)}"
        raise ConfigError(f"there is no platform {name!r}", advice=advice)
    try:
        module = cast(PlatformModule, importlib.import_module(f"keysentry.connectors.{name}"))
        return module.Options
    except Exception as error:  # whatever a broken or half-written package raises while it is imported
        reason = f"the platform {name!r} cannot be loaded: {error}"
        raise ConfigError(reason, advice="reinstall keysentry, or leave this source out") from error


def missing_extra(name: str) -> str:
    """What installs the packages that a platform needs; empty if they are there."""
    one = platform(name)
    there = all(importlib.util.find_spec(module) for module in one.requires)
    return "" if there else f"pip install 'keysentry[{one.extra}]'"
