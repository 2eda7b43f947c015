"""A cursor that holds no list of keys still misses nothing: shown on stores that change while they are listed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from keysentry.connectors.objects.progress import Progress
from keysentry.connectors.objects.store import Entry
from keysentry.model.cursor import Cursor

MARGIN = 5


@dataclass
class Shop:
    """A store of few keys, with a clock in whole seconds. Every write makes a state that never was before."""

    now: int = 1000
    writes: int = 0
    things: dict[str, Entry] = field(default_factory=dict)
    given: Counter[tuple[str, str]] = field(default_factory=Counter)

    def write(self, key: str, late: int) -> None:
        """Write a key; the time of the content is that at which its upload began."""
        self.writes += 1
        self.things[key] = Entry(key=key, modified=self.now - late, size=1, tag=str(self.writes))

    def following(self, key: str) -> Entry | None:
        """What a listing gives next."""
        return min((one for one in self.things.values() if one.key > key), key=lambda one: one.key, default=None)

    def state(self, key: str) -> tuple[str, str]:
        return key, self.things[key].tag


def one_pass(
    shop: Shop, cursor: Cursor | None, room: int, happens: list[tuple[str, str, int]], cuts: set[int]
) -> Cursor:
    """Go through the shop, while things happen to it, ending the process at some steps."""
    progress = Progress(cursor, versions=False, margin=MARGIN, room=room)
    step = 0
    more = True
    while more:
        while True:
            entry = shop.following(progress.position.key)
            if not progress.begun:
                progress.begin(shop.now, ())
            if entry is None:
                break
            if progress.see(entry):
                shop.given[entry.key, entry.tag] += 1
            step += 1
            if happens:
                happen(shop, *happens.pop())
            if step in cuts:
                progress = Progress(Cursor(progress.cursor().value), versions=False, margin=MARGIN, room=room)
        more = progress.turn()
    return progress.cursor()


def happen(shop: Shop, what: str, key: str, amount: int) -> None:
    if what == "write":
        shop.write(key, amount % (MARGIN + 1))
    elif what == "delete":
        shop.things.pop(key, None)
    else:
        shop.now += amount


events = st.tuples(
    st.sampled_from(["write", "write", "delete", "wait"]), st.sampled_from("abcdefgh"), st.integers(0, 7)
)


@settings(max_examples=400, deadline=None)
@given(
    passes=st.lists(st.tuples(st.lists(events, max_size=12), st.sets(st.integers(1, 12), max_size=4)), max_size=5),
    first=st.lists(events, max_size=12),
    room=st.sampled_from([0, 1, 3, 50]),
)
def test_every_state_that_stays_is_given_and_hardly_any_twice(
    passes: list[tuple[list[tuple[str, str, int]], set[int]]], first: list[tuple[str, str, int]], room: int
) -> None:
    shop = Shop()
    for event in first:
        happen(shop, *event)
    cursor: Cursor | None = None
    for happens, cuts in passes:
        cursor = one_pass(shop, cursor, room, happens, cuts)
    cursor = one_pass(shop, cursor, room, [], set())
    assert not [key for key in shop.things if not shop.given[shop.state(key)]], "nothing that is there is missing"
    if room == 50:
        assert set(shop.given.values()) <= {1}, "with room enough to remember, nothing is given twice"
    before = shop.given.copy()
    one_pass(shop, cursor, room, [], set())
    assert shop.given == before, "what did not change is not given again"


def test_what_there_is_no_room_for_is_still_not_given_again() -> None:
    shop = Shop()
    for number in range(500):
        shop.write(f"k{number:03d}", 0)
    cursor = one_pass(shop, None, 10, [], set())
    assert len(cursor.value) < 400
    for _ in range(3):
        cursor = one_pass(shop, cursor, 10, [], set())
        shop.now += 1
    assert set(shop.given.values()) == {1}


def test_a_late_object_among_those_there_is_no_room_for_comes_with_them() -> None:
    shop = Shop()
    for number in range(50):
        shop.write(f"k{number:03d}", 0)
    cursor = one_pass(shop, None, 10, [], set())
    shop.write("k0115", 3)
    cursor = one_pass(shop, cursor, 10, [], set())
    assert shop.given[shop.state("k0115")] == 1
    cursor = one_pass(shop, cursor, 10, [], set())
    assert shop.given[shop.state("k0115")] == 1


def test_two_writes_in_one_second_are_two_states() -> None:
    shop = Shop()
    shop.write("a", 0)
    cursor = one_pass(shop, None, 10, [], set())
    shop.write("a", 0)
    shop.write("b", 0)
    one_pass(shop, cursor, 10, [], set())
    assert shop.given == {("a", "1"): 1, ("a", "2"): 1, ("b", "3"): 1}


def test_an_upload_that_was_under_way_is_known_by_its_time() -> None:
    """However old that is: an S3 upload in parts carries the time at which it was started."""
    shop = Shop(now=1_000_000)
    shop.write("a", 0)
    progress = Progress(None, versions=False, margin=MARGIN)
    progress.begin(shop.now, [("late", 1000), ("never", 2000)])
    progress.see(shop.things["a"])
    assert not progress.turn()
    progress = Progress(progress.cursor(), versions=False, margin=MARGIN)
    progress.begin(shop.now + 60, [])
    assert not progress.see(shop.things["a"])
    assert progress.see(Entry(key="late", modified=1001.0, size=1, tag="x-2"))
    assert not progress.see(Entry(key="other", modified=1000.0, size=1, tag="x-2"))
    assert not progress.turn()
    progress = Progress(progress.cursor(), versions=False, margin=MARGIN)
    progress.begin(shop.now + 120, [])
    assert not progress.see(Entry(key="late", modified=1001.0, size=1, tag="x-2"))


def test_a_cursor_stays_small_at_its_fullest() -> None:
    """A key of 1024 bytes, every mark in use, before and now, and uploads under way."""
    cursor: Cursor | None = None
    for _ in range(2):
        progress = Progress(cursor, versions=False, margin=MARGIN)
        progress.begin(1_900_000_000, [(f"upload{number}", number) for number in range(100)])
        for number in range(300):
            progress.see(Entry(key=f"{number:04d}" + "ü" * 510, modified=1_900_000_000.0, size=1, tag=str(number)))
        fullest = progress.cursor()
        assert len(fullest.value.encode()) < 4096
        progress.turn()
        progress.turn()
        cursor = progress.cursor()


def test_another_way_of_reading_begins_anew_and_so_does_a_cursor_of_nobodys() -> None:
    shop = Shop()
    shop.write("a", 0)
    cursor = one_pass(shop, None, 10, [], set())
    for other in (Progress(cursor, versions=True, margin=MARGIN), Progress(Cursor("?"), versions=False, margin=MARGIN)):
        other.begin(shop.now, ())
        assert other.see(shop.things["a"])


def test_a_clock_that_goes_back_gives_nothing_twice_and_misses_nothing() -> None:
    shop = Shop()
    shop.write("a", 0)
    cursor = one_pass(shop, None, 10, [], set())
    shop.now -= 2
    shop.write("b", 0)
    cursor = one_pass(shop, cursor, 10, [], set())
    shop.now += 1
    shop.write("c", 0)
    one_pass(shop, cursor, 10, [], set())
    assert shop.given == {("a", "1"): 1, ("b", "2"): 1, ("c", "3"): 1}
