"""The examples of the README and of docs/library.md run as they stand, one after the other, and find what they say."""

from __future__ import annotations

import io
import random
import re
import zipfile
from pathlib import Path

import pytest

from keysentry.rules.forge import forge

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_examples_run(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(7))
    (tmp_path / "app.py").write_text(f'TOKEN = "{token}"\n')
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.ini", f"token = {token}\n")
    names: dict[str, object] = {
        "text": f"my token is {token}",
        "messages": ["hello", f"use {token}"],
        "folder": tmp_path,
        "attachment": packed.getvalue(),
    }
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    out = capsys.readouterr().out
    assert "GitHub personal access token (classic)" in out
    assert token not in out.replace("use ", "")
    if page != "README.md":
        assert out.count("T-1") == 4
        mine = forge("acme_{hex:32}", random.Random(1))
        assert [finding.rule for finding in names["scanner"].scan_text(f"a {mine} b")] == ["acme.build-token"]  # type: ignore[attr-defined]
