"""Every exception that keysentry raises on purpose.

    KeysentryError
    +-- ConfigError            an option, a setting or a command line that cannot be used
    |   +-- MissingExtraError  a feature whose optional packages are not installed
    +-- RuleError              one fault in one rule (file, rule id, field, reason)
    +-- RulePackError          all the faults of one load, together
    +-- ForgeError             a forge template that cannot be followed
    +-- CacheError             a stored Program that cannot be used (callers recompile)
    +-- StoreError             the store of incidents and cursors cannot be used
    |   +-- HeldError          another process is at work on it
    |   +-- SealError          what was sealed cannot be opened: no key, or another one
    |   +-- MoveError          an incident or an action cannot go to the state that was asked for
    +-- SourceError            a platform does not answer as it should; worth another try later
    |   +-- AccessError        a token or a permission is missing, wrong or expired: a person must act
    |   +-- GoneError          what was asked for (a channel, a bucket) is not there any more
    |   +-- ChangedError       what is to be touched is not any more what was looked at
    |   +-- UnclearError       a request was sent, and whether it had its effect is not known
    |   +-- ClosedError        the source was closed while it waited
    +-- WebhookError           a request that does not prove where it comes from
    +-- InputError             a file, an archive or a content that cannot be read, however often it is tried
        +-- BudgetExceeded     the input wants more than the budget allows
        +-- FormatError        the input is not what it says it is

Each error knows its place (where it happened) and its advice (what a person should do), so that a command line can
print both and a service can return both. Library code never exits.
"""

from __future__ import annotations

from collections.abc import Sequence


class KeysentryError(Exception):
    """Base of every error of this package.

    `place` names what the error is about (a file, a rule, a setting); `advice` says what to do next. Both may be empty.
    """

    def __init__(self, reason: str, *, place: str = "", advice: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place
        self.advice = advice

    def __str__(self) -> str:
        text = f"{self.place}: {self.reason}" if self.place else self.reason
        return f"{text} ({self.advice})" if self.advice else text


class ConfigError(KeysentryError):
    """An option, a setting or a command line that cannot be used."""


class MissingExtraError(ConfigError):
    """A feature was asked for whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed",
            advice=f"pip install 'keysentry[{extra}]'",
        )
        self.extra = extra


class RuleError(KeysentryError):
    """One fault in one rule: the file, the rule's id, the field, and the reason."""

    def __init__(self, reason: str, *, file: str = "", rule: str = "", field: str = "", advice: str = "") -> None:
        where = ": ".join(part for part in (file, rule, field) if part)
        super().__init__(reason, place=where, advice=advice)
        self.file = file
        self.rule = rule
        self.field = field


class RulePackError(KeysentryError):
    """All the faults found while a set of rules was loaded; `errors` holds each one."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        self.errors = tuple(errors)
        count = len(self.errors)
        head = f"{count} fault{'s' if count != 1 else ''} in the rules"
        super().__init__("\n  ".join([head, *map(str, self.errors)]))


class ForgeError(KeysentryError):
    """A forge template that cannot be followed."""


class CacheError(KeysentryError):
    """A stored Program that cannot be used: corrupt, or written by another version. Callers recompile."""


class InputError(KeysentryError):
    """A file, an archive or a content that cannot be read, however often it is tried."""


class BudgetExceeded(InputError):
    """The input wants more than the budget allows (depth, entries, expanded bytes, ratio)."""


class FormatError(InputError):
    """The input is not what its name or its first bytes say it is."""


class StoreError(KeysentryError):
    """The store of incidents and cursors cannot be used: not there, full, of another version, or broken."""


class HeldError(StoreError):
    """Another process holds what was asked for; two must not do the same work."""


class SealError(StoreError):
    """What was sealed cannot be opened: there is no seal key, it is another one, or the sealed bytes were changed."""


class MoveError(StoreError):
    """An incident or an action cannot go from its state to the one that was asked for."""


class SourceError(KeysentryError):
    """A platform does not answer as it should (a connection, a limit, a fault of its own); worth another try later."""


class AccessError(SourceError):
    """A token or a permission is missing, wrong or expired. The source rests until a person has acted.

    `advice` names the token or the scope.
    """


class GoneError(SourceError):
    """What was asked for (a channel, a drive, a bucket) is not there any more; the rest of the source goes on."""


class ChangedError(SourceError):
    """What is to be touched is not any more what was looked at: it was edited meanwhile. Look again first."""


class UnclearError(SourceError):
    """A request was sent, and whether it had its effect is not known (a connection broke, a timeout passed)."""


class ClosedError(SourceError):
    """The source was closed while it waited."""


class WebhookError(KeysentryError):
    """A request that does not prove where it comes from: not signed, not rightly signed, too old, or seen before."""
