"""The repository holds nothing that its own scanner reports: every credential is forged when it is needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from keysentry.scan import Scanner

ROOT = Path(__file__).resolve().parents[2]


def test_tracked_files_are_clean() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 50
    findings = Scanner.load().scan_paths(files)
    places = [f"{finding.rule} {finding.location.path}:{finding.location.line}" for finding in findings]
    assert not places, "\n".join(places)
