"""The export interface of Teams on the Graph server of our own: all chats of a user, all channels of a team.

Played as the documentation says (https://learn.microsoft.com/en-us/microsoftteams/export-teams-content,
.../graph/api/chats-getallmessages, .../graph/api/channel-getallmessages, .../graph/teams-licenses):

- One list of all messages and replies, in no order of time, with `chatId` or `channelIdentity` and `replyToId`. The
  messages of a chat are in the list of each member. Deleted ones are in it for 21 days, with their text and
  `deletedDateTime`.
- `$filter` is a range of `lastModifiedDateTime`, `gt` and `lt`; `$top`; `model=A` or `B`. Anything else is refused.
- Links are of the forms that the pages show: `getallMessages`, with `$top`, `$filter` and a token that is an offset
  (`SkipValue=2#MailboxFolder=...` in base64), and without the model. What changes meanwhile moves what is behind it.
- `model=A` wants a licence of the user, or of a member of the team; without a model each message counts as a trial, of
  which there are so many a month, and an answer without messages as one. What is not paid for is a 402.
- Messages of a channel that was deleted are still there.

Stricter: the tokens also end when the test says so. Weaker: `lt` alone is taken; filters by sender are not played; the
21 days are those of the tenant's clock; no price.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import quote

from tests.servers.graph_call import HOST, Call, Made, Trouble, of, route
from tests.servers.graph_state import Entry, Json, Space

KEPT = timedelta(days=21)
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z"
_RANGE = re.compile(rf"(?:lastModifiedDateTime gt ({_MOMENT}))?(?: and )?(?:lastModifiedDateTime lt ({_MOMENT}))?")
_TOKEN = re.compile(r"SkipValue=(\d+)#Page=(\d+)#Generation=(\d+)#MailboxFolder=MailFolders/TeamsMessagesData")


@route("/users/{}/chats/getAllMessages", "Chat.Read.All", "$top", "$filter", "$skiptoken", "model")
@route("/users/{}/chats/getallMessages", "Chat.Read.All", "$top", "$filter", "$skiptoken", "model")
def _chats_of(call: Call, user: str) -> Made:
    id_ = next((one["id"] for one in call.tenant.users.values() if user in (one["id"], one["userPrincipalName"])), "")
    if not id_:
        raise Trouble(404, "ResourceNotFound", f"Resource '{user}' does not exist")
    _licence(call, {id_}, "The user")
    mailbox = call.server.lagging.get(id_)
    if mailbox is None:
        mailbox = mailbox_of(call.tenant.chats.values(), id_)
    return _listed(call, mailbox, f"users('{id_}')/chats/getallMessages")


@route("/teams/{}/channels/getAllMessages", "ChannelMessage.Read.All", "$top", "$filter", "$skiptoken", "model")
@route("/teams/{}/channels/getallMessages", "ChannelMessage.Read.All", "$top", "$filter", "$skiptoken", "model")
def _channels_of(call: Call, team: str) -> Made:
    space = of(call.tenant.teams, team)
    _licence(call, {one["userId"] for one in space.members}, "A member of the team")
    found = [one for channel in space.spaces.values() for one in _messages(channel)]
    return _listed(call, found, f"teams('{team}')/channels/getallMessages")


def mailbox_of(chats: Iterable[Space], user: str) -> list[Entry]:
    """What a user's mailbox holds of the chats that the user is in, as it is now."""
    mine = [chat for chat in chats if any(one["userId"] == user for one in chat.members)]
    return [one for chat in mine for one in _messages(chat)]


def _messages(space: Space) -> list[Entry]:
    return [one for root in space.entries.values() for one in (root, *root.replies)]


def _kept(entry: Entry) -> Json:
    """A message with the text that it had before it was deleted."""
    return {"@odata.type": "#microsoft.graph.chatMessage", **entry.body, **entry.before_deletion}


def _licence(call: Call, users: set[str], who: str) -> None:
    model = call.query.get("model", "")
    if model not in ("", "A", "B"):
        raise Trouble(400, "BadRequest", f"query parameter 'model' does not support value '{model}' for this API.")
    if model == "A" and not users & call.server.licensed(users):
        raise Trouble(402, "PaymentRequired", f"{who} needs a valid license to access this API.")
    if not model and call.server.trial <= 0:
        message = "Evaluation capacity for the month has exceeded. To continue complete billing onboarding."
        raise Trouble(402, "PaymentRequired", message)


def _listed(call: Call, messages: list[Entry], link: str) -> Made:
    limits = call.query.get("$filter", "")
    wanted = _RANGE.fullmatch(limits)
    if limits and (not wanted or not any(wanted.groups())):
        raise Trouble(400, "BadRequest", f"Invalid filter clause: {limits}")
    after, before = (wanted[1] or "", wanted[2] or "~") if wanted else ("", "~")
    found = [one for one in messages if _still_kept(call, one.body)]
    if limits:
        found = [one for one in found if after < str(one.body["lastModifiedDateTime"] or "") < before]
    found.sort(key=lambda one: str(one.body["id"])[::-1])  # an order, but none of time
    at, number = _offset(call)
    some, more = call.page(found, at, number, call.top(1000, 10))
    if not call.query.get("model"):
        call.server.trial -= max(1, len(some))
    answer: Json = {
        "@odata.context": f"{HOST}/$metadata#Collection(chatMessage)",
        "@odata.count": len(some),
        "value": [_kept(one) for one in some],
    }
    if more:
        state = f"SkipValue={at + len(some)}#Page={number + 1}#Generation={call.server.generation}"
        token = base64.b64encode(f"{state}#MailboxFolder=MailFolders/TeamsMessagesData".encode()).decode()
        asked = {"$top": call.query.get("$top"), "$skiptoken": token, "$filter": limits or None}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items() if value)
        answer["@odata.nextLink"] = f"{HOST}/{link}?{query}"
    return answer


def _still_kept(call: Call, message: Json) -> bool:
    deleted = message["deletedDateTime"]
    return not deleted or call.tenant.clock - datetime.fromisoformat(deleted) < KEPT


def _offset(call: Call) -> tuple[int, int]:
    token = call.query.get("$skiptoken", "")
    if not token:
        return 0, 0
    try:
        state = _TOKEN.fullmatch(base64.b64decode(token).decode())
    except ValueError:
        state = None
    if not state or int(state[3]) != call.server.generation:
        raise Trouble(400, "BadRequest", "Invalid skip token.")
    return int(state[1]), int(state[2])
