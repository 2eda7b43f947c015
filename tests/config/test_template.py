"""What `config init` writes is a valid configuration, as it stands and with every setting taken into use."""

from __future__ import annotations

import re
import tomllib

import pytest

from keysentry.config import fields_of, platform_options, read_config
from keysentry.config.template import template, toml
from keysentry.config.variables import TABLES
from keysentry.connectors import PLATFORMS
from tests.config.acme import Options, options_of
from tests.config.golden import hold
from tests.config.test_fields import PRESENT

TITLES = {one.name: one.title for one in PLATFORMS}


def taken_into_use(text: str) -> str:
    """Every setting, as a person would: the # before it taken away."""
    return re.sub(r"^#(?! |$)", "", text, flags=re.MULTILINE)


def faults(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keysentry.toml").write_text(text, encoding="utf-8")
    return [str(fault) for fault in read_config(None, environment={}, options_of=options_of).faults]


def test_golden() -> None:
    hold("config-init", template([("acme", "Acme", Options)]))


@pytest.mark.parametrize("name", [*PRESENT, "acme"])
def test_it_passes_as_it_is_and_with_everything_in_use(name, monkeypatch, tmp_path) -> None:
    options = options_of(name)
    if name == "acme":  # its socket brings no threads
        text = template([(name, "Acme", options)]).replace("#threads = true", "#threads = false")
    else:
        text = template([(name, TITLES[name], platform_options(name))])
    assert faults(text, monkeypatch, tmp_path) == []
    used = taken_into_use(text)
    assert used.count("\n#") < text.count("\n#")
    assert faults(used, monkeypatch, tmp_path) == []


def test_everything_in_use_has_every_setting() -> None:
    tables = tomllib.loads(taken_into_use(template([("acme", "Acme", Options), ("acme", "Acme", Options)])))
    for name, options in TABLES.items():
        assert set(tables[name]) == {field.name for field in fields_of(options)}
    first, second = tables["source"]
    assert set(first) == {"platform", *(field.name for field in fields_of(Options))}
    assert (first["name"], second["name"]) == ("acme", "acme-2")
    assert first["token"] == "env:ACME_TOKEN" and first["signing_key"] == "env:SIGNING_KEY"


def test_defaults_are_written_as_they_are() -> None:
    tables = tomllib.loads(taken_into_use(template([])))
    assert "source" not in tables
    for name, options in TABLES.items():
        for field in fields_of(options):
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            if field.credential:
                default = f"env:{field.variables[0]}"
            assert tables[name][field.name] == default


@pytest.mark.parametrize(
    "value",
    [
        "",
        'a "quoted" \\ path',
        "tab\tline\nbell\x07delete\x7f",
        "Пароль 秘密",
        True,
        False,
        0,
        -7,
        1.5,
        1e300,
        [],
        ["a", [1]],
        {},
    ],
)
def test_values_come_back_as_they_were(value) -> None:
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value
    assert tomllib.loads(f"x = {toml({'key': value})}")["x"] == {"key": value}
