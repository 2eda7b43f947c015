"""Mails and people in the Graph server of our own: mails moved, written and sent, activities shown."""

from __future__ import annotations

import re

from tests.servers.graph_acting_call import NOTHING, ActingCall, acting, made, user_of
from tests.servers.graph_call import Made, Trouble, selected
from tests.servers.graph_state import Entry, Json, Space


def _mailbox(call: ActingCall, user: str) -> Space:
    found = user_of(call, user)
    box = call.tenant.mailboxes.get(found["id"] if found else user)
    if box is None:
        raise Trouble(404, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive or on-premise.")
    return box


def _mail(call: ActingCall, user: str, id_: str) -> tuple[Space, Entry]:
    for folder in _mailbox(call, user).spaces.values():
        for entry in folder.entries.values():
            known = {entry.body["id"]} | ({_fixed(call, entry)} if call.immutable else set())
            if not entry.gone and id_ in known:
                return folder, entry
    raise Trouble(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def _fixed(call: ActingCall, entry: Entry) -> str:
    """A mail's immutable id."""
    if id(entry) not in call.server.immutable:
        call.server.immutable[id(entry)] = call.server.next("AAkALgAA")
    return call.server.immutable[id(entry)]


def _mail_shown(call: ActingCall, entry: Entry) -> Json:
    body = entry.body | ({"id": _fixed(call, entry)} if call.immutable else {})
    return selected(body, [name for name in call.query.get("$select", "").split(",") if name])


@acting("GET", "/users/{}/messages/{}", "Mail.Read", "$select")
def _get_mail(call: ActingCall, user: str, id_: str) -> Made:
    return _mail_shown(call, _mail(call, user, id_)[1])


@acting("POST", "/users/{}/messages/{}/move", "Mail.ReadWrite")
def _move_mail(call: ActingCall, user: str, id_: str) -> Made:
    folder, entry = _mail(call, user, id_)
    target = _folder(call, user, call.json["DestinationId"])
    _refile(call, folder, target, entry)
    call.done("mail moved")
    return made(_mail_shown(call, entry))


def _refile(call: ActingCall, folder: Space, target: Space, entry: Entry) -> None:
    """A mail gets another folder, and with it another id."""
    call.tenant.tick()
    old = entry.body["id"]
    left = Entry({"id": old}, call.tenant.seq)
    left.gone = True
    folder.entries[old] = left
    entry.body |= {"id": f"{call.server.next('AAMkmoved')}=", "parentFolderId": target.id}
    entry.seq = call.tenant.seq
    target.entries[entry.body["id"]] = entry


def _folder(call: ActingCall, user: str, id_: str) -> Space:
    spaces = _mailbox(call, user).spaces
    known = {"inbox": "Inbox", "sentitems": "Sent Items", "drafts": "Drafts"}
    for space in spaces.values():
        if not space.gone and (space.id == id_ or space.body["displayName"] == known.get(id_)):
            return space
    raise Trouble(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")


@acting("GET", "/users/{}/mailFolders", "Mail.Read", "includeHiddenFolders", "$filter", "$skiptoken")
def _folders(call: ActingCall, user: str) -> Made:
    wanted = re.fullmatch(r"displayName eq '(.*)'", call.query.get("$filter", "displayName eq ''"))
    assert wanted is not None
    found = [one.body for one in _mailbox(call, user).spaces.values() if one.body["displayName"] == wanted[1]]
    shown = [one for one in found if call.query.get("includeHiddenFolders") == "true" or not one["isHidden"]]
    return call.listed(shown, f"users/{user}/mailFolders")


@acting("POST", "/users/{}/mailFolders", "Mail.ReadWrite")
def _make_mail_folder(call: ActingCall, user: str) -> Made:
    box, body = _mailbox(call, user), call.json
    if any(one.body["displayName"] == body["displayName"] for one in box.spaces.values()):
        raise Trouble(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    folder = call.tenant.folder(box.id, body["displayName"])
    folder.body["isHidden"] = bool(body.get("isHidden"))
    call.done("mail folder")
    return made(folder.body)


@acting("GET", "/users/{}/mailFolders/{}", "Mail.Read")
def _mail_folder(call: ActingCall, user: str, id_: str) -> Made:
    return _folder(call, user, id_).body


_BY_PROPERTY = re.compile(
    r"singleValueExtendedProperties/Any\(ep: ep/id eq '(?P<id>[^']+)' and ep/value eq '(?P<value>[^']*)'\)"
)


@acting("GET", "/users/{}/messages", "Mail.Read", "$filter", "$select", "$skiptoken")
def _mails(call: ActingCall, user: str) -> Made:
    wanted = _BY_PROPERTY.fullmatch(call.query.get("$filter", ""))
    if wanted is None:
        raise Trouble(400, "ErrorInvalidUrlQueryFilter", "a test looks for a property only")
    property_ = {"id": wanted["id"], "value": wanted["value"]}
    entries = [
        one for folder in _mailbox(call, user).spaces.values() for one in folder.entries.values() if not one.gone
    ]
    found = [one for one in entries if property_ in call.server.properties.get(id(one), [])]
    return call.listed([_mail_shown(call, one) for one in found], f"users/{user}/messages")


@acting("POST", "/users/{}/messages", "Mail.ReadWrite")
def _draft(call: ActingCall, user: str) -> Made:
    body = call.json
    folder = _folder(call, user, "drafts")
    box = _mailbox(call, user)
    sender = call.tenant.users[box.id]["mail"]
    to = [one["emailAddress"]["address"] for one in body["toRecipients"]]
    id_ = call.tenant.mail(folder, body["subject"], body["body"]["content"], sender, *to, isDraft=True)
    entry = folder.entries[id_]
    call.server.properties[id(entry)] = body.get("singleValueExtendedProperties", [])
    call.done("draft")
    return made(_mail_shown(call, entry))


@acting("POST", "/users/{}/messages/{}/send", "Mail.Send")
def _send_draft(call: ActingCall, user: str, id_: str) -> Made:
    folder, entry = _mail(call, user, id_)
    if not entry.body["isDraft"]:
        raise Trouble(400, "ErrorInvalidRequest", "The item is not a draft.")
    entry.body["isDraft"] = False
    _refile(call, folder, _folder(call, user, "sentitems"), entry)
    call.server.sent.append(entry.body)
    call.done("sent")
    return 202, b"", {}


# People


@acting("GET", "/users", "User.Read.All", "$filter", "$select", "$skiptoken")
def _users(call: ActingCall) -> Made:
    wanted = re.fullmatch(r"mail eq '(.*)'", call.query["$filter"])
    assert wanted is not None
    return call.listed([one for one in call.tenant.users.values() if one["mail"] == wanted[1]], "users")


@acting("POST", "/users/{}/teamwork/sendActivityNotification", "TeamsActivity.Send")
def _activity(call: ActingCall, user: str) -> Made:
    body = call.json
    if user not in call.server.has_app:
        raise Trouble(403, "Forbidden", "The Teams app is not installed for the recipient.")
    if body.get("activityType") not in call.server.activity_types:
        raise Trouble(400, "BadRequest", "ActivityType is not in the manifest")
    topic = body["topic"]
    if topic["source"] != "text" or not topic["webUrl"].startswith("https://teams.microsoft.com/l/"):
        raise Trouble(400, "BadRequest", "webUrl must be a link into Teams")
    same = [one for one in call.server.activities if (one["user"], one["chainId"]) == (user, body["chainId"])]
    for one in same:
        call.server.activities.remove(one)
    call.server.activities.append({"user": user, **body})
    call.done("activity again" if same else "activity")
    return NOTHING
