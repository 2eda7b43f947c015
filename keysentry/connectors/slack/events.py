"""What Slack's events say: messages written, edited and deleted, files shared, channels renamed.

Events come by Socket Mode (`feed`) or by HTTP: the endpoint here takes requests as an HTTP server receives them.
Event types: https://docs.slack.dev/reference/events. A record that was given already may come again; its id is the
same.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from keysentry.connectors.base import Delivery
from keysentry.connectors.slack.client import Client, CodeError, Fields
from keysentry.connectors.slack.directory import Conversation, Directory
from keysentry.connectors.slack.files import Files
from keysentry.connectors.slack.reader import ChannelReader
from keysentry.connectors.slack.sweep import Read, one_message
from keysentry.errors import ClosedError, GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.sensitive import Sensitive

_SHARES: Final = 20
"""In how many places a file that was changed is read again, at most."""
_REMEMBERED: Final = 2000
_CHANGES: Final = frozenset(
    (
        *("channel_rename", "group_rename", "channel_shared", "channel_unshared", "channel_converted_to_private"),
        *("member_joined_channel", "member_left_channel", "channel_id_changed"),
    )
)
_PEOPLE: Final = frozenset(("user_change", "user_profile_changed", "team_join"))


class Interpreter:
    """Turns events into what a source gives. Safe to use from several threads."""

    def __init__(
        self, client: Client, directory: Directory, files: Files, wants: Callable[[Conversation], bool]
    ) -> None:
        """`wants` says which conversations are read at all."""
        self._client = client
        self._directory = directory
        self._files = files
        self._wants = wants
        self._lock = threading.Lock()
        self._shared: dict[tuple[str, str], None] = {}

    def read(self, payload: Fields) -> list[Read]:
        """The records that an event (as the Events API wraps it) is about; none for most.

        Raises `SourceError` where Slack must be asked for something and does not answer.
        """
        if payload.get("type") == "app_rate_limited":
            minute = payload.get("minute_rate_limited")
            return [Read(None, (Skipped("events", f"Slack held back events of the minute {minute}: too many"),))]
        event = payload.get("event")
        if not isinstance(event, dict):
            return []
        kind = event.get("type")
        if kind == "message":
            return self._message(event)
        if kind in ("file_shared", "file_change"):
            return self._file(event, str(kind))
        if kind in _CHANGES:
            self._directory.forget(_channel_id(event))
        user = event.get("user")
        if kind in _PEOPLE and isinstance(user, dict):
            self._directory.note_user(user)
        return []

    def _message(self, event: Fields) -> list[Read]:
        reader = self._reader(_channel_id(event))
        if not isinstance(reader, ChannelReader):
            return reader
        subtype = event.get("subtype")
        if subtype == "message_replied":
            return []  # the reply has an event of its own
        message = event.get("message") if subtype == "message_changed" else event
        if subtype == "message_deleted":
            message = event.get("previous_message")
            ts = event.get("deleted_ts") or (message.get("ts") if isinstance(message, dict) else None)
            return [Read(reader.gone(ts))] if isinstance(ts, str) and ts else [_lost(reader.title, "a deletion")]
        if not isinstance(message, dict) or not isinstance(message.get("ts"), str):
            return [_lost(reader.title, "a message")]
        if message.get("subtype") == "tombstone":
            return [Read(reader.gone(message["ts"]))]
        self._remember(reader.id, message)
        return [reader.read(message)]

    def _reader(self, channel: str) -> ChannelReader | list[Read]:
        """How to read a conversation; or what to give instead, if it is not to be read."""
        if not channel:
            return [_lost("events", "an event")]
        try:
            conversation = self._directory.conversation(channel)
        except (GoneError, CodeError):
            return [Read(None, (Skipped(channel, "an event tells of a conversation that the token cannot see"),))]
        if not self._wants(conversation):
            return []
        return ChannelReader(self._directory.exposed(conversation), self._directory, self._files)

    def _file(self, event: Fields, kind: str) -> list[Read]:
        """The messages that share a file: whole ones, so that nothing of them seems to be gone."""
        file = event.get("file")
        id = event.get("file_id") or (file.get("id") if isinstance(file, dict) else None)
        if not isinstance(id, str) or not id or not self._files.wanted:
            return []
        only = _channel_id(event) if kind == "file_shared" else ""
        with self._lock:
            if only and (id, only) in self._shared:
                return []  # the message that shares it had an event of its own
        found: list[Read] = []
        for channel, ts in _shares(self._files.info(id) or {}):
            if len(found) >= _SHARES or (only and channel != only):
                continue
            reader = self._reader(channel)
            message = one_message(self._client, channel, ts) if isinstance(reader, ChannelReader) else None
            if isinstance(reader, ChannelReader) and message is not None:
                found.append(reader.read(message))
        return found

    def _remember(self, channel: str, message: Fields) -> None:
        files = message.get("files")
        with self._lock:
            for file in files if isinstance(files, list) else ():
                if isinstance(file, dict) and isinstance(file.get("id"), str):
                    while len(self._shared) >= _REMEMBERED:
                        del self._shared[next(iter(self._shared))]
                    self._shared[file["id"], channel] = None


def deliveries(interpreter: Interpreter, payload: Fields, done: Callable[[], None] | None) -> Iterator[Delivery]:
    """What an event gives, as deliveries, of which the last one has `done`: at least one.

    Raises `SourceError`.
    """
    reads = interpreter.read(payload) or [Read(None)]
    cursor = Cursor(str(payload.get("event_time") or ""))
    for number, read in enumerate(reads, 1):
        yield Delivery(read.record, cursor, read.skipped, done if number == len(reads) else None)


def _channel_id(event: Fields) -> str:
    channel = event.get("channel") or event.get("channel_id")
    if isinstance(channel, dict):
        channel = channel.get("id")
    return channel if isinstance(channel, str) else ""


def _lost(place: str, what: str) -> Read:
    return Read(None, (Skipped(place, f"{what} came without its time or place and cannot be told apart"),))


def _shares(file: Fields) -> Iterator[tuple[str, str]]:
    """Where a file is shared: conversation and message."""
    shares = file.get("shares")
    for kind in ("public", "private"):
        places = shares.get(kind) if isinstance(shares, dict) else None
        for channel, messages in places.items() if isinstance(places, dict) else ():
            for message in messages if isinstance(messages, list) else ():
                if isinstance(message, dict) and isinstance(message.get("ts"), str):
                    yield channel, message["ts"]


# -- by HTTP --------------------------------------------------------------------------------------------------------

_TOLERANCE: Final = 300.0
_REQUESTS: Final = 100_000


class Answer(NamedTuple):
    """How to answer a request, and what it gave.

    The deliveries are to be stored before the answer is sent: Slack sends an event again that was not answered with
    200 within three seconds (https://docs.slack.dev/apis/events-api#retries).
    """

    status: int
    body: str
    deliveries: tuple[Delivery, ...] = ()


class EventsEndpoint:
    """Takes the requests of Slack's Events API and gives what they tell. Safe to use from several threads.

    A request is believed if it is signed with the app's signing secret, no older than five minutes, and not seen before
    (https://docs.slack.dev/authentication/verifying-requests-from-slack).
    """

    def __init__(
        self, interpreter: Interpreter, signing_secret: Sensitive, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._interpreter = interpreter
        self._secret = signing_secret
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request. Raises nothing but `ClosedError`."""
        problem = self._problem({key.lower(): value for key, value in headers.items()}, body)
        if problem:
            return Answer(401, problem)
        try:
            payload = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Answer(400, "the body is not JSON")
        if not isinstance(payload, dict):
            return Answer(400, "the body is not an object")
        if payload.get("type") == "url_verification":
            return Answer(200, str(payload.get("challenge", "")))
        try:
            return Answer(200, "", tuple(deliveries(self._interpreter, payload, None)))
        except ClosedError:
            raise
        except SourceError:
            return Answer(503, "Slack could not be asked for what the event is about; send it again")

    def _problem(self, headers: Mapping[str, str], body: bytes) -> str:
        """Why a request is not believed; empty if it is."""
        stamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 and signature):
            return "the request is not signed"
        now = self._clock()
        if abs(now - int(stamp)) > _TOLERANCE:
            return "the request is too old, or its clock is wrong"
        signed = b"v0:" + stamp.encode() + b":" + body
        expected = "v0=" + hmac.new(self._secret.reveal_bytes(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return "the signature is not right"
        with self._lock:
            if signature in self._seen:
                return "the request was seen before"
            self._forget(now)
            self._seen[signature] = now
        return ""

    def _forget(self, now: float) -> None:
        """Drop what is too old to be believed anyway."""
        while self._seen:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest] <= 2 * _TOLERANCE and len(self._seen) < _REQUESTS:
                return
            del self._seen[oldest]
