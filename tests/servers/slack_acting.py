"""What changes something in Slack, added to our own server (`slack.py`): posting, changing, deleting, files.

Everything here is ours, as Slack's documentation has it, and where that leaves room the stricter reading is taken:

- https://docs.slack.dev/reference/methods/chat.postMessage: the app must be in the conversation, or have
  `chat:write.public` for a public one; a reply may only be written below a first message. Metadata only from an app.
- https://docs.slack.dev/reference/methods/chat.update: only own messages (`cant_update_message`), within the time that
  the workspace lets messages be edited (`edit_window_closed`); text alone takes blocks and attachments away; rich text
  is not replaced by anything else (`block_mismatch`); a text of over 4,000 characters is refused; without `metadata` it
  stays, an empty object takes it away.
- https://docs.slack.dev/reference/methods/chat.delete: a bot only its own messages, a person their own or, as an owner
  or admin, everybody's (`cant_delete_message`), unless compliance exports forbid it.
- https://docs.slack.dev/reference/methods/chat.postEphemeral: the reader must be in the conversation.
- https://docs.slack.dev/reference/methods/conversations.open, users.lookupByEmail.
- https://docs.slack.dev/reference/methods/files.delete: like messages; the file stays in its messages as a tombstone.
- https://docs.slack.dev/reference/methods/files.getUploadURLExternal, files.completeUploadExternal: a file is shared
  some time after Slack has answered (here: after `share_after` more calls); a shared upload is a message of its own.
- https://docs.slack.dev/messaging/message-metadata: metadata is given only with `include_all_metadata`; an event's type
  has letters, digits, underscores and hyphens.

Blocks are checked for what refuses messages most: their kinds, the length of their texts, ids that are there twice.

Weaker than the platform: one workspace, no unfurling, no broadcasting, no check of markup; tokens that are told to be
admins may be in any conversation. Counters (`effects`) tell what was really changed, by method; `cut_at` lets a test
stop a client at a call that changes something.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.servers.slack import Refusal, SlackServer, _family
from tests.servers.slack_state import (
    ALL_SCOPES,
    Conversation,
    Fields,
    State,
    Stored,
    Token,
    ts_number,
    ts_text,
)

ACTING_SCOPES = ALL_SCOPES | {"chat:write", "files:write", "im:write", "users:read.email"}
_APP = "B00000001"
_KINDS = {"rich_text", "section", "context", "divider", "header", "image", "markdown", "table", "actions"}
_LIMITS = {"header": 150, "section": 3000, "context": 3000}
_CHANGING = {
    "chat.postMessage",
    "chat.update",
    "chat.delete",
    "chat.postEphemeral",
    "files.delete",
    "files.completeUploadExternal",
    "upload",
}


class ActingToken(Token):
    """A token that may write: whose it is, and whether that is an owner or admin of the workspace."""

    def __init__(
        self, user: str, *, bot: str = "", admin: bool = False, scopes: set[str] | None = None, app: bool = True
    ) -> None:
        super().__init__(set(ACTING_SCOPES if scopes is None else scopes), bot=bool(bot))
        self.user = user
        self.bot_id = bot
        self.admin = admin
        self.app = app

    def wrote(self, message: Fields) -> bool:
        return message.get("user") == self.user


class Cut(Exception):
    """The connection is gone."""


class ActingServer(SlackServer):
    """A workspace in which tokens may act."""

    def __init__(self, state: State | None = None, port: int = 0) -> None:
        super().__init__(state, port)
        self.effects: Counter[str] = Counter()
        self.whispers: list[Fields] = []
        self.editable = True
        self.deletable = True
        self.share_after = 0
        self.drops_shares = False
        self._cut_at: Callable[[str], bool] = lambda method: False
        self._cut_before = False
        self.cut = False
        self._uploads: dict[str, Fields] = {}
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        self._numbers = 100
        self._http.RequestHandlerClass = _handler(self, self._http.RequestHandlerClass)  # type: ignore[assignment]

    def answer(self, method: str, arguments: dict[str, str], token: str) -> tuple[int, Fields, dict[str, str]]:
        with self._lock, self._passing(method):
            self._shares()
            status, answer, headers = super().answer(method, arguments, token)
            if method in _CHANGING and answer.get("ok"):
                self.effects[method] += 1
            return status, answer, headers

    @contextmanager
    def cut_at(self, when: Callable[[str], bool], *, before: bool) -> Iterator[None]:
        """As long as the context lasts: the first changing call that `when` is true of does not come through
        (`before`), or its answer does not; and none after it.
        """
        self._cut_at, self._cut_before = when, before
        try:
            yield
        finally:
            self._cut_at, self.cut = (lambda method: False), False

    @contextmanager
    def _passing(self, method: str) -> Iterator[None]:
        """Let one call through. Raises `Cut`."""
        if self.cut:
            raise Cut
        hit = method in _CHANGING and self._cut_at(method)
        if hit and self._cut_before:
            self.cut = True
            raise Cut
        yield
        if hit:
            self.cut = True
            raise Cut

    def _auth_test(self, _arguments: dict[str, str], token: Token) -> Fields:
        told = super()._auth_test(_arguments, token)
        if not isinstance(token, ActingToken):
            return told
        told.pop("bot_id", None)
        return told | {"user_id": token.user} | ({"bot_id": token.bot_id} if token.bot_id else {})

    # -- reading ----------------------------------------------------------------------------------------------------

    def _conversations_history(self, arguments: dict[str, str], token: Token) -> Fields:
        return self._shown(super()._conversations_history(arguments, token), arguments)

    def _conversations_replies(self, arguments: dict[str, str], token: Token) -> Fields:
        return self._shown(super()._conversations_replies(arguments, token), arguments)

    def _shown(self, answer: Fields, arguments: dict[str, str]) -> Fields:
        """Messages as they are now, their metadata only if it was asked for."""
        whole = arguments.get("include_all_metadata") in ("1", "true")
        shown = []
        for message in answer["messages"]:
            copy = {key: value for key, value in message.items() if whole or key != "metadata"}
            if copy.get("files"):
                copy["files"] = [self._file_now(file) for file in copy["files"]]
            shown.append(copy)
        return {**answer, "messages": shown}

    def _file_now(self, file: Fields) -> Fields:
        return file if file["id"] in self.state.files else {"id": file["id"], "mode": "tombstone"}

    # -- messages ---------------------------------------------------------------------------------------------------

    def _writable(self, arguments: dict[str, str], token: Token) -> tuple[Conversation, ActingToken]:
        self._need(token, "chat:write")
        conversation = self.state.conversations.get(arguments.get("channel", ""))
        if conversation is None or not isinstance(token, ActingToken):
            raise Refusal("channel_not_found")
        told = conversation.told
        if told.get("is_archived"):
            raise Refusal("is_archived")
        public = _family(told) == "channels" and "chat:write.public" in token.scopes
        if not told.get("is_member") and not told.get("is_im") and not public:
            raise Refusal("not_in_channel")
        return conversation, token

    def _chat_postMessage(self, arguments: dict[str, str], token: Token) -> Fields:
        conversation, known = self._writable(arguments, token)
        message = self._content({}, arguments, known, most=40_000)
        if not message.get("text") and not message.get("blocks") and not message.get("attachments"):
            raise Refusal("no_text")
        thread = arguments.get("thread_ts")
        if thread:
            parent = conversation.message(ts_number(thread))
            if parent is None or parent.get("thread_ts", thread) != thread:
                raise Refusal("thread_not_found")
            message["thread_ts"] = thread
        ts = self._write(conversation, known, message)
        return {"channel": conversation.id, "ts": ts, "message": conversation.message(ts_number(ts))}

    def _write(self, conversation: Conversation, token: ActingToken, message: Fields) -> str:
        text = message.pop("text", "")
        # What a person's token writes carries the app's bot_id as well, but is not the bot's own.
        return self.state.post(conversation.id, text, token.user, bot_id=token.bot_id or _APP, **message)

    def _chat_update(self, arguments: dict[str, str], token: Token) -> Fields:
        conversation, known = self._writable(arguments, token)
        message = self._there(conversation, arguments)
        if not known.wrote(message):
            raise Refusal("cant_update_message")
        if not self.editable:
            raise Refusal("edit_window_closed")
        after = self._content(message, arguments, known, most=4_000)
        if _rich(message) and not _rich(after):
            raise Refusal("block_mismatch")
        self.state.edit(conversation.id, arguments["ts"], after.get("text", ""))
        for key in ("blocks", "attachments", "metadata"):
            message.pop(key, None)
            if after.get(key):
                message[key] = after[key]
        return {"channel": conversation.id, "ts": arguments["ts"], "text": message["text"], "message": message}

    def _chat_delete(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "chat:write")
        conversation = self.state.conversations.get(arguments.get("channel", ""))
        if conversation is None or not isinstance(token, ActingToken):
            raise Refusal("channel_not_found")
        message = self._there(conversation, arguments)
        if not self.deletable:
            raise Refusal("compliance_exports_prevent_deletion")
        if not token.wrote(message) and not (token.admin and not token.bot_id):
            raise Refusal("cant_delete_message")
        self.state.delete(conversation.id, arguments["ts"])
        return {"channel": conversation.id, "ts": arguments["ts"]}

    def _chat_postEphemeral(self, arguments: dict[str, str], token: Token) -> Fields:
        conversation, known = self._writable(arguments, token)
        message = self._content({}, arguments, known, most=40_000)
        if arguments.get("user") not in self.state.users:
            raise Refusal("user_not_found")
        if arguments["user"] not in conversation.members:
            raise Refusal("user_not_in_channel")
        thread = {"thread_ts": arguments["thread_ts"]} if arguments.get("thread_ts") else {}
        self.whispers.append({**message, **thread, "channel": conversation.id, "user": arguments["user"]})
        return {"message_ts": ts_text(self.state.now())}

    def _there(self, conversation: Conversation, arguments: dict[str, str]) -> Fields:
        message = conversation.message(ts_number(arguments.get("ts") or "0"))
        if message is None or message.get("subtype") == "tombstone":
            raise Refusal("message_not_found")
        return message

    def _content(self, before: Fields, arguments: dict[str, str], token: ActingToken, *, most: int) -> Fields:
        """What a message says after a call."""
        after: Fields = {"metadata": before["metadata"]} if "metadata" in before else {}
        if "text" not in arguments and "blocks" not in arguments and before:
            after |= {key: before[key] for key in ("text", "blocks", "attachments") if key in before}
        after["text"] = arguments.get("text", "")
        if len(after["text"]) > most:
            raise Refusal("msg_too_long")
        for key in ("blocks", "attachments"):
            if key in arguments:
                after[key] = _objects(arguments[key], f"invalid_{key}")
        _check_blocks(after.get("blocks") or [])
        if "metadata" in arguments:
            after["metadata"] = self._metadata(arguments["metadata"], token)
        return after

    @staticmethod
    def _metadata(raw: str, token: ActingToken) -> Fields:
        try:
            given = json.loads(raw)
        except ValueError:
            raise Refusal("invalid_metadata_format") from None
        if given == {}:
            return {}
        if not token.app:
            raise Refusal("metadata_must_be_sent_from_app")
        if not isinstance(given, dict) or not isinstance(given.get("event_payload"), dict):
            raise Refusal("invalid_metadata_format")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", str(given.get("event_type"))):
            raise Refusal("invalid_metadata_schema")
        return given

    # -- people -----------------------------------------------------------------------------------------------------

    def _conversations_open(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "im:write")
        user = arguments.get("users", "")
        if user not in self.state.users:
            raise Refusal("user_not_found")
        if self.state.users[user].get("is_bot"):
            raise Refusal("cannot_dm_bot")
        for one in self.state.conversations.values():
            if one.told.get("is_im") and one.told.get("user") == user:
                return {"channel": {"id": one.id}, "already_open": True, "no_op": True}
        self._numbers += 1
        made = Conversation(f"D{self._numbers:08d}", None, is_im=True, user=user, is_channel=False)
        self.state.add_conversation(made)
        return {"channel": {"id": made.id}}

    def _users_lookupByEmail(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "users:read.email")
        for user in self.state.users.values():
            if user["profile"].get("email") == arguments.get("email"):
                return {"user": user}
        raise Refusal("users_not_found")

    # -- files ------------------------------------------------------------------------------------------------------

    def _files_info(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "files:read")
        if arguments.get("file") in self._uploads and arguments["file"] not in self.state.files:
            raise Refusal("file_not_found")
        return super()._files_info(arguments, token)

    def _files_delete(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "files:write")
        file = self.state.files.get(arguments.get("file", ""))
        if file is None or not isinstance(token, ActingToken):
            raise Refusal("file_not_found")
        if file.told.get("user") != token.user and not (token.admin and not token.bot_id):
            raise Refusal("cant_delete_file")
        del self.state.files[arguments["file"]]
        return {}

    def _files_getUploadURLExternal(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "files:write")
        if not arguments.get("filename") or not arguments.get("length", "").isdigit():
            raise Refusal("invalid_arguments")
        self._numbers += 1
        id = f"F{self._numbers:08d}"
        self._uploads[id] = {"name": arguments["filename"], "length": int(arguments["length"]), "content": None}
        return {"upload_url": f"{self.url}/upload/v1/{id}", "file_id": id}

    def upload(self, id: str, content: bytes) -> int:
        """The content of a file; the status of the answer."""
        with self._lock, self._passing("upload"):
            upload = self._uploads.get(id)
            if upload is None or upload["length"] != len(content):
                return 400
            upload["content"] = content
            return 200

    def _files_completeUploadExternal(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "files:write")
        if not isinstance(token, ActingToken):
            raise Refusal("not_allowed_token_type")
        conversation = self.state.conversations.get(arguments.get("channel_id", ""))
        if conversation is None:
            raise Refusal("channel_not_found")
        told = []
        for one in _objects(arguments.get("files", ""), "invalid_arguments"):
            upload = self._uploads.pop(one["id"], None)
            if upload is None or upload["content"] is None:
                raise Refusal("file_not_found")
            told.append(self._stored(one, upload, token))
        thread = {"thread_ts": arguments["thread_ts"]} if arguments.get("thread_ts") else {}

        def share() -> None:
            self._write(conversation, token, {"subtype": "file_share", "files": told, **thread})

        if self.drops_shares:
            pass
        elif self.share_after:
            self._waiting.append((self.share_after, share))
        else:
            share()
        return {"files": told}

    def _stored(self, one: Fields, upload: Fields, token: ActingToken) -> Fields:
        content, name = upload["content"], upload["name"]
        path = f"/files-pri/T0000001-{one['id']}/download/{name}"
        told = {"id": one["id"], "name": name, "title": one.get("title", name), "mode": "hosted", "user": token.user}
        told |= {"size": len(content), "url_private_download": path, "mimetype": "application/octet-stream"}
        self.state.files[one["id"]] = Stored(told, len(content), lambda start, end: content[start:end])
        return told

    def _shares(self) -> None:
        due = [share for left, share in self._waiting if left <= 1]
        self._waiting = [(left - 1, share) for left, share in self._waiting if left > 1]
        for share in due:
            share()


def _objects(raw: str, error: str) -> list[Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        raise Refusal(error) from None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Refusal(error)
    return value


def _rich(message: Fields) -> bool:
    return any(block.get("type") == "rich_text" for block in message.get("blocks") or [])


def _check_blocks(blocks: list[Fields]) -> None:
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(blocks) > 50 or len(ids) != len(set(ids)) or any(len(one) > 255 for one in ids):
        raise Refusal("invalid_blocks")
    for block in blocks:
        kind = block.get("type")
        if kind not in _KINDS or (kind == "actions" and not block.get("elements")):
            raise Refusal("invalid_blocks")
        texts = [block.get("text"), *(block.get("elements") or [])] if kind in _LIMITS else []
        for text in texts:
            if isinstance(text, dict) and not 1 <= len(str(text.get("text", "x"))) <= _LIMITS[kind]:
                raise Refusal("invalid_blocks")


def _handler(server: ActingServer, base: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(base):  # type: ignore[misc]
        def do_POST(self) -> None:
            try:
                path = urlsplit(self.path).path
                if not path.startswith("/upload/v1/"):
                    super().do_POST()
                    return
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._send(server.upload(path.rpartition("/")[2], content), b"OK", {})
            except Cut:
                self.close_connection = True

    return Handler


@contextmanager
def acting_slack(state: State | None = None) -> Iterator[ActingServer]:
    """A server that runs as long as the context lasts."""
    import threading

    server = ActingServer(state)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
