"""Azure Blob Storage as Azurite 3.37.0 plays it, in a process of its own.

Azurite really keeps containers, blobs and snapshots, checks signatures and conditions, and pages. It knows no versions,
no soft deletion and no setting of the account that forbids public access: these are played by the test itself, which
then says so. Throttling, resets and refusals come from `tests/servers/objectfaults.py`, put in front of it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.servers.process import NODE_MODULES, free_port, node, serving

ACCOUNT = "localtest"


class Azurite(NamedTuple):
    """Where it is, and the account's name and key."""

    address: str
    account: str
    key: str


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """An Azurite that runs as long as the context lasts."""
    port = free_port()
    key = base64.b64encode(b"local-test-account-key").decode()
    script = NODE_MODULES / "azurite" / "dist" / "src" / "blob" / "main.js"
    command = [node(), str(script), "--silent", "--location", str(folder), "--inMemoryPersistence"]
    command = [part for part in command if part != "--location" and part != str(folder)]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--disableTelemetry"]
    with serving(command, port, folder, {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}):
        yield Azurite(f"http://127.0.0.1:{port}/{ACCOUNT}", ACCOUNT, key)
