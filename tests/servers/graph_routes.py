"""What can be asked of the Graph server of our own: each path with the permission that it needs."""

from __future__ import annotations

import re
from urllib.parse import quote

from tests.servers.graph_call import HOST, Call, Made, Trouble, of, route, selected
from tests.servers.graph_state import TENANT, Entry, Json, Space

# Teams


@route("/teams", "Team.ReadBasic.All", "$select", "$top", "$skiptoken")
def _teams(call: Call) -> Made:
    shown = [
        {key: team.body[key] for key in ("id", "displayName", "description")} for team in call.tenant.teams.values()
    ]
    return call.listed(shown, "teams")


@route("/teams/{}", "Team.ReadBasic.All", "$select")
def _team(call: Call, team: str) -> Made:
    return of(call.tenant.teams, team).body


@route("/teams/{}/members", "TeamMember.Read.All", "$skiptoken")
def _team_members(call: Call, team: str) -> Made:
    return call.listed(of(call.tenant.teams, team).members, f"teams/{team}/members")


@route("/teams/{}/channels", "Channel.ReadBasic.All", "$select", "$filter", "$skiptoken")
def _channels(call: Call, team: str) -> Made:
    shown = [_channel_body(one) for one in of(call.tenant.teams, team).spaces.values() if not one.gone]
    return call.listed(shown, f"teams/{team}/channels")


@route("/teams/{}/channels/{}", "Channel.ReadBasic.All", "$select")
def _channel(call: Call, team: str, channel: str) -> Made:
    return _channel_body(of(of(call.tenant.teams, team).spaces, channel))


@route("/teams/{}/channels/{}/members", "ChannelMember.Read.All", "$skiptoken")
def _channel_members(call: Call, team: str, channel: str) -> Made:
    space = of(of(call.tenant.teams, team).spaces, channel)
    return call.listed(space.members or of(call.tenant.teams, team).members, f"teams/{team}/channels/{channel}/members")


def _channel_body(channel: Space) -> Json:
    return {key: value for key, value in channel.body.items() if key != "teamId"}


@route("/teams/{}/channels/{}/messages", "ChannelMessage.Read.All", "$top", "$expand", "$skiptoken")
def _channel_messages(call: Call, team: str, channel: str) -> Made:
    space = of(of(call.tenant.teams, team).spaces, channel)
    state = call.state(call.query["$skiptoken"], "ResyncRequired") if "$skiptoken" in call.query else {}
    below, number = state.get("below", "~"), state.get("n", 0)
    chains = sorted(space.entries.values(), key=_age, reverse=True)
    left = [one for one in chains if _age(one) < below]
    carried = state.get("carried") or dict(call.query)
    some, more = call.page(left, 0, number, call.top(50, 20))
    answer: Json = {"@odata.count": len(some), "value": [_chain(call, space, one, carried) for one in some]}
    if more:
        below = _age(some[-1]) if some else below
        token = call.token(below=below, n=number + 1, carried=carried)
        answer["@odata.nextLink"] = f"{HOST}/teams/{team}/channels/{channel}/messages?$skiptoken={token}"
    return answer


def _age(root: Entry) -> str:
    """What a list of chains is in the order of."""
    return f"{root.chain_changed}{root.body['id']}"


_CHANGED_AFTER = re.compile(r"lastModifiedDateTime gt (\S+)")


@route(
    "/teams/{}/channels/{}/messages/delta()",
    "ChannelMessage.Read.All",
    *("$top", "$expand", "$filter", "$skiptoken", "$deltatoken"),
)
@route(
    "/teams/{}/channels/{}/messages/delta",
    "ChannelMessage.Read.All",
    *("$top", "$expand", "$filter", "$skiptoken", "$deltatoken"),
)
def _channel_delta(call: Call, team: str, channel: str) -> Made:
    space = of(of(call.tenant.teams, team).spaces, channel)
    token = call.query.pop("$skiptoken", "") or call.query.pop("$deltatoken", "")
    known = call.state(token, "syncStateNotFound").get("carried", {}) if token else dict(call.query)
    wanted = _CHANGED_AFTER.fullmatch(known.get("$filter", "lastModifiedDateTime gt 0"))
    if not wanted:
        raise Trouble(400, "BadRequest", "only lastModifiedDateTime gt is supported")
    entries = [(one.chain_seq, one) for one in space.entries.values() if one.chain_changed > wanted[1]]
    found = call.delta(
        entries, lambda one: _chain(call, space, one, known), token, "syncStateNotFound", call.top(50, 20)
    )
    base = f"{HOST}/teams/{team}/channels/{channel}/messages/delta"
    return _links(found, f"{base}?$skiptoken=", f"{base}?$deltatoken=")


