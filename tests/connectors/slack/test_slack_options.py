"""What a person writes: options, targets, and how far back to read."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from subprocess import run

import msgspec
import pytest

from keysentry.connectors import platform, platform_of_target
from keysentry.connectors.base import SourceOptions
from keysentry.connectors.slack import Options, open_source, target_options
from keysentry.connectors.slack.since import since_seconds
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

NOW = datetime(2026, 3, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("slack:", {}),
        ("slack:#general", {"channels": ["#general"]}),
        ("slack:general, #dev", {"channels": ["general", "#dev"]}),
        ("slack:C0123ABCD", {"channels": ["C0123ABCD"]}),
        ("slack:@alice", {"channels": ["@alice"], "direct_messages": True}),
        ("slack:D0123ABCD,", {"channels": ["D0123ABCD"], "direct_messages": True}),
    ],
)
def test_targets(target: str, options: dict[str, object]) -> None:
    assert target_options(target) == options
    assert msgspec.convert({"name": "x", **options}, Options).name == "x"
    found = platform_of_target(target)
    assert found is not None and found.name == "slack"


@pytest.mark.parametrize("target", ["slack:./export.zip", "slack:two words", "slack:a\\b"])
def test_targets_that_are_none(target: str) -> None:
    with pytest.raises(ConfigError, match="no conversation"):
        target_options(target)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", 0.0),
        ("90d", NOW - 90 * 86_400),
        ("12h", NOW - 12 * 3600),
        ("1.5w", NOW - 10.5 * 86_400),
        ("200y", 0.0),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC).timestamp()),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp()),
    ],
)
def test_since(text: str, moment: float) -> None:
    assert since_seconds(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "90", "d", "-3d", "2026-13-01"])
def test_since_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="no date and no age"):
        open_source(Options(name="x", token=Sensitive("t"), since=text))


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN"):
        open_source(Options(name="acme"))
    for wrong in ({"page": 0}, {"page": 1000}, {"per_minute": -1.0}, {"edits_for": -1.0}):
        with pytest.raises(ConfigError):
            open_source(Options(name="acme", token=Sensitive("t"), **wrong))
    with pytest.raises(msgspec.ValidationError, match="tokn"):
        msgspec.convert({"name": "x", "tokn": "t"}, Options)
    with pytest.raises(TypeError):
        open_source(SourceOptions(name="x"))


def test_a_token_is_never_shown() -> None:
    assert "hush-hush" not in repr(
        Options(name="x", token=Sensitive("hush-hush-hush"), app_token=Sensitive("hush-hush"))
    )


def test_every_option_is_said_what_it_is() -> None:
    said = Options.__doc__ or ""
    own = set(Options.__struct_fields__) - set(SourceOptions.__struct_fields__)
    assert own and all(f"`{field}`" in said for field in own)
    assert set(Options.environment) <= set(Options.__struct_fields__)


def test_the_sdk_is_loaded_only_when_it_is_needed() -> None:
    code = (
        "import sys, keysentry.connectors.slack as s; s.target_options('slack:'); sys.exit('slack_sdk' in sys.modules)"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
    assert platform("slack").load().Options is Options
