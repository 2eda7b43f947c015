"""Events go to the segments that they lie in or end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keysentry.engine.arena import by_segment


@given(
    st.lists(st.integers(0, 6), max_size=12), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90)), max_size=30)
)
def test_every_event_in_a_segment_is_given_to_it_once(lengths, events):
    starts, ends, at = [], [], 0
    for length in lengths:
        starts.append(at)
        ends.append(at + length)
        at += length + 1
    shared = list(by_segment(list(events), starts, ends)) if starts else []
    expected = {
        number: sorted(offset for _, offset in events if start < offset <= end)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    }
    assert {number: sorted(o for _, o in given) for number, given in shared} == {n: e for n, e in expected.items() if e}
    assert [number for number, _ in shared] == sorted(number for number, _ in shared)
