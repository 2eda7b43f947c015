"""A tenant in which something is held and released: who is in it, and what its source says of what they write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from keysentry.connectors.microsoft import Options as ReadingOptions
from keysentry.connectors.microsoft.holding import MicrosoftQuarantine, connect
from keysentry.connectors.microsoft.quarantine import Options
from keysentry.connectors.microsoft.source import MicrosoftSource
from keysentry.model.action import Place
from keysentry.model.record import Record
from keysentry.model.sensitive import Sensitive
from tests.connectors.microsoft.world import Waits, people, read, records, units
from tests.servers.graph import TOKEN
from tests.servers.graph_acting import ACTING, ActingServer
from tests.servers.graph_acting_files import grant, link, rights
from tests.servers.graph_state import Entry, Json, Space, Tenant

_NUMBERS = count(1)


class Corp:
    """A tenant with three people, a channel, a chat, a drive, a library, a mailbox, and a drive for the quarantine."""

    def __init__(self, server: ActingServer, base_url: str = "") -> None:
        server.reset(Tenant())
        self.server = server
        self.base_url = base_url or server.url
        self.tenant = server.tenant
        self.waits = Waits()
        self.ann, self.bob, self.eve = people(self.tenant)
        self.security = self.tenant.user("security@contoso.com", "Security")
        self.team = self.tenant.team("Engineering", self.ann, self.bob)
        self.channel = self.tenant.channel(self.team, "Backups")
        self.chat = self.tenant.chat("oneOnOne", self.tenant.member(self.ann), self.tenant.member(self.bob))
        self.drive = self.tenant.drive(self.ann)
        self.inbox = self.tenant.folder(self.ann, "Inbox")
        for name in ("Drafts", "Sent Items"):
            self.tenant.folder(self.security, name)
        self.vault = self.tenant.drive(self.security, "documentLibrary", "Quarantine")
        self._owned(self.drive, self.ann)
        self._owned(self.vault, self.security)

    def _owned(self, drive: Space, owner: str) -> None:
        drive.entries["root-item"].permissions = [grant(self.server, self.tenant.users[owner], "owner")]

    # What people do

    def shares(self, content: bytes, name: str = "", **rights_to: str) -> str:
        """A file of Ann's that Bob may write and the organisation may read by a link."""
        id_ = self.tenant.file(self.drive, name or f"notes {next(_NUMBERS)}.txt", content, self.ann)
        self.entry(id_).permissions = [
            grant(self.server, self.tenant.users[self.bob], "write"),
            link(self.server, "organization", "view"),
        ]
        return id_

    def entry(self, id_: str, drive: Space | None = None) -> Entry:
        return (drive or self.drive).entries[id_]

    def folder(self, name: str, drive: Space | None = None, parent: str = "root-item") -> str:
        drive = drive or self.drive
        id_ = f"01FOLDER{next(_NUMBERS):04d}"
        body = self.tenant._item(drive, {"id": id_, "name": name, "folder": {"childCount": 0}}, self.ann)
        body["parentReference"] = {"driveId": drive.id, "id": parent}
        drive.entries[id_] = Entry(body, self.tenant.seq)
        return id_

    def mails(self, text: str, **fields: Any) -> str:
        number = next(_NUMBERS)
        fields = {"internetMessageId": f"<{number}@contoso.com>", **fields}
        return self.tenant.mail(self.inbox, f"mail {number}", text, "bob@contoso.com", "ann@contoso.com", **fields)

    # What is to be seen

    def message(self, id_: str, where: Space | None = None) -> Json:
        for entry in (where or self.channel).entries.values():
            for one in (entry, *entry.replies):
                if one.body["id"] == id_:
                    return one.body
        raise KeyError(id_)

    def said(self, id_: str, drive: Space | None = None) -> list[tuple[str, str]]:
        """What the rights to a file say, the owner's left out."""
        found = []
        for one in rights(drive or self.drive, self.entry(id_, drive)):
            if "owner" in one["roles"]:
                continue
            who = one["link"]["scope"] if "link" in one else one["grantedToV2"]["user"]["displayName"]
            found.append((who, one["roles"][0]))
        return sorted(found)

    @property
    def effects(self) -> dict[str, int]:
        return dict(self.server.effects)

    # What keysentry does

    def record(self, id_: str) -> Record:
        """The record that the source makes of something, by the end of its id."""
        kinds = {"drives": True} if id_.startswith("01") else {"mail": True} if id_.startswith("AA") else {}
        options = ReadingOptions(
            name="acme",
            token=Sensitive(TOKEN),
            base_url=self.server.url,
            per_second=0.0,
            users=(self.ann,),
            **(kinds or {"teams": True, "chats": True}),
        )
        source = MicrosoftSource(options, self.waits.pace)
        try:
            found = (record for unit in units(source) for record in records(read(source, unit)) if not record.deleted)
            return next(one for one in found if one.id.endswith(f"/{id_}"))
        finally:
            source.close()

    def place(self, id_: str) -> Place:
        """Where something is, as its source says."""
        record = self.record(id_)
        time = "" if record.time is None else _iso(record.time)
        return Place(
            source="acme",
            platform="microsoft",
            unit=record.unit,
            record=record.id,
            uri=record.uri,
            time=time,
            container=record.container,
            author=record.author,
            author_id=record.author_id,
        )

    def open(self, **options: Any) -> MicrosoftQuarantine:
        wanted = {"quarantine_drive": self.vault.id, "token": Sensitive(ACTING), "per_minute": 0.0, **options}
        reading = ReadingOptions(name="acme", token=wanted["token"], base_url=self.base_url)
        return connect(Options(source="acme", **wanted), reading, self.waits.pace)

    @contextmanager
    def quarantine(self, **options: Any) -> Iterator[MicrosoftQuarantine]:
        found = self.open(**options)
        try:
            yield found
        finally:
            found.close()


def _iso(moment: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
