"""What is true of every command: help, version, usage errors, broken pipes, lazy imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keysentry.__about__ import VERSION
from keysentry.cli import COMMANDS, main


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"keysentry {VERSION}\n"


def test_overview_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command.name in text and command.title in text for command in COMMANDS)
    assert main([]) == 2


def test_a_group_shows_its_commands(capsys):
    assert main(["rules", "--help"]) == 0
    text = capsys.readouterr().out
    assert "rules lint" in text and "  scan" not in text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help(command, capsys):
    assert main([*command.name.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: keysentry {command.name}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scna", "."], ["'scna'", "did you mean scan?"]),
        (["rules", "lst"], ["'rules lst'", "did you mean rules list?"]),
        (["zzz"], ["'zzz'", "choose from: scan, rules"]),
        (["scan"], ["TARGET", "--help"]),
        (["scan", ".", "--formt", "json"], ["--formt", "did you mean --format?"]),
        (["scan", ".", "--form", "json"], ["--form", "did you mean --format?"]),
        (["scan", ".", "--format", "jsn"], ["jsn", "jsonl"]),
        (["scan", ".", "--max-size", "ten"], ["--max-size", "'ten'", "10MB"]),
        (["scan", ".", "--min-confidence", "2"], ["--min-confidence", "from 0 to 1"]),
        (["scan", ".", "--jobs", "-1"], ["--jobs", "whole number from 0"]),
        (["scan", ".", "--exit-code", "256"], ["--exit-code", "0 to 255"]),
        (["scan", "no-such-place"], ["no-such-place", "no such file or folder"]),
        (["rules", "show", "github.nothing-like-it"], ["github.nothing-like-it"]),
        (["rules", "list", "--pack", "nope"], ["nope", "choose from"]),
        (["rules", "list", "extra"], ["unexpected argument: extra"]),
    ],
)
def test_a_mistake_gets_two_and_a_helpful_line(arguments, words, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert all(word in told.err for word in words), told.err
    assert "Traceback" not in told.err


def test_a_reader_that_goes_away_ends_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "keysentry", "rules", "list", "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() in (0, 141), "0 only where the pipe took everything before it was closed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "keysentry", "rules", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "keysentry: No space left on device\n"


def test_what_the_command_line_does_without_is_there_for_others():
    """msgspec is imported without `typing_extensions`; whoever imports it later gets it, and msgspec stays whole."""
    code = """
import sys
from keysentry.cli import _import_msgspec
assert "msgspec" not in sys.modules
_import_msgspec()
assert "msgspec" in sys.modules and "typing_extensions" not in sys.modules
import sqlalchemy
import typing_extensions
assert typing_extensions.TypedDict and sys.modules["typing_extensions"] is typing_extensions
from typing import Annotated
import msgspec
class One(msgspec.Struct):
    number: Annotated[int, msgspec.Meta(ge=1)]
assert msgspec.json.decode(b'{"number": 2}', type=One).number == 2
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
