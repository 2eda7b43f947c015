"""Programs that revoke: real ones, in Python and in the shell, well-behaved and not."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from keysentry.errors import AccessError, ConfigError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.response.revoke import process
from keysentry.response.revoke.base import Tools
from keysentry.response.revoke.table import open_revoker
from tests.response.secrets_made import credential, holds, told_everywhere

KEY = "act_1"
KNOWN = credential("acme.key", 'a "quoted" secret\nin two lines of some length', id="a-key-id-0001")
SECRET = KNOWN.secret.reveal()

READ = "import json, sys\nasked = json.load(sys.stdin)\n"


@pytest.fixture
def program(tmp_path: Path) -> Any:
    def make(text: str, **more: Any) -> process.ProcessRevoker:
        file = tmp_path / "revoke.py"
        file.write_text(text)
        options = process.Options(
            name="ours", handles=("acme.*",), command=(sys.executable, "-I", str(file)), **{"seconds": 20.0, **more}
        )
        made = open_revoker(options, Tools(None))  # type: ignore[arg-type]
        assert isinstance(made, process.ProcessRevoker)
        return made

    return make


def fault_of(revoker: process.ProcessRevoker, kind: type[KeysentryError]) -> KeysentryError:
    with pytest.raises(kind) as caught:
        revoker.revoke(KNOWN, KEY)
    assert type(caught.value) is kind
    assert not holds(told_everywhere(caught.value), SECRET)
    assert "two lines of some length" not in told_everywhere(caught.value)
    return caught.value


def test_it_gets_all_on_its_input_and_answers(program: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen = tmp_path / "seen.json"
    text = (
        f"{READ}import os\njson.dump([asked, sys.argv, dict(os.environ)], open({str(seen)!r}, 'w'))\n"
        "print(json.dumps({'outcome': 'done', 'note': 'ended ' + asked['secret'], 'evidence': {'id': asked['key']}}))"
    )
    with caplog.at_level(logging.DEBUG):
        receipt = program(text, variables={"ACME_URL": "https://acme.example"}).revoke(KNOWN, KEY)
    import json

    asked, arguments, environment = json.loads(seen.read_text())
    assert asked == {
        "action": "revoke",
        "key": KEY,
        "incident": "inc_1",
        "fingerprint": "f" * 64,
        "rule": "acme.key",
        "title": "acme.key",
        "provider": "acme",
        "secret": SECRET,
        "companions": {"id": "a-key-id-0001"},
    }
    assert not holds(f"{arguments}{environment}", SECRET)
    assert {"PATH", "LANG", "ACME_URL"} <= set(environment) <= {"PATH", "LANG", "ACME_URL", "LC_CTYPE"}
    assert (receipt.outcome, receipt.evidence) == ("done", {"id": KEY})
    assert receipt.note == f"ended {KNOWN.secret}"
    assert not holds(caplog.text, SECRET)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("access", AccessError),
        ("input", InputError),
        ("unclear", UnclearError),
        ("later", SourceError),
        ("?", SourceError),
    ],
)
def test_it_says_what_was_wrong(error: str, kind: type[KeysentryError], program: Any) -> None:
    text = f"{READ}print(json.dumps({{'error': {error!r}, 'reason': 'no way to end ' + asked['secret']}}))\nsys.exit(3)"
    assert "no way to end" in str(fault_of(program(text), kind))


@pytest.mark.parametrize(
    "text",
    [
        "print('done')",
        "print('{}')",
        "print('[1, 2]')",
        'print(\'{"outcome": "perhaps"}\')',
        "print('{\"outcome\": 7}')",
        "import sys; sys.stdout.buffer.write(bytes(range(256)))",
        "print('x' * 10_000_000)",
        "",
    ],
)
def test_rubbish_is_unclear(text: str, program: Any) -> None:
    fault_of(program(READ + text), UnclearError)


def test_a_failure_shows_what_it_said_without_the_secret(program: Any) -> None:
    text = f"{READ}sys.stderr.write('cannot end ' + repr(asked['secret']) + ' nor ' + asked['secret'])\nsys.exit(7)"
    fault = fault_of(program(text), UnclearError)
    assert "ended with 7: cannot end" in str(fault)


def test_a_program_that_reads_nothing_or_dies_is_no_reason_to_hang(program: Any) -> None:
    assert program('print(\'{"outcome": "done"}\')').revoke(KNOWN, KEY).outcome == "done"
    fault_of(program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), UnclearError)


def test_it_and_what_it_started_end_with_the_time_limit(program: Any, tmp_path: Path) -> None:
    child = tmp_path / "child"
    text = (
        "import subprocess, sys, time\n"
        f"one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child)!r}, 'w').write(str(one.pid))\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    assert "after 1 s" in str(fault_of(program(text, seconds=1.0), UnclearError))
    assert time.monotonic() - start < 8
    number = int(child.read_text())
    deadline = time.monotonic() + 5
    while _runs(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(number)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
        return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    revoker = process.ProcessRevoker(
        process.Options(name="ours", handles=("*",), command=(str(tmp_path / "none"), SECRET))
    )
    fault_of(revoker, AccessError)
    with pytest.raises(ConfigError):
        open_revoker(process.Options(name="ours", handles=("*",), command=()), Tools(None))  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        open_revoker(process.Options(name="ours", command=("x",)), Tools(None))  # type: ignore[arg-type]


def test_after_an_interruption_it_is_asked_or_a_person_is(program: Any) -> None:
    text = f"{READ}print(json.dumps({{'outcome': 'done'}} if asked['action'] == 'revoked' and {{}} else {{}}))"
    yes = program(f"{READ}print(json.dumps({{'outcome': 'done' if asked['action'] == 'revoked' else ''}}))", asks=True)
    receipt = yes.revoked(KNOWN, KEY)
    assert receipt is not None
    assert receipt.outcome == "done"
    assert program(text, asks=True).revoked(KNOWN, KEY) is None
    assert program(text, repeatable=True).revoked(KNOWN, KEY) is None
    with pytest.raises(UnclearError):
        program(text).revoked(KNOWN, KEY)


def test_it_replaces_a_secret_by_a_new_one(program: Any) -> None:
    text = (
        f"{READ}print(json.dumps({{'outcome': 'done', 'secret': 'the new one, 1234', 'note': 'is the new one, 1234'}}))"
    )
    new, receipt = program(text).rotate(KNOWN, KEY)
    assert new.reveal() == "the new one, 1234"
    assert "the new one" not in receipt.note
    for nothing in ("''", "asked['secret']"):
        bad = program(f"{READ}print(json.dumps({{'outcome': 'done', 'secret': {nothing}}}))")
        with pytest.raises(UnclearError) as caught:
            bad.rotate(KNOWN, KEY)
        assert not holds(told_everywhere(caught.value), SECRET)
