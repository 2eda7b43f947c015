"""The state of Google Chat: spaces, messages, events and uploaded files.

As at Google: only members see a space; messages are listed by the time they were written; an event carries the latest
version of its message, and of a deleted one little more than its name; events are kept for 28 days, and some that
happen close together come as one.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from tests.servers.google_errors import GoogleError
from tests.servers.google_paging import Media, Pager

TYPE = "google.workspace.chat.message.v1."
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
_CREATED = re.compile(rf'create_time > "({_TIME})"')
_EVENTS = re.compile(rf'start_time="({_TIME})" AND \((event_types:"[\w.]+"(?: OR event_types:"[\w.]+")*)\)')
DATA = {
    "created": "messageCreatedEventData",
    "updated": "messageUpdatedEventData",
    "deleted": "messageDeletedEventData",
}
BATCH = {
    "created": "messageBatchCreatedEventData",
    "updated": "messageBatchUpdatedEventData",
    "deleted": "messageBatchDeletedEventData",
}


def _instant(stamp: str) -> tuple[datetime, int]:
    """A time to the nanosecond, so that two can be compared."""
    head, _, rest = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(head), int(rest.ljust(9, "0") or 0)


class ChatState:
    """Spaces by name."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.pager = Pager()
        self.spaces: dict[str, dict[str, Any]] = {}
        self.members: dict[str, set[str]] = {}
        self.messages: dict[str, dict[str, dict[str, Any]]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.media: dict[str, Media] = {}

    # -- for tests --------------------------------------------------------------------------------------------------

    def space(self, id: str, title: str, *members: str, **more: Any) -> str:
        """A space; its name."""
        name = f"spaces/{id}"
        self.spaces[name] = {
            "name": name,
            "displayName": title,
            "type": "ROOM",
            "spaceType": "SPACE",
            "spaceThreadingState": "THREADED_MESSAGES",
            "spaceHistoryState": "HISTORY_ON",
            "createTime": self._server.stamp(),
            "lastActiveTime": self._server.stamp(),
            "membershipCount": {"joinedDirectHumanUserCount": len(members)},
            "spaceUri": f"https://chat.google.com/room/{id}?cls=11",
        } | more
        self.members[name] = set(members)
        self.messages[name] = {}
        self.events[name] = []
        return name

    def post(self, space: str, text: str, sender: str = "users/1", at: str = "", **more: Any) -> str:
        """A message; its name. `at` gives it a time that it shares with another one."""
        at = at or self._server.tick()
        key = f"m{len(self.messages[space]):04d}"
        name = f"{space}/messages/{key}.{key}"
        message = {
            "name": name,
            "sender": {"name": sender, "displayName": "Ann", "email": "ann@corp.example", "type": "HUMAN"},
            "createTime": at,
            "text": text,
            "formattedText": text,
            "thread": {"name": f"{space}/threads/{key}"},
            "space": {"name": space},
        }
        self.messages[space][name] = message | more
        self._happened(space, "created", name)
        return name

    def edit(self, name: str, text: str, **more: Any) -> None:
        """A message is edited."""
        space = name.partition("/messages/")[0]
        message = self.messages[space][name]
        message |= {"text": text, "formattedText": text, "lastUpdateTime": self._server.tick()} | more
        self._happened(space, "updated", name)

    def delete(self, name: str) -> None:
        """A message is deleted."""
        space = name.partition("/messages/")[0]
        old = self.messages[space][name]
        self.messages[space][name] = {
            "name": name,
            "createTime": old["createTime"],
            "deleteTime": self._server.tick(),
            "deletionMetadata": {"deletionType": "CREATOR"},
            "space": {"name": space},
            "thread": old["thread"],
        }
        self._happened(space, "deleted", name)

    def together(self, space: str, count: int) -> None:
        """Make one event of the last ones, which are of one kind."""
        last = self.events[space][-count:]
        del self.events[space][-count:]
        names = [name for one in last for name in one["messages"]]
        self.events[space].append(last[-1] | {"messages": names, "batch": True})

    def _happened(self, space: str, kind: str, name: str) -> None:
        number = len(self.events[space])
        self.events[space].append(
            {
                "kind": kind,
                "time": self._server.stamp(),
                "messages": [name],
                "name": f"{space}/spaceEvents/e{number:05d}",
            }
        )

    # -- methods ----------------------------------------------------------------------------------------------------

    def call(self, method: str, user: str, given: dict[str, Any], *, media: bool) -> Any:
        """Answer a method."""
        if method == "media.download":
            assert media
            return self._download(given)
        return {
            "spaces.list": self._spaces,
            "spaces.get": self._space,
            "spaces.messages.list": self._messages,
            "spaces.spaceEvents.list": self._events,
        }[method](user, given)

    def _size(self, given: dict[str, Any], usual: int) -> int:
        size = given.get("pageSize", usual)
        if size < 0:
            raise _invalid("a negative page size")
        return min(size or usual, self._server.page)

    def _in(self, user: str, name: str) -> str:
        if name not in self.spaces:
            raise GoogleError(404, "", "Space not found.", "NOT_FOUND")
        if user not in self.members[name]:
            raise GoogleError(403, "", "This user cannot access the space.", "PERMISSION_DENIED")
        return name

    def _spaces(self, user: str, given: dict[str, Any]) -> Any:
        found = [space for name, space in self.spaces.items() if user in self.members[name]]
        page, token = self.pager.page("spaces", given, found, self._size(given, 100), "name")
        return ({"spaces": page} if page else {}) | ({"nextPageToken": token} if token else {})

    def _space(self, user: str, given: dict[str, Any]) -> Any:
        return self.spaces[self._in(user, given["name"])]

    def _messages(self, user: str, given: dict[str, Any]) -> Any:
        space = self._in(user, given["parent"])
        found = [one for one in self.messages[space].values() if given.get("showDeleted") or "deleteTime" not in one]
        if given.get("orderBy", "createTime ASC").lower() not in ("createtime asc", "createtime desc"):
            raise _invalid("orderBy")
        if "filter" in given:
            match = _CREATED.fullmatch(given["filter"])
            if match is None:
                raise _invalid(f"the filter {given['filter']}")
            found = [one for one in found if _instant(one["createTime"]) > _instant(match[1])]
        found.sort(key=lambda one: _instant(one["createTime"]))
        page, token = self.pager.page("messages", given, found, self._size(given, 25), "name")
        return ({"messages": page} if page else {}) | ({"nextPageToken": token} if token else {})

    def _events(self, user: str, given: dict[str, Any]) -> Any:
        space = self._in(user, given["parent"])
        match = _EVENTS.fullmatch(given["filter"])
        if match is None:
            raise _invalid(f"the filter {given['filter']}")
        kinds = set(re.findall(r'"([\w.]+)"', match[2]))
        if not kinds <= {TYPE + kind for kind in DATA}:
            raise _invalid("an event type")
        start = _instant(match[1])
        if start[0] < (self._server.now() - timedelta(days=28)).replace(tzinfo=None):
            raise _invalid("start_time must be within the last 28 days")
        found = [one for one in self.events[space] if TYPE + one["kind"] in kinds and _instant(one["time"]) > start]
        page, token = self.pager.page("events", given, found, self._size(given, 100), "name")
        told = [self._event(space, one) for one in page]
        return ({"spaceEvents": told} if told else {}) | ({"nextPageToken": token} if token else {})

    def _event(self, space: str, event: dict[str, Any]) -> dict[str, Any]:
        kind = event["kind"]
        payloads = [{"message": self._latest(space, name, kind)} for name in event["messages"]]
        told = {"name": event["name"], "eventTime": event["time"]}
        if event.get("batch"):
            return told | {
                "eventType": f"{TYPE}batch{kind.capitalize()}",
                BATCH[kind]: {"messages": payloads},
            }
        return told | {"eventType": TYPE + kind, DATA[kind]: payloads[0]}

    def _latest(self, space: str, name: str, kind: str) -> dict[str, Any]:
        message = self.messages[space][name]
        return {"name": name, "createTime": message["createTime"]} if kind == "deleted" else message

    def _download(self, given: dict[str, Any]) -> Media:
        found = self.media.get(given["resourceName"])
        if found is None:
            raise GoogleError(404, "", "Media not found.", "NOT_FOUND")
        return found


def _invalid(what: str) -> GoogleError:
    return GoogleError(400, "", f"Invalid argument: {what}", "INVALID_ARGUMENT")