def _links(found: Json, next_: str, delta: str, end: str = "") -> Json:
    answer: Json = {"@odata.context": f"{HOST}/$metadata", "value": found["value"]}
    if "next" in found:
        answer["@odata.nextLink"] = f"{next_}{found['next']}{end}"
    else:
        answer["@odata.deltaLink"] = f"{delta}{found['delta']}{end}"
    return answer


def _chain(call: Call, space: Space, root: Entry, query: Json) -> Json:
    if query.get("$expand") != "replies":
        return root.body
    inline = call.server.inline_replies
    answer = {**root.body, "replies": [reply.body for reply in root.replies[:inline]]}
    if len(root.replies) > inline:
        path = f"teams/{space.body['teamId']}/channels/{space.id}/messages/{root.body['id']}/replies"
        answer["replies@odata.nextLink"] = f"{HOST}/{path}?$skiptoken={call.token(at=inline, n=0)}"
    return answer


@route("/teams/{}/channels/{}/messages/{}/replies", "ChannelMessage.Read.All", "$top", "$skiptoken")
def _replies(call: Call, team: str, channel: str, message: str) -> Made:
    space = of(of(call.tenant.teams, team).spaces, channel)
    replies = [reply.body for reply in space.entries[message].replies]
    return call.listed(replies, f"teams/{team}/channels/{channel}/messages/{message}/replies")


# Chats


@route("/users/{}/chats", "Chat.Read.All", "$top", "$expand", "$skiptoken")
def _chats(call: Call, user: str) -> Made:
    mine = [chat for chat in call.tenant.chats.values() if any(one["userId"] == user for one in chat.members)]
    shown = [{**chat.body, "members": chat.members} for chat in mine]
    return call.listed(shown, f"users/{user}/chats")


@route("/chats/{}", "Chat.Read.All", "$select", "$expand")
def _chat(call: Call, chat: str) -> Made:
    space = of(call.tenant.chats, chat)
    return space.body | ({"members": space.members} if call.query.get("$expand") == "members" else {})


@route("/chats/{}/members", "Chat.Read.All", "$skiptoken")
def _chat_members(call: Call, chat: str) -> Made:
    return call.listed(of(call.tenant.chats, chat).members, f"chats/{chat}/members")


@route("/chats/{}/messages", "Chat.Read.All", "$top", "$orderby", "$filter", "$skiptoken")
def _chat_messages(call: Call, chat: str) -> Made:
    space = of(call.tenant.chats, chat)
    state = call.state(call.query["$skiptoken"], "ResyncRequired") if "$skiptoken" in call.query else {}
    query = state.get("carried") or dict(call.query)
    order = query.get("$orderby", "lastModifiedDateTime desc")
    if order not in ("lastModifiedDateTime desc", "createdDateTime desc"):
        raise Trouble(400, "BadRequest", "QueryOptions to order by this are not supported")
    key = order.partition(" ")[0]
    limits = query.get("$filter", "") if "$orderby" in query and query.get("$filter", "").startswith(key) else ""
    found = [one.body for one in space.entries.values() if _between(one.body[key] or "", limits)]
    found.sort(key=lambda one: f"{one[key]}{one['id']}", reverse=True)
    below, number = state.get("below", "~"), state.get("n", 0)
    left = [one for one in found if f"{one[key]}{one['id']}" < below]
    some, more = call.page(left, 0, number, call.top(50, 20))
    answer: Json = {"@odata.count": len(some), "value": some}
    if more:
        below = f"{some[-1][key]}{some[-1]['id']}" if some else below
        token = call.token(below=below, n=number + 1, carried=query)
        answer["@odata.nextLink"] = f"{HOST}/chats/{chat}/messages?$top={call.top(50, 20)}&$skiptoken={token}"
    return answer


def _between(moment: str, limits: str) -> bool:
    for limit in limits.split(" and ") if limits else []:
        _, operator, bound = limit.split(" ")
        if operator == "gt" and not moment > bound:
            return False
        if operator == "lt" and not moment < bound:
            return False
        if operator not in ("gt", "lt"):
            raise Trouble(400, "BadRequest", f"the operator {operator} is not supported")
    return True


