"""The places of all platforms: fixtures of their own tests, together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.connectors.google.conftest import google, google_server, open_google, waits
from tests.connectors.google.worlds import WORLDS
from tests.connectors.microsoft.conftest import _running, server
from tests.connectors.objects.conftest import azure, azurite_server, gcs, gcs_server, moto_address, s3
from tests.connectors.slack.conftest import emulator, ours
from tests.contract.places import Bucket, DropDirectory, GooglePlace, Place, SlackChannel, TeamsChannel, TeamsExport
from tests.servers.postgres import postgres, postgres_url

__all__ = [
    "_running",
    "azure",
    "azurite_server",
    "emulator",
    "gcs",
    "gcs_server",
    "google",
    "google_server",
    "moto_address",
    "open_google",
    "ours",
    "postgres",
    "postgres_url",
    "s3",
    "server",
    "waits",
]

GOOGLE = {world.__name__: world for world in WORLDS}
PLACES = {
    "drop directory": "files",
    "slack (ours)": "slack",
    "slack (emulate)": "slack",
    "teams": "graph",
    "teams export": "graph",
    **{f"google {name}": "google" for name in GOOGLE},
    "s3": "moto",
    "gcs": "gcs",
    "azure": "azurite",
}
"""The places, and the server that the tests of each share."""


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(group)) for name, group in PLACES.items()])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each place in turn, empty."""
    name: str = request.param
    if name == "drop directory":
        return DropDirectory(tmp_path)
    if name.startswith("slack"):
        return SlackChannel(request.getfixturevalue("ours" if "ours" in name else "emulator"))
    if name.startswith("teams"):
        return (TeamsExport if "export" in name else TeamsChannel)(request.getfixturevalue("server"))
    if name.startswith("google"):
        world = GOOGLE[name.removeprefix("google ")](request.getfixturevalue("google"))
        return GooglePlace(world, request.getfixturevalue("open_google"))
    return Bucket(request.getfixturevalue(name))
