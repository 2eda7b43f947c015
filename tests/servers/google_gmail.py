"""The state of Gmail: mailboxes with messages and their history.

As at Google: lists are newest first and give only ids; of a text part the body stands in the message, of an attachment
an id; the history names what happened after a place, oldest first, and knows no place older than `oldest`.
"""

from __future__ import annotations

import base64
import re
from email.message import EmailMessage, Message
from typing import Any

from tests.servers.google_errors import GoogleError
from tests.servers.google_paging import Pager

TYPES = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()


class Mailbox:
    """One user's."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.attachments: dict[tuple[str, str], bytes] = {}
        self.history: list[dict[str, Any]] = []
        self.place = 1000
        self.oldest = 0


class GmailState:
    """Mailboxes by address."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.pager = Pager()
        self.boxes: dict[str, Mailbox] = {}

    # -- for tests --------------------------------------------------------------------------------------------------

    def box(self, address: str) -> Mailbox:
        """A user's mailbox."""
        return self.boxes.setdefault(address, Mailbox())

    def receive(
        self, address: str, mail: EmailMessage, *, labels: tuple[str, ...] = ("INBOX",), quiet: bool = False
    ) -> str:
        """A mail arrives; its id."""
        box = self.box(address)
        self._server.tick()
        id = f"18c{len(box.messages) + 4096:013x}"
        payload = self._part(box, id, mail, "")
        box.messages[id] = {
            "id": id,
            "threadId": id,
            "labelIds": list(labels),
            "snippet": "…",
            "internalDate": str(int(self._server.now().timestamp() * 1000)),
            "historyId": str(box.place + 7),
            "sizeEstimate": 1000,
            "payload": payload,
        }
        self._happened(box, "messagesAdded", [{"message": self._brief(box, id)}])
        return id

    def delete(self, address: str, id: str) -> None:
        """A mail is deleted for good."""
        box = self.box(address)
        brief = self._brief(box, id)
        box.messages.pop(id)
        self._happened(box, "messagesDeleted", [{"message": brief}])

    def label(self, address: str, id: str, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
        """Labels are put on a mail and taken off."""
        box = self.box(address)
        message = box.messages[id]
        message["labelIds"] = [one for one in message["labelIds"] if one not in remove] + list(add)
        for key, labels in (("labelsAdded", add), ("labelsRemoved", remove)):
            if labels:
                self._happened(box, key, [{"message": self._brief(box, id), "labelIds": list(labels)}])

    def forget(self, address: str) -> None:
        """The history up to now is not known any more."""
        box = self.box(address)
        box.place += 50
        box.oldest = box.place

    def together(self, address: str, count: int) -> None:
        """Make one entry of the history of the last ones."""
        box = self.box(address)
        *rest, last = box.history[-count:]
        del box.history[-count:]
        for entry in reversed(rest):
            for key in TYPES.values():
                if key in entry:
                    last[key] = entry[key] + last.get(key, [])
        box.history.append(last)

    def _happened(self, box: Mailbox, key: str, what: list[dict[str, Any]]) -> None:
        box.place += 7
        entry = {"id": str(box.place), "messages": [one["message"] for one in what], key: what}
        box.history.append(entry)

    def _brief(self, box: Mailbox, id: str) -> dict[str, Any]:
        return {"id": id, "threadId": id, "labelIds": list(box.messages[id]["labelIds"])}

    def _part(self, box: Mailbox, id: str, mail: Message, number: str) -> dict[str, Any]:
        kind = mail.get_content_type()
        part: dict[str, Any] = {
            "partId": number,
            "mimeType": kind,
            "filename": mail.get_filename() or "",
            "headers": [{"name": name, "value": str(value)} for name, value in mail.items()],
            "body": {"size": 0},
        }
        inner = mail.get_payload() if mail.is_multipart() else []
        if inner:
            part["parts"] = [
                self._part(box, id, one, f"{number}.{n}".lstrip("."))
                for n, one in enumerate(inner)
                if isinstance(one, Message)
            ]
            return part
        content = mail.get_payload(decode=True) or b""
        assert isinstance(content, bytes)
        if part["filename"]:
            key = f"att{len(box.attachments)}"
            box.attachments[id, key] = content
            part["body"] = {"attachmentId": key, "size": len(content)}
        else:
            part["body"] = {"data": _packed(content), "size": len(content)}
        return part

    # -- methods ----------------------------------------------------------------------------------------------------

    def call(self, method: str, user: str, given: dict[str, Any], *, media: bool) -> Any:
        """Answer a method."""
        assert not media
        if given["userId"] not in ("me", user):
            raise GoogleError(403, "forbidden", "Delegation denied for someone", "PERMISSION_DENIED")
        if user not in self.boxes:
            raise GoogleError(400, "failedPrecondition", "Mail service not enabled", "FAILED_PRECONDITION")
        box = self.boxes[user]
        return {
            "users.getProfile": self._profile,
            "users.messages.list": self._list,
            "users.messages.get": self._get,
            "users.messages.attachments.get": self._attachment,
            "users.history.list": self._history,
        }[method](user, box, given)

    def _profile(self, user: str, box: Mailbox, _given: dict[str, Any]) -> Any:
        count = len(box.messages)
        return {"emailAddress": user, "messagesTotal": count, "threadsTotal": count, "historyId": str(box.place)}

    def _list(self, _user: str, box: Mailbox, given: dict[str, Any]) -> Any:
        away = set() if given.get("includeSpamTrash") else {"TRASH", "SPAM"}
        found = [one for one in box.messages.values() if not away & set(one["labelIds"])]
        for term in given.get("q", "").split():
            match = re.fullmatch(r"(after|before):(\d{9,11})", term)
            assert match, f"an unknown term: {term}"
            at = int(match[2]) * 1000
            found = [one for one in found if (int(one["internalDate"]) >= at) is (match[1] == "after")]
        found.sort(key=lambda one: (-int(one["internalDate"]), one["id"]))
        page, token = self.pager.page("messages", given, found, min(given.get("maxResults", 100), self._server.page))
        answer: dict[str, Any] = {"resultSizeEstimate": len(found)}
        if page:
            answer["messages"] = [{"id": one["id"], "threadId": one["threadId"]} for one in page]
        return answer | ({"nextPageToken": token} if token else {})

    def _get(self, _user: str, box: Mailbox, given: dict[str, Any]) -> Any:
        if given["id"] not in box.messages:
            raise GoogleError(404, "notFound", "Requested entity was not found.", "NOT_FOUND")
        assert given.get("format", "full") == "full"
        return box.messages[given["id"]]

    def _attachment(self, _user: str, box: Mailbox, given: dict[str, Any]) -> Any:
        content = box.attachments.get((given["messageId"], given["id"]))
        if content is None or given["messageId"] not in box.messages:
            raise GoogleError(404, "notFound", "Requested entity was not found.", "NOT_FOUND")
        return {"attachmentId": given["id"], "size": len(content), "data": _packed(content)}

    def _history(self, _user: str, box: Mailbox, given: dict[str, Any]) -> Any:
        start = int(given.get("startHistoryId") or 0)
        if not box.oldest <= start <= box.place or not start:
            raise GoogleError(404, "notFound", "Requested entity was not found.", "NOT_FOUND")
        keys = [TYPES[one] for one in given.get("historyTypes", TYPES)]
        found = [one for one in box.history if int(one["id"]) > start and any(key in one for key in keys)]
        page, token = self.pager.page("history", given, found, min(given.get("maxResults", 100), self._server.page))
        answer: dict[str, Any] = {"historyId": str(box.place)}
        if page:
            answer["history"] = page
        return answer | ({"nextPageToken": token} if token else {})
