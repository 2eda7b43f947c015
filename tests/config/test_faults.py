"""Every fault of a configuration is told at once: where it is, what is wrong, and what to do. No credential is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from keysentry.config import ConfigFaults, load_config
from keysentry.rules.forge import forge
from tests.config.acme import options_of
from tests.config.golden import hold

FAULTY = """\
[store]
url = "mysql://db/keysentry"

[scan]
pack = "defualt"
rules = ["mine.toml", 3]
min_confidence = 1.5

[watch]
deadline = "soon"
log = "jsn"
logs = "json"
batch_records = 0

[[source]]
name = "acme-main"
platform = "acme"
token = "a literal one"
poll = 0
include = ["*", "", "ops["]
kinds = ["public", "privat"]

[[source]]
name = "acme-main"
platform = "acme"
workspace = 7
page = 1.5
threads = "yes"
window = { start = 1, stop = 2 }

[[source]]
platform = "acmee"
name = "x"

[[source]]
name = ""
workspace = "w"

[sources]
name = "x"
"""


def test_golden(faults) -> None:
    hold("config-faults", "".join(f"{fault}\n" for fault in faults(FAULTY)))


def test_loading_raises_all_of_them_together(read) -> None:
    read(FAULTY)
    with pytest.raises(ConfigFaults) as raised:
        load_config(None, environment={}, options_of=options_of)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{len(raised.value.faults)} faults in the configuration"
    assert lines[1:] == [f"  {fault}" for fault in raised.value.faults]


@pytest.mark.parametrize("written", ["{secret}", "ENV:{secret}", "env: {secret}", "{secret}\\nenv:TOKEN"])
def test_a_literal_credential_is_a_fault_and_told_nowhere(written, read, acme) -> None:
    secret = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(5))
    reading = read(f'{acme}token = "{written.format(secret=secret)}"\n')
    assert [fault.reason for fault in reading.faults] == ["a credential does not belong in a file"]
    assert "write env:NAME" in reading.faults[0].advice
    assert secret not in repr(reading) + str(reading.faults[0])


@pytest.mark.parametrize("value", ["7", "true", "[]", '["env:TOKEN"]', "{}"])
def test_a_credential_of_another_kind_is_no_reference_either(value, faults, acme) -> None:
    told = faults(f"{acme}token = {value}\n")
    assert len(told) == 1 and "a credential does not belong in a file" in told[0]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keysentry:{secret}@db/keysentry",
        "postgresql+psycopg://keysentry:{secret}@db/keysentry",
        "postgresql://db/keysentry?user=keysentry&password={secret}",
    ],
)
def test_a_password_in_an_address_is_a_fault_and_told_nowhere(url, read, acme) -> None:
    secret = forge("{password:14}", random.Random(3)).replace("/", "x").replace("@", "x").replace("&", "x")
    address = url.format(secret=secret.replace("\\", "x").replace('"', "x").replace("#", "x").replace("?", "x"))
    for text, place in ((f'[store]\nurl = "{address}"\n', "store"), (f'{acme}base_url = "{address}"\n', "source[1]")):
        (fault,) = read(text).faults
        assert "has a password in it" in fault.reason and fault.table.startswith(place)
        assert address not in str(fault)


def test_an_address_with_a_user_alone_is_none(faults) -> None:
    assert faults('[store]\nurl = "postgresql://keysentry@db:5432/keysentry?host=/run/db"\n') == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[store]\nurl = \n", 2, "not valid TOML"),
        ("[store]\nurl = 'a\n", 2, "not valid TOML"),
        ('[store]\n\nurl = """x', 3, "not valid TOML"),
        ("[store]\n[store]\n", 2, "not valid TOML"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text, line, words, read) -> None:
    with pytest.raises(ConfigFaults) as raised:
        read(text)
    (fault,) = raised.value.faults
    assert fault.line == line and words in fault.reason and fault.file == "keysentry.toml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("store = 1\n", "store: must be a table"),
        ("[source]\nname = 'x'\n", "write [[source]], with two brackets"),
        ("source = ['x']\n", "write [[source]], with two brackets"),
        ("[[source]]\n", "platform: must be given (one of: files, slack"),
        ("[[source]]\nplatform = 3\n", "platform: must be text"),
        ("[scan]\npack = ''\n", "pack: no rules are left"),
        ("[scan]\nrules = ['none.toml']\n", "none.toml: no such file or folder"),
        ("[watch]\nlongest_backoff = inf\n", "longest_backoff: must be more than 0"),
        ("[watch]\nstatus_every = nan\n", "status_every: must be more than 0"),
        ("[scan]\nmin_confidence = nan\n", "min_confidence: must be from 0 to 1"),
    ],
)
def test_more_that_is_wrong(text, words, faults) -> None:
    told = faults(text)
    assert any(words in fault for fault in told), told


@pytest.mark.parametrize("name", ["", "  ", " a", "a\\nb", "a\\u0007"])
def test_a_name_that_cannot_be_typed(name, faults) -> None:
    told = faults(f'[[source]]\nname = "{name}"\nplatform = "acme"\nworkspace = "w"\n')
    assert len(told) == 1 and "without blanks around them" in told[0]
    assert told[0].isprintable()


@pytest.mark.parametrize("glob", ["[a]", "[!a]", "[]]", "[[]x", "a]b", "*"])
def test_globs_that_mean_something(glob, faults, acme) -> None:
    assert faults(f'{acme}exclude = ["{glob}"]\n') == []


def test_what_a_platform_refuses_is_a_fault_of_its_table(faults, acme) -> None:
    assert faults(f'{acme}mode = "socket"\n') == ['keysentry.toml:1: source[1] "a": the socket brings no threads']
    assert faults(f"{acme}page = 1000\n") == [
        'keysentry.toml:1: source[1] "a": page: more than a call can bring (999 at most)'
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    for name, words in (("none.toml", "no such file"), (".", "directory"), ("latin.toml", "not UTF-8")):
        with pytest.raises(ConfigFaults, match=words) as raised:
            load_config(tmp_path / name, environment={})
        assert raised.value.faults[0].file == str(tmp_path / name)


def test_a_platform_that_does_not_import_is_a_clean_fault(read, acme) -> None:
    """Half a platform in a broken installation: whatever it raises is told in one line."""
    from keysentry.config.platforms import platform_options
    from keysentry.connectors import PLATFORMS

    for platform in PLATFORMS:
        reading = read(f'[[source]]\nname = "x"\nplatform = "{platform.name}"\nnothing_like_it = 1\n')
        assert reading.faults
        assert all(fault.table == 'source[1] "x"' for fault in reading.faults)
    with pytest.raises(Exception, match="there is no platform 'base'"):
        platform_options("base")
