"""Credentials come from variables and files, and from nowhere else."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from keysentry.config import ConfigFaults, load_config
from keysentry.rules.forge import forge
from tests.config.acme import options_of

TOKEN = "local-test-token"


def write(text: str) -> None:
    Path("keysentry.toml").write_text(text)


def load(environment: dict[str, str]):
    (source,) = load_config(None, environment=environment, options_of=options_of).sources
    return source.options


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def secret_file(name: str, content: str, mode: int = 0o600) -> Path:
    path = Path(name)
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_variable_that_is_named(acme) -> None:
    write(f'{acme}token = "env:MY_TOKEN"\n')
    options = load({"MY_TOKEN": f" {TOKEN}\n", "ACME_TOKEN": "another"})
    assert options.token.reveal() == TOKEN
    assert TOKEN not in repr(options)


def test_else_the_platforms_own_variables_in_their_order(acme) -> None:
    write(acme)
    assert load({"ACME_TOKEN": TOKEN, "ACME_OLD_TOKEN": "old"}).token.reveal() == TOKEN
    assert load({"ACME_TOKEN": " ", "ACME_OLD_TOKEN": TOKEN}).token.reveal() == TOKEN
    assert load({}).token is None


def test_the_first_line_of_a_file_beside_the_configuration(acme) -> None:
    write(f'{acme}token = "file:secrets/token"\nsigning_key = "file:{Path("key").absolute()}"\n')
    Path("secrets").mkdir()
    secret_file("secrets/token", f"{TOKEN}\r\nand a note\n")
    secret_file("key", "signing-key")
    options = load({})
    assert (options.token.reveal(), options.signing_key.reveal()) == (TOKEN, "signing-key")


def test_a_document_is_a_credential_as_a_whole(acme) -> None:
    write(f'{acme}token = "file:account.json"\nsigning_key = "file:key.pem"\n')
    pem = forge("{pem:RSA PRIVATE KEY}", random.Random(5))
    secret_file("account.json", '{\n  "type": "service_account"\n}\n')
    secret_file("key.pem", f"{pem}\n")
    options = load({})
    assert options.token.reveal() == '{\n  "type": "service_account"\n}'
    assert options.signing_key.reveal() == pem.strip()


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_can_read_is_warned_of(mode, read, acme) -> None:
    secret_file("token", TOKEN, mode)
    reading = read(f'{acme}token = "file:token"\n')
    (warning,) = reading.warnings
    assert "can be read by others than its owner (chmod 600)" in warning.reason and warning.line == 5
    assert reading.config is not None and reading.config.warnings == (warning,)
    Path("token").chmod(0o600)
    assert read(f'{acme}token = "file:token"\n').warnings == ()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:NOT_THERE", "the variable NOT_THERE is not set"),
        ("env:BLANK", "the variable BLANK is not set"),
        ("file:none", "No such file or directory"),
        ("file:.", "directory"),
        ("file:empty", "is empty"),
        ("file:binary", "holds no text"),
    ],
)
def test_a_reference_to_nothing_stops_the_start_but_is_no_fault_of_the_file(reference, words, read, acme) -> None:
    secret_file("empty", "\n\nx")
    Path("binary").write_bytes(b"\xff\xfe\xfd")
    environment = {"BLANK": " "}
    text = f'{acme}token = "{reference}"\n'
    reading = read(text, environment)
    (missing,) = reading.missing
    assert words in missing.reason and missing.line == 5 and missing.key == "token"
    assert reading.faults == () and reading.config is not None
    with pytest.raises(ConfigFaults) as raised:
        load(environment)
    assert raised.value.faults == (missing,)


def test_a_path_that_a_variable_names_by_itself(here, acme) -> None:
    """Some platforms are used to a variable that names a file; the file's path may be a reference too."""
    write(acme)
    assert load({"ACME_KEY_FILE": "/srv/key.json"}).key_file == Path("/srv/key.json")
    for reference in ("key.json", "file:key.json"):
        write(f'{acme}key_file = "{reference}"\n')
        assert load({"ACME_KEY_FILE": "/srv/other.json"}).key_file == here / "key.json"
    write(f'{acme}key_file = "env:MINE"\n')
    assert load({"MINE": "/srv/mine.json"}).key_file == Path("/srv/mine.json")
