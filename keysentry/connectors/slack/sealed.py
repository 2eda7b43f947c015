"""A message as it was before it was touched: what is sealed of it, and what names its state."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from keysentry.connectors.slack.address import Address
from keysentry.connectors.slack.wording import kept_attachments
from keysentry.errors import InputError
from keysentry.model.action import Original, Receipt

Fields = dict[str, Any]


class SealedFile(msgspec.Struct, frozen=True):
    """A file that holds a secret, with its content."""

    id: str
    name: str
    title: str
    content: bytes


class SealedMessage(msgspec.Struct, frozen=True):
    """The whole message as Slack gave it, and its files that hold a secret.

    `worded`: a secret is in the message itself, so that it must go; else only files must. `after` is the `ts` of the
    newest message of the conversation at that time: all that a hold writes comes after it.
    """

    channel: str
    ts: str
    message: Fields
    author: str
    worded: bool
    after: str
    files: tuple[SealedFile, ...] = ()

    @property
    def address(self) -> Address:
        """Where it was."""
        return Address(self.channel, self.ts)

    @property
    def thread(self) -> str:
        """The thread that it is in; empty where it is in none."""
        root = self.message.get("thread_ts")
        return root if isinstance(root, str) else ""


class Undo(msgspec.Struct, frozen=True):
    """What a hold left: in which way it was done, and the `ts` of the message that stands in the place."""

    way: str
    standing: str


def seal(sealed: SealedMessage, title: str) -> Original:
    """What is kept of a message. `title` names its conversation."""
    files = f", {len(sealed.files)} with their content" if sealed.files else ""
    count = len(file_objects(sealed.message))
    return Original(
        content=msgspec.msgpack.encode(sealed),
        version=version(sealed.message),
        note=f"message {sealed.ts} in {title or sealed.channel}" + (f", {count} files{files}" if count else ""),
    )


def unseal(original: Original) -> SealedMessage:
    """The message again. Raises `InputError`."""
    try:
        return msgspec.msgpack.decode(original.content, type=SealedMessage)
    except msgspec.DecodeError:
        raise InputError("what was sealed is no message of Slack") from None


def read_undo(receipt: Receipt) -> Undo:
    """What a hold left. Raises `InputError`."""
    try:
        return msgspec.json.decode(receipt.undo, type=Undo)
    except msgspec.DecodeError:
        raise InputError("the receipt is none of a hold in Slack") from None


def version(message: Fields) -> str:
    """Names the state of a message: its time, that of its last edit, a digest of what it says.

    Files are not in it: what a hold took away must not make the message another one (see `same_files`). Nor are the
    previews of links, which Slack adds by itself some seconds later, and the ids that it gives to blocks.
    """
    edited = message.get("edited")
    when = edited.get("ts") if isinstance(edited, dict) else ""
    digest = hashlib.sha256(msgspec.json.encode(_contents(message), order="sorted")).hexdigest()
    return f"{message.get('ts')}/{when or ''}/{digest[:32]}"


def says_the_same(one: Fields, other: Fields) -> bool:
    """Whether readers see the same in two messages: where there are blocks, the text is only for notifications."""
    mine, theirs = _contents(one), _contents(other)
    return mine[1:] == theirs[1:] and (mine[0] == theirs[0] or bool(mine[1]))


def _contents(message: Fields) -> list[object]:
    return [message.get("text") or "", _without_ids(message.get("blocks") or []), kept_attachments(message)]


def same_files(before: Fields, now: Fields) -> bool:
    """Whether a message has no files that it did not have before."""
    return {file.get("id") for file in file_objects(now)} <= {file.get("id") for file in file_objects(before)}


def file_objects(message: Fields) -> list[Fields]:
    """The files of a message, as they are described in it."""
    listed = message.get("files")
    return [file for file in listed if isinstance(file, dict)] if isinstance(listed, list) else []


def _without_ids(blocks: object) -> object:
    if not isinstance(blocks, list):
        return blocks
    return [
        {key: value for key, value in block.items() if key != "block_id"} if isinstance(block, dict) else block
        for block in blocks
    ]
