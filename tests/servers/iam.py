"""IAM, STS, Secrets Manager and KMS as moto plays them, with signatures checked after some calls.

Moto really keeps users, keys, policies, tags, secrets and versions, and checks the signatures of calls. Weaker than
AWS: a key that was made inactive is still taken, there are no permissions, and AWS's own policies for leaked keys are
missing. A test that hangs on one of these plays it itself and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import free_port, serving

ACCOUNT = "123456789012"


@contextmanager
def iam(folder: Path, unsigned: int | None = None) -> Iterator[int]:
    """The port of a moto that runs as long as the context lasts. After `unsigned` calls it checks signatures."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    checked = {} if unsigned is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(unsigned)}
    with serving(command, port, folder, checked):
        yield port
