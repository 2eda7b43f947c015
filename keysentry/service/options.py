"""What the daemon can be told."""

from __future__ import annotations

from typing import Literal

import msgspec


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How `keysentry watch` works.

    `deadline`: seconds that it may take to finish or give back what it holds when it is told to end. `longest_backoff`:
    seconds between two tries of a source that fails, at most. `status_every`: seconds between two notes of a source's
    state. `batch_records`, `batch_bytes`, `batch_seconds`: a batch is scanned and stored when one of them is reached.
    `log`: lines for a person, or one JSON object a line.
    """

    deadline: float = 20.0
    longest_backoff: float = 300.0
    status_every: float = 2.0
    batch_records: int = 500
    batch_bytes: int = 8 << 20
    batch_seconds: float = 2.0
    log: Literal["text", "json"] = "text"
