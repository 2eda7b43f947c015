"""What tests of revokers share: providers behind HTTPS, and a client that finds them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keysentry.response.outbound import Outbound
from keysentry.response.revoke.base import Tools
from tests.response.secrets_made import RULES
from tests.servers.http_provider import Provider
from tests.servers.https import Authority
from tests.servers.providers import Providers, providers


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def running(authority: Authority) -> Iterator[Providers]:
    with providers(authority) as made:
        yield made


@pytest.fixture
def provider(running: Providers) -> Provider:
    return running.start()


@pytest.fixture
def outbound(running: Providers, provider: Provider) -> Outbound:
    return running.outbound()


@pytest.fixture
def tools(outbound: Outbound) -> Tools:
    return Tools(outbound, RULES)
