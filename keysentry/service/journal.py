"""What a daemon says while it works: one line an event, for a person or for a log collector, never with a payload."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

Level = Literal["info", "warning", "error"]
Field = str | int | float | bool | None


class Journal:
    """Writes events to whatever takes lines. Safe to use from several threads.

    As JSON a line is an object with `time`, `level`, `event` and the event's own fields; as text the fields follow the
    event as `name=value`.
    """

    def __init__(
        self, write: Callable[[str], object], form: Literal["text", "json"] = "text", *, quiet: bool = False
    ) -> None:
        """`quiet` leaves out what is neither a warning nor an error."""
        self._write = write
        self._quiet = quiet
        self._form = form
        self._lock = threading.Lock()

    def tell(self, level: Level, event: str, **fields: Field) -> None:
        """Write one event. Fields that are None are left out."""
        if self._quiet and level == "info":
            return
        now = datetime.now(UTC)
        present = {name: value for name, value in fields.items() if value is not None}
        if self._form == "json":
            stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = msgspec.json.encode({"time": stamp, "level": level, "event": event, **present}).decode()
        else:
            mark = "" if level == "info" else f"{level}: "
            words = " ".join(f"{name}={_word(value)}" for name, value in present.items())
            line = f"{now:%H:%M:%S} {mark}{event}{'  ' if words else ''}{words}"
        with self._lock:
            self._write(line + "\n")


def _word(value: Field) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return f'"{text}"' if " " in text or not text else text
