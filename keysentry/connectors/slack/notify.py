"""Telling people in Slack: the author by a direct or an ephemeral message, others in a channel.

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
    """What a Slack notifier can be told.

    `token`: the token of the app that tells. `channel`: the channel where notices that are for nobody in particular
    are written, by name (`#security`) or id. `author`: how an author is told: `dm` (a direct message) or `ephemeral`
    (a message that only they see, in the conversation where they wrote; it is gone when they reload, and nobody can
    ask later whether it was sent). `per_minute`: 50 keeps to Slack's limits as they are stated for each method, other
    values scale them; 0: no limit of ours. `base_url`: another address of the interface.
    """

    token: Sensitive | None = None
    channel: str = ""
    author: Literal["dm", "ephemeral"] = "dm"
    per_minute: float = 50.0
    base_url: str = ""

    environment: ClassVar[dict[str, tuple[str, ...]]] = {"token": ("SLACK_NOTIFY_TOKEN", "SLACK_ACTING_TOKEN")}


def open_notifier(options: NotifierOptions) -> Notifier:
    """A notifier; Slack is first asked when it tells something. Raises `ConfigError` and `MissingExtraError`."""
    if not isinstance(options, Options):
        raise TypeError("options of Slack are expected")
    place = f"Slack ({options.name})"
    if options.token is None:
        advice = "set `token` (or the variable SLACK_NOTIFY_TOKEN)"
        raise ConfigError("there is no token to tell anybody with", place=place, advice=advice)
    if options.per_minute < 0:
        raise ConfigError("per_minute must not be below 0", place=place)
    if find_spec("slack_sdk") is None:
        raise MissingExtraError("Slack", "slack")
    from keysentry.connectors.slack.acting import Actor
    from keysentry.connectors.slack.telling import SlackNotifier

    actor = Actor(options.name, options.token, base_url=options.base_url, per_minute=options.per_minute)
    return SlackNotifier(actor, channel=options.channel, ephemeral=options.author == "ephemeral")
