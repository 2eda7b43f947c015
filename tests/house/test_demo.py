"""The demo's workspace: a scan finds every planted credential where it was put, once, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from demo.make_workspace import make
from keysentry.model.finding import Finding
from keysentry.scan import Scanner


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    make(out, seed=11)
    return out


@pytest.fixture(scope="module")
def planted(out: Path) -> dict[str, dict[str, object]]:
    entries = json.loads((out / "planted.json").read_text())
    return {str(entry["sha256"]): entry for entry in entries}


@pytest.fixture(scope="module")
def findings(out: Path) -> list[Finding]:
    return list(Scanner.load().scan_paths([out / "workspace"]))


def digest(finding: Finding) -> str:
    return hashlib.sha256(finding.secret.reveal_bytes()).hexdigest()


def test_every_planted_credential_is_found_once_and_nothing_else(
    planted: dict[str, dict[str, object]], findings: list[Finding]
) -> None:
    missed = [entry for key, entry in planted.items() if key not in {digest(finding) for finding in findings}]
    extra = [f"{f.rule} {f.location.path} {f.location.part}" for f in findings if digest(f) not in planted]
    assert not missed
    assert not extra
    assert Counter(map(digest, findings)) == Counter(planted.keys())


def test_findings_name_file_and_line(planted: dict[str, dict[str, object]], findings: list[Finding]) -> None:
    for finding in findings:
        entry = planted[digest(finding)]
        assert finding.location.path.endswith(str(entry["path"]))
        if "member" not in entry:
            assert finding.location.line == entry["line"]


def test_findings_in_chat_name_channel_and_author(
    planted: dict[str, dict[str, object]], findings: list[Finding]
) -> None:
    chat = [(f.location, planted[digest(f)]) for f in findings if "ts" in planted[digest(f)]]
    assert len(chat) >= 10
    for location, entry in chat:
        assert location.author == entry["author"]
        direct = str(entry["member"]).startswith(("D", "mpdm-"))
        assert (location.author if direct else f"#{entry['channel']}") in location.container


def test_the_same_seed_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    make(tmp_path, seed=11)
    for file in sorted(out.rglob("*")):
        if file.is_file():
            assert (tmp_path / file.relative_to(out)).read_bytes() == file.read_bytes(), file


def test_the_list_of_what_was_planted_holds_no_secret(out: Path) -> None:
    assert not list(Scanner.load().scan_paths([out / "planted.json"]))
