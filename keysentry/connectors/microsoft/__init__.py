"""Microsoft 365: Teams channels and chats, OneDrive and SharePoint files, Outlook mail, by Microsoft Graph."""

from __future__ import annotations

import glob
from typing import ClassVar, Literal

from keysentry.connectors.base import MAX_FILE, Source, SourceOptions
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

__all__ = ["BASE_URL", "Options", "open_source", "target_options"]

BASE_URL = "https://graph.microsoft.com/v1.0"
"""https://learn.microsoft.com/en-us/graph/deployments names those of the national clouds."""
EVERY_SITE = "*"
TeamsExport = Literal["off", "A", "B", "evaluation"]
_OF_USERS = {"onedrive": "drives", "outlook": "mail"}
"""Targets that may name a user, and the options that they stand for."""


class Options(SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a Microsoft 365 source can be told.

    `tenant_id`: the directory (tenant) id of the organisation. `client_id`: the application (client) id of the
    registered app. `client_secret`: a secret of that app. `token`: a ready application token instead of these three;
    it lives for about an hour. `authority`: where tokens are asked for; empty: login.microsoftonline.com.

    `teams`: read the channels of all teams. `chats`: read one-to-one, group and meeting chats of `users`. `drives`:
    read the OneDrive of `users`. `mail`: read the mailboxes of `users`. `users`: ids or sign-in names of the users
    whose chats, OneDrive and mail are read; empty: all users. `sites`: SharePoint sites whose document libraries are
    read, as `contoso.sharepoint.com/sites/name`; `*` for every site; empty: none.

    `teams_export`: read `teams` and `chats` by the export interface of Teams, as one list a team and one a user:
    `off`, or its licensing model, `A` (security and compliance), `B` (other purposes) or `evaluation` (for trials).

    `domains`: the organisation's own mail domains, everyone else is external; empty: those that the tenant has
    verified. `sharing`: ask whom each shared file is shared with, one call a file; without it only what the file
    itself tells.

    `since`: leave out what is older, as 2026-01-31 or 2026-01-31T12:00:00Z. `max_file`: the largest file or attachment
    that is read, in bytes. `base_url`: another address of Microsoft Graph, with its version. `per_second`: calls of
    Microsoft Graph a second at most, of which at most 4 for messages of Teams; 0 for no limit of ours.
    """

    tenant_id: str = ""
    client_id: str = ""
    client_secret: Sensitive | None = None
    token: Sensitive | None = None
    authority: str = ""
    teams: bool = False
    chats: bool = False
    drives: bool = False
    mail: bool = False
    users: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    teams_export: TeamsExport = "off"
    domains: tuple[str, ...] = ()
    sharing: bool = True
    since: str = ""
    max_file: int = MAX_FILE
    base_url: str = BASE_URL
    per_second: float = 10.0

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "tenant_id": ("AZURE_TENANT_ID",),
        "client_id": ("AZURE_CLIENT_ID",),
        "client_secret": ("AZURE_CLIENT_SECRET",),
        "token": ("KEYSENTRY_GRAPH_TOKEN", "KF_TEAMS_TOKEN"),
    }


def target_options(target: str) -> dict[str, object]:
    """The options behind `teams:`, `teams:Team`, `teams:Team/Channel`, `onedrive:[user]`, `outlook:[user]` and
    `sharepoint:[site]`.

    Raises `ConfigError` for anything else.
    """
    scheme, _, rest = target.partition(":")
    rest = rest.strip().removeprefix("//").strip("/")
    if scheme == "teams":
        return {"teams": True} | ({"include": (_channels(rest),)} if rest else {})
    if scheme in _OF_USERS:
        return {_OF_USERS[scheme]: True, "users": (rest,) if rest else ()}
    if scheme == "sharepoint":
        return {"sites": (rest or EVERY_SITE,)}
    raise ConfigError(
        "this names nothing in Microsoft 365",
        place=target,
        advice="teams:, teams:<team>/<channel>, onedrive:<user>, outlook:<user> or sharepoint:<host/sites/name>",
    )


def _channels(name: str) -> str:
    """A glob on the titles of channels: those of a team, or one of them."""
    team, slash, channel = name.partition("/")
    wanted = glob.escape(channel.removeprefix("#")) if slash else "*"
    return f"{glob.escape(team)} / #{wanted}"


def open_source(options: SourceOptions) -> Source:
    """A source for these options; nothing is asked of Microsoft yet.

    Raises `ConfigError` for options that do not fit together.
    """
    from keysentry.connectors.microsoft.source import MicrosoftSource

    if not isinstance(options, Options):
        raise ConfigError("these are not options of Microsoft 365", place=options.name)
    return MicrosoftSource(options)
