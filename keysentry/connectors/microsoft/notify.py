"""Telling people in Microsoft 365: authors by mail or in their Teams activity, others in a channel of Teams.

The work is done in `telling`, which is imported only when a notifier is opened.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Literal

from keysentry.connectors.base import Notifier, NotifierOptions
from keysentry.errors import ConfigError, MissingExtraError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_notifier"]


class Options(NotifierOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a Teams notifier can be told. An app cannot write into chats or channels: Graph lets it do so only to
    migrate messages. So a channel is told through its workflow, and an author by mail or in the activity feed.

    `webhook`: the address of the workflow that posts into a channel; it is a secret. `author`: how an author is told:
    `mail`, or `activity` (in the activity feed of Teams, in 150 characters; needs a Teams app that they have).
    `sender`: the mailbox that mails are sent from, by its address. `activity_type`: the kind of activity, as the
    manifest of the Teams app declares it. `teams_app`: the id of that app, to which a notice leads that has no link
    into Teams.

    `tenant_id`: the directory (tenant) id. `client_id`: the application (client) id of the app that tells.
    `client_secret`: a secret of that app. `token`: a ready application token instead of these three. `authority`: where
    tokens are asked for; empty: login.microsoftonline.com. `per_minute`: how many calls a minute at most; 0: no limit
    of ours. `base_url`: another address of Microsoft Graph, with its version.
    """

    webhook: Sensitive | None = None
    author: Literal["mail", "activity"] = "mail"
    sender: str = ""
    activity_type: str = ""
    teams_app: str = ""
    tenant_id: str = ""
    client_id: str = ""
    client_secret: Sensitive | None = None
    token: Sensitive | None = None
    authority: str = ""
    per_minute: float = 240.0
    base_url: str = ""

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "webhook": ("KEYSENTRY_TEAMS_WEBHOOK",),
        "tenant_id": ("AZURE_TENANT_ID",),
        "client_id": ("AZURE_NOTIFY_CLIENT_ID", "AZURE_ACTING_CLIENT_ID"),
        "client_secret": ("AZURE_NOTIFY_CLIENT_SECRET", "AZURE_ACTING_CLIENT_SECRET"),
        "token": ("KEYSENTRY_GRAPH_NOTIFY_TOKEN", "KEYSENTRY_GRAPH_ACTING_TOKEN"),
    }


def open_notifier(options: NotifierOptions) -> Notifier:
    """A notifier; nothing is asked of Microsoft until it tells something. Raises `ConfigError`, `MissingExtraError`."""
    if not isinstance(options, Options):
        raise TypeError("options of Teams are expected")
    place = f"Teams ({options.name})"
    if options.per_minute < 0:
        raise ConfigError("per_minute must not be below 0", place=place)
    people = bool(options.activity_type) if options.author == "activity" else bool(options.sender)
    if not people and options.webhook is None:
        raise ConfigError(
            "it is said neither how authors are told nor how a channel is",
            place=place,
            advice="set `webhook`, and `sender` (or `author` and `activity_type`)",
        )
    from keysentry.connectors.microsoft.telling import TeamsNotifier
    from keysentry.connectors.microsoft.workflow import Workflow

    workflow = None if options.webhook is None else Workflow(options.webhook, place=place)
    if not people:
        return TeamsNotifier(options, None, workflow)
    from keysentry.connectors.microsoft.signing import client_options

    reading = client_options(options, options.base_url, name=options.name, place=place)
    if find_spec("kiota_http") is None or find_spec("azure") is None or find_spec("azure.identity") is None:
        raise MissingExtraError("Microsoft 365", "microsoft")
    from keysentry.connectors.microsoft.holding import actor
    from keysentry.connectors.microsoft.people import Activity, Mailing

    tells = actor(reading, options.per_minute)
    means = Activity(tells, options) if options.author == "activity" else Mailing(tells, options)
    return TeamsNotifier(options, means, workflow)
