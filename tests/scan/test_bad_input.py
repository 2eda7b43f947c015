"""Bad input: each kind is told in words that name the place and what to do, and the good data around it is scanned."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from keysentry.extraction.budget import Budget
from keysentry.model.finding import Skipped
from keysentry.scan.options import FileOptions
from keysentry.scan.run import Scan
from tests.engine import compiled
from tests.engine.test_encodings import token
from tests.scan.place import secrets


def pack(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return out.getvalue()


def told(scan: Scan) -> list[str]:
    """What a finished scan says of what it did not read."""
    return [f"{Path(one.place.partition(' » ')[0]).name}: {one.reason}" for one in scan.summary.skipped]


def scanned(scanner, folder: Path, **options) -> tuple[list[str], list[str]]:
    """What is found, with a good file beside what is bad, and what is said."""
    (folder / "zz-good.txt").write_text(token("good"))
    scan = scanner.scan_path(folder, FileOptions(**options))
    found = secrets(scan)
    assert found[-1] == token("good")
    assert not scan.summary.complete or not scan.summary.skipped
    return found[:-1], told(scan)


def members(count: int = 3) -> dict[str, bytes]:
    return {
        f"{n}.txt": f"use {token(n)} now\n".encode() * 1 + random.Random(n).randbytes(500).hex().encode()
        for n in range(count)
    }


@pytest.mark.parametrize("cut", [10, 30, 200, 700])
def test_a_zip_that_is_cut_short(scanner, tmp_path, cut):
    content = pack(members())
    (tmp_path / "a.zip").write_bytes(content[:-cut])
    found, reasons = scanned(scanner, tmp_path)
    assert found[:2] == [token(0), token(1)]
    assert cut > 500 or found[2:] == [token(2)]
    assert reasons
    assert all(reason.startswith("a.zip: ") for reason in reasons)


def test_a_zip_with_a_damaged_member(scanner, tmp_path):
    content = bytearray(pack(members()))
    at = content.index(b"1.txt") + 200
    content[at : at + 40] = bytes(40)
    (tmp_path / "a.zip").write_bytes(content)
    found, reasons = scanned(scanner, tmp_path)
    assert [token(0), token(2)] == [secret for secret in found if secret != token(1)]
    assert len(reasons) == 1


def test_a_zip_with_a_member_under_a_password(scanner, tmp_path):
    content = bytearray(pack(members()))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(mark, content.index(mark) + 1)
        content[at + flags] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    found, [reason] = scanned(scanner, tmp_path)
    assert found == [token(0), token(2)]
    assert "password" in reason or "encrypted" in reason


def test_a_bomb_of_zips_in_zips(scanner, tmp_path):
    """The plan of 42.zip: a few kilobytes that would unpack to hundreds of gigabytes."""
    inner = pack({"zeros": bytes(64 << 20)})
    for _ in range(3):
        inner = pack({f"{n}.zip": inner for n in range(16)})
    assert len(inner) < 300_000
    (tmp_path / "bomb.zip").write_bytes(
        pack({"first.txt": token().encode(), "bomb.zip": inner, "last.txt": token(1).encode()})
    )
    began = time.perf_counter()
    found, reasons = scanned(scanner, tmp_path)
    assert time.perf_counter() - began < 10
    assert token() in found
    assert any(
        "expands to more than 200 times its size (raise budget.ratio if you trust this file)" in r for r in reasons
    )


def test_archives_too_deep(scanner, tmp_path):
    inner = token().encode()
    for _ in range(7):
        inner = pack({"in.zip": inner})
    (tmp_path / "deep.zip").write_bytes(inner)
    found, [reason] = scanned(scanner, tmp_path)
    assert found == []
    assert "more than 5 archives lie one inside the other (raise budget.depth if you trust this file)" in reason
    assert scanned(scanner, tmp_path, budget=Budget(depth=8)) == ([token()], [])


def test_too_many_members(scanner, tmp_path):
    (tmp_path / "a.zip").write_bytes(pack(members(9)))
    found, [reason] = scanned(scanner, tmp_path, budget=Budget(entries=4))
    assert found == [token(n) for n in range(4)]
    assert "it has more than 4 members (raise budget.entries if you trust this file)" in reason


def test_a_gzip_that_is_cut_short(scanner, tmp_path):
    content = gzip.compress(f"{token()}\n".encode() + random.Random(1).randbytes(100_000).hex().encode())
    (tmp_path / "a.gz").write_bytes(content[:-5000])
    found, [reason] = scanned(scanner, tmp_path)
    assert found == [token()]
    assert "ends too early" in reason


def test_a_tar_that_is_cut_short(scanner, tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name, content in members().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    (tmp_path / "a.tar").write_bytes(out.getvalue()[: 512 * 5])
    found, [reason] = scanned(scanner, tmp_path)
    assert found == [token(0)]
    assert "ends" in reason


def test_a_tar_of_very_many_files(scanner, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        for number in range(20_000):
            content = f"file {number}\n".encode() + (token(number).encode() if number % 1000 == 0 else b"")
            info = tarfile.TarInfo(f"d{number % 7}/{number}.txt")
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    began = time.perf_counter()
    scan = scanner.scan_path(tmp_path / "a.tar")
    found = list(scan)
    assert time.perf_counter() - began < 10
    assert secrets(found) == [token(number) for number in range(0, 20_000, 1000)]
    assert [f.location.part for f in found[:3]] == ["d0/0.txt", "d6/1000.txt", "d5/2000.txt"]
    assert scan.summary.files == 20_001
    assert scan.summary.complete


def test_a_very_long_line(scanner, tmp_path):
    """64 MB without a line end, which holds a secret here and there."""
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        for number in range(64):
            file.write(f" {token(number)} ".encode() + b"x" * (1 << 20))
    began = time.perf_counter()
    scan = scanner.scan_path(path)
    found = list(scan)
    assert time.perf_counter() - began < 10
    assert secrets(found) == [token(number) for number in range(64)]
    step = len(f" {token()} ") + (1 << 20)
    assert [(f.location.line, f.location.column) for f in found] == [(1, 2 + step * number) for number in range(64)]
    assert scan.summary.complete


def test_a_very_long_line_of_json_full_of_secrets(scanner, tmp_path):
    """What is done for each finding must not grow with the line."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"n": n, "text": f"grüße {token(n % 50)}", "pad": "é" * 300} for n in range(4000)]))
    began = time.perf_counter()
    found = list(scanner.scan_path(path))
    assert time.perf_counter() - began < 10
    assert len(found) == 4000
    assert found[-1].location.part == "[3999].text"


