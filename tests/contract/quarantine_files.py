"""Folders of this machine under each way of holding a file. A quarantine is stopped by an exception from within it, at
the moment before a change; `tests/connectors/files/test_files_quarantine.py` kills whole processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from keysentry.connectors.base import Quarantine
from keysentry.connectors.files import Options as ReadingOptions
from keysentry.connectors.files.holding import FilesQuarantine
from keysentry.connectors.files.quarantine import Options
from keysentry.errors import SourceError
from keysentry.model.action import Place
from tests.contract.quarantine_places import HeldPlace, World


class HeldFolder:
    """A folder that everybody may read; who is not the owner sees what the mode lets others see."""

    restores: Literal["same", "reposted"] = "same"

    def __init__(self, name: str, folder: Path, mode: Literal["move", "mask", "mode"]) -> None:
        self.name = name
        self._mode: Literal["move", "mask", "mode"] = mode
        self._root = folder / "inbox"
        self._root.joinpath("sub").mkdir(parents=True)
        self._held = folder / "held"
        self._numbers = itertools.count()
        self._effects = 0
        self._stops = -1

    def add(self, text: str) -> Place:
        record = f"sub/{next(self._numbers):04}.txt"
        path = self._root / record
        path.write_text(text)
        path.chmod(0o644)
        moment = datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat().replace("+00:00", "Z")
        return Place(source="inbox", platform="files", unit="sub", record=record, path=str(path), time=moment)

    def text(self, place: Place) -> str | None:
        path = self._root / place.record
        if not path.exists() or not path.stat().st_mode & 0o004:
            return None
        return path.read_text()

    def edit(self, place: Place, text: str) -> None:
        (self._root / place.record).write_text(text)

    def delete(self, place: Place) -> None:
        (self._root / place.record).unlink()

    def open(self) -> Quarantine:
        options = Options(source="inbox", mode=self._mode, folder=str(self._held))
        return FilesQuarantine(options, ReadingOptions(name="inbox", path=str(self._root)), step=self._step)

    def effects(self) -> int:
        return self._effects

    @contextmanager
    def stop(self, number: int, *, before: bool) -> Iterator[None]:
        self._stops = number - (1 if before else 0)
        try:
            yield
        finally:
            self._stops = -1

    def _step(self, name: str) -> None:
        if self._stops == 0:
            raise SourceError(f"stopped before {name}")
        self._stops -= 1
        self._effects += 1


def _world(mode: Literal["move", "mask", "mode"]) -> World:
    name = f"files {mode}"

    @contextmanager
    def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[HeldPlace]:
        yield HeldFolder(name, folder, mode)

    return World(name, "files", opened)


WORLDS = (_world("move"), _world("mask"), _world("mode"))
