"""A source that the command line names has the target's fields, and the rest of the configuration's own source."""

from __future__ import annotations

from pathlib import Path

import pytest

from keysentry.config import ConfigFaults, options_for_target
from keysentry.errors import ConfigError
from tests.config.acme import Options, options_of

CONFIG = """\
[scan]
pack = "nope"

[[source]]
name = "other"
platform = "google"

[[source]]
name = "first"
platform = "acme"
workspace = "w1"
token = "env:FIRST"
page = 50
kinds = ["private"]

[[source]]
name = "second"
platform = "acme"
workspace = "w2"
token = "env:SECOND"
"""
ENVIRONMENT = {"FIRST": "one", "SECOND": "two", "ACME_TOKEN": "own"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(environment: dict[str, str], platform: str = "acme", **fields: object) -> Options:
    found = options_for_target(platform, fields, None, environment=environment, options_of=options_of)
    assert isinstance(found, Options)
    return found


def test_without_a_configuration_the_platforms_own_variables_count() -> None:
    found = options(ENVIRONMENT, workspace="w9", kinds=("public",))
    assert (found.name, found.workspace, found.page) == ("acme", "w9", 200)
    assert found.token is not None and found.token.reveal() == "own"


def test_the_source_that_agrees_lends_the_rest() -> None:
    Path("keysentry.toml").write_text(CONFIG)
    found = options(ENVIRONMENT, workspace="w2")
    assert (found.name, found.page) == ("second", 200)
    assert found.token is not None and found.token.reveal() == "two"


def test_else_the_first_of_the_platform_and_the_target_weighs_more() -> None:
    Path("keysentry.toml").write_text(CONFIG)
    found = options(ENVIRONMENT, workspace="w9", kinds=("public", "private"))
    assert (found.name, found.workspace, found.page, found.kinds) == ("first", "w9", 50, ("public", "private"))
    assert found.token is not None and found.token.reveal() == "one"


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(ConfigFaults, match="no configuration: acme: workspace: must be given"):
        options(ENVIRONMENT)
    Path("keysentry.toml").write_text(CONFIG)
    with pytest.raises(ConfigFaults, match=r'keysentry.toml:12: source\[2\] "first": token: the variable FIRST'):
        options({}, workspace="w1")
    with pytest.raises(ConfigError, match="there is no platform 'acmee'"):
        options({}, "acmee")
