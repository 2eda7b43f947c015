"""What is wrong with a configuration, with its place and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from keysentry.errors import ConfigError


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or could be better.

    `file` is the configuration as a person knows it (a path, or the variable that held it), `line` counts from 1 (None:
    not known), `table` is `store` or `source[2] "slack-main"` (sources count from 1), `key` the setting. No value of a
    credential is ever part of a fault.
    """

    file: str
    reason: str
    table: str = ""
    key: str = ""
    line: int | None = None
    advice: str = ""

    @property
    def place(self) -> str:
        """`keysentry.toml:12: source[2] "slack-main": poll`."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(filter(None, (where, self.table, self.key)))

    def __str__(self) -> str:
        text = f"{self.place}: {self.reason}"
        return f"{text} ({self.advice})" if self.advice else text


class ConfigFaults(ConfigError):
    """All the faults found while a configuration was read; `faults` holds each one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        head = f"{count} fault{'s' if count != 1 else ''} in the configuration"
        super().__init__("\n  ".join([head, *map(str, self.faults)]))
