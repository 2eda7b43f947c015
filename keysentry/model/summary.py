"""What a scan did, and what it did not read."""

from __future__ import annotations

import msgspec

from keysentry.model.finding import Skipped


class Summary(msgspec.Struct):
    """The account of one scan. `seconds` is wall time; `bytes` counts what went through the engine, after inflation;
    `records` are those of platforms (messages, objects), whose bytes are counted as far as they are told.
    """

    files: int = 0
    records: int = 0
    bytes: int = 0
    seconds: float = 0.0
    rules: int = 0
    engine: str = ""
    skipped: list[Skipped] = []
    allowed: int = 0
    baselined: int = 0
    below_threshold: int = 0
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """True if everything that was asked for was read to its end."""
        return not self.skipped and not self.interrupted
