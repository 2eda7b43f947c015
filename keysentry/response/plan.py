"""From what a commit brings to what is to be done about it. Pure: no clock, no network, no store.

A record is held once, whatever number of secrets it holds. People are told once for all that came within a playbook's
`gather`: the id of a notice names its stretch of time, and a store adds the incidents of later plans to it until it is
told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from keysentry.model.action import Action, Kind, Liveness, action_id
from keysentry.model.incident import Appearance
from keysentry.model.lifecycle import ENDS
from keysentry.response.policy import Playbook, duration, governing

LATER = 3600.0
"""Seconds after which an incident that is to be closed is looked at in any case."""

PlatformOf = Callable[[str], str]
"""From a source's name to its platform's."""


class Policy:
    """The playbooks of a configuration as a `Planner`."""

    def __init__(self, playbooks: Sequence[Playbook], platforms: Mapping[str, str]) -> None:
        """`platforms`: by the names of sources."""
        self._playbooks = tuple(playbooks)
        self._platforms = dict(platforms)

    @property
    def playbooks(self) -> tuple[Playbook, ...]:
        """In their order."""
        return self._playbooks

    def named(self, name: str) -> Playbook | None:
        """A playbook by its name."""
        return next((one for one in self._playbooks if one.name == name), None)

    def platform_of(self, source: str) -> str:
        """A source's platform."""
        return self._platforms.get(source, "")

    def __call__(self, appearances: Sequence[Appearance], time: float) -> Sequence[Action]:
        """See `Planner`."""
        return self.plan(appearances, time)

    def plan(self, appearances: Sequence[Appearance], time: float, liveness: Liveness = "unknown") -> list[Action]:
        """What the playbooks ask for, each action once."""
        found: dict[str, Action] = {}
        for appearance in appearances:
            if appearance.incident.state in ENDS:  # an accepted risk, a false alarm: seen again, nothing changes
                continue
            platform = self.platform_of(appearance.occurrence.source)
            playbook = governing(self._playbooks, appearance, platform, liveness)
            if playbook is None:
                continue
            for action in _Steps(playbook, appearance, platform, time).actions():
                known = found.get(action.id)
                found[action.id] = action if known is None else _joined(known, action)
        return list(found.values())


def _joined(known: Action, action: Action) -> Action:
    """One action for the incidents of both."""
    incidents = tuple(dict.fromkeys((*known.incidents, *action.incidents)))
    return msgspec.structs.replace(known, incidents=incidents)


class _Steps:
    """One playbook's steps for one appearance."""

    def __init__(self, playbook: Playbook, appearance: Appearance, platform: str, time: float) -> None:
        self._playbook = playbook
        self._appearance = appearance
        self._platform = platform
        self._time = time

    def actions(self) -> Iterator[Action]:
        playbook, incident, key = self._playbook, self._appearance.incident.id, self._appearance.key
        contain, notify, remediate = playbook.contain, playbook.notify, playbook.remediate
        if contain.hold or contain.seal:
            kind: Kind = "hold" if contain.hold else "seal"
            # Each time that something appears in a record is another hold of it.
            when = f"{self._time:.3f}"
            yield self._action(kind, key, when, contain.approval, contain.within, target="", reference=True)
        verify = {"verify": "yes"} if playbook.assess.verify else {}
        yield self._action("assess", incident, "", None, playbook.assess.within, settings=verify)
        for target in notify.to:
            yield self._notice(target)
        if remediate.rotate:
            settings = {"vault": remediate.vault} if remediate.vault else {}
            yield self._action(
                "rotate", incident, remediate.rotate, remediate.approval, remediate.within, settings=settings
            )
        elif remediate.vault:
            yield self._action("vault", incident, remediate.vault, remediate.approval, remediate.within)
        if remediate.revoke and not remediate.rotate:
            yield self._action("revoke", incident, remediate.revoke, remediate.approval, remediate.within)
        if remediate.prevent:
            yield self._action("prevent", incident, "", remediate.approval, remediate.within)
        if playbook.close:
            # The store makes it due as soon as nothing else is left to do.
            close = self._action("close", incident, "", None, "")
            yield msgspec.structs.replace(close, due_from=self._time + LATER)

    def _notice(self, target: str) -> Action:
        """Whom to tell: an author is known by the source and the id there, so that one notice is for one person."""
        notify, place = self._playbook.notify, self._appearance.occurrence
        gather = duration(notify.gather)
        stretch = int(self._time // gather) if gather else 0
        until = (stretch + 1) * gather if gather else self._time
        who = f"{place.source}/{place.author_id or place.author}" if target == "author" else self._playbook.name
        settings = {"language": notify.language} if notify.language else {}
        action = self._action(
            "notify", f"{who}/{stretch if gather else self._appearance.incident.id}", target, notify.approval,
            notify.within, settings=settings,
        )  # fmt: skip
        return msgspec.structs.replace(action, due_from=until)

    def _action(
        self,
        kind: Kind,
        subject: str,
        word: str,
        approval: bool | None,
        within: str,
        *,
        target: str | None = None,
        settings: Mapping[str, str] = {},
        reference: bool = False,
    ) -> Action:
        """`word` tells actions of one kind and subject apart, and is their target unless that is given."""
        playbook, incident = self._playbook, self._appearance.incident
        more = {"vault": playbook.remediate.vault} if reference and playbook.remediate.vault else {}
        return Action(
            id=action_id(kind, subject, word, incident.regressions),
            kind=kind,
            subject=subject,
            incidents=(incident.id,),
            target=word if target is None else target,
            source=self._appearance.occurrence.source,
            platform=self._platform,
            playbook=playbook.name,
            state=playbook.state_of(kind, approval),
            round=incident.regressions,
            settings=dict(settings) | more,
            actor=f"playbook:{playbook.name}",
            created=self._time,
            updated=self._time,
            due_from=self._time,
            due_by=self._time + duration(within) if within else None,
        )
