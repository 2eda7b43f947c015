"""Holds or releases one file in a process of its own, and kills itself (SIGKILL) before the change of a given number.

    python -m tests.connectors.files.killed ACT NUMBER JOB

JOB is a file of JSON: the options of both sides, the place, the original, the receipt and the placeholder.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from keysentry.connectors.files import Options as ReadingOptions
from keysentry.connectors.files.holding import FilesQuarantine
from keysentry.connectors.files.quarantine import Options
from keysentry.model.action import Original, Place, Receipt


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is given."""

    options: Options
    root: str
    place: Place
    original: Original
    receipt: Receipt
    placeholder: str


def main(act: str, number: int, path: str) -> None:
    job = msgspec.json.decode(Path(path).read_bytes(), type=Job)
    left = number

    def step(name: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    quarantine = FilesQuarantine(job.options, ReadingOptions(name="inbox", path=job.root), step=step)
    if act == "hold":
        quarantine.hold(job.place, job.original, (), job.placeholder)
    else:
        quarantine.release(job.place, job.original, job.receipt)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