def test_bytes_that_are_no_text(scanner, tmp_path):
    noise = random.Random(3).randbytes(3000)
    (tmp_path / "a.bin").write_bytes(noise + f"\n{token(1)}\n".encode() + noise)
    (tmp_path / "latin.txt").write_bytes(f"gr\u00fc\u00dfe, Schl\u00fcssel: {token(2)}, \u00e4h".encode("latin-1"))
    (tmp_path / "utf8.txt").write_bytes(b"\xff\xfa\xc3 \xe2\x28\xa1 " + token(3).encode() + b" \xf0\x9f\x94")
    scan = scanner.scan_path(tmp_path)
    found = list(scan)
    assert secrets(found) == [token(1), token(2), token(3)]
    assert found[1].location.line == 1
    assert scan.summary.complete


def test_files_of_nothing_and_of_one_byte(scanner, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"")
    for number, byte in enumerate(b"x\x00\x1f\xff\xfeP\n"):
        (tmp_path / f"b{number}").write_bytes(bytes((byte,)))
    found, reasons = scanned(scanner, tmp_path)
    assert (found, reasons) == ([], [])


def test_what_only_begins_like_an_archive(scanner, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 " + token().encode())
    (tmp_path / "b.gz").write_bytes(b"\x1f\x8b\x08 " + token().encode())
    (tmp_path / "c.xz").write_bytes(b"\xfd7zXZ\x00 " + token().encode())
    _found, reasons = scanned(scanner, tmp_path)
    assert {reason.partition(":")[0] for reason in reasons} == {"a.zip", "b.gz", "c.xz"}


EVIL = r"""
[[rule]]
id = "acme.evil"
title = "A rule that takes for ever"
pattern = '''acme(?P<secret>(?:a|aa|b)+)(?<=b)!'''
anchors = ["acme"]
confidence = 0.9

[[rule]]
id = "acme.key"
title = "Acme key"
pattern = '''\b(?P<secret>acme_[0-9a-f]{32})\b'''
confidence = 0.9
forge = "acme_{hex:32}"
"""


@pytest.mark.parametrize("engine", compiled.ENGINES)
def test_a_rule_that_takes_for_ever(tmp_path, engine):
    from keysentry.rules.forge import forge

    secret = forge("acme_{hex:32}", random.Random(1))
    scanner = compiled.own(EVIL, engine)
    (tmp_path / "a.txt").write_text(f"{secret}\n" + f"acme{'a' * 3000}\n" * 20 + secret)
    (tmp_path / "b.txt").write_text(f"acmeaab! {secret}\n")
    began = time.perf_counter()
    scan = scanner.scan_path(tmp_path)
    found = [(finding.rule, finding.secret.reveal()) for finding in scan]
    assert time.perf_counter() - began < 10
    assert found == [("acme.key", secret)] * 2 + [("acme.evil", "aab"), ("acme.key", secret)]
    [one] = scan.summary.skipped
    assert one.place == str(tmp_path / "a.txt")
    assert one.reason == "the rule acme.evil took too long at 1 places and was stopped there"
    assert one.partial


SLOW_COMPANION = r"""
[[rule]]
id = "acme.pair"
title = "Acme pair"
pattern = '''\b(?P<secret>acid[0-9]{4})\b'''
anchors = ["acid"]
confidence = 0.9

[[rule.requires]]
name = "key"
within = 3
pattern = '''x(?P<secret>(?:a|aa|b)+)(?<=b)!'''
"""


def test_a_companion_that_takes_for_ever(tmp_path):
    scanner = compiled.own(SLOW_COMPANION)
    (tmp_path / "a.txt").write_text("".join(f"acid{n:04} x{'a' * 3000}\n" for n in range(100)))
    began = time.perf_counter()
    scan = scanner.scan_path(tmp_path)
    assert list(scan) == []
    assert time.perf_counter() - began < 5
    assert [one.reason.partition(" took ")[0] for one in scan.summary.skipped] == ["the rule acme.pair"]


def interrupted_after(scanner, folder: Path, jobs: int) -> tuple[list[str], Scan]:
    def interrupt(progress) -> None:
        if progress.findings >= 3:
            raise KeyboardInterrupt

    scan = scanner.scan_paths([folder], FileOptions(jobs=jobs), interrupt)
    found = []
    with pytest.raises(KeyboardInterrupt):
        for finding in scan:
            found.append(finding.secret.reveal())
            time.sleep(0.02)
    return found, scan


@pytest.mark.parametrize("jobs", [1, 4])
def test_an_interrupted_scan(scanner, tmp_path, jobs):
    """Ctrl-C while a scan runs: what was found so far was given, and the summary says that it is not all."""
    for number in range(30):
        with (tmp_path / f"{number:02}.txt").open("w") as file:
            file.write(token(number))
            file.truncate(900_000)
    found, scan = interrupted_after(scanner, tmp_path, jobs)
    assert found == [token(number) for number in range(len(found))]
    assert 3 <= len(found) < 30
    assert scan.summary.interrupted
    assert not scan.summary.complete
    assert scan.summary.seconds > 0


def test_a_scan_that_is_given_up(scanner, tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text(token(number))
    scan = scanner.scan_path(tmp_path)
    iterator = iter(scan)
    next(iterator)
    iterator.close()
    assert scan.summary.interrupted
    assert secrets(scan) == [token(number) for number in sorted(range(30), key=str)], (
        "a second iteration is a whole scan"
    )
    assert scan.summary.complete


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_the_message_for_what_is_no_file(scanner, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    scan = scanner.scan_paths([tmp_path / "pipe"])
    assert list(scan) == []
    assert scan.summary.skipped == [Skipped(str(tmp_path / "pipe"), "a named pipe, not a file")]
