"""The Scanner as a library: texts, threads, processes, records."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.errors import ConfigError
from keysentry.model.record import Part, Record, Segment
from keysentry.scan.scanner import Scanner
from keysentry.tuning.specimens import as_message, plain, specimens
from tests.engine import compiled, corpus
from tests.scan.place import places, secrets


def texts(count: int = 300) -> list[bytes]:
    return list(corpus.segments(count, 21))


def test_a_pickled_scanner_finds_the_same(each_scanner):
    other = pickle.loads(pickle.dumps(each_scanner))
    assert list(map(places, map(other.scan_text, texts()))) == list(map(places, map(each_scanner.scan_text, texts())))
    assert [f.fingerprint for f in other.scan_text(b"".join(texts()))] == [
        f.fingerprint for f in each_scanner.scan_text(b"".join(texts()))
    ]
    assert (other.engine, len(other.rules.rules)) == (each_scanner.engine, len(each_scanner.rules.rules))


def test_a_pickled_scanner_in_another_process(scanner, tmp_path):
    (tmp_path / "scanner.pickle").write_bytes(pickle.dumps(scanner))
    (tmp_path / "text").write_bytes(b"\n".join(texts()))
    script = f"""
import pickle
from pathlib import Path
folder = Path({str(tmp_path)!r})
scanner = pickle.loads((folder / "scanner.pickle").read_bytes())
print(*(found.fingerprint for found in scanner.scan_text((folder / "text").read_bytes())), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [found.fingerprint for found in scanner.scan_text(b"\n".join(texts()))]


def test_eight_threads_at_once(each_scanner):
    expected = [places(each_scanner.scan_text(text)) for text in texts()]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert [places(found) for found in pool.map(each_scanner.scan_text, texts())] == expected


def test_a_str_is_its_utf8(scanner):
    [specimen] = specimens(compiled.rule("github.pat-classic"), 1)
    text = f"grüße 你好 🔑\n\tüber {specimen.text}"
    [finding] = scanner.scan_text(text)
    assert places([finding]) == places(scanner.scan_text(text.encode()))
    assert text.encode()[finding.span.start : finding.span.end].decode() == specimen.text
    assert (finding.location.line, finding.location.column) == (2, 7)


def test_lone_surrogates_are_taken(scanner):
    [specimen] = specimens(compiled.rule("github.pat-classic"), 1)
    assert secrets(scanner.scan_text(f"\udc80 {specimen.text} \ud800")) == [specimen.text]
    assert [secrets([f]) for _, f in scanner.scan_texts([f"\udc80 {specimen.text}"])] == [[specimen.text]]


@pytest.mark.parametrize("text", ["", b"", " ", "\n" * 10, "\x00" * 100, b"\xff" * 100])
def test_texts_without_anything(scanner, text):
    assert scanner.scan_text(text) == []
    assert list(scanner.scan_texts([text, text])) == []


def test_no_texts(scanner):
    assert list(scanner.scan_texts([])) == []
    assert list(scanner.scan_records([])) == []


SPECIMENS = [next(specimens(rule, 1, 31)) for rule in compiled.rules().rules if rule.forge]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SPECIMENS),
    st.text(max_size=40),
    st.text(max_size=40),
    st.sampled_from(compiled.ENGINES),
)
def test_a_span_is_that_of_the_secret(specimen, before, after, engine):
    """Of whatever is found as it stands in a text, the span is the secret."""
    data = f"{before}\n".encode("utf-8", "surrogatepass") + plain(specimen) + after.encode("utf-8", "surrogatepass")
    for finding in compiled.scanner(engine).scan_text(data):
        assert 0 <= finding.span.start < finding.span.end <= len(data)
        shown = data[finding.span.start : finding.span.end]
        if not any(reason.name == "encoded" for reason in finding.reasons) and b"\\" not in data and b'""' not in data:
            assert shown == finding.secret.reveal_bytes()
        head = data[: finding.span.start]
        assert finding.location.line == head.count(b"\n") + 1


