"""Which store a url names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keysentry.errors import ConfigError, MissingExtraError
from keysentry.store import open_store
from keysentry.store.settle import incident_id
from tests.store.making import KEY, batch
from tests.store.processes import output, python


def test_without_a_url_it_is_a_file_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    store = open_store("", key=KEY)
    store.commit(batch(cursor="1"))
    store.close()
    assert [file.parent.name for file in tmp_path.rglob("keysentry.db")] == ["keysentry"]


def test_a_path_may_begin_at_home_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///~/home.db", key=KEY).close()
    open_store("sqlite:///here.db", key=KEY).close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["here.db", "home.db"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user@host/db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "sqlite://host/a.db",
        "postgresql+psycopg2://user@host/db",
        "postgresql://user@host:port/db",
        "postgresql://user@host",
        "/var/lib/keysentry.db",
        "memory",
    ],
)
def test_another_url_is_refused_with_those_that_there_are(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///path") as caught:
        open_store(url, key=KEY)
    assert "word" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_postgresql_without_its_driver_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available')")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from keysentry.errors import MissingExtraError
from keysentry.store import open_store

try:
    open_store("postgresql://host/db", key=b"key")
except MissingExtraError as error:
    print(error)
"""
    assert "pip install 'keysentry[postgres]'" in output(python(code))
    assert issubclass(MissingExtraError, ConfigError)


def test_importing_the_store_imports_no_database() -> None:
    code = "import sys, keysentry.store, keysentry.store.base; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "alembic", "psycopg", "sqlite3"} & set(loaded)


def test_an_id_that_is_taken_gets_longer() -> None:
    short = incident_id("a fingerprint", ())
    longer = incident_id("a fingerprint", {short})
    assert (len(short), len(longer)) == (16, 20)
    assert longer.startswith(short)
    taken = {short[:4] + longer[4:20], short}
    assert len(incident_id("a fingerprint", taken)) == 24
