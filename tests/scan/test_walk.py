"""What is listed below a target, in which order, and what is said of the rest."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from keysentry.errors import InputError
from keysentry.model.finding import Skipped
from keysentry.scan.options import FileOptions
from keysentry.scan.walk import Folder, walk
from tests.engine import compiled
from tests.engine.test_encodings import token
from tests.scan.place import secrets

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs links, pipes and permissions")


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")
    return root


def listed(root: Path, **options) -> list[str]:
    return [
        found.removeprefix(f"{root}/") for found in walk(str(root), FileOptions(**options)) if isinstance(found, str)
    ]


def skipped(root: Path, **options) -> list[Skipped]:
    return [found for found in walk(str(root), FileOptions(**options)) if isinstance(found, Skipped)]


def test_files_come_before_folders_and_by_name(tmp_path):
    make(tmp_path, "b.txt", "a/z.txt", "a/b/c.txt", "a.txt", "Z", "a-b/x", "empty/")
    assert listed(tmp_path) == ["Z", "a.txt", "b.txt", "a/z.txt", "a/b/c.txt", "a-b/x"]
    assert listed(tmp_path) == listed(tmp_path)


def test_a_folder_is_told_before_its_files(tmp_path):
    make(tmp_path, "b.txt", "a/z.txt")
    folders = [found for found in walk(str(tmp_path), FileOptions()) if isinstance(found, Folder)]
    assert [(folder.path, folder.files, folder.folders) for folder in folders] == [
        (f"{tmp_path}/", ("b.txt",), ("a",)),
        (f"{tmp_path}/a/", ("z.txt",), ()),
    ]


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("*.log", ["a/keep.txt", "node_modules/x.js", "src/node_modules/y.js"]),
        ("node_modules", ["a/keep.txt", "a/x.log", "top.log"]),
        ("node_modules/", ["a/keep.txt", "a/x.log", "top.log"]),
        ("./a", ["node_modules/x.js", "src/node_modules/y.js", "top.log"]),
        ("a/x.log", ["a/keep.txt", "node_modules/x.js", "src/node_modules/y.js", "top.log"]),
        ("src/*", ["a/keep.txt", "a/x.log", "node_modules/x.js", "top.log"]),
        ("*", []),
    ],
)
def test_excludes(tmp_path, glob, left):
    make(tmp_path, "a/keep.txt", "a/x.log", "top.log", "node_modules/x.js", "src/node_modules/y.js")
    assert sorted(listed(tmp_path, exclude=(glob,))) == left


def test_several_excludes(tmp_path):
    make(tmp_path, "a.log", "b.txt", "c/d.md")
    assert listed(tmp_path, exclude=("*.log", "c")) == ["b.txt"]


def test_gitignore(tmp_path):
    make(tmp_path, "a.log", "keep.log", "build/x", "sub/build/y", "sub/b.tmp", "sub/c.txt", "other/b.tmp")
    (tmp_path / ".gitignore").write_text("# logs\n*.log\n!keep.log\n/build/\n")
    (tmp_path / "sub" / ".gitignore").write_text("*.tmp\n")
    assert listed(tmp_path, gitignore=True) == [
        ".gitignore", "keep.log", "other/b.tmp", "sub/.gitignore", "sub/c.txt", "sub/build/y",
    ]  # fmt: skip
    assert "a.log" in listed(tmp_path)


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link to nothing", "nonsense"])
def test_a_gitignore_that_cannot_be_used(tmp_path, kind):
    make(tmp_path, "a.txt")
    path = tmp_path / ".gitignore"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to nothing":
        path.symlink_to("nowhere")
    else:
        path.write_text("!\n")
    assert "a.txt" in listed(tmp_path, gitignore=True)
    assert [one.place for one in skipped(tmp_path, gitignore=True)].count(str(path)) in (1, 2)


def test_folders_of_version_control_are_left_out(tmp_path):
    make(tmp_path, ".git/config", "sub/.git/HEAD", ".hg/x", ".svn/x", ".github/x.yml", "a/.git")
    assert listed(tmp_path) == [".github/x.yml", "a/.git"]


def test_links_are_followed_only_if_asked(tmp_path):
    outside = make(tmp_path / "outside", "o.txt", "deep/p.txt")
    root = make(tmp_path / "root", "a.txt")
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "o.txt")
    assert listed(root) == ["a.txt"]
    assert skipped(root) == []
    assert listed(root, follow_symlinks=True) == ["a.txt", "file", "link/o.txt", "link/deep/p.txt"]


def test_links_in_a_circle(tmp_path):
    root = make(tmp_path / "root", "a.txt", "sub/b.txt")
    (root / "sub" / "up").symlink_to(root)
    (root / "sub" / "here").symlink_to(".")
    (root / "me").symlink_to("me")
    (root / "again").symlink_to("sub")
    assert listed(root, follow_symlinks=True) == ["a.txt", "sub/b.txt"] or listed(root, follow_symlinks=True) == [
        "a.txt", "again/b.txt",
    ]  # fmt: skip
    assert [one.place for one in skipped(root, follow_symlinks=True)] == [str(root / "me")]


def test_a_link_to_nothing(tmp_path):
    (tmp_path / "gone").symlink_to("nowhere")
    assert skipped(tmp_path) == []
    [one] = skipped(tmp_path, follow_symlinks=True)
    assert (one.place, one.reason) == (str(tmp_path / "gone"), "No such file or directory")


def test_what_is_no_file(tmp_path, monkeypatch):
    make(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        assert listed(tmp_path) == ["a.txt"]
        assert [(one.place, one.reason) for one in skipped(tmp_path)] == [
            (str(tmp_path / "pipe"), "a named pipe, not a file"),
            (str(tmp_path / "socket"), "a socket, not a file"),
        ]
    assert list(walk("/dev/null", FileOptions())) == [Skipped("/dev/null", "a device, not a file")]
    assert list(walk("pipe", FileOptions())) == [Skipped("pipe", "a named pipe, not a file")]


def test_a_target_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"gone: No such file or directory \(check the path\)"):
        list(walk(str(tmp_path / "gone"), FileOptions()))
    with pytest.raises(InputError, match=r"gone.*check the path"):
        list(compiled.scanner().scan_path(tmp_path / "gone"))


def test_a_folder_that_vanishes(tmp_path):
    make(tmp_path, "a.txt", "b/x.txt", "c/y.txt")
    found: list[object] = []
    for one in walk(str(tmp_path), FileOptions()):
        if not found:
            shutil.rmtree(tmp_path / "b")
        found.append(one)
    assert [one for one in found if isinstance(one, Skipped)] == [
        Skipped(str(tmp_path / "b"), "the folder cannot be listed: No such file or directory")
    ]
    assert str(tmp_path / "c" / "y.txt") in found


def ahead(root: Path) -> Path:
    """A file with a token, then more than is read ahead of the first finding, then a file: its path."""
    (root / "000.txt").write_text(token())
    for number in range(1, 80):
        with (root / f"{number:03}.txt").open("w") as file:
            file.truncate(500_000)
    (root / "last.txt").write_text(token(1))
    return root / "last.txt"


def test_a_file_that_vanishes(tmp_path, scanner):
    last = ahead(tmp_path)
    scan = scanner.scan_path(tmp_path, FileOptions(jobs=1))
    found = []
    for finding in scan:
        last.unlink(missing_ok=True)
        found.append(finding)
    assert secrets(found) == [token()]
    assert scan.summary.skipped == [Skipped(str(last), "it is gone")]
    assert not scan.summary.complete


def test_a_file_that_becomes_a_pipe(tmp_path, scanner):
    """Reading it would wait for ever."""
    last = ahead(tmp_path)
    found = []
    for finding in scanner.scan_path(tmp_path, FileOptions(jobs=1)):
        last.unlink()
        os.mkfifo(last)
        found.append(finding)
    assert secrets(found) == [token()]


def test_deep_folders(tmp_path, scanner):
    """Deeper than a recursion could go."""
    path = tmp_path
    depth = min(1200, (os.pathconf("/", "PC_PATH_MAX") - len(str(tmp_path)) - 20) // 2)
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
            path = path / "d"
        with os.fdopen(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here), "w") as file:
            file.write(f"x {token()}")
        assert secrets(scanner.scan_path(tmp_path)) == [token()]
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_file_that_this_user_may_not_read(tmp_path):
    """Run as a user who owns nothing, where this is root."""
    make(tmp_path, "open.txt", "closed.txt", "shut/x.txt")
    (tmp_path / "closed.txt").chmod(0)
    (tmp_path / "shut").chmod(0)
    script = f"""
