"""`keysentry incidents`: list, show and export, on a store in a SQLite file."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from keysentry.cli import main
from keysentry.cli.store_options import moment
from keysentry.store import open_store
from tests.cli.stored import AWS, GITHUB, NOON, PASSWORD, fill, secret
from tests.config.golden import hold

STORED = (("list",), ("list", "--format", "json"), ("list", "--format", "jsonl"), ("list", "--format", "csv"))
EXPORTED = (("export",), ("export", "--format", "json"), ("export", "--format", "csv"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a configuration, and its own data folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("KEYSENTRY_CONFIG", "KEYSENTRY_CONFIG_TOML", "KEYSENTRY_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    Path("keysentry.toml").write_text('[store]\nurl = "sqlite:///keysentry.db"\n')
    return tmp_path


@pytest.fixture
def stored(here):
    """The store of that configuration, filled."""
    fill(f"sqlite:///{here}/keysentry.db", time.time())
    return here


def ids(capsys, *arguments: str) -> list[str]:
    """The rules of the incidents that a list gives."""
    assert main(["incidents", "list", "--format", "jsonl", *arguments]) == 0
    return [json.loads(line)["rule"] for line in capsys.readouterr().out.splitlines()]


def test_the_table(stored, capsys):
    assert main(["incidents", "list"]) == 0
    hold("incidents-list", capsys.readouterr().out)


def test_the_page_of_one(stored, capsys):
    assert main(["incidents", "list", "--rule", GITHUB[0], "--format", "jsonl"]) == 0
    id = json.loads(capsys.readouterr().out)["id"]
    assert main(["incidents", "show", id[:7]]) == 0
    page = capsys.readouterr().out
    hold("incidents-show", page)
    assert main(["incidents", "show", id, "--format", "json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert [place["gone"] is None for place in whole["occurrences"]] == [True, False]
    assert whole["occurrences"][0]["exposure"] == {
        "audience": "internal",
        "reach": 240,
        "since": "2026-02-27T20:26:40Z",
    }
    assert whole["occurrences"][0]["reasons"] == ["the checksum holds", "4.6 bits a character"]


@pytest.mark.parametrize("arguments", [*STORED, *EXPORTED, ("show",)], ids=" ".join)
def test_no_secret_is_ever_written(arguments, stored, capsys):
    if arguments[0] == "show":
        with closing(open_store(f"sqlite:///{stored}/keysentry.db", key=_key())) as store:
            everything = [incident.id for incident in store.incidents()]
    else:
        everything = [""]
    for id in everything:
        assert main(["incidents", arguments[0], *([id] if id else []), *arguments[1:]]) == 0
    out = capsys.readouterr().out
    assert out
    for kind, seed in ((GITHUB, 1), (AWS, 2), (PASSWORD, 3)):
        assert secret(kind, seed).reveal() not in out


def _key() -> bytes:
    from keysentry.installation import key

    return key()


@pytest.mark.parametrize(
    ("arguments", "rules"),
    [
        ((), {GITHUB[0], AWS[0], PASSWORD[0]}),
        (("--state", "open"), {GITHUB[0], AWS[0]}),
        (("--state", "false-positive", "--state", "closed"), {PASSWORD[0]}),
        (("--severity", "high"), {GITHUB[0], AWS[0]}),
        (("--source", "slack-main"), {GITHUB[0]}),
        (("--provider", "aws"), {AWS[0]}),
        (("--rule", AWS[0]), {AWS[0]}),
        (("--text", "#OPS"), {GITHUB[0]}),
        (("--since", "2026-05-28T21:00:00Z"), {AWS[0], PASSWORD[0]}),
        (("--since", "9999d"), {GITHUB[0], AWS[0], PASSWORD[0]}),
        (("--since", "2100-01-01"), set()),
        (("--limit", "2"), {AWS[0], PASSWORD[0]}),
        (("--limit", "0"), {GITHUB[0], AWS[0], PASSWORD[0]}),
    ],
)
def test_what_is_asked_for(arguments, rules, stored, capsys):
    found = ids(capsys, *arguments)
    assert set(found) == rules and len(found) == len(rules)


def test_a_list_that_was_cut_says_so(stored, capsys):
    assert main(["incidents", "list", "--limit", "2", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["incidents"]) == 2 and document["more"] is True
    assert main(["incidents", "list", "--limit", "3", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["more"] is False
    assert main(["incidents", "list", "--limit", "2"]) == 0
    assert capsys.readouterr().out.endswith("There are more: --limit N shows the last seen N, --limit 0 all.\n")


def test_csv_cannot_act_as_a_formula(stored, capsys):
    assert main(["incidents", "export", "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines(keepends=True)))
    assert len(rows) == 4
    assert {row["rule"] for row in rows} == {GITHUB[0], AWS[0], PASSWORD[0]}
    gone = [row for row in rows if row["gone"]]
    assert sorted(row["container"] or row["path"] for row in gone) == ["#partners", "drop/=notes\n.txt"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_export_is_whole_in_every_format(stored, capsys):
    assert main(["incidents", "export", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main(["incidents", "export"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert document["incidents"] == lines
    assert [len(one["occurrences"]) for one in lines] == [one["seen"] for one in lines]
    assert {(one["place"], one["partial"]) for one in document["unread"]} == {
        ("#ops: budget.kdbx", False),
        ("drop/huge.zip", True),
    }


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_export_to_a_file_is_for_its_owner_and_whole_or_not_there(stored, capsys):
    assert main(["incidents", "export", "--output", "all.jsonl"]) == 0
    assert capsys.readouterr().out == ""
    assert len(Path("all.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert Path("all.jsonl").stat().st_mode & 0o777 == 0o600
    assert main(["incidents", "export", "-o", "none/all.jsonl"]) == 2
    assert "none/all.jsonl: No such file or directory" in capsys.readouterr().err
    assert not [path for path in Path().iterdir() if path.name.endswith(".tmp")]


def test_an_empty_store(here, capsys):
    with closing(open_store(f"sqlite:///{here}/keysentry.db", key=_key())):
        pass
    assert main(["incidents", "list"]) == 0
    assert capsys.readouterr().out == "no incidents\n"
    for arguments, out in (
        (["list", "--format", "json"], '{\n  "incidents": [],\n  "more": false\n}\n'),
        (["export"], ""),
    ):
        assert main(["incidents", *arguments]) == 0
        assert capsys.readouterr().out == out
    assert main(["incidents", "export", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"incidents": [], "unread": []}


def test_a_store_that_is_not_there_is_told_and_not_made(here, capsys):
    assert main(["incidents", "list"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and f"{here}/keysentry.db: nothing was stored there yet" in told.err
    assert "keysentry watch fills it" in told.err
    Path("keysentry.toml").unlink()
    assert main(["incidents", "list"]) == 2
    assert f"{here}/data/keysentry/keysentry.db: nothing was stored there yet" in capsys.readouterr().err
    assert not list(here.rglob("*.db"))


def test_without_a_configuration_the_store_is_the_users_own(here, capsys):
    Path("keysentry.toml").unlink()
    fill("", time.time())
    assert set(ids(capsys)) == {GITHUB[0], AWS[0], PASSWORD[0]}


def test_another_configuration_or_store(stored, tmp_path_factory, monkeypatch, capsys):
    other = tmp_path_factory.mktemp("other")
    monkeypatch.chdir(other)
    assert len(ids(capsys, "--config", str(stored / "keysentry.toml"))) == 3
    monkeypatch.setenv("KEYSENTRY_STORE_URL", f"sqlite:///{stored}/keysentry.db")
    assert len(ids(capsys)) == 3


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[store]\nurl = "memory:"\n', "a store in memory ends with its process"),
        ('[store]\nurl = "mongodb://x"\n', "keysentry.toml:2: store: url: no store is addressed like this"),
        ('[store]\nurl = "env:NOT_SET"\n', "the variable NOT_SET is not set"),
        ("[store\n", "keysentry.toml:1: not valid TOML"),
    ],
)
def test_a_store_that_cannot_be(toml, words, here, capsys):
    Path("keysentry.toml").write_text(toml)
    for command in (["incidents", "list"], ["incidents", "export"], ["incidents", "show", "x"], ["status"]):
        assert main(command) == 2
        told = capsys.readouterr()
        assert words in told.err and told.out == ""


def test_faults_elsewhere_in_the_configuration_do_not_matter(stored, capsys):
    with Path("keysentry.toml").open("a") as file:
        file.write('[scan]\npack = 3\n[[source]]\nname = "x"\nplatform = "nope"\ntoken = "env:NOT_SET"\n')
    assert len(ids(capsys)) == 3


def test_a_store_of_another_key(stored, capsys):
    """The key is kept for a process's life, so that another one is another process."""
    process = subprocess.run(
        [sys.executable, "-m", "keysentry", "incidents", "list"],
        env={**os.environ, "KEYSENTRY_KEY": "another key, of nobody either"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2 and process.stdout == ""
    assert "another fingerprint key" in process.stderr and "Traceback" not in process.stderr


@pytest.mark.parametrize("id", ["inc_", "none", ""])
def test_an_id_that_no_incident_has_alone(id, stored, capsys):
    assert main(["incidents", "show", id]) == 2
    assert f"there is no incident {id!r}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["soon", "7", "7 years", "-3d", "2026-13-01", ""])
def test_a_time_that_is_none(text, stored, capsys):
    assert main(["incidents", "list", f"--since={text}"]) == 2
    assert "write an age like 12h or 7d, or a date like 2026-05-01" in capsys.readouterr().err


def test_times():
    now = time.time()
    for text, seconds in (("90s", 90), ("30m", 1800), ("1.5h", 5400), ("7d", 7 * 86400), ("2w", 14 * 86400)):
        assert abs(now - seconds - moment(text)) < 5
    assert moment("2026-05-28T20:26:40Z") == moment("2026-05-28T22:26:40+02:00") == NOON
    assert moment("2026-05-28") == NOON - (20 * 3600 + 26 * 60 + 40)
