"""Slack: a workspace by its interface (history, threads, files, events), or an export of one."""

from __future__ import annotations

import time
from typing import ClassVar

from keysentry.connectors.base import Source, SourceOptions
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_source", "target_options"]


class Options(SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a Slack source can be told.

    `token`: a bot's or a user's token. `app_token`: an app-level token; with it events are listened to by Socket Mode.
    `signing_secret`: the app's, for requests of the Events API. `export`: the zip or folder of a Slack export, which is
    read instead of a workspace. `channels`: names (`#general`) or ids of the conversations to read; empty: all that the
    token can see. `direct_messages`: read direct messages and group conversations as well.

    `files`: read the content of files and canvases. `max_file`: the largest file that is read, in bytes. `since`: leave
    out what is older: a date (2026-01-31) or an age (90d). `edits_for`: for how many days after the newest message
    edits, deletions and new replies in threads are looked for; 0: only new messages. `per_minute`: how often history
    and threads may be asked for in a minute; the limits of other methods grow with it above 50; 0: no limit of ours.
    `page`: how many messages are asked for at a time, at most 999. `base_url`: another address of the interface.
    """

    token: Sensitive | None = None
    app_token: Sensitive | None = None
    signing_secret: Sensitive | None = None
    export: str = ""
    channels: tuple[str, ...] = ()
    direct_messages: bool = False
    files: bool = True
    max_file: int = 100 << 20
    since: str = ""
    edits_for: float = 1.0
    per_minute: float = 50.0
    page: int = 200
    base_url: str = ""

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "token": ("SLACK_BOT_TOKEN", "SLACK_TOKEN"),
        "app_token": ("SLACK_APP_TOKEN",),
        "signing_secret": ("SLACK_SIGNING_SECRET",),
    }


def target_options(target: str) -> dict[str, object]:
    """The options that `slack:`, `slack:#general`, `slack:C0123ABCD` or several of these by commas stand for.

    Raises `ConfigError`.
    """
    names = [name.strip() for name in target.removeprefix("slack:").split(",") if name.strip()]
    for name in names:
        if any(character.isspace() or character in "/\\" for character in name):
            raise ConfigError(
                f"{name!r} is no conversation of Slack", place=target, advice="write slack:#general or slack:C0123ABCD"
            )
    options: dict[str, object] = {"channels": names} if names else {}
    if any(name.startswith(("@", "D")) for name in names):
        options["direct_messages"] = True
    return options


def open_source(options: SourceOptions) -> Source:
    """A source for these options; Slack is first asked when it is read. Raises `ConfigError`."""
    if not isinstance(options, Options):
        raise TypeError(f"options of Slack are expected, not {type(options).__name__}")
    from keysentry.connectors.slack.since import since_seconds

    since = since_seconds(options.since, time.time())
    if options.export:
        from keysentry.connectors.slack.export import ExportSource

        return ExportSource(
            options.export,
            channels=options.channels,
            include=options.include,
            exclude=options.exclude,
            since=since,
            files=options.files,
            max_file=options.max_file,
        )
    return _live(options, since)


def _live(options: Options, since: float) -> Source:
    if options.token is None:
        raise ConfigError(
            "there is neither a token nor an export to read",
            place=f"Slack ({options.name})",
            advice="set `token` (or the variable SLACK_BOT_TOKEN), or `export`",
        )
    if not 1 <= options.page <= 999 or options.per_minute < 0 or options.edits_for < 0 or options.max_file < 0:
        raise ConfigError(
            "page must be from 1 to 999, and per_minute, edits_for and max_file not below 0",
            place=f"Slack ({options.name})",
        )
    from keysentry.connectors.slack.client import Client
    from keysentry.connectors.slack.source import Choice, SlackSource

    client = Client(
        options.name,
        options.token,
        app_token=options.app_token,
        base_url=options.base_url,
        per_minute=options.per_minute,
        page=options.page,
    )
    return SlackSource(
        client,
        choice=Choice(options.channels, options.include, options.exclude, options.direct_messages),
        files=options.files,
        max_file=options.max_file,
        since=since,
        edits_for=options.edits_for,
        poll=options.poll,
        signing_secret=options.signing_secret,
    )
