"""Lines and columns, counted on from one offset to the next or from the beginning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keysentry.scan.locate import Lines, characters, line_and_column

TEXTS = st.text(st.sampled_from("ab\n\r\té你🔑"), max_size=60)


def naive(text: bytes, offset: int) -> tuple[int, int]:
    before = text[:offset]
    tail = before[before.rfind(b"\n") + 1 :]
    return before.count(b"\n") + 1, sum(byte & 0xC0 != 0x80 for byte in tail) + 1


@given(TEXTS, st.lists(st.integers(0, 200), max_size=8))
def test_they_are_those_of_an_editor(text, offsets):
    data = text.encode()
    lines = Lines(data)
    for offset in sorted(offset % (len(data) + 1) for offset in offsets):
        assert lines.at(offset) == line_and_column(data, offset) == naive(data, offset)


@given(TEXTS, st.integers(0, 200), st.integers(0, 200))
def test_counting_can_begin_anywhere(text, start, offset):
    """As for a piece of a document whose first line was begun before it."""
    data = text.encode()
    start, offset = sorted((start % (len(data) + 1), offset % (len(data) + 1)))
    line, column = naive(data, start)
    assert Lines(data, start, line, column - 1).at(offset) == naive(data, offset)


@given(st.binary(max_size=60))
def test_characters_of_bytes_that_are_no_text(data):
    assert characters(data) == sum(byte & 0xC0 != 0x80 for byte in data)


@given(TEXTS)
def test_characters(text):
    assert characters(text.encode()) == len(text)