# Users and the organisation


@route("/users", "User.Read.All", "$select", "$top", "$skiptoken")
def _users(call: Call) -> Made:
    return call.listed(list(call.tenant.users.values()), "users")


@route("/users/{}", "User.Read.All", "$select")
def _user(call: Call, user: str) -> Made:
    for one in call.tenant.users.values():
        if user.lower() in (one["id"], one["userPrincipalName"].lower()):
            return selected(one, call.query.get("$select", "").split(","))
    raise Trouble(404, "Request_ResourceNotFound", f"Resource '{user}' does not exist")


@route("/organization", "Organization.Read.All")
def _organization(call: Call) -> Made:
    domains = [{"name": name, "isDefault": not at, "type": "Managed"} for at, name in enumerate(call.tenant.domains)]
    return {"value": [{"id": TENANT, "displayName": "Contoso", "verifiedDomains": domains}]}


# Drives


@route("/users/{}/drive", "Files.Read.All")
def _user_drive(call: Call, user: str) -> Made:
    if user not in call.tenant.drive_of:
        raise Trouble(404, "ResourceNotFound", "User's mysite not found.")
    return call.tenant.drives[call.tenant.drive_of[user]].body


@route("/drives/{}", "Files.Read.All")
def _drive(call: Call, drive: str) -> Made:
    return of(call.tenant.drives, drive).body


@route("/sites/getAllSites", "Sites.Read.All", "$skiptoken")
def _all_sites(call: Call) -> Made:
    return call.listed([site.body for site in call.tenant.sites.values()], "sites/oneDrive.getAllSites")


@route("/sites/oneDrive.getAllSites", "Sites.Read.All", "$skiptoken")
def _more_sites(call: Call) -> Made:
    return _all_sites(call)


@route("/sites/{}:/{}/{}", "Sites.Read.All")
def _site_at(call: Call, host: str, kind: str, name: str) -> Made:
    for site in call.tenant.sites.values():
        if site.body["webUrl"] == f"https://{host}/{kind}/{name}":
            return site.body
    raise Trouble(404, "itemNotFound", "Requested site could not be found")


@route("/sites/{}/drives", "Sites.Read.All", "$skiptoken")
def _site_drives(call: Call, site: str) -> Made:
    return call.listed([drive.body for drive in of(call.tenant.sites, site).spaces.values()], f"sites/{site}/drives")


def _items(call: Call, drive: str, token: str) -> Made:
    space = of(call.tenant.drives, drive)
    known = call.state(token, "resyncRequired", Location=f"{HOST}/drives/{drive}/root/delta") if token else {}
    if not token:
        call.query["begun"] = str(call.tenant.seq)
    before = int(known.get("carried", call.query).get("begun", 0))  # what was deleted before the first page is not told
    entries = [(one.seq, one) for one in space.entries.values() if not (one.gone and one.seq <= before)]
    found = call.delta(entries, lambda one: _item(call, space, one), token, "resyncRequired", call.top(1000, 200))
    if "delta" in found:
        state = call.state(found["delta"], "resyncRequired")
        found["delta"] = call.token(after=state["after"], n=0, carried={"later": "yes"})
    base = f"{HOST}/drives/{quote(drive)}/root/delta(token='"
    return _links(found, base, base, "')")


@route("/drives/{}/items/root/delta()", "Files.Read.All", "$top", "token")
def _drive_delta(call: Call, drive: str) -> Made:
    return _items(call, drive, call.query.pop("token", ""))


@route("/drives/{}/items/root/delta(token='{}')", "Files.Read.All", "$top")
def _drive_delta_with(call: Call, drive: str, token: str) -> Made:
    return _items(call, drive, token)


def _item(call: Call, drive: Space, entry: Entry, *, alone: bool = False) -> Json:
    if entry.gone:
        return {"id": entry.body["id"], "name": entry.body["name"], "deleted": {"state": "deleted"}}
    body = dict(entry.body)
    if alone and "file" in body and call.server.tell_downloads:
        body["@microsoft.graph.downloadUrl"] = call.address(drive, entry)
    return body


def _entry(call: Call, drive: str, item: str) -> tuple[Space, Entry]:
    space = of(call.tenant.drives, drive)
    entry = space.entries.get(item)
    if entry is None or entry.gone:
        raise Trouble(404, "itemNotFound", "The resource could not be found.")
    return space, entry


