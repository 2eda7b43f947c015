"""Wide encodings to UTF-8, and spans back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.extraction.encoding import is_wide, original_span, to_utf8
from keysentry.model.location import ByteSpan

WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
kinds = st.sampled_from(WIDE)


@given(kinds, st.booleans(), st.text(max_size=20), st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_spans_go_back_to_the_original_bytes(kind, mark: bool, before: str, middle: str, after: str) -> None:
    before = ("\ufeff" if mark else "") + before
    data = (before + middle + after).encode(kind)
    utf8 = to_utf8(data, kind)
    assert utf8 == (before + middle + after).encode()
    start = len(before.encode())
    span = original_span(kind, utf8, ByteSpan(start, start + len(middle.encode())))
    assert data[span.start : span.end] == middle.encode(kind)


@given(kinds, st.binary(max_size=60), st.text(min_size=1, max_size=10))
def test_invalid_units_shift_nothing(kind, damage: bytes, middle: str) -> None:
    unit = 2 if "16" in kind else 4
    # the word is kept apart from a lone surrogate before it, with which its first unit could pair
    word = "[" + middle
    data = damage[: len(damage) // unit * unit] + word.encode(kind)
    utf8 = to_utf8(data, kind)
    start = len(utf8) - len(word.encode())
    assert utf8[start:] == word.encode()
    span = original_span(kind, utf8, ByteSpan(start, len(utf8)))
    assert data[span.start : span.end] == word.encode(kind)


@given(st.sampled_from([*WIDE, "text", "binary"]), st.binary(max_size=40))
def test_never_raises(kind, data: bytes) -> None:
    to_utf8(data, kind).decode("utf-8", "strict" if is_wide(kind) else "replace")


def test_a_span_inside_a_character_covers_it() -> None:
    utf8 = "a\N{GRINNING FACE}b".encode()
    assert original_span("utf-16-le", utf8, ByteSpan(2, 3)) == ByteSpan(2, 6)


@pytest.mark.parametrize("kind", ["text", "binary", "zip"])
def test_other_kinds_are_left_alone(kind) -> None:
    assert to_utf8(b"\xff\x00", kind) == b"\xff\x00"
    assert original_span(kind, b"abc", ByteSpan(1, 2)) == ByteSpan(1, 2)
