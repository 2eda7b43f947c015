"""Private keys: proved by their outline, told encrypted or not, placeholders killed, damage left undecided."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.checks.keys import age, der_key, pem, putty
from keysentry.rules.forge import forge

FORGED = ["{pem:RSA PRIVATE KEY}", "{pem:OPENSSH PRIVATE KEY}", "{pgp}", "{ssh2}"]


def forged(template: str, seed: int = 0) -> str:
    return forge(template, random.Random(seed))


def facts(block: str) -> dict[str, str]:
    verdict = pem(block.encode())
    assert verdict.valid is True, verdict.text
    return dict(verdict.facts)


REAL = {
    "rsa, old form": ("openssl genrsa -traditional -out {path} 2048", "no"),
    "rsa, old form, locked": ("openssl genrsa -traditional -aes128 -passout pass:synthetic -out {path} 2048", "yes"),
    "rsa, new form": ("openssl genpkey -algorithm rsa -out {path}", "no"),
    "rsa, new form, locked": ("openssl genpkey -algorithm rsa -aes128 -pass pass:synthetic -out {path}", "yes"),
    "ec, old form": ("openssl ecparam -genkey -noout -name prime256v1 -out {path}", "no"),
    "x25519": ("openssl genpkey -algorithm x25519 -out {path}", "no"),
    "ssh rsa": ("ssh-keygen -q -t rsa -N synthetic1 -m PEM -f {path}", "yes"),
    "ssh ed25519": ("ssh-keygen -q -t ed25519 -N  -f {path}", "no"),
    "ssh ed25519, locked": ("ssh-keygen -q -t ed25519 -N synthetic1 -f {path}", "yes"),
    "ssh ed25519, locked with a tag": (
        "ssh-keygen -q -t ed25519 -Z aes256-gcm@openssh.com -N synthetic1 -f {path}",
        "yes",
    ),
}
"""Commands that make a real key, and whether it is encrypted."""


@pytest.mark.parametrize("kind", REAL)
def test_real_keys_are_proved_and_their_encryption_is_told(kind: str, tmp_path: Path) -> None:
    command, encrypted = REAL[kind]
    words = [word.format(path=tmp_path / "key") for word in command.split(" ")]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    subprocess.run(words, check=True, capture_output=True)
    assert facts((tmp_path / "key").read_text())["encrypted"] == encrypted


@pytest.mark.parametrize("template", FORGED)
def test_forged_keys_are_proved(template: str) -> None:
    for seed in range(5):
        assert pem(forged(template, seed).encode()).valid is True


@pytest.mark.parametrize(
    ("before", "after", "line_end"),
    [
        ("", "", "\r\n"),
        ("", "", "\\n"),
        ("", "", "\\r\\n"),
        ("", "", " "),
        ('"', '\\n"', " +\n    "),
        ('"', '\\n"', "\n"),
        ("'", "'", " .\n"),
        ('        + "', '\\n"', "\n"),
        ('        "', '",', "\n"),
        ("    ", "", "\n"),
        ("> ", "", "\n"),
        ("+", "", "\n"),
        ("# ", "", "\n"),
    ],
)
def test_lines_may_be_joined_as_source_code_joins_them(before: str, after: str, line_end: str) -> None:
    for template in FORGED:
        lines = [line for line in forged(template).split("\n") if line]
        block = line_end.join(f"{before}{line}{after}" for line in lines)
        if "ssh2" in template and line_end == " ":
            continue
        verdict = pem(block.encode())
        assert verdict.valid is True, (template, verdict.text)


@pytest.mark.parametrize("label", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
@pytest.mark.parametrize(
    "body",
    [
        "...",
        "",
        "xxxx\nxxxx",
        "MIIEpAIBAAKCAQEA...",
        "<your key here>",
        "AAAA" * 100,
        "x" * 400,
        f"{'MIIEabcdefghijklmnop' * 4}\n...\n",
    ],
)
def test_placeholders_are_killed(label: str, body: str) -> None:
    assert pem(f"-----BEGIN {label}-----\n{body}\n-----END {label}-----".encode()).valid is False


@pytest.mark.parametrize("template", FORGED)
def test_a_damaged_key_is_neither_proved_nor_killed(template: str) -> None:
    lines = forged(template).split("\n")
    at = max(index for index, line in enumerate(lines[:4]) if len(line) == 64)
    for damaged in (lines[:at] + lines[at + 1 :], [*lines[:at], lines[at][:-1], *lines[at + 1 :]]):
        assert pem("\n".join(damaged).encode()).valid is None


def test_one_wrong_character_breaks_the_checksum_of_pgp() -> None:
    lines = forged("{pgp}").split("\n")
    middle = len(lines) // 2
    lines[middle] = ("A" if lines[middle][0] != "A" else "B") + lines[middle][1:]
    assert "checksum" in pem("\n".join(lines).encode()).text


def test_a_body_under_the_wrong_label_is_not_proved() -> None:
    block = forged("{pem:RSA PRIVATE KEY}").replace("RSA PRIVATE", "EC PRIVATE")
    assert pem(block.encode()).valid is None


def test_a_cut_off_key_is_undecided() -> None:
    verdict = pem(forged("{pem-cut:RSA PRIVATE KEY}").encode())
    assert verdict.valid is None
    assert "missing" in verdict.text


def test_random_base64_between_the_lines_is_undecided() -> None:
    body = forged("{base64:64}\n{base64:64}\n{base64:64}")
    assert pem(f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----".encode()).valid is None


@pytest.mark.parametrize("version", ["2", "3"])
def test_putty_files_are_proved_by_their_mac(version: str) -> None:
    for seed in range(5):
        block = forged(f"{{putty:{version}}}", seed)
        verdict = putty(block.encode())
        assert verdict.valid is True
        assert dict(verdict.facts)["encrypted"] == "no"
        assert putty(block.replace("\n", "\r\n").encode()).valid is True


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_character_off_breaks_the_mac(version: str) -> None:
    block = forged(f"{{putty:{version}}}")
    other = "3" if version == "2" else "2"
    assert putty(block.replace("synthetic", "syntheticc").encode()).valid is None
    assert putty(block.replace(f"File-{version}", f"File-{other}").encode()).valid is None
    assert putty(block.replace(f"File-{version}", "File-1").encode()).valid is None


def test_an_encrypted_putty_file_is_told() -> None:
    block = forged("{putty:3}").replace("Encryption: none", "Encryption: aes256-cbc")
    block = block.replace(
        "Private-Lines",
        "Key-Derivation: Argon2id\nArgon2-Memory: 8192\nArgon2-Passes: 21\nArgon2-Parallelism: 1\nArgon2-Salt: 00ff\n"
        "Private-Lines",
    )
    verdict = putty(block.encode())
    assert verdict.valid is True
    assert dict(verdict.facts)["encrypted"] == "yes"


def test_age_identities_are_proved_by_their_checksum() -> None:
    for seed in range(20):
        assert age(forged("{age}", seed).encode()).valid is True


def test_any_changed_character_of_an_age_identity_kills_it() -> None:
    value = forged("{age}")
    start = len("AGE-SECRET-KEY-1")
    for at in range(start, len(value)):
        for other in "QPZ":
            if other != value[at]:
                assert age((value[:at] + other + value[at + 1 :]).encode()).valid is False


def test_an_age_identity_of_another_form_is_killed() -> None:
    value = forged("{age}")
    for wrong in (value[:-1], value + "Q", value.lower(), value.replace("KEY-1", "KEY-2"), ""):
        assert age(wrong.encode()).valid is False


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_key_without_its_frame_is_proved_and_a_damaged_one_is_not(kind: str) -> None:
    value = forged(f"{{der-key:{kind}}}")
    assert der_key(value.encode()).valid is True
    assert der_key(value[:-4].encode()).valid is None
    assert der_key(b"AAAA" + value.encode()).valid is None


@given(st.binary(max_size=300))
def test_they_never_raise(value: bytes) -> None:
    age(value)
    putty(value)
    der_key(value)
    der_key(base64.b64encode(value))
    pem(value)
    for label in (b"PRIVATE KEY", b"RSA PRIVATE KEY", b"OPENSSH PRIVATE KEY", b"PGP PRIVATE KEY BLOCK"):
        pem(b"-----BEGIN " + label + b"-----\n" + value + b"\n-----END " + label + b"-----")
        pem(b"-----BEGIN " + label + b"-----\n" + base64.b64encode(value) + b"\n-----END " + label + b"-----")
    armoured = base64.b64encode(b"\x95\x01\x00\x04" + value)
    pem(b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n" + armoured + b"\n-----END PGP PRIVATE KEY BLOCK-----")
    opened = base64.b64encode(b"openssh-key-v1\x00" + value)
    pem(b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + opened + b"\n-----END OPENSSH PRIVATE KEY-----")
