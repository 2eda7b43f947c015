"""How far back to read, as a person writes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from keysentry.errors import ConfigError

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([hdwy])")
_SECONDS: Final = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0, "y": 365 * 86_400.0}


def since_seconds(text: str, now: float) -> float:
    """A date (2026-01-31, 2026-01-31T12:00:00Z) or an age (12h, 90d, 4w, 1y) in UTC seconds; 0 for none.

    Raises `ConfigError`.
    """
    wanted = text.strip()
    if not wanted:
        return 0.0
    age = _AGE.fullmatch(wanted)
    if age is not None:
        return max(0.0, now - float(age[1]) * _SECONDS[age[2]])
    try:
        moment = datetime.fromisoformat(wanted)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no date and no age", place="since", advice="write 2026-01-31, 2026-01-31T12:00:00Z or 90d"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp())
