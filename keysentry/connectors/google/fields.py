"""Reading Google's answers: what is missing, null or of another type than promised counts as empty.

Times are RFC 3339 in UTC with up to nine decimals (https://www.rfc-editor.org/rfc/rfc3339). Cursors keep them as whole
nanoseconds, so that none is rounded.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Any

Fields = dict[str, Any]
"""A JSON object of an answer. It does not leave this package."""

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:?\d\d)?$")
_SECOND = 1_000_000_000


def text(value: object, *path: str) -> str:
    """The string at a path of keys."""
    value = _at(value, path)
    return value if isinstance(value, str) else ""


def number(value: object, *path: str) -> int | None:
    """The whole number at a path of keys; Google writes those of 64 bits as strings."""
    value = _at(value, path)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,25}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def flag(value: object, *path: str) -> bool:
    """Whether there is a `true` at a path of keys."""
    return _at(value, path) is True


def things(value: object, *path: str) -> list[Fields]:
    """The objects of the list at a path of keys."""
    value = _at(value, path)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def words(value: object, *path: str) -> list[str]:
    """The strings of the list at a path of keys."""
    value = _at(value, path)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def thing(value: object, *path: str) -> Fields:
    """The object at a path of keys."""
    value = _at(value, path)
    return value if isinstance(value, dict) else {}


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def nanoseconds(stamp: str) -> int | None:
    """A time as nanoseconds since 1970; None if it is none."""
    match = _TIME.match(stamp)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    try:
        datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    seconds = timegm((year, month, day, hour, minute, second))
    zone = (match[8] or "Z").replace(":", "")
    if zone not in "Zz":
        seconds -= (int(zone[1:3]) * 3600 + int(zone[3:5]) * 60) * (-1 if zone[0] == "-" else 1)
    return seconds * _SECOND + int((match[7] or "").ljust(9, "0"))


def stamp(nanos: int) -> str:
    """The time of so many nanoseconds since 1970, exactly."""
    seconds, rest = divmod(nanos, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def seconds(stamp: str) -> float | None:
    """A time as seconds since 1970; None if it is none."""
    nanos = nanoseconds(stamp)
    return None if nanos is None else nanos / _SECOND


def nanoseconds_of(since: str, now: float = 0.0) -> int | None:
    """The time that the setting `since` names: a day (from midnight UTC), a time, or so many days or hours before `now`
    (seconds since 1970), to the full hour. None if it names none.
    """
    back = re.fullmatch(r"(\d{1,5})([dh])", since)
    if back:
        return int((now - int(back[1]) * (86_400 if back[2] == "d" else 3_600)) // 3_600) * 3_600 * _SECOND
    return nanoseconds(since) if "T" in since.upper() else nanoseconds(f"{since}T00:00:00Z")
