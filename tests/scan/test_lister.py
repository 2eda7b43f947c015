"""A lister gives what the walk gives, whatever becomes of it.

Each test runs in a process of its own: a lister is only forked where there is no other thread.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import os, signal, sys
from keysentry.scan.lister import Lister, may_list
from keysentry.scan.options import FileOptions
from keysentry.scan.walk import folders

options = FileOptions(gitignore=True, exclude=("*.bak",))
root = sys.argv[1]
expected = list(folders(root, options))
assert len(expected) > 40 and len({type(one) for one in expected}) == 2
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of files, some left out, a name that is not UTF-8, and what cannot be listed."""
    root = tmp_path_factory.mktemp("listed")
    for number in range(40):
        folder = root / f"d{number:02}"
        folder.mkdir()
        for name in ("a.txt", "b.bak", "c.log", *(f"f{i}" for i in range(20))):
            (folder / name).touch()
    (root / "d03" / ".gitignore").write_text("*.log\n")
    (root / "d05" / ".gitignore").mkdir()
    Path(f"{root}/d07/\udcff.txt").touch()
    return root


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", BEGIN + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_gives_what_the_walk_gives(tree: Path) -> None:
    run(
        """
with Lister(root, options) as lister:
    assert list(lister.folders()) == expected
""",
        str(tree),
    )


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_when_it_dies_the_rest_is_listed_all_the_same(tree: Path, share: float) -> None:
    """The parent gets a part of what there is; no message said that it was all."""
    run(
        """
from keysentry.scan.pipes import send
import marshal

with Lister(root, options) as lister:
    os.kill(lister._pid, signal.SIGKILL)
    os.close(lister._pipe)
    lister._pipe, answers = os.pipe()
    told = [tuple(one) if isinstance(one, tuple) else (one.place, one.reason) for one in expected]
    send(answers, marshal.dumps(told[: int(len(told) * float(sys.argv[2]))]))
    os.write(answers, b"half")
    os.close(answers)
    assert list(lister.folders()) == expected
""",
        str(tree),
        str(share),
    )


def test_closing_ends_it(tree: Path) -> None:
    run(
        """
lister = Lister(root, options)
pid = lister._pid
lister.close()
lister.close()
try:
    os.kill(pid, 0)
except ProcessLookupError:
    pass
else:
    raise AssertionError("it is still there")
""",
        str(tree),
    )


def test_only_folders_are_listed_ahead(tree: Path) -> None:
    run(
        """
assert not may_list(f"{root}/d00/a.txt", 0) and not may_list(f"{root}/gone", 0) and not may_list(root, 1)
""",
        str(tree),
    )
