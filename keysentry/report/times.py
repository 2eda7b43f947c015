"""How reports write times and durations."""

from __future__ import annotations

from datetime import UTC, datetime

_STEPS = ((86400 * 7, "weeks"), (86400, "days"), (3600, "h"), (60, "min"))


def utc(seconds: float | None) -> str:
    """A time in UTC as ISO 8601, to the second: `2026-05-01T10:22:33Z`; empty if there is none."""
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a clock that is out of its mind
        return f"{seconds:.0f}"


def minute(seconds: float) -> str:
    """A time in UTC as a column of a table has it: `2026-05-01 10:22`."""
    return utc(seconds)[:16].replace("T", " ")


def duration(seconds: float) -> str:
    """A length of time in its largest unit that fits twice: `45 s`, `90 min`, `36 h`, `9 days`."""
    for length, name in _STEPS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