@route("/drives/{}/items/{}", "Files.Read.All")
def _one_item(call: Call, drive: str, item: str) -> Made:
    space, entry = _entry(call, drive, item)
    return _item(call, space, entry, alone=True)


@route("/drives/{}/items/{}/content", "Files.Read.All")
def _content(call: Call, drive: str, item: str) -> Made:
    return 302, b"", {"Location": call.address(*_entry(call, drive, item))}


@route("/drives/{}/items/{}/permissions", "Files.Read.All", "$skiptoken")
def _permissions(call: Call, drive: str, item: str) -> Made:
    return call.listed(_entry(call, drive, item)[1].permissions, f"drives/{quote(drive)}/items/{item}/permissions")


# Mail


def _mailbox(call: Call, user: str) -> Space:
    if user not in call.tenant.mailboxes:
        raise Trouble(
            404, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or on-premise."
        )
    return call.tenant.mailboxes[user]


@route("/users/{}/mailFolders/delta()", "Mail.Read", "$select", "$skiptoken", "$deltatoken")
@route("/users/{}/mailFolders/delta", "Mail.Read", "$select", "$skiptoken", "$deltatoken")
def _folders(call: Call, user: str) -> Made:
    bodies = [folder.body for folder in _mailbox(call, user).spaces.values() if not folder.gone]
    found = call.listed(bodies, f"users/{user}/mailfolders/delta")
    if "@odata.nextLink" not in found:
        found["@odata.deltaLink"] = f"{HOST}/users/{user}/mailfolders/delta?$deltatoken={call.token(after=0)}"
    return found


@route("/users/{}/mailFolders/{}/messages/delta()", "Mail.Read", "$select", "$skiptoken", "$deltatoken")
@route("/users/{}/mailFolders/{}/messages/delta", "Mail.Read", "$select", "$skiptoken", "$deltatoken")
def _mail_delta(call: Call, user: str, folder: str) -> Made:
    space = of(_mailbox(call, user).spaces, folder)
    token = call.query.pop("$skiptoken", "") or call.query.pop("$deltatoken", "")
    carried = call.state(token, "SyncStateNotFound").get("carried", {}) if token else dict(call.query)
    names = [name for name in carried.get("$select", "").split(",") if name]
    preferred = re.search(r"odata\.maxpagesize=(\d+)", str(call.headers.get("Prefer", "")))
    entries = [(one.seq, one) for one in space.entries.values() if token or not one.gone]
    limit = int(preferred[1]) if preferred else 10
    found = call.delta(entries, lambda one: _mail_of(one, names), token, "SyncStateNotFound", limit)
    base = f"{HOST}/users/{user}/mailfolders('{quote(folder)}')/messages/delta"
    return _links(found, f"{base}?$skiptoken=", f"{base}?$deltatoken=")


def _mail_of(entry: Entry, names: list[str]) -> Json:
    if entry.gone:
        kind = "#microsoft.graph.message"
        return {"@odata.type": kind, "id": entry.body["id"], "@removed": {"reason": "deleted"}}
    return selected(entry.body, list(entry.partial) or names)


@route("/users/{}/messages/{}", "Mail.Read", "$select")
def _mail(call: Call, user: str, mail: str) -> Made:
    return selected(_mail_entry(call, user, mail).body, call.query.get("$select", "").split(","))


def _mail_entry(call: Call, user: str, mail: str) -> Entry:
    for folder in _mailbox(call, user).spaces.values():
        entry = folder.entries.get(mail)
        if entry and not entry.gone:
            return entry
    raise Trouble(404, "ErrorItemNotFound", "The specified object was not found in the store.")


@route("/users/{}/messages/{}/attachments", "Mail.Read", "$select", "$skiptoken")
def _attachments(call: Call, user: str, mail: str) -> Made:
    return call.listed(_mail_entry(call, user, mail).attachments, f"users/{user}/messages/{mail}/attachments")


@route("/users/{}/messages/{}/attachments/{}/$value", "Mail.Read")
def _value(call: Call, user: str, mail: str, attachment: str) -> Made:
    values = _mail_entry(call, user, mail).values
    if attachment not in values:
        raise Trouble(404, "ErrorItemNotFound")
    return 200, values[attachment], {"Content-Type": "application/octet-stream"}
