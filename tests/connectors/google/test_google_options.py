"""Targets of the command line, the settings and their page of documentation, and what an import costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from keysentry.connectors import google, platform_of_target
from keysentry.connectors.base import SourceOptions
from keysentry.connectors.google.failures import APIS
from keysentry.connectors.google.fields import nanoseconds_of, stamp
from keysentry.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]

TARGETS = {
    "gdrive:": {"drive": True, "shared_drives": True, "folders": ()},
    "gdrive:1AbC": {"drive": True, "shared_drives": True, "folders": ("1AbC",)},
    "gmail:": {"gmail": True, "users": ()},
    "gmail:ann@corp.example": {"gmail": True, "users": ("ann@corp.example",)},
    "gchat:": {"chat": True, "spaces": ()},
    "gchat:AAA": {"chat": True, "spaces": ("spaces/AAA",)},
    "gchat:spaces/AAA": {"chat": True, "spaces": ("spaces/AAA",)},
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets_are_options(target: str) -> None:
    found = platform_of_target(target)
    assert found is not None and found.load() is google  # type: ignore[comparison-overlap]
    options = google.Options(name="g", **google.target_options(target))  # type: ignore[arg-type]
    on = {"drive": False, "shared_drives": False, "gmail": False, "chat": False} | TARGETS[target]
    assert {name: getattr(options, name) for name in on} == on


@pytest.mark.parametrize("target", ["gdrive:a/b", "gmail:ann", "gchat:a/b/c", "gdocs:x"])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="gdrive:"):
        google.target_options(target)


def test_options_of_another_platform_are_refused() -> None:
    with pytest.raises(ConfigError, match="not options of Google Workspace"):
        google.open_source(SourceOptions(name="x"))


@pytest.mark.parametrize(
    ("since", "time"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000000000Z"),
        ("2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00.000000000Z"),
        ("2026-01-31t12:00:00.123456789z", "2026-01-31T12:00:00.123456789Z"),
        ("90d", "2025-12-01T09:00:00.000000000Z"),
        ("36h", "2026-02-27T21:00:00.000000000Z"),
    ],
)
def test_since_names_a_time(since: str, time: str) -> None:
    found = nanoseconds_of(since, 1772357400.5)  # 2026-03-01T09:30:00.5Z
    assert found is not None and stamp(found) == time


@pytest.mark.parametrize("since", ["yesterday", "2026-02-30", "90", "d", "2026-01-31T12:00"])
def test_other_words_name_no_time(since: str) -> None:
    assert nanoseconds_of(since, 0) is None


def test_importing_it_imports_no_library_of_google() -> None:
    code = "import sys, keysentry.connectors.google; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"googleapiclient", "google.auth", "httplib2", "socket"} & set(loaded)


def test_every_setting_and_scope_is_documented() -> None:
    page = (ROOT / "docs" / "google.md").read_text(encoding="utf-8")
    own = {field.name for field in msgspec.structs.fields(google.Options)}
    missing = [name for name in sorted(own) if f"`{name}`" not in page]
    assert not missing
    scopes = {scope for facts in APIS.values() for scope in facts.scopes}
    assert not [scope for scope in scopes if scope not in page]
    assert not [facts.title for facts in APIS.values() if facts.title not in page]
