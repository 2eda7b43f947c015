"""Option values and the order of arguments."""

from __future__ import annotations

import argparse

import pytest

from keysentry.cli import COMMANDS
from keysentry.cli.parser import closest, fraction, size, whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("500000", 500_000),
        ("10MB", 10_000_000),
        ("10m", 10_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("2kib", 2048),
    ],
)
def test_size(text, value):
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "MB", "-1", "10 TBX", "1e6", "0x10"])
def test_no_size(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not a size"):
        size(text)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "half", ""])
def test_no_fraction(text):
    with pytest.raises(argparse.ArgumentTypeError):
        fraction(text)


def test_whole():
    assert whole(0, 255)("255") == 255
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 to 255"):
        whole(0, 255)("256")
    with pytest.raises(argparse.ArgumentTypeError, match="from 1:"):
        whole(1)("0")


def test_closest():
    assert closest("--formt", ["--format", "--output"]) == "did you mean --format?"
    assert closest("--zzz", ["--format"]) == ""


def _scan(*arguments: str) -> argparse.Namespace:
    return next(command for command in COMMANDS if command.name == "scan").parser().parse(list(arguments))


@pytest.mark.parametrize(
    ("arguments", "targets", "format_name"),
    [
        (["a", "--format", "json", "b"], ["a", "b"], "json"),
        (["--format=csv", "a"], ["a"], "csv"),
        (["-"], ["-"], "table"),
        (["--exclude", "*.min.js", "a", "-"], ["a", "-"], "table"),
        (["a", "--", "--format", "-"], ["a", "./--format", "-"], "table"),
        (["--", "-x"], ["./-x"], "table"),
    ],
)
def test_options_and_targets_in_any_order(arguments, targets, format_name):
    parsed = _scan(*arguments)
    assert parsed.targets == targets
    assert parsed.format == format_name
