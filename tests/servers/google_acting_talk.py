"""Gmail and Chat as they are acted upon: labels; messages written, changed, deleted (see `google_acting`)."""

from __future__ import annotations

import re
from typing import Any

from tests.servers.google_chat import ChatState
from tests.servers.google_errors import GoogleError
from tests.servers.google_gmail import GmailState

Fields = dict[str, Any]

SYSTEM = ("INBOX", "SPAM", "TRASH", "UNREAD", "STARRED", "IMPORTANT", "SENT", "DRAFT", "CATEGORY_PERSONAL")
FIXED = frozenset(("SENT", "DRAFT"))


class ActingGmail(GmailState):
    """Mails that can be labelled."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.labels: dict[str, dict[str, str]] = {}

    def new_label(self, address: str, name: str) -> str:
        """Somebody makes a label; its id."""
        held = self.labels.setdefault(address, {})
        id = f"Label_{len(held) + 1}"
        held[id] = name
        return id

    def call(self, method: str, user: str, given: Fields, *, media: bool) -> Any:
        """Answer a method."""
        if method == "users.labels.list":
            own = [{"id": id, "name": name, "type": "user"} for id, name in self.labels.get(user, {}).items()]
            return {"labels": [{"id": one, "name": one, "type": "system"} for one in SYSTEM] + own}
        if method == "users.labels.create":
            return self._create(user)
        if method == "users.messages.modify":
            return self._modify(user, given)
        return super().call(method, user, given, media=media)

    def _create(self, user: str) -> Any:
        body = self._server.body
        if body["name"].casefold() in {one.casefold() for one in self.labels.get(user, {}).values()}:
            raise GoogleError(409, "aborted", "Label name exists or conflicts", "ABORTED")
        return {"id": self.new_label(user, body["name"]), "type": "user", **body}

    def _modify(self, user: str, given: Fields) -> Any:
        box, body = self.box(user), self._server.body
        message = box.messages.get(given["id"])
        if message is None:
            raise GoogleError(404, "notFound", "Requested entity was not found.", "NOT_FOUND")
        add, remove = body.get("addLabelIds", []), body.get("removeLabelIds", [])
        known = {*SYSTEM, *self.labels.get(user, {})}
        if set(add + remove) - known or FIXED & set(add + remove) or "DRAFT" in message["labelIds"]:
            raise GoogleError(400, "invalidArgument", f"Invalid label: {add} {remove}", "INVALID_ARGUMENT")
        fresh = tuple(one for one in add if one not in message["labelIds"])
        self.label(user, given["id"], add=fresh, remove=tuple(remove))
        return {"id": given["id"], "threadId": message["threadId"], "labelIds": message["labelIds"]}


class ActingChat(ChatState):
    """Messages that can be written, changed and deleted, by those who may."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.people: dict[str, str] = {}
        self.managers: dict[str, set[str]] = {}
        self.quiet = False
        """Whether a message tells only the id of its author."""

    def person(self, address: str) -> str:
        """What Chat calls a user."""
        return self.people.setdefault(address, f"users/{len(self.people) + 101}")

    def says(self, space: str, address: str, text: str, **more: Any) -> str:
        """Somebody writes a message."""
        name = self.post(space, text, self.person(address), **more)
        self.messages[space][name]["sender"] = self._sender(address)
        return name

    def _sender(self, address: str) -> Fields:
        sender = {"name": self.person(address), "type": "HUMAN"}
        if not self.quiet:
            sender |= {"displayName": address.partition("@")[0].title(), "email": address}
        return sender

    def call(self, method: str, user: str, given: Fields, *, media: bool) -> Any:
        """Answer a method."""
        acting = {
            "spaces.messages.get": self._one_message,
            "spaces.messages.create": self._create,
            "spaces.messages.patch": self._patch,
            "spaces.messages.delete": self._delete,
            "spaces.members.get": self._membership,
        }.get(method)
        return acting(user, given) if acting is not None else super().call(method, user, given, media=media)

    def _named(self, user: str, name: str) -> Fields:
        space = self._in(user, name.partition("/messages/")[0])
        id = name.rpartition("/")[2]
        for message in self.messages[space].values():
            if message["name"] == name or message.get("clientAssignedMessageId") == id:
                return message
        raise GoogleError(404, "", "Message not found.", "NOT_FOUND")

    def _one_message(self, user: str, given: Fields) -> Any:
        return self._named(user, given["name"])

    def _create(self, user: str, given: Fields) -> Any:
        space, body = self._in(user, given["parent"]), self._server.body
        id = given.get("messageId", "")
        if id and not re.fullmatch(r"client-[a-z0-9-]{1,56}", id):
            raise GoogleError(400, "", "Invalid message ID", "INVALID_ARGUMENT")
        if set(body) - {"text", "thread"}:
            raise GoogleError(403, "", "Users write text only.", "PERMISSION_DENIED")
        if any(one.get("clientAssignedMessageId") == id for one in self.messages[space].values()):
            raise GoogleError(409, "", "Requested entity already exists", "ALREADY_EXISTS")
        threads = {one["thread"]["name"] for one in self.messages[space].values()}
        thread = body.get("thread", {}).get("name", "")
        replies = thread in threads and given.get("messageReplyOption", "").startswith("REPLY")
        more: Fields = {"clientAssignedMessageId": id} if id else {}
        if replies:
            more |= {"thread": {"name": thread}, "threadReply": True}
        name = self.says(space, user, body["text"], **more)
        return self.messages[space][name]

    def _patch(self, user: str, given: Fields) -> Any:
        message = self._named(user, given["name"])
        if given.get("updateMask") != "text":
            raise GoogleError(400, "", "Invalid update mask", "INVALID_ARGUMENT")
        if message["sender"]["name"] != self.person(user) or "deleteTime" in message:
            raise GoogleError(403, "", "This user cannot update this message.", "PERMISSION_DENIED")
        self.edit(message["name"], self._server.body["text"])
        return message

    def _delete(self, user: str, given: Fields) -> Any:
        message = self._named(user, given["name"])
        space = message["space"]["name"]
        if "deleteTime" in message:
            raise GoogleError(404, "", "Message not found.", "NOT_FOUND")
        if message["sender"]["name"] != self.person(user) and user not in self.managers.get(space, ()):
            raise GoogleError(403, "", "This user cannot delete this message.", "PERMISSION_DENIED")
        others = [
            one for one in self.messages[space].values() if one["thread"] == message["thread"] and one is not message
        ]
        people = [one for one in others if "deleteTime" not in one]
        if people and not message.get("threadReply") and not given.get("force"):
            raise GoogleError(400, "", "Message has threaded replies.", "FAILED_PRECONDITION")
        self.delete(message["name"])
        return {}

    def _messages(self, user: str, given: Fields) -> Any:
        thread = re.fullmatch(r"thread\.name = (spaces/\w+/threads/\w+)", given.get("filter", ""))
        if thread is None:
            return super()._messages(user, given)
        space = self._in(user, given["parent"])
        found = [one for one in self.messages[space].values() if one["thread"]["name"] == thread[1]]
        there = [one for one in found if "deleteTime" not in one][: given.get("pageSize", 25)]
        return {"messages": there} if there else {}

    def _membership(self, user: str, given: Fields) -> Any:
        space, _, whom = given["name"].partition("/members/")
        self._in(user, space)
        if whom not in self.members[space]:
            raise GoogleError(403, "", "Not a member.", "PERMISSION_DENIED")
        role = "ROLE_MANAGER" if whom in self.managers.get(space, ()) else "ROLE_MEMBER"
        member = {"name": self.person(whom), "type": "HUMAN"}
        return {"name": f"{space}/members/1", "state": "JOINED", "role": role, "member": member}
