"""What a store can be told."""

from __future__ import annotations

import msgspec


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where incidents and cursors are kept.

    `url`: `sqlite:///path/to/file.db` (four slashes for an absolute path), `postgresql://user@host/database`, or
    `memory:`. Empty: a SQLite file in the user's data folder.
    """

    url: str = ""