import os
from pathlib import Path
from tests.engine import compiled
from keysentry.scan.options import FileOptions
scanner = compiled.own('''
[[rule]]
id = "acme.key"
title = "Acme key"
pattern = "(?P<secret>open[.]txt)"
confidence = 0.9
''', "ahocorasick")
list(scanner.scan_path({str(tmp_path / "open.txt")!r}))
scanner.scan_text("open.txt")
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
scan = scanner.scan_path({str(tmp_path)!r}, FileOptions(jobs=1))
print(len(list(scan)), *sorted(f"{{Path(one.place).name}}: {{one.reason}}" for one in scan.summary.skipped), sep="|")
"""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    (tmp_path / "shut").chmod(0o700)
    assert done.stderr == ""
    assert done.stdout.strip().split("|") == [
        "1", "closed.txt: cannot be read: Permission denied", "shut: the folder cannot be listed: Permission denied",
    ]  # fmt: skip


def test_max_size(tmp_path, scanner):
    (tmp_path / "large.txt").write_text(f"{token(1)}\n" + "x" * 5_000)
    (tmp_path / "small.txt").write_text(f"{token(2)}\n")
    (tmp_path / "huge.txt").write_text(f"{token(3)}\n" + "x" * 5_000_000)
    scan = scanner.scan_path(tmp_path, FileOptions(max_size=1000))
    assert secrets(scan) == [token(2)]
    assert [(Path(one.place).name, one.reason.partition(":")[0]) for one in scan.summary.skipped] == [
        ("huge.txt", "larger than the limit"), ("large.txt", "larger than the limit"),
    ]  # fmt: skip
    assert "5,000,0" in scan.summary.skipped[0].reason


def test_names_that_are_no_text(tmp_path, scanner):
    name = os.fsencode(tmp_path) + b"/caf\xe9 \n\x1b.txt"
    with open(name, "w") as file:  # noqa: PTH123
        file.write(token())
    [finding] = scanner.scan_path(tmp_path)
    assert os.fsencode(finding.location.path) == name
    assert finding.location.uri.endswith("/caf%E9%20%0A%1B.txt")
