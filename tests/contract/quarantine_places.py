"""One place of each platform in which the contract of quarantines is tried, and how platforms add theirs.

A platform adds a module `tests/contract/quarantine_<platform>.py` with a constant `WORLDS: tuple[World, ...]`; nothing
else has to be changed. `World.open` makes the place: it gets pytest's request (for the servers that
`tests/contract/conftest.py` already shares, by `request.getfixturevalue("ours")`) and an empty folder, and ends what it
began when the context ends.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import pytest

from keysentry.connectors.base import Quarantine
from keysentry.model.action import Place


class HeldPlace(Protocol):
    """A place that people read, with a quarantine over it.

    `restores`: after a release it is the `same` thing as before, or its text was `reposted` (as a new thing, which
    `text` then gives). What `add`, `edit` and `delete` do is what people do, and does not count as an effect.
    """

    name: str
    restores: Literal["same", "reposted"]

    def add(self, text: str) -> Place:
        """A new thing that holds the text, and what its source calls it (with the time of what was read)."""
        ...

    def text(self, place: Place) -> str | None:
        """What a reader of the platform sees in this place now; None if it cannot be read."""
        ...

    def edit(self, place: Place, text: str) -> None:
        """Somebody writes it anew."""
        ...

    def delete(self, place: Place) -> None:
        """Somebody deletes it."""
        ...

    def open(self) -> Quarantine:
        """A quarantine that knows nothing of others, as a new process would have it. The suite closes it."""
        ...

    def effects(self) -> int:
        """How many calls that change something have reached the platform, of all quarantines of this place."""
        ...


@runtime_checkable
class Stoppable(Protocol):
    """A place where a quarantine can be stopped between two calls. Optional: the suite then tries every one."""

    def stop(self, number: int, *, before: bool) -> AbstractContextManager[None]:
        """As long as the context lasts: the changing call of this number (1: the next one) does not reach the platform
        (`before`), or does so without its answer coming back; and no further call does either.
        """
        ...


class World(NamedTuple):
    """How a place is made. `group`: the server whose tests run in one worker (`xdist_group`)."""

    name: str
    group: str
    open: Callable[[pytest.FixtureRequest, Path], AbstractContextManager[HeldPlace]]


def worlds() -> dict[str, World]:
    """The worlds of all modules that there are, by their names."""
    import tests.contract as package

    found: dict[str, World] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.name):
        if module.name.startswith("quarantine_") and module.name != "quarantine_places":
            for world in importlib.import_module(f"tests.contract.{module.name}").WORLDS:
                assert world.name not in found, f"two worlds are called {world.name}"
                found[world.name] = world
    return found
