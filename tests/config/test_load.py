"""Where the configuration is looked for, what weighs more than what, and what relative paths are relative to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keysentry.config import ConfigFaults, load_config, load_outline
from keysentry.config.variables import variables
from keysentry.scan.options import ScannerOptions
from keysentry.service.options import WatchOptions
from keysentry.store.options import StoreOptions
from tests.config.acme import Options, Window, options_of


def load(path: Path | None = None, environment: dict[str, str] | None = None):
    return load_config(path, environment=environment or {}, options_of=options_of)


def store(name: str) -> str:
    return f'[store]\nurl = "postgresql://db/{name}"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_each_place_weighs_more_than_the_next(here: Path, tmp_path: Path) -> None:
    for name in ("option", "variable"):
        (tmp_path / f"{name}.toml").write_text(store(name))
    Path("keysentry.toml").write_text(store("folder"))
    by_path = {"KEYSENTRY_CONFIG": str(tmp_path / "variable.toml")}
    by_content = {"KEYSENTRY_CONFIG_TOML": store("content")}
    cases = [
        (tmp_path / "option.toml", by_path | by_content, "option", f"{tmp_path}/option.toml (--config)"),
        (None, by_path | by_content, "variable", f"{tmp_path}/variable.toml (KEYSENTRY_CONFIG)"),
        (None, by_content, "content", "KEYSENTRY_CONFIG_TOML"),
        (None, {"KEYSENTRY_CONFIG": "", "KEYSENTRY_CONFIG_TOML": ""}, "folder", "keysentry.toml (in this folder)"),
    ]
    for path, environment, name, origin in cases:
        config = load(path, environment)
        assert config.store.url == f"postgresql://db/{name}"
        assert str(config.origin) == origin


def test_what_is_overruled_is_told(here: Path) -> None:
    Path("own.toml").write_text("")
    config = load(Path("own.toml"), {"KEYSENTRY_CONFIG": "x.toml", "KEYSENTRY_CONFIG_TOML": "x"})
    assert [fault.reason for fault in config.warnings] == [
        "KEYSENTRY_CONFIG is set too, but --config weighs more",
        "KEYSENTRY_CONFIG_TOML is set too, but --config weighs more",
    ]


def test_without_any_the_defaults_hold(here: Path) -> None:
    config = load()
    assert (config.store, config.scan, config.watch, config.sources) == (
        StoreOptions(), ScannerOptions(), WatchOptions(), (),
    )  # fmt: skip
    assert str(config.origin) == "no configuration file, so the defaults"


def test_a_variable_that_names_no_file_is_told(here: Path) -> None:
    with pytest.raises(ConfigFaults, match="no such file, but KEYSENTRY_CONFIG names it"):
        load(None, {"KEYSENTRY_CONFIG": "none.toml"})


def test_everything_reaches_its_options(here: Path) -> None:
    (here / "mine.toml").write_text("")
    Path("keysentry.toml").write_text(
        '[scan]\npack = "strict"\nrules = ["mine.toml"]\nengine = "ahocorasick"\nmin_confidence = 0.75\n'
        "[watch]\ndeadline = 5\nlog = 'json'\n"
        '[[source]]\nname = "one"\nplatform = "acme"\nworkspace = "w"\npoll = 5\ninclude = ["#ops*"]\n'
        'kinds = ["private"]\nfolders = ["exports", "/srv/exports"]\nthreads = false\nmode = "socket"\n'
        "[source.window]\nstart = 8\n"
        '[[source]]\nplatform = "acme"\nname = "two"\nworkspace = "v"\n'
    )
    config = load()
    assert config.scan == ScannerOptions(
        pack="strict", rules=(str(here / "mine.toml"),), engine="ahocorasick", min_confidence=0.75
    )
    assert config.watch == WatchOptions(deadline=5.0, log="json")
    assert [(source.platform, source.name) for source in config.sources] == [("acme", "one"), ("acme", "two")]
    assert config.sources[0].options == Options(
        name="one",
        workspace="w",
        poll=5,
        include=("#ops*",),
        kinds=("private",),
        folders=(here / "exports", Path("/srv/exports")),
        threads=False,
        mode="socket",
        window=Window(start=8),
    )
    assert config.sources[1].options == Options(name="two", workspace="v")


def test_variables_weigh_more_than_the_file(here: Path) -> None:
    Path("keysentry.toml").write_text(store("file") + "[watch]\nbatch_records = 7\n")
    password = "not-a-real-one"
    config = load(
        None,
        {
            "KEYSENTRY_STORE_URL": f"postgresql://me:{password}@db/x",
            "KEYSENTRY_WATCH_BATCH_RECORDS": "9",
            "KEYSENTRY_SCAN_MIN_CONFIDENCE": "0.9",
            "KEYSENTRY_WATCH_LOG": "json",
        },
    )
    assert config.store.url == f"postgresql://me:{password}@db/x"
    assert config.watch == WatchOptions(batch_records=9, log="json")
    assert config.scan.min_confidence == 0.9


def test_a_variable_is_held_to_the_same(here: Path) -> None:
    environment = {
        "KEYSENTRY_WATCH_DEADLINE": "soon",
        "KEYSENTRY_WATCH_BATCH_BYTES": "0",
        "KEYSENTRY_SCAN_PACK": "defualt",
        "KEYSENTRY_WATCH_LOG": "jsn",
    }
    with pytest.raises(ConfigFaults) as raised:
        load(None, environment)
    assert sorted(map(str, raised.value.faults)) == [
        "KEYSENTRY_SCAN_PACK: there is no pack 'defualt' (did you mean default?)",
        "KEYSENTRY_WATCH_BATCH_BYTES: must be more than 0",
        "KEYSENTRY_WATCH_DEADLINE: must be a number, not text",
        "KEYSENTRY_WATCH_LOG: there is no 'jsn' (did you mean json?)",
    ]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///own.db", "sqlite:///{folder}/own.db"),
        ("sqlite:///a/../own.db", "sqlite:///{folder}/a/../own.db"),
        ("sqlite:////srv/own.db", "sqlite:////srv/own.db"),
        ("memory:", "memory:"),
        ("", ""),
    ],
)
def test_a_relative_store_lies_beside_the_configuration(url: str, told: str, tmp_path: Path, here: Path) -> None:
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "k.toml"
    path.write_text(f'[store]\nurl = "{url}"\n')
    assert load(path).store.url == told.format(folder=tmp_path / "there")
    assert load_outline(Path("../there/k.toml"), environment={}).store.url == told.format(folder=here / "../there")


def test_the_store_may_be_a_reference(here: Path) -> None:
    Path("keysentry.toml").write_text('[store]\nurl = "env:DATABASE_URL"\n')
    assert load(None, {"DATABASE_URL": "postgresql://db/x"}).store.url == "postgresql://db/x"
    for call in (load, lambda: load_outline(None, environment={})):
        with pytest.raises(ConfigFaults, match="store: url: the variable DATABASE_URL is not set"):
            call()


def test_the_outline_looks_at_no_source_closely(here: Path) -> None:
    Path("keysentry.toml").write_text(
        store("x")
        + '[watch]\nlog = "jsn"\n[[source]]\nname = "one"\nplatform = "nope"\npoll = 900\ntoken = "env:NONE"\n'
        '[[source]]\nplatform = "acme"\n[[source]]\nname = "two"\n'
    )
    outline = load_outline(None, environment={})
    assert [(one.name, one.platform, one.poll) for one in outline.sources] == [("one", "nope", 900), ("two", "", 60)]
    assert outline.store.url == "postgresql://db/x"
    assert outline.watch == WatchOptions()


def test_a_byte_order_mark_and_other_line_ends_are_no_fault(here: Path) -> None:
    Path("keysentry.toml").write_bytes(b"\xef\xbb\xbf[store]\r\nurl = 'memory:'\r\n\r\n[watch]\r\nlogs = 1\r\n")
    with pytest.raises(ConfigFaults) as raised:
        load()
    assert [fault.line for fault in raised.value.faults] == [5]


def test_every_variable_is_told_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `KEYSENTRY_")}
    assert rows == set(variables())


def test_a_config_can_be_compared_so_that_a_reload_sees_what_changed(here: Path) -> None:
    Path("keysentry.toml").write_text('[[source]]\nname = "a"\nplatform = "acme"\nworkspace = "w"\n')
    environment = {"ACME_TOKEN": "local-test-token"}
    assert load(None, environment).sources == load(None, environment).sources
    assert load(None, environment).sources != load(None, {"ACME_TOKEN": "another"}).sources
    assert "local-test-token" not in repr(load(None, environment)) + json.dumps(str(load(None, environment)))
