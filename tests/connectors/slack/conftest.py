"""The backends that the tests of Slack run against: a server of our own, and a third party's emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.connectors.slack.backends import Backend, Emulator, Ours
from tests.servers.slack import slack
from tests.servers.slack_emulate import emulated_slack


@pytest.fixture
def ours() -> Iterator[Ours]:
    with slack() as server:
        yield Ours(server)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulated_slack(tmp_path_factory.mktemp("emulate")) as emulated:
        yield Emulator(emulated)


@pytest.fixture(params=["ours", "emulate"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Either of them."""
    found: Backend = request.getfixturevalue("ours" if request.param == "ours" else "emulator")
    return found
