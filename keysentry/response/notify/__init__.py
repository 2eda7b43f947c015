"""Telling people and machines: texts, and the services that carry them. Chat platforms are told by their connectors.

Each kind of notifier is one module and one line of the table here; a module is imported when one of its kind is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from keysentry.advice import closest
from keysentry.connectors.base import Notifier, NotifierOptions
from keysentry.errors import ConfigError

if TYPE_CHECKING:
    KINDS: Mapping[str, type[NotifierOptions]]
    """What each kind can be told, by its name in the configuration. Made when it is first asked for."""

__all__ = ["KINDS", "NOTIFIERS", "NotifierKind", "NotifierModule", "notifier_kind", "open_notifier"]


class NotifierModule(Protocol):
    """What the module of a kind offers."""

    Options: type[NotifierOptions]

    def open_notifier(self, options: NotifierOptions) -> Notifier:
        """A notifier. Connects to nothing yet. Raises `ConfigError` for options that do not fit together."""
        ...


class NotifierKind(NamedTuple):
    """A kind of notifier: its name in the configuration, and what people call it."""

    name: str
    title: str
    module: str

    def load(self) -> NotifierModule:
        """Import its module."""
        return cast(NotifierModule, importlib.import_module(f"keysentry.response.notify.{self.module}"))


NOTIFIERS: Final[tuple[NotifierKind, ...]] = (
    NotifierKind("email", "E-mail", "mail"),
    NotifierKind("webhook", "Signed webhook", "webhook"),
    NotifierKind("pagerduty", "PagerDuty", "pagerduty"),
    NotifierKind("jira", "Jira", "jira"),
    NotifierKind("syslog", "Syslog", "syslog"),
    NotifierKind("ocsf", "OCSF events", "ocsf"),
)


def notifier_kind(name: str) -> NotifierKind:
    """A kind by its name. Raises `ConfigError`."""
    known = [kind.name for kind in NOTIFIERS]
    for kind in NOTIFIERS:
        if kind.name == name:
            return kind
    advice = closest(name, known) or f"one of: {', '.join(known)}"
    raise ConfigError(f"there is no notifier of kind {name!r}", advice=advice)


def open_notifier(options: NotifierOptions) -> Notifier:
    """The notifier that the options are of. Raises `ConfigError`."""
    for kind in NOTIFIERS:
        if type(options).__module__ == f"{__name__}.{kind.module}":
            return kind.load().open_notifier(options)
    raise ConfigError(f"nothing here is told by {type(options).__module__}", place=options.name)


def __getattr__(name: str) -> object:
    if name != "KINDS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kinds = {kind.name: kind.load().Options for kind in NOTIFIERS}
    globals()["KINDS"] = kinds
    return kinds
