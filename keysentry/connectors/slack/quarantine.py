"""Taking messages of Slack out of readers' hands, and putting them back: how it is configured.

The work is done in `holding`, which is imported only when a quarantine is opened.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Literal

from keysentry.connectors.base import Quarantine, QuarantineOptions, SourceOptions
from keysentry.connectors.slack import Options as SlackSourceOptions
from keysentry.errors import ConfigError, MissingExtraError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_quarantine"]


class Options(QuarantineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the acting side of a Slack source can be told.

    `token`: a bot's token, or a person's, that writes placeholders and changes messages of its owner. `admin_token`:
    the token of a workspace owner or admin, that deletes messages and files of others; without it `token` does what it
    may. `mode`: what is done with a message: `replace` (its text is changed; only messages of a token's owner),
    `delete` (it is deleted and a placeholder written), `auto` (the first where it is possible, else the second).
    `max_file`: how many bytes of files are sealed with one message at most; one that holds a secret in larger files is
    not touched.
    `per_minute`: 50 keeps to Slack's limits as they are stated for each method, other values scale them; 0: no limit
    of ours. `base_url`: another address of the interface; that of the source, if there is none.
    """

    token: Sensitive | None = None
    admin_token: Sensitive | None = None
    mode: Literal["auto", "replace", "delete"] = "auto"
    max_file: int = 32 << 20

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "token": ("SLACK_ACTING_TOKEN",),
        "admin_token": ("SLACK_ADMIN_TOKEN",),
    }


def open_quarantine(options: QuarantineOptions, source: SourceOptions) -> Quarantine:
    """A quarantine for the findings of a source; Slack is first asked when it acts.

    Raises `ConfigError` and `MissingExtraError`.
    """
    if not isinstance(options, Options) or not isinstance(source, SlackSourceOptions):
        raise TypeError("options of Slack are expected")
    place = f"Slack ({options.source}, acting)"
    if source.export:
        raise ConfigError(
            "its source is an export of Slack, which cannot be acted upon",
            place=place,
            advice="read the workspace itself, with a token, and act upon what is found there",
        )
    if options.token is None and options.admin_token is None:
        raise ConfigError(
            "there is no token to act with",
            place=place,
            advice="set `token` or `admin_token` (or the variables SLACK_ACTING_TOKEN, SLACK_ADMIN_TOKEN)",
        )
    if options.per_minute < 0 or options.max_file < 0:
        raise ConfigError("per_minute and max_file must not be below 0", place=place)
    if find_spec("slack_sdk") is None:
        raise MissingExtraError("Slack", "slack")
    from keysentry.connectors.slack.acting import Actor
    from keysentry.connectors.slack.holding import SlackQuarantine
    from keysentry.connectors.slack.tokens import Tokens

    def actor(token: Sensitive, setting: str) -> Actor:
        base_url = options.base_url or source.base_url
        name = f"{options.source}, {setting}"
        return Actor(name, token, setting=setting, base_url=base_url, per_minute=options.per_minute)

    speaker = actor(options.token, "token") if options.token else None
    admin = actor(options.admin_token, "admin_token") if options.admin_token else None
    found = speaker or admin
    assert found is not None
    return SlackQuarantine(Tokens(found, admin or found), mode=options.mode, max_file=options.max_file)
