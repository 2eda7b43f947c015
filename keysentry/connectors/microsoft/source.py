"""One tenant of Microsoft 365 as a source: which units there are, and who reads each kind.

The id of a unit is its address in Graph, and so is the id of a record: both say what they are, and lead back.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from keysentry.connectors.base import Delivery
from keysentry.connectors.microsoft import BASE_URL, Options
from keysentry.connectors.microsoft.chats import ChatReader, chats
from keysentry.connectors.microsoft.client import GraphClient
from keysentry.connectors.microsoft.directory import Directory
from keysentry.connectors.microsoft.drives import DriveReader, drives_of_sites, drives_of_users
from keysentry.connectors.microsoft.export import ExportReader, Newest, export_of_teams, export_of_users
from keysentry.connectors.microsoft.faults import PLACE
from keysentry.connectors.microsoft.mail import MailReader, folders
from keysentry.connectors.microsoft.members import Patience
from keysentry.connectors.microsoft.teams import ChannelReader, channels
from keysentry.connectors.pace import Pace
from keysentry.errors import ClosedError, ConfigError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit

MESSAGES_PER_SECOND = 4.0
"""What Graph allows an app on one team or channel.

https://learn.microsoft.com/en-us/graph/throttling-limits#microsoft-teams-service-limits
"""
_EXPORT = re.compile(r"users/[^/]+/chats|teams/[^/]+/channels")
"""The ids of units that the export interface reads."""


class MicrosoftSource:
    """Reads one tenant. The connection is made with the first call."""

    def __init__(self, options: Options, make_pace: Callable[..., Pace] = Pace) -> None:
        """`make_pace` makes the limits of calls, from the arguments of `Pace`."""
        self._since = _since(options)
        self._options = _checked(options)
        self._one_by_one = options.teams_export == "off"
        self._newest = Newest()
        self._licences = Patience()
        self._make_pace = make_pace
        self._lock = threading.Lock()
        self._client: GraphClient | None = None
        self._directory: Directory | None = None
        self._closed = False

    def units(self) -> Iterator[Unit | Skipped]:
        """What there is to read now. Raises `SourceError`."""
        options, client, directory = self._options, *self._connected()
        named = bool(options.users)
        if options.teams:
            yield from channels(client) if self._one_by_one else export_of_teams(client)
        if options.chats:
            yield from chats(client, directory.users()) if self._one_by_one else export_of_users(directory.users())
        if options.drives:
            yield from drives_of_users(client, directory.users(), named=named)
        if options.sites:
            yield from drives_of_sites(client, options.sites)
        if options.mail:
            yield from folders(client, directory.users(), named=named)

    def records(self, unit: Unit, cursor: Cursor | None) -> Iterator[Delivery]:
        """What is in a unit from a cursor on, and what changed since. Raises `SourceError`."""
        options, client, directory = self._options, *self._connected()
        kind, _, rest = unit.id.partition("/")
        if _EXPORT.fullmatch(unit.id):
            model = options.teams_export if options.teams_export in ("A", "B") else ""
            return ExportReader(
                client, unit, model=model, since=self._since, newest=self._newest, licences=self._licences
            ).deliveries(cursor)
        if kind == "teams":
            return ChannelReader(client, unit, self._since).deliveries(cursor)
        if kind == "chats":
            return ChatReader(client, unit, self._since).deliveries(cursor)
        if kind == "drives":
            return DriveReader(
                client, unit, directory, since=self._since, max_file=options.max_file, sharing=options.sharing
            ).deliveries(cursor)
        if kind == "users" and "/mailFolders/" in rest:
            return MailReader(client, unit, directory, since=self._since, max_file=options.max_file).deliveries(cursor)
        raise ConfigError("there is no such unit in Microsoft 365", place=unit.id)

    def close(self) -> None:
        """Let go of connections; whoever waits gets a `ClosedError`."""
        with self._lock:
            self._closed = True
            client = self._client
        if client is not None:
            client.close()

    def _connected(self) -> tuple[GraphClient, Directory]:
        with self._lock:
            if self._closed:
                raise ClosedError("closed", place=PLACE)
            if self._client is None or self._directory is None:
                options, rate = self._options, self._options.per_second
                every = self._make_pace(PLACE, per_second=rate, burst=10)
                messages = self._make_pace(PLACE, per_second=min(rate, MESSAGES_PER_SECOND), burst=4)
                self._client = GraphClient(options, every, messages)
                self._directory = Directory(self._client, options.users, options.domains)
            return self._client, self._directory


def _checked(options: Options) -> Options:
    """The options, if they fit together. Raises `ConfigError`."""
    place = options.name
    if not (options.teams or options.chats or options.drives or options.mail or options.sites):
        raise ConfigError(
            "nothing of Microsoft 365 is chosen",
            place=place,
            advice='set one of teams, chats, drives, mail to true, or sites = ["*"]',
        )
    if options.token is None and not (options.tenant_id and options.client_id and options.client_secret):
        raise ConfigError(
            "it is not said how to sign in",
            place=place,
            advice="set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or KEYSENTRY_GRAPH_TOKEN",
        )
    base = options.base_url or BASE_URL
    if not base.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise ConfigError(f"base_url {base} is not https", place=place, advice="a token never goes unencrypted")
    return options


def _since(options: Options) -> float:
    if not options.since:
        return 0.0
    try:
        moment = datetime.fromisoformat(options.since)
    except ValueError:
        raise ConfigError(
            f"since {options.since!r} is no date", place=options.name, advice="2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
