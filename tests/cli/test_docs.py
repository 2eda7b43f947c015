"""docs/cli.md tells every command, every option and every exit code, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keysentry.cli import COMMANDS, exit_codes
from keysentry.report import FORMATS

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def _section(name: str) -> str:
    _, found, rest = DOCS.partition(f"\n## keysentry {name}\n")
    assert found, f"docs/cli.md has no section 'keysentry {name}'"
    return rest.partition("\n## ")[0]


def _options(name: str) -> set[str]:
    command = next(command for command in COMMANDS if command.name == name)
    return {option for action in command.parser()._actions for option in action.option_strings}


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_option_is_documented_in_its_commands_section(name):
    section = _section(name)
    missing = {option for option in _options(name) - {"-h", "--help"} if f"`{option}" not in section}
    assert not missing


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_documented_option_exists(name):
    rows = [line for line in _section(name).splitlines() if line.startswith("| `-")]
    documented = {option for row in rows for option in re.findall(r"`(--?[a-z-]+)", row.split(" | ")[0])}
    assert documented <= _options(name)


def test_every_command_is_in_the_overview():
    overview = DOCS.partition("```")[2].partition("```")[0]
    assert all(f"keysentry {command.name}" in overview for command in COMMANDS)


def test_every_exit_code_is_documented():
    codes = [value for name, value in vars(exit_codes).items() if name.isupper()]
    assert len(codes) == 5
    assert all(f"| {code} |" in DOCS for code in codes)


def test_every_format_is_documented():
    assert all(f"- **{name}**:" in DOCS for name in FORMATS)
