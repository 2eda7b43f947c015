"""Buckets of S3 (moto), Google Cloud Storage (our strict server) and Azure (Azurite), with and without older versions.

Requests go through a proxy that counts what changed something, and can stop a quarantine between any two calls. What
people do goes to the server itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from keysentry.connectors.base import Quarantine
from keysentry.model.action import Place
from tests.connectors.objects.bench import Bench
from tests.connectors.objects.holding import AzureHold, GcsHold, HoldBench, S3Hold
from tests.contract.quarantine_places import HeldPlace, World


class HeldBucket:
    """A bucket."""

    restores: Literal["same", "reposted"] = "same"

    def __init__(self, name: str, bench: HoldBench, **options: Any) -> None:
        self.name = name
        self._hold = bench
        self._options = options
        self._numbers = itertools.count()

    def add(self, text: str) -> Place:
        key = f"docs/{next(self._numbers):04}.txt"
        self._hold.bench.put(key, text.encode())
        return self._hold.place(key)

    def text(self, place: Place) -> str | None:
        data = self._hold.get(place.record.partition("/")[2])
        return data.decode() if data is not None else None

    def edit(self, place: Place, text: str) -> None:
        self._hold.bench.put(place.record.partition("/")[2], text.encode())

    def delete(self, place: Place) -> None:
        self._hold.bench.delete(place.record.partition("/")[2])

    def open(self) -> Quarantine:
        return self._hold.open(**self._options)

    def effects(self) -> int:
        return len(self._hold.bench.proxy.effects)

    def stop(self, number: int, *, before: bool) -> AbstractContextManager[None]:
        return self._hold.bench.proxy.stop(number, before=before)


def _world(name: str, group: str, fixture: str, make: Callable[[Any], HoldBench], **options: Any) -> World:
    @contextmanager
    def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[HeldPlace]:
        bench: Bench = request.getfixturevalue(fixture)
        yield HeldBucket(name, make(bench), **options)

    return World(name, group, opened)


WORLDS = (
    _world("s3", "moto", "s3", S3Hold),
    _world("s3 with versions", "moto", "s3", lambda bench: S3Hold(bench, versioned=True)),
    _world("s3 with versions deleting", "moto", "s3", lambda bench: S3Hold(bench, versioned=True), mode="delete"),
    _world("gcs", "gcs", "gcs", GcsHold),
    _world("gcs with versions", "gcs", "gcs", lambda bench: GcsHold(bench, versioned=True)),
    _world("gcs deleting", "gcs", "gcs", GcsHold, mode="delete"),
    _world("azure", "azurite", "azure", AzureHold),
    _world("azure deleting", "azurite", "azure", AzureHold, mode="delete"),
)
