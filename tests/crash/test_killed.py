"""Killed at random moments and started again: every planted secret is found, every place is stored once.

The platforms: a drop directory of real files, Slack played by our own server, S3 played by moto; the stores: SQLite
and PostgreSQL itself. What kills is SIGKILL. By default a few kills each; with KEYSENTRY_LONG_TESTS=1 two hundred.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from keysentry.model.sensitive import Sensitive, fingerprint
from keysentry.rules.forge import forge
from keysentry.store import open_store
from tests.servers.moto import moto
from tests.servers.postgres import Postgres
from tests.servers.process import ROOT
from tests.servers.slack import slack
from tests.servers.slack_state import Conversation, Generated, State

pytestmark = pytest.mark.xdist_group("postgres")

KILLS = 200 if os.environ.get("KEYSENTRY_LONG_TESTS") else 6
KEY = "a key that only tests have"
SIZE = 40 if KILLS > 100 else 3
"""How much there is to read, so that a stream outlasts its kills."""


class Stream(NamedTuple):
    """A source that is there, what is planted in it, and how to plant one more."""

    toml: str
    secrets: list[str]
    plant: Callable[[str], None]
    environment: dict[str, str]


def token(rng: random.Random) -> str:
    return forge("ghp_{base62:30}{crc32-base62:6}", rng)


def expected(secrets: list[str]) -> Counter[str]:
    return Counter(fingerprint(KEY.encode(), "github", Sensitive(secret)) for secret in secrets)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'keysentry.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def drop(tmp_path: Path) -> Stream:
    rng = random.Random(1)
    folder = tmp_path / "inbox"
    folder.mkdir()
    secrets = []
    for number in range(100 * SIZE):
        text = f"file {number}\n"
        if number % 5 == 0:
            secrets.append(token(rng))
            text += f"token = {secrets[-1]}\n"
        (folder / f"f{number:05}.txt").write_text(text)

    def plant(secret: str) -> None:
        (folder / "one-more.txt").write_text(secret)

    toml = f'platform = "files"\npath = "{folder}"\ndrop = true\nsettle = 0.0\n'
    return Stream(toml, secrets, plant, {})


@pytest.fixture
def chat() -> Iterator[Stream]:
    state = State()
    for number in range(7):
        state.add_user(f"U{number:08d}", f"person{number}")
    channels = [Generated(f"C{number:08d}", f"channel-{number}", 250 * SIZE, 20 * SIZE, number) for number in range(3)]
    for channel in channels:
        state.add_conversation(channel)
    secrets = [secret for channel in channels for _at, secret in channel.planted()]
    with slack(state) as server:
        server.open_to_all = True
        toml = (
            f'platform = "slack"\nbase_url = "{server.base_url}"\ntoken = "env:CHAT_TOKEN"\n'
            "per_minute = 0\npage = 20\nfiles = false\n"
        )
        environment = {"CHAT_TOKEN": "-".join(("xoxb", "local", "test"))}
        state.add_conversation(Conversation("C00000009", "quiet"))
        yield Stream(toml, secrets, lambda secret: state.post("C00000009", secret) and None, environment)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Stream]:
    import boto3

    rng = random.Random(3)
    secrets = []
    with moto(tmp_path) as url:
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        client.create_bucket(Bucket="leaks")
        for number in range(60 * SIZE):
            text = f"object {number}\n"
            if number % 4 == 0:
                secrets.append(token(rng))
                text += f"token = {secrets[-1]}\n"
            client.put_object(Bucket="leaks", Key=f"p{number % 3}/o{number:05}.txt", Body=text.encode())

        def plant(secret: str) -> None:
            client.put_object(Bucket="leaks", Key="p1/one-more.txt", Body=secret.encode())

        toml = f'platform = "s3"\nbuckets = ["leaks"]\nbase_url = "{url}"\nregion = "us-east-1"\n'
        environment = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        yield Stream(toml, secrets, plant, environment)
        client.close()


def live(config: Path, kills: int, environment: dict[str, str]) -> dict[str, float]:
    """Run the daemon's lives in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.killed", str(config), str(kills), "5"],
        capture_output=True,
        text=True,
        timeout=60 + 4 * kills,
        cwd=ROOT,
        env={**os.environ, "KEYSENTRY_KEY": KEY, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, float] = json.loads(done.stdout)
    return told


def stored(url: str) -> tuple[Counter[str], int]:
    """How many places each fingerprint has, and how many are gone."""
    store = open_store(url, key=KEY.encode())
    try:
        places: Counter[str] = Counter()
        gone = 0
        for incident in store.incidents():
            for place in store.occurrences(incident.id):
                places[incident.fingerprint] += 1
                gone += place.gone is not None
        return places, gone
    finally:
        store.close()


@pytest.mark.parametrize("platform", ["drop", "chat", "bucket"])
def test_nothing_is_lost_and_nothing_is_stored_twice(
    platform: str, request: pytest.FixtureRequest, store_url: str, tmp_path: Path
) -> None:
    stream: Stream = request.getfixturevalue(platform)
    config = tmp_path / "keysentry.toml"
    config.write_text(
        f'[store]\nurl = "env:STORE"\n[watch]\nbatch_records = 4\nstatus_every = 0.05\n'
        f'[[source]]\nname = "it"\n{stream.toml}'
    )
    environment = {"STORE": store_url, **stream.environment}
    told = live(config, KILLS, environment)
    assert told["killed"] >= KILLS // 2, told
    assert stored(store_url) == (expected(stream.secrets), 0)
    live(config, 0, environment)
    assert stored(store_url) == (expected(stream.secrets), 0), "another pass changes nothing"
    one_more = token(random.Random(99))
    stream.plant(one_more)
    live(config, 0, environment)
    assert stored(store_url) == (expected([*stream.secrets, one_more]), 0), "the cursor was not ahead"
