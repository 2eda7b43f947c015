"""Taking messages, files and mails of Microsoft 365 out of readers' hands, and putting them back: how it is configured.

The work is done in `holding`, which is imported only when a quarantine is opened.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Literal

import msgspec

from keysentry.connectors.base import Quarantine, QuarantineOptions, SourceOptions
from keysentry.connectors.microsoft import BASE_URL
from keysentry.connectors.microsoft import Options as MicrosoftSourceOptions
from keysentry.errors import ConfigError, MissingExtraError
from keysentry.model.sensitive import Sensitive

__all__ = ["OWN_DRIVE", "Options", "open_quarantine"]

OWN_DRIVE = "own"
"""What `quarantine_drive` is where each file stays in the drive that it is in."""
_UNFIT = '\\/:*?"<>|'
"""What no name in OneDrive or SharePoint may hold."""


class Options(QuarantineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the acting side of a Microsoft 365 source can be told. Its app is another one than the reader's.

    `tenant_id`: the directory (tenant) id; empty: that of the source. `client_id`: the application (client) id of the
    app that acts. `client_secret`: a secret of that app. `token`: a ready application token instead of these three; it
    lives for about an hour. `authority`: where tokens are asked for; empty: as for the source.

    `teams_model`: what Microsoft licenses blocking messages by: `A` (security and compliance) or `evaluation` (for
    trials). `author_may`: what the author of a blocked message may do about it: `nothing`, `report` (it as a mistake,
    which lets it through), `justify` (let it through with a reason) or `override` (let it through). `compliance_url`: a
    page about your rules, to which the tip on a blocked message leads.

    `quarantine_drive`: the id of the drive that held files are put into, best a library that only those may read who
    look after incidents; `own`: each file stays in its own drive; empty: files are not held. `quarantine_folder`: the
    name of the folder in that drive, which is made if it is not there. `stub`: leave a text file with the placeholder
    where a file was. `max_search`: how many bytes of a file are searched for the secret; a larger one is touched only
    if nobody wrote it since it was scanned.

    `mail_folder`: the name of the hidden folder of a mailbox that held mails are put into; made if it is not there.

    `per_minute`: how many calls of ours a minute at most, of which at most 240 for messages of Teams; 0: no limit of
    ours. `base_url`: another address of Microsoft Graph, with its version; that of the source, if there is none.
    """

    tenant_id: str = ""
    client_id: str = ""
    client_secret: Sensitive | None = None
    token: Sensitive | None = None
    authority: str = ""
    teams_model: Literal["A", "evaluation"] = "A"
    author_may: Literal["nothing", "report", "justify", "override"] = "nothing"
    compliance_url: str = ""
    quarantine_drive: str = ""
    quarantine_folder: str = "keysentry quarantine"
    stub: bool = False
    max_search: int = 64 << 20
    mail_folder: str = "keysentry quarantine"
    per_minute: float = 600.0

    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "client_id": ("AZURE_ACTING_CLIENT_ID",),
        "client_secret": ("AZURE_ACTING_CLIENT_SECRET",),
        "token": ("KEYSENTRY_GRAPH_ACTING_TOKEN",),
    }


def open_quarantine(options: QuarantineOptions, source: SourceOptions) -> Quarantine:
    """A quarantine for the findings of a source; Microsoft is first asked when it acts.

    Raises `ConfigError` and `MissingExtraError`.
    """
    if not isinstance(options, Options) or not isinstance(source, MicrosoftSourceOptions):
        raise TypeError("options of Microsoft 365 are expected")
    from keysentry.connectors.microsoft.signing import client_options

    place = f"Microsoft 365 ({options.source}, acting)"
    if options.per_minute < 0 or options.max_search < 0:
        raise ConfigError("per_minute and max_search must not be below 0", place=place)
    for setting, name in (("quarantine_folder", options.quarantine_folder), ("mail_folder", options.mail_folder)):
        if not name.strip() or name != name.strip() or set(name) & set(_UNFIT):
            raise ConfigError(f"{setting} {name!r} is no name of one folder", place=place)
    known = source.base_url if source.base_url != BASE_URL else ""
    wanted = msgspec.structs.replace(
        options, tenant_id=options.tenant_id or source.tenant_id, authority=options.authority or source.authority
    )
    reading = client_options(wanted, options.base_url or known, name=options.source, place=place)
    if find_spec("kiota_http") is None or find_spec("azure") is None or find_spec("azure.identity") is None:
        raise MissingExtraError("Microsoft 365", "microsoft")
    from keysentry.connectors.microsoft.holding import connect

    return connect(wanted, reading)
