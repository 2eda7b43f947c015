"""Taking files, cells, mails and messages of Google Workspace out of readers' hands, and putting them back: how it is
configured.

The work is done in `holding`, which is imported only when a quarantine is opened.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Literal

from keysentry.connectors.base import Quarantine, QuarantineOptions, SourceOptions
from keysentry.connectors.google import Options as GoogleSourceOptions
from keysentry.errors import ConfigError, MissingExtraError
from keysentry.model.sensitive import Sensitive

__all__ = ["Options", "open_quarantine"]


class Options(QuarantineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the acting side of a Google Workspace source can be told.

    `credentials`: the file of a service account or of an authorised user (JSON) that may write. `token`: an access
    token instead of such a file; it lives for an hour. `users`: addresses of the users to act for (domain-wide
    delegation of a service account), owners of files and authors of messages first of all; empty: those of the source.
    `manager`: the address of a user who manages the shared drives and the spaces of Chat; empty: whoever of the users
    may.

    `mode`: what is done with a file of Drive: `restrict` (permissions are cut to the owner, and it is moved only where
    it inherits others) or `move` (always into a folder that nobody else reads). `folder`: the id of a folder or shared
    drive that only those may read who look after incidents; files of shared drives are moved there. `sheets`: what is
    done with a spreadsheet of Google's own kind: `cell` (the cells with a secret get a placeholder) or `file` (as with
    any file). `mail`: what is done with a mail: `label` (out of the inbox, under a label) or `trash` (into the trash
    as well, which Gmail empties after 30 days). `label`: the name of that label. `max_search`: how many bytes of a file
    are searched for the secret; a larger one is touched only if nobody wrote it since it was scanned.

    `per_minute`: 50 keeps to Google's limits for each interface, other values scale them; 0: no limit of ours.
    `base_url`: another address for all interfaces; that of the source, if there is none.
    """

    credentials: str = ""
    token: Sensitive | None = None
    users: tuple[str, ...] = ()
    manager: str = ""
    mode: Literal["restrict", "move"] = "restrict"
    folder: str = ""
    sheets: Literal["cell", "file"] = "cell"
    mail: Literal["label", "trash"] = "label"
    label: str = "Quarantine"
    max_search: int = 64 << 20

    paths: ClassVar[tuple[str, ...]] = ("credentials",)
    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "credentials": ("GOOGLE_ACTING_CREDENTIALS",),
        "token": ("GOOGLE_ACTING_TOKEN",),
    }


def open_quarantine(options: QuarantineOptions, source: SourceOptions) -> Quarantine:
    """A quarantine for the findings of a source; Google is first asked when it acts.

    Raises `ConfigError` and `MissingExtraError`.
    """
    if not isinstance(options, Options) or not isinstance(source, GoogleSourceOptions):
        raise TypeError("options of Google Workspace are expected")
    place = f"Google Workspace ({options.source}, acting)"
    if (not options.credentials) == (options.token is None):
        raise ConfigError(
            "it needs credentials of one kind to act with",
            place=place,
            advice="set `credentials` or `token` (or GOOGLE_ACTING_CREDENTIALS, GOOGLE_ACTING_TOKEN), and not both",
        )
    if options.per_minute < 0 or options.max_search < 0:
        raise ConfigError("per_minute and max_search must not be below 0", place=place)
    if not options.label.strip():
        raise ConfigError("a label needs a name", place=place, advice="leave `label` out, or name one")
    if find_spec("googleapiclient") is None:
        raise MissingExtraError("Google Workspace", "google")
    from keysentry.connectors.google.acting import Actor
    from keysentry.connectors.google.holding import GoogleQuarantine

    return GoogleQuarantine(Actor(options, source), options)
