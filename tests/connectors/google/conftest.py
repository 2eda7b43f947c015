"""A Google Workspace of our own for each test, and sources that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keysentry.connectors.google import Options
from keysentry.connectors.google.source import GoogleSource
from keysentry.model.sensitive import Sensitive
from tests.connectors.google.acting_bench import Organisation
from tests.servers.google import GoogleServer
from tests.servers.google_acting import ActingGoogle

TOKEN = "local-test-token"
ANN = "ann@corp.example"
BOB = "bob@corp.example"
SCOPES = ("drive.readonly", "gmail.readonly", "chat.spaces.readonly", "chat.messages.readonly")
UNLIMITED = {f"{api}_per_second": 0.0 for api in ("drive", "sheets", "gmail", "chat")}


@pytest.fixture(scope="session")
def google_server() -> Iterator[GoogleServer]:
    """The server."""
    with GoogleServer() as server:
        yield server


@pytest.fixture
def google(google_server: GoogleServer) -> Iterator[GoogleServer]:
    """A new world with Ann and her token. A test fails if the server was asked, or answered, what Google would not."""
    google_server.reset()
    google_server.drive.user(ANN, "Ann Ames")
    google_server.gmail.box(ANN)
    google_server.grant(TOKEN, ANN, *SCOPES)
    yield google_server
    assert not google_server.wrong


@pytest.fixture
def waits() -> list[float]:
    """How long the sources waited between calls. Nothing really waits."""
    return []


Open = Callable[..., GoogleSource]


@pytest.fixture
def open_google(google: GoogleServer, waits: list[float]) -> Iterator[Open]:
    """Opens sources on the server, which are closed after the test."""
    opened: list[GoogleSource] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    def start(really_wait: bool = False, **options: Any) -> GoogleSource:
        told: dict[str, Any] = {"name": "google", "base_url": google.url, **UNLIMITED, **options}
        if "credentials" not in told:
            told.setdefault("token", Sensitive(TOKEN))
        source = GoogleSource(Options(**told), wait=None if really_wait else wait)
        opened.append(source)
        return source

    yield start
    for source in opened:
        source.close()


@pytest.fixture
def corp() -> Iterator[Organisation]:
    """An organisation that can be acted upon, held to what Google would be asked and would answer."""
    with ActingGoogle() as server:
        yield Organisation(server)
        assert not server.wrong
