"""Credentials that are written in another form are found, and the place is that of their written form."""

from __future__ import annotations

import base64
import gzip
import json
import random
import textwrap
from collections.abc import Callable, Sequence

import pytest

from keysentry.model.finding import Finding
from keysentry.rules.forge import forge
from tests.engine import compiled


def token(seed: object = 0) -> str:
    return forge(compiled.rule("github.pat-classic").forge, random.Random(str(seed)))


def only(found: list[Finding], secret: str) -> Finding:
    """The one finding of a secret; there are no others."""
    assert [finding.secret.reveal() for finding in found] == [secret]
    return found[0]


def base64_place(run: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Where bytes `start` to `end` of what was encoded lie, given the places of the run's characters."""
    return run[start * 8 // 6], run[-(-end * 8 // 6) - 1] + 1


def places_of(data: str, run: str) -> range:
    """The places of the characters of a run, which stands in `data` as a whole."""
    at = data.index(run)
    return range(at, at + len(run))


def std(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


@pytest.mark.parametrize("lead", range(8))
@pytest.mark.parametrize("encode", [std, urlsafe])
def test_base64_in_every_alignment(each_scanner, encode, lead):
    raw = f"{'?' * lead} {token(lead)} ~~~ and more".encode()
    data = f"data: {encode(raw)} end"
    finding = only(each_scanner.scan_text(data), token(lead))
    at = raw.index(token(lead).encode())
    expected = base64_place(places_of(data, encode(raw)), at, at + len(token(lead)))
    assert (finding.span.start, finding.span.end) == expected
    assert finding.rule == "github.pat-classic"
    assert any(reason.name == "encoded" and "base64" in reason.text for reason in finding.reasons)


@pytest.mark.parametrize("padding", range(3))
def test_base64_with_or_without_padding(scanner, padding):
    raw = f"token: {token()}{'.' * padding}".encode()
    for written in (std(raw), std(raw).rstrip("=")):
        only(scanner.scan_text(f"({written})"), token())


def test_base64_that_begins_in_the_middle_of_a_run(scanner):
    """Where a longer run was cut, its groups of four may begin anywhere."""
    written = std(f"some words before {token()} and some after it".encode())
    for cut in range(4):
        only(scanner.scan_text(f"...{written[cut:]}"), token())


BREAKS: dict[str, Callable[[str], str]] = {
    "lines": lambda run: "\n".join(textwrap.wrap(run, 60)),
    "lines of Windows": lambda run: "\r\n".join(textwrap.wrap(run, 76)),
    "indented lines": lambda run: "\n    ".join(textwrap.wrap(run, 40)),
    "lines in JSON": lambda run: json.dumps("\n".join(textwrap.wrap(run, 64))),
    "lines of Windows in JSON": lambda run: json.dumps("\r\n".join(textwrap.wrap(run, 64))),
    "JSON with escaped slashes": lambda run: json.dumps(run).replace("/", "\\/"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_base64_that_is_broken_up(each_scanner, name):
    raw = b"\xff\xfe\xfd???" * 20 + f"\nuser: x\npass = {token()}\n".encode() + b"\xff?\xfd" * 30
    run = std(raw)
    assert "/" in run
    written = BREAKS[name](run)
    data = f"key: {written}\n"
    at = raw.index(token().encode())
    finding = only(each_scanner.scan_text(data), token())
    characters = [place for place in kept(data) if place >= data.index(written)]
    assert (finding.span.start, finding.span.end) == base64_place(characters, at, at + len(token()))


def kept(data: str) -> list[int]:
    """The places of the characters of base64 in a text, but not of those that are part of an escape."""
    found, at = [], 0
    while at < len(data):
        if data[at] == "\\" and data[at + 1] != "/":
            at += 2
            continue
        if data[at].isalnum() or data[at] in "+/=":
            found.append(at)
        at += 1
    return found


@pytest.mark.parametrize("size", [20_000, 70_000])
def test_every_secret_of_a_long_run(each_scanner, size):
    """A run that is longer than what is decoded at once."""
    rng = random.Random(size)
    secrets, lines, length = [], [], 0
    while length < size:
        secrets.append(token(f"{size} {len(secrets)}"))
        lines.append(f"{'x' * rng.randrange(3, 90)} = {secrets[-1]}")
        length += len(lines[-1])
    run = std("\n".join(lines).encode())
    for data in (f"blob: {run}", f"blob: {BREAKS['lines'](run)}\n"):
        assert [finding.secret.reveal() for finding in each_scanner.scan_text(data)] == secrets


@pytest.mark.parametrize("short", range(0, 48, 6))
def test_the_last_secret_where_a_run_is_cut(scanner, short):
    """What is decoded around the first secret ends within the second one."""
    raw = f"{token(1)} {' ' * (8192 * 6 // 8 - short)} {token(2)} {' ' * 9000}".encode()
    assert [found.secret.reveal() for found in scanner.scan_text(f"blob: {std(raw)}")] == [token(1), token(2)]


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("lead", [0, 1, 5])
def test_hexadecimal(each_scanner, lead, upper):
    raw = f"{'?' * lead}key {token()} end".encode()
    run = raw.hex().upper() if upper else raw.hex()
    data = f"0x{run} is it"
    finding = only(each_scanner.scan_text(data), token())
    start = data.index(run) + 2 * raw.index(token().encode())
    assert (finding.span.start, finding.span.end) == (start, start + 2 * len(token()))


def test_hexadecimal_in_the_middle_of_a_byte(scanner):
    only(scanner.scan_text(f"a{f'key {token()} end'.encode().hex()}"), token())


def test_base64_in_base64(each_scanner):
    """Where the text between them gives a sign."""
    data = f"x={std(b'token: ' + std(f'the token is {token()}, keep it'.encode()).encode())};"
    finding = only(each_scanner.scan_text(data), token())
    inside = base64.b64decode(data[2:-1])
    first, last = finding.span.start - 2, finding.span.end - 2
    at = base64.b64decode(inside[7:]).index(token().encode())
    outer = range(len(data) - 3)
    inner = base64_place(range(7, len(inside)), at, at + len(token()))
    assert (first, last) == base64_place(outer, *inner)


def test_base64_in_hexadecimal_and_back(scanner):
    plain_text = f"the token is {token()}, keep it".encode()
    only(scanner.scan_text(f"x={b'password '.hex() + std(plain_text).encode().hex()};"), token())
    only(scanner.scan_text(f"x={std(b'password ' + plain_text.hex().encode())};"), token())


def test_gzip_in_base64(each_scanner):
    packed = gzip.compress(f"AAAA {token()} BBBB".encode() + b"x" * 200, mtime=7)
    data = f"payload: {std(packed)}\n"
    finding = only(each_scanner.scan_text(data), token())
    assert data[finding.span.start : finding.span.end] == std(packed).rstrip("=")


def test_gzip_that_is_cut_short(scanner):
    packed = gzip.compress(f"AAAA {token()} BBBB".encode() + random.Random(1).randbytes(300), mtime=7)
    only(scanner.scan_text(f"payload: {std(packed)[:240]}"), token())


HIDDEN = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad"]


@pytest.mark.parametrize("sign", HIDDEN)
@pytest.mark.parametrize("escaped", [False, True])
def test_hidden_characters(each_scanner, sign, escaped):
    secret = token()
    written = secret[:9] + sign + secret[9:20] + sign * 2 + secret[20:]
    text = f"use {written} now"
    data = json.dumps({"note": text}) if escaped else text
    finding = only(each_scanner.scan_text(data), secret)
    inside = json.dumps(written)[1:-1] if escaped else written
    assert data.encode()[finding.span.start : finding.span.end].decode() == inside


@pytest.mark.parametrize("escaped", [False, True])
def test_full_width_characters(each_scanner, escaped):
    secret = token()
    written = "".join(chr(ord(sign) + 0xFEE0) for sign in secret)
    text = f"use {written} now"
    data = json.dumps({"note": text}) if escaped else text
    finding = only(each_scanner.scan_text(data), secret)
    inside = json.dumps(written)[1:-1] if escaped else written
    assert data.encode()[finding.span.start : finding.span.end].decode() == inside


@pytest.mark.parametrize("every", [1, 3])
def test_letters_written_as_escapes(each_scanner, every):
    """In JSON any letter may be written by its number, also those of an anchor."""
    secret = token()
    written = "".join(f"\\u{ord(c):04x}" if number % every == 0 else c for number, c in enumerate(secret))
    data = '{"note": "use ' + written + ' now"}'
    finding = only(each_scanner.scan_text(data), secret)
    assert data[finding.span.start : finding.span.end] == written


def url_password() -> str:
    return forge("{base62:22}", random.Random(4))


@pytest.mark.parametrize("times", [1, 2])
def test_percent_encoding(each_scanner, times):
    from urllib.parse import quote

    secret = url_password()
    written = f"https://ann:{secret}@db.internal.example/x"
    for _ in range(times):
        written = quote(written, safe="")
    data = f"GET /go?to={written} HTTP/1.1"
    finding = only(each_scanner.scan_text(data), secret)
    assert data[finding.span.start : finding.span.end] == secret


def test_percent_encoded_assignment(each_scanner):
    secret = forge("{base62:20}", random.Random(2))
    data = f"body=db_password%3D%22{secret}%22%26x%3D1"
    assert secret in [finding.secret.reveal() for finding in each_scanner.scan_text(data)]


def test_nesting_ends(scanner):
    """Four levels are not undone, and nothing breaks."""
    written = f"the token is {token()}, keep it"
    for _ in range(6):
        written = std(written.encode())
    assert scanner.scan_text(f"x={written};") == []


def test_ordinary_base64_holds_nothing(scanner):
    rng = random.Random(5)
    assert scanner.scan_text("\n".join(std(rng.randbytes(200)) for _ in range(500))) == []
