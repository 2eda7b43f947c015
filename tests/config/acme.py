"""A platform that exists only here: its options have a field of every kind that a platform may have."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from keysentry.config import platform_options
from keysentry.connectors.base import SourceOptions
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of the day."""

    start: int = 0
    end: int = 24


class Options(SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an Acme source can be told.

    `workspace`: the name in the address of the workspace. `token`, `signing_key`: what the app was given. `key_file`:
    the file of a service account. `kinds`: which channels are read. `page`: messages a call; more is refused.
    """

    workspace: str
    token: Sensitive | None = None
    signing_key: Sensitive | None = None
    key_file: Path | None = None
    folders: tuple[Path, ...] = ()
    """Folders with exports. They are read first."""
    kinds: tuple[Literal["public", "private"], ...] = ("public",)
    page: int = 200
    mode: Literal["poll", "socket"] = "poll"
    threads: bool = True
    window: Window | None = None
    base_url: str = ""

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "token": ("ACME_TOKEN", "ACME_OLD_TOKEN"),
        "key_file": ("ACME_KEY_FILE",),
    }

    def __post_init__(self) -> None:
        if self.mode == "socket" and self.threads:
            raise ValueError("the socket brings no threads")
        if self.page > 999:
            raise ConfigError("more than a call can bring", place="page", advice="999 at most")


def options_of(name: str) -> type[SourceOptions]:
    """The options of Acme, and of the platforms that there are."""
    return Options if name == "acme" else platform_options(name)
