"""Slack's places for the contract of quarantines: a message of the app itself, and one that a person wrote.

Slack is played by our own server (`tests/servers/slack_acting.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from keysentry.connectors.base import Quarantine
from keysentry.connectors.slack.holding import SlackQuarantine
from keysentry.connectors.slack.tokens import Tokens
from keysentry.model.action import Place
from tests.connectors.slack.acting_bench import ADMIN, BOT, Workspace
from tests.contract.quarantine_places import HeldPlace, World
from tests.servers.slack_acting import acting_slack
from tests.servers.slack_state import Fields


class Message:
    """A message in a channel. The app's own is changed and changed back; a person's is deleted and said again."""

    restores: Literal["same", "reposted"]

    def __init__(self, name: str, workspace: Workspace, *, own: bool) -> None:
        self.name = name
        self.restores = "same" if own else "reposted"
        self._workspace = workspace
        self._own = own
        self._channel = workspace.channel()

    def add(self, text: str) -> Place:
        say = self._workspace.app_says if self._own else self._workspace.says
        return self._workspace.place(self._channel, say(self._channel, text))

    def text(self, place: Place) -> str | None:
        ts = place.record.partition("/")[2]
        if self._workspace.there(self._channel, ts):
            return _words(self._workspace.message(self._channel, ts))
        after = [_words(one) for one in self._workspace.top(self._channel) if one["ts"] > ts and "bot_id" in one]
        return "\n".join(after) or None

    def edit(self, place: Place, text: str) -> None:
        ts = place.record.partition("/")[2]
        self._workspace.state.edit(self._channel, ts, text)
        self._workspace.message(self._channel, ts).pop("blocks", None)

    def delete(self, place: Place) -> None:
        self._workspace.state.delete(self._channel, place.record.partition("/")[2])

    def open(self) -> Quarantine:
        return SlackQuarantine(Tokens(self._workspace.actor(BOT), self._workspace.actor(ADMIN)))

    def effects(self) -> int:
        return sum(self._workspace.effects.values())

    def stop(self, number: int, *, before: bool) -> AbstractContextManager[None]:
        left = iter(range(1, number))
        return self._workspace.server.cut_at(lambda method: next(left, None) is None, before=before)


def _words(message: Fields) -> str:
    """What a person reads in a message."""
    found: list[str] = []
    waiting: list[object] = list(reversed(message.get("blocks") or [])) or [message.get("text", "")]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            found.append(node)
        elif isinstance(node, dict):
            waiting += [node[key] for key in ("elements", "text") if node.get(key)]
        elif isinstance(node, list):
            waiting += reversed(node)
    return "\n".join(found)


@contextmanager
def _own(request: pytest.FixtureRequest, folder: Path) -> Iterator[HeldPlace]:
    with acting_slack() as server:
        yield Message("slack (own message)", Workspace(server), own=True)


@contextmanager
def _others(request: pytest.FixtureRequest, folder: Path) -> Iterator[HeldPlace]:
    with acting_slack() as server:
        yield Message("slack (others' message)", Workspace(server), own=False)


WORLDS = (World("slack (own message)", "slack", _own), World("slack (others' message)", "slack", _others))