def test_records(scanner):
    [specimen] = specimens(compiled.rule("github.pat-classic"), 1)
    record = Record(
        id="7", author="ann", container="#ops", time=1_700_000_000.5, uri="https://chat.example/7",
        parts=(
            Part(segment=Segment(f"use {specimen.text}\nok".encode())),
            Part(segment=Segment(specimen.text.encode(), context="api token")),
            Part(content=f"x\n  {specimen.text}".encode(), name="notes.txt"),
        ),
    )  # fmt: skip
    found = list(scanner.scan_records([Record(id="6"), record]))
    assert [owner.id for owner, _ in found] == ["7"] * 3
    assert secrets(finding for _, finding in found) == [specimen.text] * 3
    assert [(f.location.line, f.location.column) for _, f in found] == [(1, 5), (1, 1), (2, 3)]
    assert {f.location.author for _, f in found} == {"ann"}
    assert {f.location.time for _, f in found} == {"2023-11-14T22:13:20Z"}
    assert found[2][1].location.part == "notes.txt"
    for _, finding in found[:1]:
        assert (finding.location.uri, finding.location.container) == ("https://chat.example/7", "#ops")


def test_context_names_a_value_and_is_not_reported(scanner):
    """A cell under a header: the header says what it is, and a secret in the header is not the cell's."""
    rule = next(rule for rule in compiled.rules().rules if rule.near and not rule.requires)
    [specimen] = specimens(rule, 1)
    cell = Part(segment=Segment(specimen.secret.encode(), context=specimen.name))
    bare = Part(segment=Segment(specimen.secret.encode()))
    assert [f.rule for _, f in scanner.scan_records([Record(id="1", parts=(cell,))])] == [rule.id]
    assert rule.id not in [f.rule for _, f in scanner.scan_records([Record(id="1", parts=(bare,))])]
    [other] = specimens(compiled.rule("github.pat-classic"), 1)
    header = Part(segment=Segment(b"nothing", context=f"x {other.text} x"))
    assert list(scanner.scan_records([Record(id="1", parts=(header,))])) == []


def test_many_records_keep_their_own(scanner):
    """More than one batch, with records that hold nothing in between."""
    rule = compiled.rule("github.pat-classic")
    made = list(specimens(rule, 60))
    records = []
    for number in range(3000):
        record = as_message(made[number // 50]) if number % 50 == 0 else Record(id="x")
        records.append(Record(id=str(number), parts=record.parts, chat=True))
    found = list(scanner.scan_records(iter(records)))
    assert [int(record.id) for record, _ in found] == list(range(0, 3000, 50))
    assert secrets(finding for _, finding in found) == [specimen.secret for specimen in made]


def test_an_attachment_that_is_an_archive(scanner):
    import io
    import zipfile

    [specimen] = specimens(compiled.rule("github.pat-classic"), 1)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("a/b.txt", f"x {specimen.text}")
    record = Record(id="1", parts=(Part(content=out.getvalue(), name="all.zip"),))
    [(_, finding)] = scanner.scan_records([record])
    assert (finding.secret.reveal(), finding.location.part) == (specimen.text, "all.zip » a/b.txt")


def test_rules_are_told_in_order(scanner):
    ids = [rule.id for rule in scanner.rules.rules]
    assert ids == sorted(ids)
    assert set(scanner.rules.providers) == set(ids)


def test_a_pack_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"there is no pack 'nope'.*default"):
        Scanner.load(pack="nope")


def test_the_fingerprint_is_keyed(scanner):
    [specimen] = specimens(compiled.rule("github.pat-classic"), 1)
    rebuild, (program, confidence, _key) = scanner.__reduce__()
    other = rebuild(program, confidence, b"another key of the tests")
    assert scanner.scan_text(specimen.text)[0].fingerprint != other.scan_text(specimen.text)[0].fingerprint
