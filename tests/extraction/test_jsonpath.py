"""Paths in JSON text, and back."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.extraction.jsonpath import FieldPaths, path_at, value_span
from keysentry.model.location import ByteSpan

DOCUMENT = {
    "users": [{"name": "a", "tags": []}, {"name": "b"}, {}, {"token": "FIND1", "odd key": {"x-y": ["FIND2"]}}],
    "n": -1.5e3,
    "": {"é": "FIND3", 'q"\\': "FIND4"},
    "last": [[["FIND5"]]],
}
PATHS = {
    "FIND1": "users[3].token",
    "FIND2": 'users[3]["odd key"]["x-y"][0]',
    "FIND3": '[""]["é"]',
    "FIND4": '[""]["q\\"\\\\"]',
    "FIND5": "last[0][0][0]",
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_known_places(indent: int | None, mark: bytes) -> None:
    data = mark + json.dumps(DOCUMENT, indent=indent).encode()
    for word, path in PATHS.items():
        offset = data.index(word.encode())
        assert path_at(data, offset) == path
        assert value_span(data, path) == ByteSpan(offset, offset + len(word))
    paths = FieldPaths(memoryview(data))
    assert [paths.at(data.index(word.encode())) for word in PATHS] == list(PATHS.values())
    assert [paths.at(data.index(word.encode())) for word in reversed(PATHS)] == list(reversed(PATHS.values()))


def test_keys_numbers_and_brackets() -> None:
    data = b'{"a": {"b": 12, "c": [true, {"d": null}]}}'
    assert path_at(data, data.index(b'"b"')) == "a.b"
    assert path_at(data, data.index(b"12")) == "a.b"
    assert path_at(data, data.index(b"true")) == "a.c[0]"
    assert path_at(data, data.index(b"null") + 4) == "a.c[1].d"  # the bracket that closes it
    assert path_at(data, 0) == ""
    assert value_span(data, "a.b") == ByteSpan(12, 14)
    assert value_span(data, "a.c") is None
    assert value_span(data, "a.c[0]") == ByteSpan(data.index(b"true"), data.index(b"true") + 4)
    for wrong in ("a.x", "a.c[9]", "a[0]", "a..b", ".a", "[", 'a["x]', "a.b.c"):
        assert value_span(data, wrong) is None


def test_the_last_of_two_equal_keys_counts() -> None:
    assert value_span(b'{"a": "one", "b": {"a": "no"}, "a": "two"}', "a") == ByteSpan(37, 40)
    assert path_at(b'"top"', 2) == ""
    assert value_span(b'"top"', "") == ByteSpan(1, 4)


@pytest.mark.parametrize(
    "data",
    [b"not json", b"key = {FIND}", b'{"a": 1 "FIND"}', b'{"a" "FIND"}', b"{]FIND", b'{"a": {} FIND', b'["a"}, "FIND"'],
)
def test_what_is_not_json_has_no_path(data: bytes) -> None:
    assert path_at(data, max(data.find(b"FIND"), 4)) is None


def test_the_text_after_the_offset_does_not_matter() -> None:
    data = b'{"a": ["x", "FIND"'
    assert path_at(data, data.index(b"FIND")) == "a[1]"
    assert path_at(data[:-1], data.index(b"FIND")) == "a[1]"  # the string itself is cut off
    assert path_at(data + b" oops", data.index(b"FIND")) == "a[1]"
    assert path_at(data + b" oops", len(data) + 2) is None
    assert path_at(data, 1000) is None and path_at(data, -1) is None


def test_json_lines() -> None:
    lines = [json.dumps({"id": i, "list": ["x", {"k": f"FIND{i}"}]}) for i in range(20)]
    lines[5] = '{"broken": FIND5'
    lines[7] = ""
    data = "\r\n".join(lines).encode()
    offsets = [data.index(f"FIND{i}".encode()) for i in range(20) if i != 7]
    expected = [None if i == 5 else "list[1].k" for i in range(20) if i != 7]
    paths = FieldPaths(data)
    assert [paths.at(offset) for offset in offsets] == expected
    assert [paths.at(offset) for offset in reversed(offsets)] == list(reversed(expected))
    assert [FieldPaths(data).at(offset) for offset in offsets] == expected


def test_documents_one_after_the_other() -> None:
    data = json.dumps(DOCUMENT, indent=1).encode() * 2
    assert path_at(data, data.rindex(b"FIND1")) == "users[3].token"


@pytest.mark.parametrize("opening", [b"[", b'{"k":'])
def test_deep_nesting(opening: bytes) -> None:
    data = opening * 100_000 + b'"FIND"'
    begun = time.process_time()
    path = path_at(data, data.index(b"FIND"))
    assert path is not None and path.endswith("…")
    assert value_span(data, "[0].k[0]") is None
    assert time.process_time() - begun < 5


def test_many_offsets_are_linear() -> None:
    data = json.dumps([{"text": "x" * 50, "n": i} for i in range(30_000)]).encode()
    begun = time.process_time()
    paths = FieldPaths(data)
    for at in range(0, len(data), 20):
        paths.at(at)
    assert time.process_time() - begun < 5


KEYS = st.text(max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


def strings(value, path: tuple[str | int, ...] = ()):
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from strings(item, (*path, i))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*path, key))


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_paths_lead_there_and_back(value, indent: int | None, ascii: bool) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii).encode()
    paths = FieldPaths(data)
    seen = set()
    for offset in range(len(data)):
        path = paths.at(offset)
        assert path is not None and path == path_at(data, offset)
        span = value_span(data, path)
        if span is not None and span.start <= offset < span.end and data[span.start - 1 : span.start] == b'"':
            seen.add((path, json.loads(data[span.start - 1 : span.end + 1])))
    assert {text for _, text in seen} == {text for _, text in strings(value) if text}
    assert len(seen) == sum(1 for _, text in strings(value) if text)


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:\\a1 \n', max_size=40).map(str.encode), st.text(max_size=10))
def test_nothing_raises(data: bytes, path: str) -> None:
    paths = FieldPaths(data)
    for offset in range(-1, len(data) + 1):
        paths.at(offset)
        path_at(data, offset)
    value_span(data, path)
