"""The canvases of a conversation: documents that stand in its tabs and in none of its messages.

Each one is a file; its object says when it was last changed (https://docs.slack.dev/reference/methods/files.info).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack.client import Fields
from keysentry.connectors.slack.directory import Conversation, Directory
from keysentry.connectors.slack.files import Files
from keysentry.connectors.slack.place import State, write_state
from keysentry.extraction.formats.slack import Channel
from keysentry.model.finding import Skipped
from keysentry.model.record import Exposure, Part, Record

_FOLLOWED: Final = 20
"""How many canvases of one conversation are followed: their times stand in the cursor."""


class Canvases:
    """Gives the canvases of conversations that were changed."""

    def __init__(self, directory: Directory, files: Files) -> None:
        self._directory = directory
        self._files = files

    def deliveries(self, conversation: Conversation, channel: Channel, state: State) -> Iterator[Delivery]:
        """Those that are new, changed or gone since a state, which is brought up to date."""
        listed = conversation.canvases[:_FOLLOWED]
        for id in listed:
            file = self._files.info(id)
            if file is None:
                continue
            changed = max(_number(file, key) for key in ("updated", "edit_timestamp", "timestamp", "created"))
            if changed > state.canvases.get(id, -1):
                state.canvases = {**state.canvases, id: changed}
                yield self._delivery(id, file, channel, state, float(changed))
        for id in [id for id in state.canvases if id not in listed]:
            state.canvases = {kept: at for kept, at in state.canvases.items() if kept != id}
            yield Delivery(Record(id=f"{channel.id}/{id}", unit=channel.id, deleted=True), write_state(state))

    def _delivery(self, id: str, file: Fields, channel: Channel, state: State, time: float) -> Delivery:
        uri = file.get("permalink")
        uri = uri if isinstance(uri, str) else ""
        part = self._files.part(file, uri or f"{channel.title} » canvas {id}")
        if isinstance(part, Skipped):
            return Delivery(None, write_state(state), (part,))
        user = file.get("user")
        user = user if isinstance(user, str) else ""
        return Delivery(self._record(id, part, channel, uri, user, time), write_state(state))

    def _record(self, id: str, part: Part, channel: Channel, uri: str, user: str, time: float) -> Record:
        return Record(
            id=f"{channel.id}/{id}",
            parts=(part,),
            unit=channel.id,
            author=self._directory.name(user) if user else "",
            author_id=user,
            time=time or None,
            container=channel.title,
            uri=uri,
            exposure=Exposure(channel.audience, channel.members, time or None),
        )


def _number(file: Fields, key: str) -> int:
    value = file.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
