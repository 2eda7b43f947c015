"""The sketch of a set, and the state that a cursor carries."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysentry.connectors.slack.place import Notes, Run, State, micros, read_state, timestamp, write_state
from keysentry.connectors.slack.sketch import Sketch

NUMBERS = st.integers(0, 2**63)


@given(st.sets(NUMBERS, max_size=8), st.sets(NUMBERS, max_size=8), st.sets(NUMBERS, max_size=200), st.randoms())
def test_what_is_left_is_the_difference(gone: set[int], late: set[int], kept: set[int], rng: random.Random) -> None:
    """In whatever order, and through bytes. With few numbers left it hardly ever fails, and then it says so."""
    gone -= kept
    late -= kept | gone
    before = Sketch()
    for number in rng.sample(sorted(kept | gone), len(kept | gone)):
        before.add(number)
    after = Sketch(before.write())
    for number in rng.sample(sorted(kept | late), len(kept | late)):
        after.remove(number)
    assert after.left() in ((sorted(gone), sorted(late)), None)


def test_small_differences_are_nearly_always_read() -> None:
    rng = random.Random(3)
    for size, least in ((1, 200), (5, 199), (15, 198), (24, 196)):
        read = 0
        for _ in range(200):
            sketch = Sketch()
            numbers = sorted(rng.sample(range(10**15, 2 * 10**15), size))
            for number in numbers:
                sketch.add(number)
            found = sketch.left()
            assert found in ((numbers, []), None)
            read += found is not None
        assert read >= least, f"{size} numbers"


def test_too_many_are_never_told_wrongly() -> None:
    sketch = Sketch()
    for number in range(500):
        sketch.add(number * 1_000_003)
    assert sketch.left() is None
    assert len(sketch.write()) == 840


def test_an_empty_set_is_written_as_nothing() -> None:
    sketch = Sketch()
    sketch.add(7)
    sketch.remove(7)
    assert sketch.write() == b""
    assert sketch.left() == ([], [])


def test_a_cursor_is_small_and_comes_back() -> None:
    sketch, notes = Sketch(), Notes()
    for number in range(1, 10_000):
        sketch.add(number)
        notes.add((number, number))
    full = sketch.write(), notes.write()
    run = Run(top=1 << 51, stamp=1 << 51, floor=1 << 51, low=1 << 51, thread=1 << 51, seen=full[1], ids=full[0])
    state = State(top=1 << 51, stamp=1 << 51, floor=1 << 51, seen=full[1], ids=full[0], run=run)
    cursor = write_state(state)
    assert len(cursor.value) < 4096
    assert read_state(cursor, 0) == state


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1736478514.897649", 1_736_478_514_897_649),
        ("1736478514", 1_736_478_514_000_000),
        ("", 0),
        ("never", 0),
        ("1.5", 0),
        ("-1736478514.897649", 0),
        ("1736478514.8976490", 0),
        ("١٢٣٤.123456", 0),
    ],
)
def test_times(text: str, number: int) -> None:
    assert micros(text) == number


def test_a_time_that_is_no_text_is_none() -> None:
    assert micros(None) == micros(1736478514.897649) == micros(["1736478514.897649"]) == 0
    assert timestamp(micros("1736478514.097649")) == "1736478514.097649"
