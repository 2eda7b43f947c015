"""The Graph server of our own, once a worker; its tenant is new for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keysentry.connectors.microsoft.source import MicrosoftSource
from tests.connectors.microsoft.world import Waits, World, options, world
from tests.servers.graph import GraphServer, graph
from tests.servers.graph_state import Tenant
from tests.servers.prism import prism, violations


@pytest.fixture(scope="session")
def _running() -> Iterator[GraphServer]:
    with graph(Tenant()) as server:
        yield server


@pytest.fixture
def server(_running: GraphServer) -> GraphServer:
    """The server over an empty tenant."""
    _running.reset(Tenant())
    return _running


@pytest.fixture
def tenant(server: GraphServer) -> Tenant:
    return server.tenant


@pytest.fixture
def place(tenant: Tenant) -> World:
    """A tenant with something of everything."""
    return world(tenant)


@pytest.fixture(scope="session")
def _prism(_running: GraphServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("prism")
    with prism(folder, _running.url) as address:
        yield address, folder


@pytest.fixture
def validated(_prism: tuple[str, Path], server: GraphServer) -> Iterator[str]:
    """The address of the server behind Prism; nothing that went through it may be against the description."""
    address, folder = _prism
    before = len(violations(folder))
    yield address
    assert violations(folder)[before:] == []


Opener = Callable[..., MicrosoftSource]


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def opened(server: GraphServer, waits: Waits) -> Iterator[Opener]:
    """Opens sources, which are closed in the end: `opened(teams=True)`; without options they read everything."""
    open_ones: list[MicrosoftSource] = []

    def one(base_url: str = "", **chosen: object) -> MicrosoftSource:
        source = MicrosoftSource(options(base_url or server.url, **chosen), waits.pace)
        open_ones.append(source)
        return source

    yield one
    for source in open_ones:
        source.close()
