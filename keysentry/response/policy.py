"""Playbooks: what is to be done about which findings, as `[[playbook]]` tables of a configuration say it.

The first playbook that matches an incident's new place governs it. Modes: `observe` writes down what would be done and
does nothing; `approve` waits for a person before each step, except those whose `approval` is false and which can be
taken back; `enforce` acts at once, except steps whose `approval` is true.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from keysentry.errors import ConfigError
from keysentry.model.action import IRREVERSIBLE, ActionState, Kind, Liveness
from keysentry.model.finding import Lifetime, Severity
from keysentry.model.incident import Appearance
from keysentry.model.location import Audience

Mode = Literal["observe", "approve", "enforce"]
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Seconds of a length of time as people write it: `90s`, `15m`, `4h`, `30d`. Raises `ConfigError`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no length of time", advice="a number and s, m, h or d, as in 15m")
    return float(match[1]) * _SECONDS[match[2]]


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which incidents a playbook is for. What is empty asks for nothing; lists are alternatives; names are globs.

    `category`: `credential`, `pii`. `rule`, `provider`, `platform`, `source`, `container`, `author`: globs; a container
    is a channel, drive or bucket, an author fits by name or id. `severity`, `confidence`, `distinct`: the least;
    `distinct` counts different secrets in the same message or document. `audience`, `lifetime`, `liveness`: one of
    these.
    """

    category: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    severity: Severity | None = None
    confidence: float = 0.0
    platform: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    container: tuple[str, ...] = ()
    author: tuple[str, ...] = ()
    audience: tuple[Audience, ...] = ()
    lifetime: tuple[Lifetime, ...] = ()
    liveness: tuple[Liveness, ...] = ()
    distinct: int = 0


class Contain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Taking what was found out of readers' hands.

    `hold`: quarantine the message or document, by the `[[quarantine]]` of its source. `seal`: only keep the original.
    `approval`: whether a person must say yes (by default as the mode says). `within`: the deadline, from the finding
    on.
    """

    hold: bool = False
    seal: bool = False
    approval: bool | None = None
    within: str = ""


class Assess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Finding out how bad it is.

    `verify`: ask the provider whether the credential lives (this uses the credential). `within`: the deadline.
    """

    verify: bool = False
    within: str = ""


class Notify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telling people.

    `to`: names of `[[notifier]]`s, and `author` for whoever wrote it. `gather`: how long to wait for more of the same
    author's, so that many secrets are one notice. `language`: of the notice; empty: as the notifier is set.
    `approval`, `within`: as in `contain`.
    """

    to: tuple[str, ...] = ()
    gather: str = "5s"
    language: str = ""
    approval: bool | None = None
    within: str = ""


class Remediate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Making the secret worthless, and giving its owner a safe one.

    `revoke`: `auto` for whichever revoker handles the credential, or the name of a `[[revoker]]`. `rotate`: a rotator.
    `vault`: the `[[vault]]` that keeps the secret (after `rotate`: the new one). `prevent`: remember the secret as
    revoked, so that it is recognised for ever, also if nothing here revokes it. `approval`, `within`: as in `contain`.
    """

    revoke: str = ""
    rotate: str = ""
    vault: str = ""
    prevent: bool = False
    approval: bool | None = None
    within: str = ""


class Playbook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done about the incidents that `match`.

    `name`: what the audit trail calls it. `mode`: `observe`, `approve` or `enforce`. `match`: which incidents.
    `contain`, `assess`, `notify`, `remediate`: the steps. `close`: close the incident when all is done. `escalate`: who
    is told when a deadline is missed (names of notifiers).
    """

    name: str
    mode: Mode = "observe"
    match: Match = Match()
    contain: Contain = Contain()
    assess: Assess = Assess()
    notify: Notify = Notify()
    remediate: Remediate = Remediate()
    close: bool = False
    escalate: tuple[str, ...] = ()

    def state_of(self, kind: Kind, approval: bool | None) -> ActionState:
        """In which state an action of this playbook begins."""
        if self.mode == "observe":
            return "proposed"
        if kind in ("assess", "close"):
            return "ready"
        if self.mode == "enforce":
            return "waiting" if approval else "ready"
        return "ready" if approval is False and kind not in IRREVERSIBLE else "waiting"


def matches(match: Match, appearance: Appearance, platform: str, liveness: Liveness = "unknown") -> bool:
    """Whether a playbook is for an incident, seen at this place."""
    incident, place = appearance.incident, appearance.occurrence
    return (
        _one_of(match.category, incident.category)
        and _one_of(match.rule, incident.rule)
        and _one_of(match.provider, incident.provider)
        and (match.severity is None or incident.severity.rank >= match.severity.rank)
        and place.confidence >= match.confidence
        and _one_of(match.platform, platform)
        and _one_of(match.source, place.source)
        and _one_of(match.container, place.container, place.container.removeprefix("#"))
        and _one_of(match.author, place.author, place.author_id)
        and (not match.audience or place.exposure.audience in match.audience)
        and (not match.lifetime or incident.lifetime in match.lifetime)
        and (not match.liveness or liveness in match.liveness)
        and appearance.distinct >= match.distinct
    )


def governing(
    playbooks: Sequence[Playbook], appearance: Appearance, platform: str, liveness: Liveness = "unknown"
) -> Playbook | None:
    """The first playbook that matches."""
    return next((one for one in playbooks if matches(one.match, appearance, platform, liveness)), None)


def _one_of(globs: Sequence[str], *names: str) -> bool:
    return not globs or any(fnmatchcase(name.casefold(), glob.casefold()) for glob in globs for name in names if name)
