"""Google Workspace: Drive, Sheets, Gmail and Chat, for one user or, by domain-wide delegation, for many."""

from __future__ import annotations

from typing import ClassVar

from keysentry.connectors.base import Source, SourceOptions
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_source", "target_options"]


class Options(SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a Google Workspace source can be told.

    `credentials`: the file of a service account or of an authorised user (JSON). `token`: an access token instead of
    such a file; it lives for an hour. `users`: addresses of the users to act for (domain-wide delegation of a service
    account); empty: whoever the credentials belong to. `domains`: the organisation's own domains, everyone else is
    external; empty: the domains of the users.

    `drive`: read the files that each user owns. `shared_with_me`: also files that others own and have shared with a
    user. `shared_drives`: read the shared drives that the users can see. `folders`: ids of folders or shared drives;
    where any is given, only these are read. `sheets`: read spreadsheets of Google's own kind cell by cell with the
    Sheets interface; without it they are exported as xlsx (up to 10 MB). `gmail`: read mailboxes. `chat`: read the
    spaces, group chats and direct messages of Google Chat. `spaces`: names of spaces (`spaces/AAAA`); where any is
    given, only these are read.

    `since`: leave out what is older: 2026-01-31, 2026-01-31T12:00:00Z, 90d or 12h. `max_file`: the largest file or
    attachment that is read, in bytes. `base_url`: another address for all four interfaces.

    `drive_per_second`: calls of the Drive interface a second at most; 0 for no limit of ours. `sheets_per_second`:
    calls of the Sheets interface. `gmail_per_second`: calls of the Gmail interface. `chat_per_second`: calls of the
    Chat interface.
    """

    credentials: str = ""
    token: Sensitive | None = None
    users: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    drive: bool = True
    shared_with_me: bool = False
    shared_drives: bool = True
    folders: tuple[str, ...] = ()
    sheets: bool = True
    gmail: bool = False
    chat: bool = False
    spaces: tuple[str, ...] = ()
    since: str = ""
    max_file: int = 100 << 20
    base_url: str = ""
    drive_per_second: float = 50.0
    sheets_per_second: float = 1.0
    gmail_per_second: float = 12.0
    chat_per_second: float = 10.0

    paths: ClassVar[tuple[str, ...]] = ("credentials",)
    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "credentials": ("GOOGLE_APPLICATION_CREDENTIALS",),
        "token": ("GOOGLE_OAUTH_ACCESS_TOKEN",),
    }


_NOTHING: dict[str, object] = {"drive": False, "shared_drives": False, "gmail": False, "chat": False}


def target_options(target: str) -> dict[str, object]:
    """The options behind `gdrive:`, `gdrive:<folder or drive id>`, `gmail:[<address>]` and `gchat:[<space>]`.

    Raises `ConfigError` for anything else.
    """
    scheme, _, rest = target.partition(":")
    rest = rest.strip("/")
    if scheme == "gdrive" and "/" not in rest:
        return _NOTHING | {"drive": True, "shared_drives": True, "folders": (rest,) if rest else ()}
    if scheme == "gmail" and ("@" in rest or not rest):
        return _NOTHING | {"gmail": True, "users": (rest,) if rest else ()}
    if scheme == "gchat":
        space = rest if rest.startswith("spaces/") else f"spaces/{rest}"
        if not rest or space.count("/") == 1:
            return _NOTHING | {"chat": True, "spaces": (space,) if rest else ()}
    raise ConfigError(
        "this names nothing in Google Workspace",
        place=target,
        advice="gdrive:, gdrive:<folder or drive id>, gmail:<address>, gchat: or gchat:<space id>",
    )


def open_source(options: SourceOptions) -> Source:
    """A source for these options; nothing is asked of Google yet.

    Raises `ConfigError` for options that do not fit together, or a credentials file that cannot be used.
    """
    from keysentry.connectors.google.source import GoogleSource

    if not isinstance(options, Options):
        raise ConfigError("these are not options of Google Workspace", place=options.name)
    return GoogleSource(options)
