"""Servers for the tests of notifiers, each started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.certificates import Authority, authority
from tests.servers.webhook_receiver import Receiver, receiving


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def running_receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def receiver(running_receiver: Receiver) -> Receiver:
    running_receiver.reset()
    return running_receiver
