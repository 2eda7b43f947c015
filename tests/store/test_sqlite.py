"""A store in a SQLite file, on a disk that misbehaves."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest

from keysentry.errors import HeldError, StoreError
from keysentry.model.cursor import Cursor
from keysentry.store import open_store
from tests.store.making import KEY, batch, dump, found, sighting
from tests.store.processes import output, python


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def test_the_file_is_its_owners_alone_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "store.db"
    store = open_store(url_of(path), key=KEY)
    store.commit(batch(cursor="1"))
    with store.hold("chat"):
        files = sorted(file.name for file in path.parent.iterdir())
        assert files == ["store.db", "store.db-shm", "store.db-wal", "store.db.lock"]
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    store.close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (path.parent / "store.db.lock").read_bytes() == b""


def test_commits_outlast_a_power_cut(tmp_path: Path) -> None:
    """As far as that can be seen without one: the log is written ahead, and synced at each commit (2 is FULL)."""
    store = open_store(url_of(tmp_path / "store.db"), key=KEY)
    with store._reading() as connection:  # type: ignore[attr-defined]
        told = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert told == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


FULL = """
import resource
import signal
import sys
from keysentry.errors import StoreError
from keysentry.store import open_store
from tests.store.making import *

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(sys.argv[1], key=KEY)
store.commit(batch(sighting("M0", "s", found(0)), cursor="0"))
before = dump(store)
large = batch(*(sighting(f"M{number}", "s", found(number % 9)) for number in range(1, 3000)), cursor="1")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
for _ in range(2):
    try:
        store.commit(large)
    except StoreError as error:
        print(error)
assert dump(store) == before
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(store.commit(large).occurrences, store.cursor("chat", "C1").value)
store.close()
"""


def test_a_disk_without_room_is_told_and_forgotten_once_there_is_some(tmp_path: Path) -> None:
    """Played by a limit of the system on the size of files, which SQLite sees as a write that fails."""
    first, second, last = output(python(FULL, url_of(tmp_path / "store.db"))).splitlines()
    assert first == second
    assert first.startswith(f"{tmp_path}/store.db: the file cannot be read or written (look at the disk")
    assert last == "2999 1"


LOST = """
import os
import sys
from pathlib import Path
from keysentry.errors import StoreError
from keysentry.store import open_store
from tests.store.making import *

store = open_store(sys.argv[1], key=KEY)
store.commit(batch(sighting("M0", "s", found(0)), cursor="0"))
before = dump(store)
nothing = os.open("/dev/null", os.O_RDONLY)
for link in Path("/proc/self/fd").iterdir():
    if link.is_symlink() and os.readlink(link).endswith(("store.db", "store.db-wal")):
        os.dup2(nothing, int(link.name))
try:
    store.commit(batch(sighting("M1", "s", found(1)), cursor="1"))
except StoreError as error:
    print(error)
assert dump(store) == before
store.commit(batch(sighting("M1", "s", found(1)), cursor="1"))
print(store.cursor("chat", "C1").value)
store.close()
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_disk_that_went_away_is_told_and_forgotten_once_it_is_back(tmp_path: Path) -> None:
    """Played by open files that suddenly lead nowhere, as those of a disk that was unmounted do."""
    told, cursor = output(python(LOST, url_of(tmp_path / "store.db"))).splitlines()
    assert told.startswith(f"{tmp_path}/store.db: the file ")
    assert cursor == "1"


READ_ONLY = """
import os
import sys
from keysentry.errors import StoreError
from keysentry.store import open_store
from tests.store.making import *

open_store(sys.argv[1] + "-mine", key=KEY).close()
if os.geteuid() == 0:  # root may write everything
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    store = open_store(sys.argv[1], key=KEY)
    try:
        store.commit(batch(cursor="1"))
    finally:
        store.close()
except StoreError as error:
    print(error)
"""


def test_a_file_that_may_not_be_written_is_told() -> None:
    # Not in pytest's own folder: nobody else may enter that.
    with tempfile.TemporaryDirectory(prefix="keysentry-store-") as folder:
        path = Path(folder, "store.db")
        open_store(url_of(path), key=KEY).close()
        path.chmod(0o444)
        Path(folder).chmod(0o755)
        told = output(python(READ_ONLY, url_of(path)))
        assert told.startswith(f"{path}: the file cannot be ")
        assert "write access" in told


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store\.db: the file cannot be made: .*name another file"):
        open_store(url_of(tmp_path / "file" / "store.db"), key=KEY)


def test_a_file_that_is_something_else_is_told_and_left(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"something that a person wrote" * 100)
    with pytest.raises(StoreError, match=r"store\.db: the file is no SQLite database \(name another"):
        open_store(url_of(path), key=KEY)
    assert path.read_bytes() == b"something that a person wrote" * 100


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(url_of(path), key=KEY)
    store.commit(batch(*(sighting(f"M{number}", "s", found(number)) for number in range(200))))
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match=r"the file is damaged.*backup"):
        store = open_store(url_of(path), key=KEY)


def test_a_database_that_is_someone_elses_gets_its_tables_beside_theirs(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    store = open_store(url_of(path), key=KEY)
    store.commit(batch(sighting("M1", "s", found(1))))
    assert len(dump(store)["incidents"]) == 1
    store.close()


def test_two_stores_on_one_file_do_not_both_read(tmp_path: Path) -> None:
    first = open_store(url_of(tmp_path / "store.db"), key=KEY)
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    second = open_store(url_of(tmp_path / "link.db"), key=KEY)
    with first.hold("chat"), first.hold("mail"):
        with pytest.raises(HeldError, match=f"process {os.getpid()} .* share a PostgreSQL store"), second.hold("drive"):
            pass
        second.commit(batch(cursor="1"))
        assert first.cursor("chat", "C1") == Cursor("1")
    with second.hold("chat"):
        pass
    first.close()
    second.close()


def test_a_hold_ends_with_its_store(tmp_path: Path) -> None:
    first = open_store(url_of(tmp_path / "store.db"), key=KEY)
    hold = first.hold("chat")
    hold.__enter__()
    first.close()
    second = open_store(url_of(tmp_path / "store.db"), key=KEY)
    with second.hold("chat"):
        hold.__exit__(None, None, None)
    second.close()


def test_a_child_process_does_not_keep_the_hold_of_its_parent(tmp_path: Path) -> None:
    """The scanner forks workers; one that outlives a killed daemon must not lock the next one out."""
    code = """
import os
import sys
import time
from keysentry.store import open_store
from tests.store.making import KEY

store = open_store(sys.argv[1], key=KEY)
hold = store.hold("chat")
hold.__enter__()
child = os.fork()
if child == 0:
    os.close(1)
    os.close(2)
    time.sleep(30)
    os._exit(0)
print(child, flush=True)
os._exit(0)
"""
    url = url_of(tmp_path / "store.db")
    child = int(output(python(code, url)))
    try:
        store = open_store(url, key=KEY)
        with store.hold("chat"):
            store.commit(batch(cursor="1"))
        store.close()
        os.kill(child, 0)
    finally:
        os.kill(child, 9)


def test_a_file_another_process_keeps_locked_is_told_in_the_end(tmp_path: Path) -> None:
    """With the patience of the store shortened: it would wait half a minute."""
    path = tmp_path / "store.db"
    store = open_store(url_of(path), key=KEY)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with store._reading() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
    with pytest.raises(StoreError, match="another process keeps the file locked"):
        store.commit(batch(cursor="1"))
    other.execute("ROLLBACK")
    other.close()
    store.commit(batch(cursor="2"))
    assert store.cursor("chat", "C1") == Cursor("2")
    store.close()
