"""Files and drop directories: each file once, whatever happens between, and again when it has changed.

Real files on a real file system; nothing is played. Other programs that write are threads and processes of this test.
Time that must pass is short and real, or the clock that the source is given.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from keysentry.connectors import platform, platform_of_target
from keysentry.connectors.base import Delivery
from keysentry.connectors.files import Options, open_source, target_options
from keysentry.connectors.files.source import FilesSource
from keysentry.errors import AccessError, ClosedError, ConfigError, GoneError, SourceError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Unit
from keysentry.rules.forge import forge
from keysentry.scan.scanner import Scanner

ROOT = Unit(".", "")
HERE = Path(__file__).resolve().parents[3]


def source(path: Path, *, clock: Callable[[], float] = time.time, most: int = 10_000, **options: object) -> FilesSource:
    wanted = Options(**{"name": "inbox", "path": str(path), "drop": True, "settle": 0.0, **options})  # type: ignore[arg-type]
    return FilesSource(wanted, clock=clock, most=most)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.record.id for delivery in deliveries if delivery.record is not None]


def reasons(deliveries: list[Delivery]) -> list[str]:
    return [skipped.reason for delivery in deliveries for skipped in delivery.skipped]


def end(deliveries: list[Delivery], cursor: Cursor | None = None) -> Cursor | None:
    return deliveries[-1].cursor if deliveries else cursor


def everything(reader: FilesSource) -> list[Delivery]:
    found: list[Delivery] = []
    for unit in reader.units():
        assert isinstance(unit, Unit)
        found += reader.records(unit, None)
    return found


def zipped(count: int = 3) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for number in range(count):
            packed.writestr(f"f{number}.txt", "words " * 50)
    return out.getvalue()


def filled(folder: Path, count: int, seed: int = 0) -> list[str]:
    """Files in a folder, some of them in others, in no particular order."""
    rng = random.Random(seed)
    names = [f"f{number:04}.txt" for number in range(count)]
    rng.shuffle(names)
    for name in names:
        (folder / name).write_text(f"this is {name}")
    return names


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


class Clock:
    """A clock that a test moves; waiting moves it too."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return time.time() + self.ahead

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.ahead += seconds
        return False


# -- what is given ----------------------------------------------------------------------------------------------------


def test_a_file_is_a_record(inbox: Path) -> None:
    path = inbox / "räport.txt"
    path.write_text("words")
    os.utime(path, (1_700_000_000.5, 1_700_000_000.5))
    path.chmod(0o600)
    [unit] = source(inbox).units()
    assert isinstance(unit, Unit) and (unit.id, unit.title) == (".", str(inbox))
    [delivery] = source(inbox).records(unit, None)
    record = delivery.record
    assert record is not None
    assert (record.id, record.unit, record.container, record.time) == ("räport.txt", ".", str(inbox), 1_700_000_000.5)
    assert record.uri == path.as_uri() and record.path == str(path)
    assert record.exposure.audience == "private"
    [part] = record.parts
    assert (part.path, part.name, part.size) == (str(path), "räport.txt", 5)
    path.chmod(0o644)
    [delivery] = source(inbox).records(unit, None)
    assert delivery.record is not None and delivery.record.exposure.audience == "internal"


