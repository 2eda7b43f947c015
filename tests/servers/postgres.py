"""PostgreSQL itself, from the binaries of the `pgserver` package (16.2): nothing is played.

Weaker than in production: it does not sync to the disk (`fsync=off`), so that a power cut would lose what was
committed; the death of a client or a stop of the server loses nothing. The user `keysentry` owns its databases.

Under root the server runs as `nobody`, because it refuses root, from a copy of the binaries that `nobody` may read.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.process import free_port, serving

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_min_messages": "fatal",
}


class Postgres:
    """A server on loopback with a folder of its own. `start` and `stop` may be called again and again."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` go before those above."""
        self._settings = _SETTINGS | dict(settings or {})
        self._folder = folder
        self._data = folder / "data"
        self._password = secrets.token_hex(16)
        self._running: ExitStack | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._as_other: list[str] = []
        self.port = free_port()
        self._software = _installed() / "pgserver"
        if os.geteuid() == 0:
            self._as_other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            folder.chmod(0o755)
            self._software = _copied(folder)
            shutil.chown(folder, "nobody", "nogroup")
        self._initialise()

    def url(self, database: str) -> str:
        """The address of a database, as a store takes it."""
        return f"postgresql://keysentry:{self._password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make an empty database; its address."""
        self._databases += 1
        name = f"keysentry_{self._databases}"
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    def execute(self, statement: str, url: str = "") -> list[tuple[object, ...]]:
        """Run one statement outside of any transaction; its rows."""
        import psycopg

        with psycopg.connect(url or self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        command = [
            *self._as_other,
            str(self._binary("postgres")),
            "-D",
            str(self._data),
            "-p",
            str(self.port),
            *settings,
        ]
        with ExitStack() as stack:
            self._process = stack.enter_context(serving(command, self.port, self._folder))
            self._running = stack.pop_all()
        self._await_answer()

    def stop(self) -> None:
        """Stop at once, as in a crash: connections break, transactions are lost."""
        if self._running is not None and self._process is not None:
            # A server that is asked politely waits for its clients.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)
            self._running.close()
            self._running = None

    def _binary(self, name: str) -> Path:
        return self._software / "pginstall" / "bin" / name

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)
        command = [str(self._binary("initdb")), "-D", str(self._data), "-U", "keysentry", "-A", "scram-sha-256"]
        command += ["--pwfile", str(password), "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        subprocess.run([*self._as_other, *command], check=True, capture_output=True, cwd=self._folder)
        password.unlink()

    def _await_answer(self) -> None:
        """It listens before it is ready to answer, longer so after a crash."""
        import psycopg

        deadline = time.monotonic() + 30
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _installed() -> Path:
    """Where the package lies, and its libraries beside it."""
    spec = importlib.util.find_spec("pgserver")
    if spec is None or spec.origin is None:
        pytest.skip("pgserver is not installed: make test installs it")
    return Path(spec.origin).parent.parent


def _copied(folder: Path) -> Path:
    """The binaries in a folder that any user may enter."""
    software = folder / "software"
    software.mkdir(mode=0o755)
    for part in ("pgserver/pginstall", "pgserver.libs"):
        if (_installed() / part).is_dir():
            shutil.copytree(_installed() / part, software / part)
    return software / "pgserver"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that runs until the tests end."""
    # Not pytest's own folder: the user that the server runs as could not enter it.
    with tempfile.TemporaryDirectory(prefix="keysentry-postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database, which is removed with the test."""
    url = postgres.database()
    yield url
    postgres.drop(url)
