"""The kinds of revokers: one module and one line of this table each, imported when first asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple, Protocol, cast

from keysentry.errors import ConfigError, MissingExtraError
from keysentry.response.base import Revoker
from keysentry.response.revoke.base import RevokerOptions, Tools

__all__ = ["REVOKERS", "RevokerKind", "open_revoker", "revoker_kind"]


class RevokerModule(Protocol):
    """What a module of this folder offers. It imports its SDK, if it has one, only when it is opened."""

    Options: type[RevokerOptions]

    def open_revoker(self, options: RevokerOptions, tools: Tools) -> Revoker:
        """Make it. Nothing is asked of the network yet. Raises `ConfigError`."""
        ...


class RevokerKind(NamedTuple):
    """A kind of revoker: its name in the configuration, a title, and the extra that it needs."""

    name: str
    title: str
    extra: str = ""
    requires: tuple[str, ...] = ()

    def load(self) -> RevokerModule:
        """Its module."""
        return cast(RevokerModule, importlib.import_module(f"keysentry.response.revoke.{self.name}"))


REVOKERS: tuple[RevokerKind, ...] = (
    RevokerKind("declared", "The requests that rules declare"),
    RevokerKind("aws", "AWS access keys", "aws", ("boto3",)),
    RevokerKind("github", "GitHub tokens"),
    RevokerKind("gitlab", "GitLab tokens"),
    RevokerKind("slack", "Slack tokens"),
    RevokerKind("google", "Google OAuth tokens and service account keys", "google", ("google.auth", "cryptography")),
    RevokerKind("azuread", "Secrets of applications in Microsoft Entra ID"),
    RevokerKind("rfc7009", "OAuth tokens of any server (RFC 7009)"),
    RevokerKind("process", "A program of your own"),
    RevokerKind("webhook", "A web service of your own"),
)


def revoker_kind(name: str) -> RevokerKind:
    """A kind by its name. Raises `ConfigError`."""
    for kind in REVOKERS:
        if kind.name == name:
            return kind
    known = ", ".join(kind.name for kind in REVOKERS)
    raise ConfigError(f"there is no kind of revoker {name!r}", advice=f"one of: {known}")


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """A revoker with these options. Raises `ConfigError` and `MissingExtraError`."""
    kind = revoker_kind(options.kind)
    for module in kind.requires:
        if not _there(module):
            raise MissingExtraError(kind.title, kind.extra)
    options.check()
    return kind.load().open_revoker(options, tools)


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