def test_units_are_the_folders_in_the_root(inbox: Path) -> None:
    for name in ("b/deep/x.txt", "a/y.txt", "z.txt", ".git/config", "c.part/w.txt"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text(name)
    reader = source(inbox, drop=False)
    units = list(reader.units())
    assert [unit.id for unit in units if isinstance(unit, Unit)] == [".", "a", "b"]
    assert sorted(ids(everything(reader))) == ["a/y.txt", "b/deep/x.txt", "z.txt"]


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("x")
    reader = source(tmp_path / "one.txt", drop=False)
    first = everything(reader)
    assert ids(first) == ["one.txt"]
    assert list(reader.records(ROOT, end(first))) == []


def test_temporary_hidden_and_excluded_names_are_left_out(inbox: Path) -> None:
    for name in (
        ".hidden",
        "~$book.xlsx",
        ".~lock.book.ods#",
        "x.zip.part",
        "x.crdownload",
        "y.tmp",
        "min.js",
        "kept.txt",
    ):
        (inbox / name).write_text("x")
    (inbox / "sub").mkdir()
    (inbox / "sub" / "notes.log").write_text("x")
    (inbox / "sub" / "kept.log").write_text("x")
    reader = source(inbox, exclude=("*.js", "sub/notes.log"))
    assert sorted(ids(everything(reader))) == ["kept.txt", "sub/kept.log"]
    assert "x.zip.part" in ids(everything(source(inbox, ignore=())))


def test_gitignore(inbox: Path) -> None:
    (inbox / ".gitignore").write_text("*.log\nbuild/\n")
    for name in ("a.log", "a.txt", "build/x.txt", "sub/b.log", "sub/b.txt", "sub/deep/c.txt"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("x")
    (inbox / "sub" / ".gitignore").write_text("deep/\n")
    reader = source(inbox, gitignore=True, drop=False)
    assert sorted(ids(everything(reader))) == ["a.txt", "sub/b.txt"]
    (inbox / "sub" / ".gitignore").unlink()
    (inbox / "sub" / ".gitignore").mkdir()
    found = everything(reader)
    assert sorted(ids(found)) == ["a.txt", "sub/b.txt", "sub/deep/c.txt"]
    assert "what it leaves out is read all the same" in reasons(found)[0]


def test_special_files_are_told_and_never_opened(inbox: Path) -> None:
    os.mkfifo(inbox / "pipe.txt")
    (inbox / "link.txt").symlink_to(inbox / "target.txt")
    (inbox / "loop").symlink_to(inbox)
    (inbox / "target.txt").write_text("x")
    reader = source(inbox)
    found = everything(reader)
    assert ids(found) == ["target.txt"]
    assert reasons(found) == ["a named pipe, not a file"]
    assert list(reader.records(ROOT, end(found))) == []


def test_files_over_the_limit_are_told(inbox: Path) -> None:
    (inbox / "large.txt").write_text("x" * 100)
    (inbox / "small.txt").write_text("x")
    found = everything(source(inbox, max_size=50))
    assert ids(found) == ["small.txt"]
    assert "larger than the limit: 100 bytes" in reasons(found)[0]


def test_names_that_are_no_utf8(inbox: Path) -> None:
    Path(os.fsdecode(os.fsencode(inbox) + b"/caf\xe9.txt")).write_bytes(b"x")
    reader = source(inbox)
    [delivery] = everything(reader)
    assert delivery.record is not None
    assert delivery.record.id == "caf\\xe9.txt" and delivery.record.uri.endswith("/caf%E9.txt")
    assert Path(delivery.record.parts[0].path).read_bytes() == b"x"
    delivery.record.path.encode()
    assert list(reader.records(ROOT, delivery.cursor)) == []


# -- exactly once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 30, 300])
@pytest.mark.parametrize("most", [7, 10_000])
def test_resumes_exactly_after_any_delivery(count: int, most: int, inbox: Path) -> None:
    filled(inbox, count)
    os.mkfifo(inbox / "pipe")
    (inbox / "cut.zip").write_bytes(zipped()[:-30])
    whole = list(source(inbox, most=most).records(ROOT, None))
    assert len(ids(whole)) == len(set(ids(whole))) == count
    for cut in range(0, len(whole), max(1, count // 25)):
        rest = list(source(inbox, most=most).records(ROOT, whole[cut].cursor))
        assert ids(rest) == ids(whole[cut + 1 :])
        assert reasons(rest) == reasons(whole[cut + 1 :])
    assert ids(list(source(inbox).records(ROOT, end(whole)))) == []
    assert all(len(delivery.cursor.value) < 4000 for delivery in whole)


def test_files_of_one_tick_of_the_clock(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(inbox, 400)
    reader = source(inbox, most=50)
    inner = reader._listing._entry
    monkeypatch.setattr(reader._listing, "_entry", lambda *args: inner(*args)._replace(changed=1_700_000_000))
    whole = list(reader.records(ROOT, None))
    assert len(set(ids(whole))) == len(ids(whole)) == 400
    for cut in range(0, 400, 37):
        assert ids(list(reader.records(ROOT, whole[cut].cursor))) == ids(whole[cut + 1 :])


def test_a_second_pass_gives_what_is_new_or_changed(inbox: Path) -> None:
    filled(inbox, 200)
    reader = source(inbox)
    cursor = end(list(reader.records(ROOT, None)))
    assert list(reader.records(ROOT, cursor)) == []
    (inbox / "f0007.txt").write_text("edited")
    (inbox / "new.txt").write_text("new")
    (inbox / "f0009.txt").unlink()
    with (inbox / "f0011.txt").open("a") as file:
        file.write("more")
    found = list(reader.records(ROOT, cursor))
    assert sorted(ids(found)) == ["f0007.txt", "f0011.txt", "new.txt"]
    assert list(reader.records(ROOT, end(found))) == []


def test_a_copy_with_an_old_date_is_not_lost(inbox: Path, tmp_path: Path) -> None:
    filled(inbox, 300)
    reader = source(inbox)
    cursor = end(list(reader.records(ROOT, None)))
    old = tmp_path / "old.txt"
    old.write_text("from long ago")
    os.utime(old, (1_000_000_000, 1_000_000_000))
    shutil.copy2(old, inbox / "copied.txt")
    subprocess.run(["cp", "-p", old, inbox / "cp.txt"], check=True)
    old.rename(inbox / "renamed.txt")
    found = list(reader.records(ROOT, cursor))
    assert sorted(ids(found)) == ["copied.txt", "cp.txt", "renamed.txt"]
    assert {delivery.record.time for delivery in found if delivery.record} == {1_000_000_000}


def test_new_permissions_alone_change_nothing(inbox: Path) -> None:
    filled(inbox, 20)
    reader = source(inbox)
    cursor = end(list(reader.records(ROOT, None)))
    for path in inbox.iterdir():
        path.chmod(0o640)
    assert ids(list(reader.records(ROOT, cursor))) == []


@pytest.mark.parametrize("seconds", [0.0, 60.0, 86_400.0])
def test_files_that_come_late_are_not_lost(seconds: float, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back gives new files older times than those that were given have."""
    filled(inbox, 100)
    reader = source(inbox)
    cursor = end(list(reader.records(ROOT, None)))
    inner = reader._listing._entry
    back = int(seconds * 1e9)

    def older(path: str, below: str, status: os.stat_result) -> object:
        entry = inner(path, below, status)
        return entry._replace(changed=entry.changed - back) if below.startswith("late") else entry

    monkeypatch.setattr(reader._listing, "_entry", older)
    for number in range(5):
        (inbox / f"late{number}").write_text("x")
    found = list(reader.records(ROOT, cursor))
    assert sorted(ids(found)) == [f"late{number}" for number in range(5)]
    assert list(reader.records(ROOT, end(found))) == []


def test_a_cursor_that_cannot_be_read_begins_anew(inbox: Path) -> None:
    (inbox / "a.txt").write_text("x")
    assert ids(list(source(inbox).records(ROOT, Cursor("no cursor")))) == ["a.txt"]


def test_a_stream_of_writers_and_restarts(inbox: Path, tmp_path: Path) -> None:
    """Files arrive in every way while the source is read and abandoned at any delivery: each comes once."""
    rng = random.Random(5)
    outside = tmp_path / "outside"
    outside.mkdir()
    done = threading.Event()

    def write() -> None:
        for number in range(150):
            path = inbox / f"w{number:03}"
            way = number % 3
            if way == 0:
                path.write_text("at once")
            elif way == 1:
                draft = outside / path.name
                draft.write_text("renamed")
                os.utime(draft, (1_000_000_000 + number, 1_000_000_000))
                draft.rename(path)
            else:
                draft = inbox / f"{path.name}.part"
                draft.write_text("half")
                draft.write_text("whole")
                draft.rename(path)
            if number % 10 == 0:
                time.sleep(0.002)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    cursor: Cursor | None = None
    given: list[str] = []
    quiet = False
    while not quiet:
        last = done.is_set()
        taken = 0
        for delivery in source(inbox, most=8).records(ROOT, cursor):
            taken += 1
            given += [delivery.record.id] if delivery.record else []
            cursor = delivery.cursor
            if rng.random() < 0.1:
                break
        quiet = last and not taken
    writer.join()
    changed_while_written = {name for name in given if int(name[1:]) % 3 == 0}
    assert sorted(set(given)) == [f"w{number:03}" for number in range(150)]
    assert len(given) <= 150 + len(changed_while_written)
    assert len([name for name in given if name not in changed_while_written]) == 100


# -- complete ---------------------------------------------------------------------------------------------------------


def test_a_file_must_have_settled(inbox: Path) -> None:
    (inbox / "a.txt").write_text("x")
    clock = Clock()
    reader = FilesSource(Options(name="x", path=str(inbox), drop=True, settle=5.0), clock=clock, wait=clock.wait)
    assert ids(list(reader.records(ROOT, None))) == ["a.txt"]
    [waited] = clock.waited
    assert 4 < waited <= 5


def test_a_file_that_is_still_written_is_left_for_the_next_pass(inbox: Path) -> None:
    path = inbox / "growing.txt"
    path.write_text("x")
    (inbox / "done.txt").write_text("x")
    clock = Clock()

    def wait(seconds: float) -> bool:
        clock.wait(seconds)
        with path.open("a") as file:
            file.write("more")
        os.utime(path, (clock(), clock()))
        return False

    reader = FilesSource(Options(name="x", path=str(inbox), drop=True, settle=2.0), clock=clock, wait=wait)
    inner = reader._listing._entry
    reader._listing._entry = lambda *args: (  # type: ignore[method-assign]  # the clock of the files runs ahead too
        entry._replace(changed=entry.modified) if (entry := inner(*args)).below == "growing.txt" else entry
    )
    found = list(reader.records(ROOT, None))
    assert ids(found) == ["done.txt"]
    assert len(clock.waited) == 2
    clock.ahead += 10
    quiet = FilesSource(Options(name="x", path=str(inbox), drop=True, settle=2.0), clock=clock, wait=clock.wait)
    assert ids(list(quiet.records(ROOT, end(found)))) == ["growing.txt"]


def test_a_file_that_another_process_writes_slowly_comes_whole(inbox: Path) -> None:
    code = (
        "import sys, time\n"
        "with open(sys.argv[1], 'w', buffering=1) as file:\n"
        "    for number in range(12):\n"
        "        file.write(f'line {number}\\n')\n"
        "        time.sleep(0.03)\n"
    )
    writer = subprocess.Popen([sys.executable, "-S", "-c", code, str(inbox / "slow.txt")])
    try:
        sizes: list[int | None] = []
        cursor: Cursor | None = None
        reader = source(inbox, settle=0.2)
        deadline = time.monotonic() + 10
        while not sizes and time.monotonic() < deadline:
            for delivery in reader.records(ROOT, cursor):
                cursor = delivery.cursor
                sizes += [part.size for part in delivery.record.parts] if delivery.record else []
        assert sizes == [(inbox / "slow.txt").stat().st_size]
        assert (inbox / "slow.txt").read_text().count("\n") == 12
    finally:
        writer.wait(timeout=10)


def test_times_ahead_of_our_clock_are_watched(inbox: Path) -> None:
    (inbox / "a.txt").write_text("x")
    clock = Clock()
    clock.ahead = -3600.0
    reader = FilesSource(Options(name="x", path=str(inbox), drop=True, settle=5.0), clock=clock, wait=clock.wait)
    assert ids(list(reader.records(ROOT, None))) == ["a.txt"]
    assert sum(clock.waited) == pytest.approx(5.0, abs=0.5)


def test_a_file_that_changes_while_it_is_scanned_comes_again(inbox: Path) -> None:
    filled(inbox, 3)
    reader = source(inbox)
    given: list[str] = []
    cursor: Cursor | None = None
    for delivery in reader.records(ROOT, None):
        assert delivery.record is not None
        if not given:
            (inbox / delivery.record.id).write_text("changed while it was scanned")
        given.append(delivery.record.id)
        cursor = delivery.cursor
    again = ids(list(reader.records(ROOT, cursor)))
    assert given[:3].count(given[0]) + given[3:].count(given[0]) + again.count(given[0]) == 2
    assert len(given) + len(again) == 4


def test_a_file_that_vanishes_is_nothing(inbox: Path) -> None:
    filled(inbox, 5)
    given: list[str] = []
    for delivery in source(inbox).records(ROOT, None):
        assert delivery.record is not None
        given.append(delivery.record.id)
        for path in inbox.iterdir():
            path.unlink()
    assert len(given) == 1


@pytest.mark.parametrize("way", ["written on", "renamed into place"])
def test_a_zip_that_is_still_written(way: str, inbox: Path) -> None:
    content = zipped(50)
    (inbox / "export.zip").write_bytes(content[: len(content) // 2])
    (inbox / "later.txt").write_text("not held up by it")
    reader = source(inbox)
    first = list(reader.records(ROOT, None))
    assert ids(first) == ["later.txt"] and reasons(first) == []
    assert list(source(inbox).records(ROOT, end(first))) == []
    filled(inbox, 250)
    cursor = end(list(source(inbox).records(ROOT, end(first))))
    if way == "written on":
        with (inbox / "export.zip").open("ab") as file:
            file.write(content[len(content) // 2 :])
    else:
        (inbox / "x.part").write_bytes(content)
        (inbox / "x.part").rename(inbox / "export.zip")
    found = list(source(inbox).records(ROOT, cursor))
    assert ids(found) == ["export.zip"]
    assert list(source(inbox).records(ROOT, end(found))) == []


def test_a_zip_that_stays_without_its_end_is_read_as_far_as_it_goes(inbox: Path, scanner: Scanner) -> None:
    token = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(1))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("a.txt", f"token = {token}\n")
        packed.writestr("b.txt", random.Random(1).randbytes(5000))
    (inbox / "export.zip").write_bytes(out.getvalue()[:-2000])
    filled(inbox, 300)
    clock = Clock()
    reader = source(inbox, clock=clock, give_up=60.0)
    cursor = end(list(reader.records(ROOT, None)))
    clock.ahead = 59
    assert list(reader.records(ROOT, cursor)) == []
    clock.ahead = 61
    found = list(reader.records(ROOT, cursor))
    assert ids(found) == ["export.zip"] and "archive without its end" in reasons(found)[0]
    assert list(reader.records(ROOT, end(found))) == []
    assert found[0].record is not None
    [(_record, finding)] = scanner.scan_records([found[0].record], [])
    assert finding.secret.reveal() == token


def test_an_unfinished_zip_that_is_gone_is_forgotten(inbox: Path) -> None:
    (inbox / "export.zip").write_bytes(zipped()[:-30])
    reader = source(inbox)
    held = end(list(reader.records(ROOT, None)))
    (inbox / "export.zip").unlink()
    [last] = reader.records(ROOT, held)
    assert last.record is None and len(last.cursor.value) < len(held.value if held else "")
    assert list(reader.records(ROOT, last.cursor)) == []


def test_many_unfinished_zips_do_not_stop_the_rest(inbox: Path) -> None:
    for number in range(100):
        (inbox / f"z{number}.zip").write_bytes(zipped()[:-30])
    filled(inbox, 300)
    found = list(source(inbox).records(ROOT, None))
    assert len([name for name in ids(found) if name.startswith("f")]) == 300
    assert len([name for name in ids(found) if name.startswith("z")]) == len(reasons(found)) == 40
    assert list(source(inbox).records(ROOT, end(found))) == []


@pytest.mark.parametrize("content", [zipped(0), zipped(1), zipped(50), b"junk before " + zipped(2)])
def test_whole_zips_are_whole(content: bytes, inbox: Path) -> None:
    (inbox / "a.zip").write_bytes(content)
    commented = io.BytesIO(content)
    with zipfile.ZipFile(commented, "a") as packed:
        packed.comment = b"a comment with PK\x05\x06 in it " * 100
    (inbox / "b.zip").write_bytes(commented.getvalue())
    assert sorted(ids(everything(source(inbox)))) == ["a.zip", "b.zip"]


def test_any_cut_of_a_zip_is_seen(inbox: Path) -> None:
    content = zipped(3)
    for kept in range(8, len(content), 23):
        (inbox / f"{kept}.zip").write_bytes(content[:kept])
    assert len(list(inbox.iterdir())) < 60
    assert ids(everything(source(inbox))) == []


def test_files_with_markers(inbox: Path) -> None:
    (inbox / "x.zip").write_bytes(zipped())
    (inbox / "y.zip").write_bytes(zipped())
    (inbox / "y.zip.done").touch()
    filled(inbox, 300)
    reader = source(inbox, done_suffixes=(".done", ".ready"))
    first = list(reader.records(ROOT, None))
    assert ids(first) == ["y.zip"]
    for number in range(300):
        (inbox / f"f{number:04}.txt.ready").touch()
    second = list(reader.records(ROOT, end(first)))
    assert len(ids(second)) == 300
    (inbox / "x.zip.ready").touch()
    third = list(reader.records(ROOT, end(second)))
    assert ids(third) == ["x.zip"]
    assert list(reader.records(ROOT, end(third))) == []


# -- folders ----------------------------------------------------------------------------------------------------------


def export_files() -> dict[str, str]:
    token = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(2))
    return {
        "general/2024-01-02.json": f'[{{"type":"message","user":"U1","ts":"1704200000.1","text":"it is {token}"}}]',
        "general/2024-01-03.json": "[]",
        "channels.json": '[{"id":"C1","name":"general"}]',
        "users.json": '[{"id":"U1","name":"ann"}]',
    }


def put(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


@pytest.mark.parametrize("drop", [True, False])
def test_an_export_in_a_folder_is_one_record(drop: bool, inbox: Path, scanner: Scanner) -> None:
    put(inbox / "slack", export_files())
    put(inbox / "other", {"deep/notes.txt": "x", "deep/slack/x.txt": "y"})
    put(inbox / "other" / "deep" / "slack2", export_files())
    reader = source(inbox, drop=drop)
    found = everything(reader)
    assert sorted(ids(found)) == ["other/deep/notes.txt", "other/deep/slack/x.txt", "other/deep/slack2", "slack"]
    [record] = [delivery.record for delivery in found if delivery.record and delivery.record.id == "slack"]
    assert record.parts[0].path == str(inbox / "slack")
    [(_record, finding)] = scanner.scan_records([record], [])
    assert (finding.location.container, finding.location.author) == ("#general", "ann")


def test_a_root_that_is_an_export(tmp_path: Path) -> None:
    put(tmp_path / "slack", export_files())
    reader = source(tmp_path / "slack", drop=False)
    found = everything(reader)
    assert ids(found) == ["slack"]
    assert list(reader.records(ROOT, end(found))) == []


def test_a_changed_export_comes_again(inbox: Path) -> None:
    put(inbox / "slack", export_files())
    unit = Unit("slack", "slack")
    reader = source(inbox)
    cursor = end(list(reader.records(unit, None)))
    assert list(reader.records(unit, cursor)) == []
    put(inbox / "slack", {"general/2024-01-04.json": "[]"})
    found = list(reader.records(unit, cursor))
    assert ids(found) == ["slack"]
    assert list(reader.records(unit, end(found))) == []


def test_a_folder_that_arrives_file_by_file_is_read_once_it_is_there(inbox: Path) -> None:
    files = list(export_files().items())
    unit = Unit("slack", "slack")
    arrived = threading.Event()

    def arrive() -> None:
        for name, content in files:
            put(inbox / "slack", {name: content})
            time.sleep(0.05)
        arrived.set()

    reader = source(inbox, settle=0.15)
    put(inbox / "slack", {})
    (inbox / "slack").mkdir()
    writer = threading.Thread(target=arrive)
    writer.start()
    given: list[str] = []
    cursor: Cursor | None = None
    deadline = time.monotonic() + 10
    while not given and time.monotonic() < deadline:
        for delivery in reader.records(unit, cursor):
            assert arrived.is_set() or len(list((inbox / "slack").rglob("*.json"))) == len(files)
            given += [delivery.record.id] if delivery.record else []
            cursor = delivery.cursor
    writer.join()
    assert given == ["slack"]
    assert list(reader.records(unit, cursor)) == []


def test_a_folder_that_never_rests_is_read_after_a_while(inbox: Path) -> None:
    put(inbox / "busy", {"one.txt": "x", "two.txt": "x"})
    unit, began, clock = Unit("busy", "busy"), time.time(), Clock()
    reader = FilesSource(
        Options(name="x", path=str(inbox), drop=True, settle=5.0, give_up=60.0),
        clock=clock,
        wait=lambda _seconds: False,
    )
    # Something in it has always changed just now.
    reader._listing.latest_change = lambda _below: int((began + clock.ahead) * 1e9)  # type: ignore[method-assign]
    clock.ahead = 50.0
    assert list(reader.records(unit, None)) == []
    clock.ahead = 70.0
    assert sorted(ids(list(reader.records(unit, None)))) == ["busy/one.txt", "busy/two.txt"]


# -- failures ---------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    reader = source(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="create it, mount it, or correct path") as caught:
        list(reader.units())
    assert not isinstance(caught.value, AccessError | GoneError)
    with pytest.raises(SourceError):
        list(reader.records(ROOT, None))
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "a.txt").write_text("x")
    assert ids(everything(reader)) == ["a.txt"]


def test_a_unit_that_is_gone(inbox: Path) -> None:
    with pytest.raises(GoneError, match="not there any more"):
        list(source(inbox).records(Unit("sub", "sub"), None))


# Another user may not be allowed to read the interpreter's packages: everything is used once before rights are dropped.
PROGRAM = """
import os, sys
from keysentry.connectors.files import Options
from keysentry.connectors.files.source import FilesSource
from keysentry.errors import AccessError
from keysentry.model.record import Unit
for unit in (warm := FilesSource(Options(name="x", path=sys.argv[2], drop=True, settle=0.0))).units():
    list(warm.records(unit, None))
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
reader = FilesSource(Options(name="x", path=sys.argv[1], drop=True, settle=0.0))
for unit in reader.units():
    try:
        for one in reader.records(unit, None):
            print(unit.id, one.record.id if one.record else None, *(skipped.reason for skipped in one.skipped), sep="|")
    except AccessError as error:
        print(unit.id, "AccessError", error.advice, sep="|")
"""


def test_what_may_not_be_read_is_told(inbox: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    put(inbox, {"open.txt": "x", "closed.txt": "x", "shut/a.txt": "x", "half/shut/b.txt": "x", "half/c.txt": "x"})
    inbox.chmod(0o755)
    warm = tmp_path / "warm"
    put(warm, {"a.txt": "x", "b/c.txt": "x"})
    for name in ("closed.txt", "shut", "half/shut"):
        (inbox / name).chmod(0o000)
    try:
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, inbox, warm],
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        for name in ("closed.txt", "shut", "half/shut"):
            (inbox / name).chmod(0o755)
    assert sorted(run.stdout.splitlines()) == [
        ".|None|cannot be read: Permission denied",
        ".|open.txt",
        "half|None|the folder cannot be listed: Permission denied",
        "half|half/c.txt",
        "shut|AccessError|give the user that keysentry runs as the right to read it",
    ], run.stderr


def test_closing_wakes_who_waits(inbox: Path) -> None:
    (inbox / "a.txt").write_text("x")
    reader = source(inbox, settle=60.0)
    failed: list[BaseException] = []

    def read() -> None:
        try:
            list(reader.records(ROOT, None))
        except ClosedError as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.05)
    reader.close()
    thread.join(timeout=5)
    assert not thread.is_alive() and len(failed) == 1
    with pytest.raises(ClosedError):
        list(reader.records(ROOT, None))


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({}, "no path"),
        ({"path": "/x", "settle": -1.0}, "settle"),
        ({"path": "/x", "max_size": -1}, "max_size"),
        ({"path": "/x", "done_suffixes": ("",)}, "done_suffixes"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        open_source(Options(name="x", **options))  # type: ignore[arg-type]


def test_targets() -> None:
    found = platform_of_target("drop:/srv/inbox")
    assert found is not None and found is platform("files")
    assert target_options("drop:/srv/inbox") == {"path": "/srv/inbox", "drop": True}
    assert found.load().Options is Options
    with pytest.raises(ConfigError, match="drop:/path"):
        target_options("drop:")


# -- size -------------------------------------------------------------------------------------------------------------


MEASURE = """
import resource, sys
from keysentry.connectors.files import Options
from keysentry.connectors.files.source import FilesSource
from keysentry.model.record import Unit

def read(path, cursor=None):
    seen = 0
    for one in FilesSource(Options(name="x", path=path, drop=True, settle=0.0)).records(Unit(".", ""), cursor):
        seen, cursor = seen + (one.record is not None), one.cursor
    return seen, cursor

read(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seen, cursor = read(sys.argv[1])
print(seen, read(sys.argv[1], cursor)[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_twenty_thousand_files_in_flat_memory(inbox: Path, tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(inbox / f"{number:05}.txt", os.O_CREAT | os.O_WRONLY))
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "a.txt").write_text("x")
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, inbox, tmp_path / "few"], cwd=HERE, capture_output=True, text=True, check=True
    )
    seen, again, grown = map(int, run.stdout.split())
    assert (seen, again) == (20_000, 0)
    assert grown < 16_000, "kilobytes"


def test_skipped_values_are_told_once_a_pass(inbox: Path) -> None:
    os.mkfifo(inbox / "pipe")
    clock = Clock()
    (inbox / "a.txt").write_text("x")
    reader = FilesSource(Options(name="x", path=str(inbox), settle=1.0), clock=clock, wait=clock.wait)
    found = list(reader.records(ROOT, None))
    assert [skipped for delivery in found for skipped in delivery.skipped] == [
        Skipped(str(inbox / "pipe"), "a named pipe, not a file")
    ]
