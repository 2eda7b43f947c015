"""A folder with a configuration of one's own, and nothing of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from keysentry.config import Reading, read_config
from tests.config.acme import options_of


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reading]:
    """Write a `keysentry.toml`, and read it as a command in its folder would."""
    monkeypatch.chdir(tmp_path)

    def write_and_read(text: str, environment: Mapping[str, str] | None = None) -> Reading:
        Path("keysentry.toml").write_text(text, encoding="utf-8")
        return read_config(None, environment=environment or {}, options_of=options_of)

    return write_and_read


@pytest.fixture
def faults(read: Callable[..., Reading]) -> Callable[..., list[str]]:
    """The faults of a configuration, as a person reads them."""

    def tell(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
        return [str(fault) for fault in read(text, environment).faults]

    return tell


ACME = '[[source]]\nname = "a"\nplatform = "acme"\nworkspace = "w"\n'
"""A source that is as short as it can be."""


@pytest.fixture
def acme() -> str:
    """A source that is as short as it can be."""
    return ACME
