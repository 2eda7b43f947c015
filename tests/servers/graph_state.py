"""What is in a tenant of Microsoft 365 of our own: users, teams, chats, drives, mailboxes, and what people do there.

Every change takes the next number of a sequence; the delta functions of `graph.py` tell by it what is new. Times are of
the tenant's own clock, which starts a month ago and moves on five minutes with every change.

Objects are the JSON of the Graph reference, with all the nulls that the service sends
(https://learn.microsoft.com/en-us/graph/api/resources/chatmessage, .../driveitem, .../message).
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

TENANT = "2432b57b-0abd-43db-aa7b-16eadd115d34"
STEP = timedelta(minutes=5)


class Entry:
    """One object and the number of its last change."""

    def __init__(self, body: Json, seq: int) -> None:
        self.body = body
        self.seq = seq
        self.gone = False
        self.partial: tuple[str, ...] = ()
        """The fields that a change tells, if not all."""
        self.content = b""
        self.permissions: list[Json] = []
        self.attachments: list[Json] = []
        self.values: dict[str, bytes] = {}
        self.replies: list[Entry] = []
        self.before_deletion: Json = {}
        """Of a deleted message what it said before."""

        self.chain_seq = seq
        self.chain_changed = str(body.get("lastModifiedDateTime") or "")

    def chain_touched(self, seq: int, moment: str) -> None:
        """The message or one of its replies is new or has changed."""
        self.chain_seq, self.chain_changed = seq, moment


class Space:
    """Whatever holds entries: a channel, a chat, a drive, a mail folder."""

    def __init__(self, body: Json) -> None:
        self.body = body
        self.members: list[Json] = []
        self.entries: dict[str, Entry] = {}
        self.spaces: dict[str, Space] = {}
        self.gone = False
        self.retired: dict[str, str] = {}

    @property
    def id(self) -> str:
        return str(self.body["id"])


class Tenant:
    """The organisation. Its methods are what people do; all may be called while the server runs."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.seq = 0
        self.clock = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
        self.domains = ["contoso.com", "contoso.onmicrosoft.com"]
        self.users: dict[str, Json] = {}
        self.teams: dict[str, Space] = {}
        self.chats: dict[str, Space] = {}
        self.drives: dict[str, Space] = {}
        self.sites: dict[str, Space] = {}
        self.mailboxes: dict[str, Space] = {}
        self.drive_of: dict[str, str] = {}

    def tick(self) -> str:
        """Time goes on, and something changes."""
        self.seq += 1
        self.clock += STEP
        return self.now()

    def now(self) -> str:
        return self.clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def user(self, upn: str, name: str, kind: str = "Member") -> str:
        id_ = f"00000000-0000-0000-0000-{len(self.users) + 1:012d}"
        self.users[id_] = {
            "id": id_,
            "userPrincipalName": upn,
            "mail": upn,
            "displayName": name,
            "userType": kind,
            "jobTitle": None,
        }
        return id_

    def member(self, user: str, *roles: str, tenant: str = TENANT) -> Json:
        return {
            "@odata.type": "#microsoft.graph.aadUserConversationMember",
            "id": f"member-{user}",
            "roles": list(roles),
            "displayName": self.users[user]["displayName"],
            "visibleHistoryStartDateTime": None,
            "userId": user,
            "email": self.users[user]["mail"],
            "tenantId": tenant,
        }

    # Teams

    def team(self, name: str, *members: str, visibility: str = "private") -> Space:
        body = {
            "id": f"team-{len(self.teams) + 1}",
            "displayName": name,
            "description": None,
            "visibility": visibility,
            "tenantId": TENANT,
        }
        team = self.teams[str(body["id"])] = Space(body)
        team.members = [self.member(user) for user in members]
        return team

    def channel(self, team: Space, name: str, kind: str = "standard", members: list[Json] | None = None) -> Space:
        body = {
            "id": f"19:{name.lower()}{len(team.spaces)}@thread.tacv2",
            "displayName": name,
            "description": None,
            "membershipType": kind,
            "tenantId": TENANT,
            "webUrl": f"https://teams.microsoft.com/l/channel/{name}",
        }
        channel = team.spaces[str(body["id"])] = Space(body)
        channel.body["teamId"] = team.id
        channel.members = members or []
        return channel

    def chat(self, kind: str, *members: Json, topic: str | None = None) -> Space:
        body = {
            "id": f"19:chat{len(self.chats) + 1}@thread.v2",
            "topic": topic,
            "chatType": kind,
            "tenantId": TENANT,
            "createdDateTime": self.now(),
            "webUrl": None,
        }
        chat = self.chats[str(body["id"])] = Space(body)
        chat.members = list(members)
        return chat

    def post(self, where: Space, content: str, author: str, *, reply_to: str = "", **fields: Any) -> str:
        """A message; answers its id."""
        with self.lock:
            moment = self.tick()
            id_ = str(round(self.clock.timestamp() * 1000))
            body = self._message(where, id_, content, author, moment)
            body["replyToId"] = reply_to or None
            body |= fields
            entry = Entry(body, self.seq)
            if reply_to:
                where.entries[reply_to].replies.append(entry)
                where.entries[reply_to].chain_touched(self.seq, moment)
            else:
                where.entries[id_] = entry
            return id_

    def _message(self, where: Space, id_: str, content: str, author: str, moment: str) -> Json:
        team = where.body.get("teamId")
        identity = {"teamId": team, "channelId": where.id} if team else None
        link = f"https://teams.microsoft.com/l/message/{where.id}/{id_}?groupId={team}" if team else None
        return {
            "id": id_,
            "replyToId": None,
            "etag": id_,
            "messageType": "message",
            "createdDateTime": moment,
            "lastModifiedDateTime": moment,
            "lastEditedDateTime": None,
            "deletedDateTime": None,
            "subject": None,
            "summary": None,
            "chatId": None if team else where.id,
            "importance": "normal",
            "locale": "en-us",
            "webUrl": link,
            "channelIdentity": identity,
            "policyViolation": None,
            "eventDetail": None,
            "from": {
                "application": None,
                "device": None,
                "user": {
                    "@odata.type": "#microsoft.graph.teamworkUserIdentity",
                    "id": author,
                    "displayName": self.users.get(author, {}).get("displayName"),
                    "userIdentityType": "aadUser",
                },
            },
            "body": {"contentType": "html", "content": content},
            "attachments": [],
            "mentions": [],
            "reactions": [],
        }

    def _touched(self, where: Space, id_: str, moment: str) -> Entry:
        """A message or a reply that has changed."""
        for entry in where.entries.values():
            for one in (entry, *entry.replies):
                if one.body["id"] == id_:
                    one.seq = self.seq
                    entry.chain_touched(self.seq, moment)
                    return one
        raise KeyError(id_)

    def edit(self, where: Space, id_: str, content: str) -> None:
        with self.lock:
            moment = self.tick()
            entry = self._touched(where, id_, moment)
            entry.body |= {"lastModifiedDateTime": moment, "lastEditedDateTime": moment}
            entry.body["body"] = {"contentType": "html", "content": content}

    def remove(self, where: Space, id_: str) -> None:
        """A message is deleted; what stays is its place, empty."""
        with self.lock:
            moment = self.tick()
            entry = self._touched(where, id_, moment)
            entry.before_deletion = {name: entry.body[name] for name in ("body", "attachments")}
            entry.body |= {"lastModifiedDateTime": moment, "deletedDateTime": moment, "attachments": []}
            entry.body["body"] = {"contentType": "html", "content": ""}

    # OneDrive and SharePoint

    def drive(self, owner: str, kind: str = "business", name: str = "OneDrive") -> Space:
        body = {
            "id": f"b!drive{len(self.drives) + 1}",
            "name": name,
            "driveType": kind,
            "webUrl": "https://contoso-my.sharepoint.com/personal",
            "createdDateTime": self.now(),
            "owner": {
                "user": {"id": owner, "displayName": "Owner", "email": self.users.get(owner, {}).get("mail")},
            },
        }
        drive = self.drives[str(body["id"])] = Space(body)
        if kind == "business":
            self.drive_of[owner] = drive.id
        root = {"id": "root-item", "name": "root", "folder": {"childCount": 1}, "root": {}}
        drive.entries["root-item"] = Entry(self._item(drive, root, owner), self._next())
        return drive

    def site(self, path: str, name: str, *drives: Space) -> Space:
        body = {
            "id": f"contoso.sharepoint.com,site{len(self.sites) + 1},web",
            "name": path.rpartition("/")[2],
            "displayName": name,
            "webUrl": f"https://contoso.sharepoint.com/{path}",
        }
        site = self.sites[str(body["id"])] = Space(body)
        site.spaces = {drive.id: drive for drive in drives}
        return site

    def _next(self) -> int:
        self.tick()
        return self.seq

    def _item(self, drive: Space, facets: Json, author: str) -> Json:
        moment = self.now()
        who = {"user": {"id": author, "displayName": self.users[author]["displayName"]}}
        base = {
            "createdDateTime": moment,
            "lastModifiedDateTime": moment,
            "createdBy": who,
            "lastModifiedBy": who,
            "webUrl": f"https://contoso-my.sharepoint.com/personal/{facets['name']}",
            "parentReference": {"driveId": drive.id, "id": "root-item"},
            "eTag": f'"{{{facets["id"]}}},{self.seq}"',
            "cTag": f'"c:{{{facets["id"]}}},{self.seq}"',
        }
        return base | facets

    def file(self, drive: Space, name: str, content: bytes, author: str, **facets: Any) -> str:
        """A file; answers its id."""
        with self.lock:
            self.tick()
            id_ = f"01FILE{len(drive.entries):04d}"
            body = {"id": id_, "name": name, "size": len(content), "file": {"mimeType": "text/plain"}, **facets}
            entry = drive.entries[id_] = Entry(self._item(drive, body, author), self.seq)
            entry.content = content
            return id_

    def write(self, drive: Space, id_: str, content: bytes, **facets: Any) -> None:
        with self.lock:
            moment, entry = self.tick(), drive.entries[id_]
            entry.seq, entry.content = self.seq, content
            entry.body |= {"size": len(content), "lastModifiedDateTime": moment, **facets}
            entry.body |= {"eTag": f'"{{{id_}}},{self.seq}"', "cTag": f'"c:{{{id_}}},{self.seq}"'}

    def discard(self, space: Space, id_: str) -> None:
        """A file or a mail is deleted for good."""
        with self.lock:
            self.tick()
            space.entries[id_].seq = self.seq
            space.entries[id_].gone = True

    # Outlook

    def folder(self, owner: str, name: str, parent: Space | None = None) -> Space:
        mailbox = self.mailboxes.setdefault(owner, Space({"id": owner}))
        body = {
            "id": f"AAMkfolder{len(self.mailboxes)}x{len(mailbox.spaces) + 1}=",
            "displayName": name,
            "parentFolderId": parent.id if parent else "msgfolderroot=",
            "childFolderCount": 0,
            "unreadItemCount": 0,
            "totalItemCount": 0,
            "isHidden": False,
        }
        folder = mailbox.spaces[str(body["id"])] = Space(body)
        return folder

    def mail(self, folder: Space, subject: str, content: str, sender: str, *to: str, **fields: Any) -> str:
        """A mail; answers its id."""
        with self.lock:
            moment = self.tick()
            id_ = f"AAMkmail{self.seq:06d}="
            body = {
                "id": id_,
                "subject": subject,
                "body": {"contentType": "html", "content": content},
                "bodyPreview": content[:50],
                "from": _person(sender),
                "sender": _person(sender),
                "toRecipients": [_person(one) for one in to],
                "ccRecipients": [],
                "bccRecipients": [],
                "sentDateTime": moment,
                "receivedDateTime": moment,
                "createdDateTime": moment,
                "lastModifiedDateTime": moment,
                "hasAttachments": False,
                "isDraft": False,
                "isRead": False,
                "parentFolderId": folder.id,
                "webLink": f"https://outlook.office365.com/owa/?ItemID={id_}",
            } | fields
            folder.entries[id_] = Entry(body, self.seq)
            return id_

    def change_mail(self, folder: Space, id_: str, **fields: Any) -> None:
        with self.lock:
            folder.entries[id_].body |= {"lastModifiedDateTime": self.tick(), **fields}
            folder.entries[id_].seq = self.seq

    def attach(self, folder: Space, mail: str, name: str, content: bytes, kind: str = "file", **fields: Any) -> str:
        """Attach something before anyone looks; `kind` is file, item or reference."""
        with self.lock:
            entry = folder.entries[mail]
            id_ = f"{mail}att{len(entry.attachments)}"
            entry.attachments.append(
                {
                    "@odata.type": f"#microsoft.graph.{kind}Attachment",
                    "id": id_,
                    "name": name,
                    "contentType": None if kind == "item" else "application/octet-stream",
                    "size": len(content) + 100,
                    "isInline": False,
                    "lastModifiedDateTime": self.now(),
                }
                | fields
            )
            entry.values[id_] = content
            entry.body["hasAttachments"] = True
            return id_


def _person(address: str) -> Json:
    return {"emailAddress": {"name": address.partition("@")[0].title(), "address": address}}
