"""Holds one object in a process of its own, for tests that end it.

    python -m tests.connectors.objects.killed JOB

JOB is a file of JSON: the platform, what to open its quarantine with, the place, the original and the placeholder.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import msgspec

from keysentry.connectors.base import QuarantineModule
from keysentry.model.action import Original, Place
from keysentry.model.sensitive import Sensitive


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is given. `options` are those of the source and those of the quarantine; secret ones are under
    names that end in `!`.
    """

    platform: str
    options: tuple[dict[str, Any], dict[str, Any]]
    place: Place
    original: Original
    placeholder: str


def told(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as options take them."""
    return {name.rstrip("!"): Sensitive(value) if name.endswith("!") else value for name, value in settings.items()}


def main(path: str) -> None:
    job = msgspec.json.decode(Path(path).read_bytes(), type=Job)
    reading: Any = importlib.import_module(f"keysentry.connectors.{job.platform}")
    acting: Any = importlib.import_module(f"keysentry.connectors.{job.platform}.quarantine")
    module: QuarantineModule = acting
    quarantine = module.open_quarantine(acting.Options(**told(job.options[1])), reading.Options(**told(job.options[0])))
    quarantine.hold(job.place, job.original, (), job.placeholder)


if __name__ == "__main__":
    main(sys.argv[1])
