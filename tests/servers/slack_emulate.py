"""Slack as played by `emulate` (npm, 0.12.2), a third party's emulator, run by Node.js on loopback.

Weaker than the platform: `history` ignores oldest, latest and inclusive; `replies` ignores its limit; parents carry no
`latest_reply`; a deleted parent leaves no tombstone; no 429 and no scopes in headers; scopes are checked only with
`strict_scopes`. Its events are signed as Slack's are. Some 5,000 calls an hour and token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers.process import NODE_MODULES, free_port, node, serving


class Emulated(NamedTuple):
    """Where the emulator answers, and the token that it knows."""

    base_url: str
    token: str


@contextmanager
def emulated_slack(folder: Path, *, events: str = "", signing_secret: str = "", **more: Any) -> Iterator[Emulated]:
    """The emulator with one token of everything, and channels `general` and `random`.

    `events` is the address that it sends its events to, signed with `signing_secret`.
    """
    token = "-".join(("xoxb", "local", "test"))
    slack = {
        "team": {"name": "Acme", "domain": "acme"},
        "users": [{"name": "alice", "real_name": "Alice"}, {"name": "bob", "real_name": "Bob"}],
        "channels": [{"name": "secret-plans", "is_private": True}, {"name": "empty"}],
        "tokens": [{"token": token, "user": "alice"}],
        "signing_secret": signing_secret,
        **more,
    }
    port = free_port()
    script = Path(__file__).with_name("slack_emulate.mjs")
    command = [node(), str(script), str(NODE_MODULES / "emulate"), str(port), json.dumps({"slack": slack}), events]
    with serving(command, port, folder):
        yield Emulated(f"http://127.0.0.1:{port}/api/", token)
