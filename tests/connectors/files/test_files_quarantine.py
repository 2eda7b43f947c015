"""Holding files: real files on real file systems, and processes that are killed. Nothing is played.

What every quarantine keeps to is in `tests/contract/test_quarantine.py`; here is what only files have.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from keysentry.connectors.files import Options as ReadingOptions
from keysentry.connectors.files import open_source
from keysentry.connectors.files.holding import FilesQuarantine
from keysentry.connectors.files.quarantine import Options, open_quarantine
from keysentry.errors import ChangedError, ConfigError, GoneError, InputError, KeysentryError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.finding import Skipped
from keysentry.model.location import Step
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.connectors.files.killed import Job

HERE = Path(__file__).resolve().parents[3]
TEXT = "[Removed by keysentry: ask security@example.com]"
TOKEN = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(4))
SECRET = Sensitive(TOKEN)
Mode = Literal["move", "mask", "mode"]


class Inbox:
    """A folder that is read, and a quarantine for it."""

    def __init__(self, folder: Path, held: Path | None = None) -> None:
        self.root = folder / "inbox"
        self.root.mkdir()
        self.held = held or folder / "held"

    def file(self, name: str, data: bytes, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        return path

    def place(self, name: str, *steps: Step) -> Place:
        """As the source tells it."""
        path = self.root / name
        moment = datetime.fromtimestamp(path.stat().st_mtime_ns // 10**9, UTC).isoformat().replace("+00:00", "Z")
        return Place(source="inbox", platform="files", unit=".", record=name, time=moment, route=steps)

    def options(self, mode: Mode = "move", **more: object) -> Options:
        return Options(**{"source": "inbox", "mode": mode, "folder": str(self.held), **more})  # type: ignore[arg-type]

    def open(
        self, mode: Mode = "move", step: Callable[[str], None] = lambda name: None, **more: object
    ) -> FilesQuarantine:
        return FilesQuarantine(self.options(mode, **more), ReadingOptions(name="inbox", path=str(self.root)), step=step)

    def hold(self, place: Place, mode: Mode = "move", *secrets: Sensitive) -> tuple[Original, Receipt]:
        quarantine = self.open(mode)
        original = quarantine.inspect(place, secrets or (SECRET,))
        return original, quarantine.hold(place, original, secrets or (SECRET,), TEXT)

    def hidden(self) -> list[str]:
        """What was left beside the files."""
        return [str(path) for path in self.root.rglob(".keysentry-*")]


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Inbox]:
    """Its quarantine is on another file system."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("/dev/shm is no file system of its own here")
        yield Inbox(tmp_path, Path(folder) / "held")


def facts(path: Path) -> tuple[bytes, int, int, int, int]:
    """Everything that a release brings back."""
    status = path.stat()
    return path.read_bytes(), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns


# -- moving -----------------------------------------------------------------------------------------------------------


def test_a_moved_file_is_closed_and_comes_back_as_it_was(inbox: Inbox) -> None:
    path = inbox.file("sub/notes.txt", f"use {TOKEN}\n".encode(), 0o640)
    os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_987_654_321))
    before, place = facts(path), inbox.place("sub/notes.txt")
    original, receipt = inbox.hold(place)
    assert path.read_text() == f"{TEXT}\n" and stat.S_IMODE(path.stat().st_mode) == 0o640
    [content] = inbox.held.rglob("content")
    assert content.read_bytes() == before[0] and stat.S_IMODE(content.stat().st_mode) == 0o600
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o700 for one in (inbox.held, content.parent))
    inbox.open().release(place, original, receipt)
    assert facts(path) == before
    assert list(inbox.held.iterdir()) == [] and inbox.hidden() == []


def test_another_file_system_does_as_well(elsewhere: Inbox) -> None:
    path = elsewhere.file("notes.txt", f"{'x' * 3_000_000} {TOKEN}\n".encode(), 0o664)
    before, place = facts(path), elsewhere.place("notes.txt")
    original, receipt = elsewhere.hold(place)
    assert path.read_text() == f"{TEXT}\n" and elsewhere.hidden() == []
    [content] = elsewhere.held.rglob("content")
    assert content.read_bytes() == before[0] and stat.S_IMODE(content.stat().st_mode) == 0o600
    elsewhere.open().release(place, original, receipt)
    assert facts(path) == before and elsewhere.hidden() == []


