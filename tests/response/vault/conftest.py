"""What tests of vaults share: services behind HTTPS, and a client that finds them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.http_provider import Provider
from tests.servers.https import Authority
from tests.servers.providers import Providers, providers


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with providers(Authority(tmp_path_factory.mktemp("tls"))) as made:
        yield made


@pytest.fixture
def provider(running: Providers) -> Provider:
    return running.start()
