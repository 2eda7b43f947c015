"""A rule of our own and files with forged credentials, so that no test here depends on the built-in rules."""

from __future__ import annotations

import random

import pytest

from keysentry import installation
from keysentry.rules.forge import forge

PACK = """
[provider]
id = "acme"
name = "Acme"
docs = "https://docs.acme.example"

[[rule]]
id = "acme.key"
title = "Acme key"
pattern = '''\\b(?P<secret>acme_[0-9a-f]{32})\\b'''
anchors = ["acme_"]
severity = "high"
confidence = 0.95
forge = "acme_{hex:32}"

[[rule]]
id = "acme.note"
title = "Acme note key"
pattern = '''\\b(?P<secret>acnote_[0-9a-f]{32})\\b'''
anchors = ["acnote_"]
severity = "low"
confidence = 0.95
forge = "acnote_{hex:32}"
"""


@pytest.fixture(autouse=True)
def own_installation(tmp_path_factory, monkeypatch):
    """Nothing of the user's own installation is read or written."""
    monkeypatch.setenv("KEYSENTRY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("KEYSENTRY_KEY", "the key of the tests, not of anybody")
    installation.key.cache_clear()  # another test of this process may have asked for it before


@pytest.fixture
def own(tmp_path_factory):
    """The options that choose our rules alone."""
    path = tmp_path_factory.mktemp("rules") / "acme.toml"
    path.write_text(PACK)
    return ["--pack", "none", "--rules", str(path)]


@pytest.fixture
def key():
    """Forge an Acme key, another one for each number."""

    def write(number: int = 0, kind: str = "acme") -> str:
        return forge(f"{kind}_{{hex:32}}", random.Random(number))

    return write


@pytest.fixture
def folder(tmp_path, key):
    """Two files with a key each (one low, one high), and one without."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(f'import os\n\nTOKEN = "{key(1)}"\n')
    (tmp_path / "notes.txt").write_text(f"use {key(2, 'acnote')} for the board\n")
    (tmp_path / "README").write_text("nothing here\n")
    return tmp_path
