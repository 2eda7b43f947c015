"""`keysentry status`: every source in a line, and an exit code that a supervisor can act on."""

from __future__ import annotations

import io
import json
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from keysentry.cli import main
from keysentry.cli.status import source_lines
from keysentry.config import Declared, Origin, Outline, load_outline
from keysentry.installation import key
from keysentry.model.incident import SourceStatus
from keysentry.report.status import write_table
from keysentry.service.options import WatchOptions
from keysentry.store import open_store
from keysentry.store.options import StoreOptions
from tests.cli.stored import fill, statuses
from tests.config.golden import hold

CONFIG = """\
[store]
url = "sqlite:///keysentry.db"

[[source]]
name = "slack-main"
platform = "slack"

[[source]]
name = "drop"
platform = "files"
"""
NOW = 1_800_000_000.0


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a configuration of two sources."""
    monkeypatch.chdir(tmp_path)
    for name in ("KEYSENTRY_CONFIG", "KEYSENTRY_CONFIG_TOML", "KEYSENTRY_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    Path("keysentry.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def report(here):
    """Tell a status as a daemon does."""

    def tell(status: SourceStatus) -> None:
        with closing(open_store(f"sqlite:///{here}/keysentry.db", key=key())) as store:
            store.report(status)

    return tell


def test_the_table(here):
    """As the command writes it, but at a time that is always the same."""
    told = list(statuses(NOW))
    told.append(
        SourceStatus(
            source="old-bucket", platform="s3", state="needs-attention", at=NOW - 86400 * 3, records=7,
            last_error="old-bucket: the token has expired (set AWS_SECRET_ACCESS_KEY)", last_error_at=NOW - 86400 * 3,
        )
    )  # fmt: skip
    fill(f"sqlite:///{here}/keysentry.db", NOW, iter(told))
    with Path("keysentry.toml").open("a") as file:
        file.write('[[source]]\nname = "new"\nplatform = "s3"\n')
    configured = load_outline(None, environment={})
    out = io.StringIO()
    with closing(open_store(configured.store.url, key=key())) as store:
        write_table(list(source_lines(configured, store.statuses(), NOW)), list(store.unread()), out, now=NOW)
    hold("status", out.getvalue())


def test_all_well(here, report, capsys):
    for status in statuses(time.time()):
        report(status)
    assert main(["status"]) == 0
    assert capsys.readouterr().out.endswith("\n2 sources: all well\n")


def test_json(here, capsys):
    fill(f"sqlite:///{here}/keysentry.db", time.time())
    with Path("keysentry.toml").open("a") as file:
        file.write('[[source]]\nname = "new"\nplatform = "s3"\n')
    assert main(["status", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is False
    assert [(one["source"], one["state"], bool(one["attention"])) for one in document["sources"]] == [
        ("slack-main", "reading", False),
        ("drop", "backing-off", False),
        ("new", "never-started", True),
    ]
    assert document["sources"][0]["lag"] == 2.2 and document["sources"][0]["records_per_second"] == 45.2
    assert {one["place"] for one in document["unread"]} == {"#ops: budget.kdbx", "drop/huge.zip"}


STATUS = SourceStatus(source="a", platform="slack", state="waiting", at=NOW)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, ""),
        ({"state": "starting"}, ""),
        ({"state": "backing-off", "last_error": "a: no answer", "at": NOW - 290}, ""),
        ({"state": "stopped", "at": NOW - 1e6}, ""),
        ({"state": "needs-attention", "last_error": "a: the token has expired"}, "a: the token has expired"),
        ({"state": "needs-attention"}, "its daemon says so"),
        ({"state": "stopped", "last_error": "a: no answer"}, "stopped after an error: a: no answer"),
        ({"at": NOW - 3 * 3600}, "nothing was heard of it for 3 h: is keysentry watch running?"),
        ({"state": "reading", "at": NOW - 86400 * 30}, "nothing was heard of it for 4 weeks"),
        ({"at": NOW + 9999}, ""),
        (None, "no daemon has read it yet"),
    ],
)
def test_what_a_person_must_look_at(status, words):
    told = [] if status is None else [msgspec.structs.replace(STATUS, **status)]
    (line,) = source_lines(outline(60.0), told, NOW)
    assert line.attention.startswith(words) if words else line.attention == ""


def outline(*polls: float) -> Outline:
    """A configuration with sources a, b, ..."""
    sources = tuple(Declared(name, "slack", poll) for name, poll in zip("abc", polls, strict=False))
    return Outline(origin=Origin("nowhere"), store=StoreOptions(), watch=WatchOptions(), sources=sources)


def test_a_source_that_is_read_once_a_day_may_be_silent_that_long():
    (line,) = source_lines(outline(86400.0), [msgspec.structs.replace(STATUS, at=NOW - 86400)], NOW)
    assert line.attention == ""


def test_a_source_that_is_configured_no_more_is_told_but_not_missed():
    silent = msgspec.structs.replace(STATUS, source="old", at=NOW - 1e6)
    expired = msgspec.structs.replace(silent, source="older", state="needs-attention", last_error="expired")
    lines = list(source_lines(outline(60.0), [STATUS, silent, expired], NOW))
    assert [(line.source, line.attention, line.configured) for line in lines] == [
        ("a", "", True),
        ("old", "", False),
        ("older", "", False),
    ]


def test_without_sources_in_a_configuration_the_store_alone_tells():
    silent = msgspec.structs.replace(STATUS, at=NOW - 1e6)
    expired = msgspec.structs.replace(STATUS, source="b", state="needs-attention", last_error="expired")
    lines = list(source_lines(outline(), [silent, expired], NOW))
    assert [(line.source, line.attention, line.configured) for line in lines] == [
        ("a", "", True),
        ("b", "expired", True),
    ]


def test_a_store_that_is_not_there(here, capsys):
    assert main(["status"]) == 2
    assert "nothing was stored there yet" in capsys.readouterr().err


def test_neither_sources_nor_statuses(here, report, capsys):
    report(STATUS)
    Path("keysentry.toml").write_text('[store]\nurl = "sqlite:///empty.db"\n')
    with closing(open_store(f"sqlite:///{here}/empty.db", key=key())):
        pass
    assert main(["status"]) == 0
    assert capsys.readouterr().out == "no sources\n"
