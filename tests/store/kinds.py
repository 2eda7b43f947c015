"""An empty store of each kind: in memory, in a SQLite file, in a PostgreSQL that really runs. Each can seal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keysentry.store import open_store
from keysentry.store.base import Store
from tests.servers.postgres import postgres, postgres_url
from tests.store.making import KEY, SEALER

__all__ = ["lasting_url", "postgres", "postgres_url", "store", "store_url"]

LASTING = ["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))]


def _url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "memory":
        return "memory:"
    return f"sqlite:///{folder}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture(params=["memory", *LASTING])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store of each kind."""
    return _url(request, tmp_path)


@pytest.fixture(params=LASTING)
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store of each kind that outlasts its process."""
    return _url(request, tmp_path)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """The store, open."""
    store = open_store(store_url, key=KEY, sealer=SEALER)
    yield store
    store.close()
