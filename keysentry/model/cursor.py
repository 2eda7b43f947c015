"""Where to resume."""

from __future__ import annotations

import msgspec


class Cursor(msgspec.Struct, frozen=True):
    """A source's own note of how far a unit was read. Opaque to everyone else; empty means from the start."""

    value: str = ""
