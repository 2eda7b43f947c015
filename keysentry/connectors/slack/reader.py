"""Messages of one conversation as records."""

from __future__ import annotations

import msgspec

from keysentry.connectors.slack.client import Fields
from keysentry.connectors.slack.directory import Directory
from keysentry.connectors.slack.files import Files
from keysentry.connectors.slack.sweep import Read
from keysentry.extraction.formats.slack import Channel, message_record
from keysentry.model.finding import Skipped
from keysentry.model.record import Record


class ChannelReader:
    """Makes records of what is said in a conversation, with the names of people and the files."""

    def __init__(self, channel: Channel, directory: Directory, files: Files) -> None:
        self.id = channel.id
        self.title = channel.title
        self._channel = channel
        self._directory = directory
        self._files = files

    def read(self, message: Fields) -> Read:
        """A message as a record. Raises `SourceError` where a name or a place could not be asked for."""
        self._directory.meet(message)
        try:
            record = message_record(message, self._channel, self._directory.workspace)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            place = f"{self.title} {message.get('ts')}"
            return Read(None, (Skipped(place, f"it cannot be understood ({type(error).__name__})"),))
        if not message.get("files"):
            return Read(record)
        parts, skipped = self._files.of_message(message, record.uri or record.id)
        if parts:
            record = msgspec.structs.replace(record, parts=(*record.parts, *parts))
        return Read(record, tuple(skipped))

    def gone(self, ts: str) -> Record:
        """A record that says that a message is not there any more."""
        record = message_record({"ts": ts}, self._channel, self._directory.workspace)
        return msgspec.structs.replace(record, parts=(), deleted=True)
