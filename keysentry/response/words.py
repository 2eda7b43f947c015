"""What people read because of an action, in the language that they are told in."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from keysentry.connectors.base import Notice
from keysentry.model.action import Action
from keysentry.response.notify.messages import (
    Case,
    Voice,
    author_notice,
    channel_notice,
    escalation_notice,
    placeholder,
)


class Words:
    """Texts by one voice, which speaks several languages."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    def placeholder(self, action: Action, reference: str) -> str:
        """What stands in the place of something that is held: the same for the same action."""
        return placeholder(action.incidents, self._voice, reference=reference)

    def notice(self, action: Action, cases: Sequence[Case], language: str, late: Action | None = None) -> Notice:
        """What an action tells. `late` is the action that missed its deadline, where it tells of one."""
        voice = replace(self._voice, language=language or self._voice.language)
        if late is not None:
            return escalation_notice(action.id, cases, late, voice, time=action.created)
        if action.target == "author":
            return author_notice(action.id, cases, voice, time=action.created)
        return channel_notice(action.id, cases, voice, time=action.created)
