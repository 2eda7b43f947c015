"""Escapes undone, and every byte of a view traced back to the raw text."""

from __future__ import annotations

import html
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.extraction.unescape import View, backslash, entities, percent
from keysentry.model.location import ByteSpan, OffsetMap

VIEWS = [backslash, entities, percent]
PIECES = [
    b"\\",
    b"u0041",
    b"u00e9",
    b"ud83d",
    b"ude00",
    b"x41",
    b"n",
    b'"',
    b"a",
    b"&amp;",
    b"&#65;",
    b"&",
    b";",
    b"%41",
    b"%",
]
raws = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))


@pytest.mark.parametrize("view", VIEWS, ids=lambda f: f.__name__)
@given(raw=raws)
def test_every_byte_maps_into_the_raw_text(view, raw: bytes) -> None:
    result: View | None = view(raw)
    if result is None:
        return
    text, offsets = result
    assert text != raw
    previous = ByteSpan(0, 0)
    for i in range(len(text)):
        span = offsets.span_to_original(ByteSpan(i, i + 1))
        assert 0 <= span.start < span.end <= len(raw)
        assert span.start >= previous.start and span.end >= previous.end
        if len(span) == 1:
            assert raw[span.start] == text[i]
        else:
            assert text[i] in view(raw[span.start : span.end])[0]
        previous = span
    assert offsets.span_to_original(ByteSpan(0, len(text))) == ByteSpan(0, len(raw))


@given(
    before=st.text(max_size=20),
    middle=st.text(min_size=1, max_size=20),
    after=st.text(max_size=20),
    ascii=st.booleans(),
)
def test_json_strings_are_read_as_they_were_meant(before: str, middle: str, after: str, ascii: bool) -> None:
    escaped = [json.dumps(text, ensure_ascii=ascii)[1:-1].encode() for text in (before, middle, after)]
    raw = b"".join(escaped)
    text, offsets = backslash(raw) or (raw, OffsetMap([0], [0]))
    # json writes other control characters as \\u00XX, which the view reads as well
    assert text == (before + middle + after).encode()
    start = len(before.encode())
    span = offsets.span_to_original(ByteSpan(start, start + len(middle.encode())))
    assert span == ByteSpan(len(escaped[0]), len(escaped[0]) + len(escaped[1]))


@given(st.text(max_size=40))
def test_entities_undo_html_escape(text: str) -> None:
    raw = html.escape(text).encode()
    result = entities(raw)
    assert (result[0] if result else raw) == text.encode()


@given(st.text(max_size=40))
def test_percent_undoes_quote(text: str) -> None:
    raw = urllib.parse.quote(text, safe="").encode()
    result = percent(raw)
    assert (result[0] if result else raw) == text.encode()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"a\/b\"c", b'a/b"c'),
        (rb"\u0026amp;", b"&amp;"),
        (rb"\ud83d\ude00", "\N{GRINNING FACE}".encode()),
        (rb"\ud83d!", "\ufffd!".encode()),
        (rb"\xc3\xa9", "é".encode()),
        (rb"\q\u12 \x1", None),
        (rb"\\n", rb"\n"),
        (b"tail\\", None),
        (b"", None),
    ],
)
def test_backslash(raw: bytes, text: bytes | None) -> None:
    result = backslash(raw)
    assert (result and result[0]) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a&nbsp;b&#160;c&#xA0;d", b"a b c d"),
        (b"&apos;&#39;&#x27;&quot;", b"'''" + b'"'),
        (b"&#x110000;&#xd800;", "\ufffd\ufffd".encode()),
        (b"&unknown; &amp", None),
    ],
)
def test_entities(raw: bytes, text: bytes | None) -> None:
    result = entities(raw)
    assert (result and result[0]) == text


def test_nested_levels_map_back_one_after_the_other() -> None:
    inner = json.dumps({"key": 'va"lue'})
    raw = json.dumps(inner)[1:-1].encode()
    first, outer_map = backslash(raw) or pytest.fail("no escape")
    assert first == inner.encode()
    second, inner_map = backslash(first) or pytest.fail("no escape")
    start = second.index(b'va"lue')
    span = outer_map.span_to_original(inner_map.span_to_original(ByteSpan(start, start + 6)))
    assert raw[span.start : span.end] == rb"va\\\"lue"


def test_a_span_over_escapes_covers_them_whole() -> None:
    raw = b"x\\u00e9y\\nz"
    text, offsets = backslash(raw) or pytest.fail("no escape")
    assert text == "xéy\nz".encode()
    assert offsets.span_to_original(ByteSpan(2, 3)) == ByteSpan(1, 7)  # half of the é
    assert offsets.span_to_original(ByteSpan(2, 5)) == ByteSpan(1, 10)
    assert offsets.to_original(3) == 7


def test_packed_runs_still_count_groups() -> None:
    offsets = OffsetMap([0], [10], packed=(3, 4))
    assert offsets.span_to_original(ByteSpan(0, 3)) == ByteSpan(10, 14)
    assert offsets.to_original(3) == 14
