"""`keysentry config`: init, lint and show."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from keysentry.cli import main
from keysentry.config.template import template
from keysentry.rules.forge import forge
from tests.config.golden import hold

SOURCE = '[[source]]\nname = "mail"\nplatform = "google"\ngmail = true\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder, and an environment in which nothing is configured."""
    monkeypatch.chdir(tmp_path)
    for name in ("KEYSENTRY_CONFIG", "KEYSENTRY_CONFIG_TOML", "GOOGLE_OAUTH_ACCESS_TOKEN", "KEYSENTRY_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(text: str) -> None:
    Path("keysentry.toml").write_text(text, encoding="utf-8")


def test_init_lint_and_show_go_together(capsys):
    assert main(["config", "init", "--platform", "google"]) == 0
    assert capsys.readouterr().err == "keysentry.toml is written; next: keysentry config lint keysentry.toml\n"
    assert main(["config", "lint"]) == 0
    assert capsys.readouterr().err == "keysentry.toml (in this folder): 0 errors, 0 warnings\n"
    assert main(["config", "show"]) == 0
    assert 'platform = "google" # line' in " ".join(capsys.readouterr().out.split())


def test_init_writes_over_nothing_unless_it_is_told_to(capsys):
    write("# mine\n")
    assert main(["config", "init"]) == 2
    assert "keysentry.toml: is there already (--force writes over it)" in capsys.readouterr().err
    assert Path("keysentry.toml").read_text() == "# mine\n"
    assert main(["config", "init", "--force"]) == 0
    assert Path("keysentry.toml").read_text() == template([])
    assert [path.name for path in Path().iterdir()] == ["keysentry.toml"]


def test_init_to_standard_output(capsys):
    assert main(["config", "init", "-"]) == 0
    assert capsys.readouterr() == (template([]), "")
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--platform", "slak"], "--platform: there is no platform 'slak' (did you mean slack?)"),
        (["none/keysentry.toml"], "none/keysentry.toml: No such file or directory (name a writable file)"),
        (["none/keysentry.toml", "--force"], "none/keysentry.toml: No such file or directory (name a writable file)"),
        (["."], ".: is a folder"),
        ([".", "--force"], ".: is a folder"),
    ],
)
def test_init_that_cannot_be(arguments, words, capsys):
    assert main(["config", "init", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_lint_tells_everything_at_once(monkeypatch, capsys):
    monkeypatch.setenv("KEYSENTRY_STORE_URI", "memory:")
    monkeypatch.setenv("KEYSENTRY_MAIL_TOKEN", "local-test-token")
    Path("token").write_text("local-test-token")
    Path("token").chmod(0o644)
    Path("rules.toml").write_text("[provider\n")
    write(
        '[scan]\nrules = ["rules.toml"]\n'
        + SOURCE + 'token = "env:NOT_SET"\n'
        + '[[source]]\nname = "b"\nplatform = "google"\ntoken = "file:token"\n'
        + '[[source]]\nname = "c"\nplatform = "google"\ntoken = "env:KEYSENTRY_MAIL_TOKEN"\n'
    )  # fmt: skip
    assert main(["config", "lint"]) == 2
    told = capsys.readouterr()
    here = Path.cwd()
    hold("config-lint", told.out.replace(str(here), "FOLDER") + told.err)


def test_lint_of_a_faulty_file(capsys):
    write("[store]\nurl = 3\n\n[scan]\npak = 1\n")
    assert main(["config", "lint"]) == 2
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "error: keysentry.toml:2: store: url: must be text, not a whole number",
        "error: keysentry.toml:5: scan: pak: there is no such setting (did you mean pack?)",
    ]
    assert told.err == "keysentry.toml (in this folder): 2 errors, 0 warnings\n"


def test_lint_of_no_toml_and_of_nothing(capsys):
    write("[store\n")
    assert main(["config", "lint"]) == 2
    told = capsys.readouterr()
    assert told.out.startswith("error: keysentry.toml:1: not valid TOML: ")
    assert told.err == "keysentry.toml: 1 error, 0 warnings\n"
    Path("keysentry.toml").unlink()
    assert main(["config", "lint"]) == 2
    assert "there is no configuration in this folder" in capsys.readouterr().err
    assert main(["config", "lint", "other.toml"]) == 2
    assert "other.toml: no such file" in capsys.readouterr().out


def test_show_tells_where_every_value_comes_from(monkeypatch, capsys):
    secret = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(8))
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", secret)
    monkeypatch.setenv("KEYSENTRY_STORE_URL", f"postgresql://keysentry:{secret}@db/keysentry?password={secret}")
    monkeypatch.setenv("KEYSENTRY_WATCH_LOG", "json")
    write('[scan]\npack = "strict"\n' + SOURCE)
    assert main(["config", "show"]) == 0
    told = capsys.readouterr()
    assert secret not in told.out + told.err
    assert told.err == ""
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert lines[0] == "# keysentry.toml (in this folder)"
    for line in (
        "[store]",
        'url = "postgresql://keysentry:***@db/keysentry?password=***" # KEYSENTRY_STORE_URL',
        'pack = "strict" # line 2',
        "min_confidence = 0.5 # default",
        'log = "json" # KEYSENTRY_WATCH_LOG',
        "[[source]]",
        'name = "mail" # line 4',
        "gmail = true # line 6",
        "token = set (env:GOOGLE_OAUTH_ACCESS_TOKEN) # env:GOOGLE_OAUTH_ACCESS_TOKEN",
        'credentials = "" # default',
    ):
        assert line in lines, told.out


def test_show_of_a_reference_that_leads_nowhere(capsys):
    write(SOURCE + 'token = "env:NOT_SET"\n')
    assert main(["config", "show"]) == 0
    told = capsys.readouterr()
    assert "token = not set # env:NOT_SET" in [" ".join(line.split()) for line in told.out.splitlines()]
    assert "warning: keysentry.toml:5" in told.err and "the variable NOT_SET is not set" in told.err


def test_show_of_a_faulty_file_tells_the_faults(capsys):
    write("[store]\nurl = 3\n\n[scan]\npak = 1\n")
    assert main(["config", "show"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("keysentry: 2 faults in the configuration\n  keysentry.toml:2: store: url: ")


def test_no_sdk_and_no_database_is_imported():
    write(SOURCE + '[[source]]\nname = "b"\nplatform = "s3"\nbucket = "x"\n')
    script = "import sys; from keysentry.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", script, "config", "lint"]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split()
    assert "keysentry.connectors.google" in imported
    assert not {"googleapiclient", "google.auth", "slack_sdk", "boto3", "botocore", "sqlalchemy", "rich"} & {*imported}