def test_an_archive_is_moved_as_a_whole_if_nobody_wrote_it_since(inbox: Inbox) -> None:
    """A member cannot be searched for the secret without unpacking, so the time that the source told must be right."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.txt", f"use {TOKEN}" * 9)
    path = inbox.file("backup.zip", packed.getvalue())
    place = inbox.place("backup.zip", Step("file", "backup.zip"), Step("member", "notes.txt"))
    original, receipt = inbox.hold(place)
    assert path.read_text() == f"{TEXT}\n"
    inbox.open().release(place, original, receipt)
    assert path.read_bytes() == packed.getvalue()
    os.utime(path, (1_800_000_000, 1_800_000_000))
    with pytest.raises(ChangedError):
        inbox.open().inspect(place, [SECRET])


def test_an_unpacked_export_is_moved_as_a_whole(inbox: Inbox) -> None:
    inbox.file("export/users.json", b"[]")
    day = inbox.file("export/general/2026-01-31.json", json.dumps([{"text": TOKEN}]).encode())
    place = inbox.place("export")
    original, receipt = inbox.hold(place)
    assert (inbox.root / "export").read_text() == f"{TEXT}\n"
    inbox.open().release(place, original, receipt)
    assert TOKEN in day.read_text() and inbox.hidden() == []


def test_a_folder_is_not_taken_to_another_file_system(elsewhere: Inbox) -> None:
    day = elsewhere.file("export/general/2026-01-31.json", json.dumps([{"text": TOKEN}]).encode())
    place = elsewhere.place("export")
    original = elsewhere.open().inspect(place, [SECRET])
    with pytest.raises(InputError, match="same file system"):
        elsewhere.open().hold(place, original, [SECRET], TEXT)
    assert TOKEN in day.read_text()


def test_a_file_that_is_its_own_source(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(f"insert {TOKEN}")
    quarantine = FilesQuarantine(
        Options(source="it", folder=str(tmp_path / "held")), ReadingOptions(name="it", path=str(path))
    )
    source = open_source(ReadingOptions(name="it", path=str(path), settle=0.0))
    [unit] = list(source.units())
    assert not isinstance(unit, Skipped)
    [record] = [one.record for one in source.records(unit, None) if one.record]
    place = Place(source="it", unit=unit.id, record=record.id)
    original = quarantine.inspect(place, [SECRET])
    receipt = quarantine.hold(place, original, [SECRET], TEXT)
    assert path.read_text() == f"{TEXT}\n"
    quarantine.release(place, original, receipt)
    assert TOKEN in path.read_text()


def test_a_name_that_is_no_text_is_found_again(inbox: Inbox) -> None:
    odd = Path(os.fsdecode(os.fsencode(inbox.root) + b"/k\xff\xe9y.txt"))
    odd.write_text(TOKEN)
    source = open_source(ReadingOptions(name="inbox", path=str(inbox.root), settle=0.0))
    [unit] = [one for one in source.units() if not isinstance(one, Skipped)]
    [record] = [one.record for one in source.records(unit, None) if one.record]
    place = Place(source="inbox", unit=".", record=record.id)
    original, receipt = inbox.hold(place)
    assert odd.read_text() == f"{TEXT}\n"
    inbox.open().release(place, original, receipt)
    assert odd.read_text() == TOKEN


def test_a_release_does_not_write_over_what_is_new(inbox: Inbox) -> None:
    path = inbox.file("a.txt", TOKEN.encode())
    place = inbox.place("a.txt")
    original, receipt = inbox.hold(place)
    path.write_text("something new")
    with pytest.raises(ChangedError, match="something else"):
        inbox.open().release(place, original, receipt)
    assert path.read_text() == "something new" and list(inbox.held.rglob("content"))
    path.unlink()
    inbox.open().release(place, original, receipt)
    assert path.read_bytes() == TOKEN.encode()


def test_an_original_that_is_lost_is_said_to_be(inbox: Inbox) -> None:
    inbox.file("a.txt", TOKEN.encode())
    place = inbox.place("a.txt")
    original, receipt = inbox.hold(place)
    shutil.rmtree(inbox.held)
    with pytest.raises(GoneError, match="is not in"):
        inbox.open().release(place, original, receipt)


def test_what_is_written_at_the_last_moment_is_not_lost(inbox: Inbox) -> None:
    """Between the last look and the move, somebody writes the file anew, by a rename as editors do."""
    path = inbox.file("a.txt", TOKEN.encode())
    place = inbox.place("a.txt")
    original = inbox.open().inspect(place, [SECRET])

    def write(name: str) -> None:
        if name == "take":
            inbox.file("a.new", b"work of a whole day").replace(path)

    with pytest.raises(ChangedError, match="at this moment"):
        inbox.open(step=write).hold(place, original, [SECRET], TEXT)
    assert path.read_text() == "work of a whole day" and inbox.hidden() == []


def test_what_appears_in_its_place_while_it_is_moved_stays(inbox: Inbox) -> None:
    path = inbox.file("a.txt", TOKEN.encode())
    place = inbox.place("a.txt")
    original = inbox.open().inspect(place, [SECRET])

    def write(name: str) -> None:
        if name == "stub":
            path.write_text("new and harmless")

    receipt = inbox.open(step=write).hold(place, original, [SECRET], TEXT)
    assert receipt.outcome == "done" and path.read_text() == "new and harmless"


def test_links_are_not_followed(inbox: Inbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text(TOKEN)
    path = inbox.file("sub/a.txt", TOKEN.encode())
    place = inbox.place("sub/a.txt")
    original = inbox.open().inspect(place, [SECRET])
    path.unlink()
    path.symlink_to(outside / "a.txt")
    with pytest.raises(ChangedError, match="link"):
        inbox.open().hold(place, original, [SECRET], TEXT)
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(outside)
    with pytest.raises(KeysentryError):
        inbox.open().hold(place, original, [SECRET], TEXT)
    assert (outside / "a.txt").read_text() == TOKEN
    for record in ("../outside/a.txt", "/etc/passwd", "sub/../../outside/a.txt"):
        with pytest.raises(GoneError):
            inbox.open().inspect(msgspec.structs.replace(place, record=record), [SECRET])


def test_other_names_of_the_same_file_are_told(inbox: Inbox) -> None:
    path = inbox.file("a.txt", TOKEN.encode())
    other = inbox.root / "b.txt"
    os.link(path, other)
    place = inbox.place("a.txt")
    original, receipt = inbox.hold(place)
    assert "1 other names" in original.note and "hard links" in receipt.note
    assert stat.S_IMODE(other.stat().st_mode) == 0o600, "closed with it"
    inbox.open().release(place, original, receipt)
    assert path.samefile(other) and stat.S_IMODE(other.stat().st_mode) == 0o644


# -- masking ----------------------------------------------------------------------------------------------------------

HEAD = " ".join(("-----BEGIN", "RSA", "PRIVATE", "KEY-----"))


def keyed() -> str:
    """A secret of several lines, with characters that every format escapes."""
    rng = random.Random(8)
    lines = ["".join(rng.choice('abc"/<&>+\\ä') for _ in range(20)) for _ in range(3)]
    return "\n".join([HEAD, *lines])


def test_every_written_form_is_masked_and_comes_back_to_the_byte(inbox: Inbox) -> None:
    text = keyed()
    rows = io.StringIO()
    csv.writer(rows).writerow(["id", text])
    data = "\n".join(
        [
            json.dumps({"key": text}),
            json.dumps({"key": text}, ensure_ascii=False).replace("/", "\\/"),
            rows.getvalue(),
            text,
            text.replace("\n", "\r\n"),
        ]
    ).encode()
    path = inbox.file("mixed.json", data, 0o664)
    os.utime(path, ns=(1_700_000_000_000_000_001, 1_700_000_000_000_000_002))
    before, place = facts(path), inbox.place("mixed.json", Step("file", "mixed.json"), Step("field", "key"))
    original, receipt = inbox.hold(place, "mask", Sensitive(text))
    shown = path.read_text()
    assert receipt.evidence["masks"] == "5" and shown.count("[keysentry: ") == 5
    assert not any(line in shown for line in text.split("\n")[1:])
    assert json.loads(shown.split("\n")[0])["key"].startswith("[keysentry: ")
    assert facts(path)[1:] == before[1:], "mode, owner and time stay"
    inbox.open("mask").release(place, original, receipt)
    assert facts(path) == before and inbox.hidden() == []


def test_a_mask_has_any_length_and_several_secrets_are_masked_at_once(inbox: Inbox) -> None:
    short = Sensitive("".join(("pw", "-", "7x")))
    path = inbox.file("a.env", f"A={TOKEN}\nB={short.reveal()}\nC={TOKEN}\n".encode())
    place = inbox.place("a.env")
    original, receipt = inbox.hold(place, "mask", SECRET, short)
    assert path.read_text().splitlines()[1].startswith("B=[keysentry: ") and receipt.evidence["masks"] == "3"
    inbox.open("mask").release(place, original, receipt)
    assert path.read_text() == f"A={TOKEN}\nB={short.reveal()}\nC={TOKEN}\n"


@pytest.mark.parametrize(
    "data",
    [b"PK\x03\x04\0\0" + TOKEN.encode(), TOKEN.encode("utf-16"), b"\xff" + TOKEN.encode()],
    ids=["an archive", "another encoding", "no text"],
)
def test_what_is_no_plain_text_is_not_masked(inbox: Inbox, data: bytes) -> None:
    path = inbox.file("a.bin", data)
    with pytest.raises(InputError, match='mode = "move"') as caught:
        inbox.open("mask").inspect(inbox.place("a.bin"), [SECRET])
    assert path.read_bytes() == data and TOKEN not in str(caught.value)


def test_a_secret_that_is_encoded_is_not_masked_in_part(inbox: Inbox) -> None:
    path = inbox.file("a.txt", TOKEN.encode())
    with pytest.raises(InputError, match="cannot be masked"):
        inbox.open("mask").inspect(inbox.place("a.txt"), [SECRET, Sensitive("elsewhere-in-base64")])
    with pytest.raises(InputError, match="max_mask"):
        inbox.open("mask", max_mask=5).inspect(inbox.place("a.txt"), [SECRET])
    assert path.read_bytes() == TOKEN.encode()


def test_a_masked_file_that_was_edited_is_not_written_over(inbox: Inbox) -> None:
    path = inbox.file("a.txt", f"{TOKEN}\n".encode())
    place = inbox.place("a.txt")
    original, receipt = inbox.hold(place, "mask")
    path.write_text(f"{path.read_text()}more\n")
    with pytest.raises(ChangedError, match="edited"):
        inbox.open("mask").release(place, original, receipt)
    assert path.read_text().endswith("more\n")


# -- closing ----------------------------------------------------------------------------------------------------------


def test_a_closed_file_gets_its_mode_back(inbox: Inbox) -> None:
    path = inbox.file("a.txt", TOKEN.encode(), 0o664)
    place = inbox.place("a.txt")
    original, receipt = inbox.hold(place, "mode")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and "owner" in receipt.note
    inbox.open("mode").release(place, original, receipt)
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_what_only_its_owner_could_read_is_held_already(inbox: Inbox) -> None:
    inbox.file("a.txt", TOKEN.encode(), 0o600)
    assert inbox.hold(inbox.place("a.txt"), "mode")[1].outcome == "already"


# -- processes that end, rights that are missing ----------------------------------------------------------------------


def killed(folder: Path, act: str, number: int, job: Job) -> bool:
    """Whether the process came as far as this change."""
    path = folder / "job.json"
    path.write_bytes(msgspec.json.encode(job))
    command = [sys.executable, "-m", "tests.connectors.files.killed", act, str(number), str(path)]
    ended = subprocess.run(command, cwd=HERE, check=False, capture_output=True)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


@pytest.mark.parametrize("way", ["move", "elsewhere", "mask", "mode"])
def test_a_killed_process_leaves_nothing_half_done(request: pytest.FixtureRequest, tmp_path: Path, way: str) -> None:
    """At every change, of a hold and of a release."""
    inbox: Inbox = request.getfixturevalue("elsewhere" if way == "elsewhere" else "inbox")
    mode: Mode = "move" if way == "elsewhere" else way  # type: ignore[assignment]
    path = inbox.file("a.txt", f"use {TOKEN}".encode())
    before, place = facts(path), inbox.place("a.txt")
    number = 0
    more = True
    while more:
        number += 1
        original = inbox.open(mode).inspect(place, [SECRET])
        job = Job(
            options=inbox.options(mode),
            root=str(inbox.root),
            place=place,
            original=original,
            receipt=Receipt(outcome="done", note=""),
            placeholder=TEXT,
        )
        more = killed(tmp_path, "hold", number, job)
        receipt = inbox.open(mode).held(place, original, TEXT)
        if receipt is None:
            again = inbox.open(mode).inspect(place, [SECRET])
            assert again.version == original.version
            receipt = inbox.open(mode).hold(place, again, [SECRET], TEXT)
        assert mode == "mode" or TOKEN not in path.read_text()
        again_killed = killed(tmp_path, "release", number, msgspec.structs.replace(job, receipt=receipt))
        if inbox.open(mode).released(place, original, receipt) is None:
            inbox.open(mode).release(place, original, receipt)
        assert facts(path) == before, f"killed before change {number}"
        assert inbox.hidden() == [] and not (inbox.held.exists() and list(inbox.held.iterdir()))
        more = more or again_killed
    assert number >= 2


@pytest.mark.skipif(os.getuid() != 0 and os.environ.get("CI") != "true", reason="only root can be another user")
def test_a_missing_right_is_told(inbox: Inbox, tmp_path: Path) -> None:
    """As another user, who may read but not write."""
    path = inbox.file("a.txt", TOKEN.encode())
    temporary = Path(tempfile.gettempdir())
    for folder in (tmp_path, *tmp_path.parents):
        if temporary in folder.parents:
            folder.chmod(0o755)
    place = inbox.place("a.txt")
    script = (
        "import os,sys,msgspec;from keysentry.errors import AccessError\n"
        "from tests.connectors.files.killed import Job;import tests.connectors.files.killed as k\n"
        "data=open(sys.argv[1],'rb').read();q=k.FilesQuarantine;j=msgspec.json.decode(data,type=Job)\n"
        "os.setgid(65534);os.setuid(65534)\n"
        "try: q(j.options,k.ReadingOptions(name='inbox',path=j.root)).hold(j.place,j.original,(),'x')\n"
        "except AccessError as e: print('told',e)\n"
    )
    for mode in ("mask", "mode"):
        job = Job(
            options=inbox.options(mode),  # type: ignore[arg-type]
            root=str(inbox.root),
            place=place,
            original=inbox.open(mode).inspect(place, [SECRET]),  # type: ignore[arg-type]
            receipt=Receipt(outcome="done", note=""),
            placeholder=TEXT,
        )
        (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
        command = [sys.executable, "-c", script, str(tmp_path / "job.json")]
        ended = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True)
        assert ended.stdout.startswith("told") and "owner" in ended.stdout
    assert path.read_bytes() == TOKEN.encode()


def test_options_are_checked(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    source = ReadingOptions(name="inbox", path=str(tmp_path / "inbox"))
    with pytest.raises(ConfigError, match="no folder"):
        open_quarantine(Options(source="inbox"), source)
    with pytest.raises(ConfigError, match="within what the source"):
        open_quarantine(Options(source="inbox", folder=str(tmp_path / "inbox" / "held")), source)
    open_quarantine(Options(source="inbox", folder=str(tmp_path / "held")), source).close()


def test_a_name_with_the_secret_in_it_is_not_told(inbox: Inbox) -> None:
    inbox.file(f"{TOKEN}.txt", TOKEN.encode())
    place = inbox.place(f"{TOKEN}.txt")
    original, receipt = inbox.hold(place)
    released = inbox.open().release(place, original, receipt)
    said = repr((original.note, original.version, receipt.note, receipt.evidence, released))
    assert TOKEN not in said
    (inbox.root / f"{TOKEN}.txt").unlink()
    with pytest.raises(GoneError) as caught:
        inbox.open().inspect(place, [SECRET])
    assert TOKEN not in str(caught.value)
