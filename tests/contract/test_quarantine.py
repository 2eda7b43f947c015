"""What every quarantine promises (`keysentry/connectors/base.py`), held to one place of each platform.

Each platform's own tests go further (permissions, formats, what only it has); who plays which platform is said in
`tests/servers/`, how a platform takes part in `tests/contract/quarantine_places.py`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from keysentry.connectors.base import Quarantine
from keysentry.errors import ChangedError, GoneError, KeysentryError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.rules.forge import forge
from tests.contract.quarantine_places import HeldPlace, Stoppable, worlds

WORLDS = worlds()
PLACEHOLDER = "[Removed by keysentry: this held a credential. Ask security@example.com.]"
MOST_CALLS = 40


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(one.group)) for name, one in WORLDS.items()])
def held(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HeldPlace]:
    """Each place in turn, empty."""
    with WORLDS[request.param].open(request, tmp_path) as place:
        yield place


class Thing(NamedTuple):
    """A thing with secrets in it."""

    place: Place
    text: str
    secrets: tuple[Sensitive, ...]


def thing(held: HeldPlace, seed: int = 1, count: int = 1) -> Thing:
    rng = random.Random(seed)
    tokens = [forge("ghp_{base62:30}{crc32-base62:6}", rng) for _ in range(count)]
    text = f"for now use {' or '.join(tokens)} please"
    return Thing(held.add(text), text, tuple(Sensitive(token) for token in tokens))


@contextlib.contextmanager
def opened(held: HeldPlace) -> Iterator[Quarantine]:
    quarantine = held.open()
    try:
        yield quarantine
    finally:
        quarantine.close()


def inspect(held: HeldPlace, one: Thing) -> Original:
    with opened(held) as quarantine:
        return quarantine.inspect(one.place, one.secrets)


def hold(held: HeldPlace, one: Thing, original: Original) -> Receipt:
    with opened(held) as quarantine:
        return quarantine.hold(one.place, original, one.secrets, PLACEHOLDER)


def was_held(held: HeldPlace, one: Thing, original: Original) -> Receipt | None:
    with opened(held) as quarantine:
        return quarantine.held(one.place, original, PLACEHOLDER)


def release(held: HeldPlace, one: Thing, original: Original, receipt: Receipt) -> Receipt:
    with opened(held) as quarantine:
        return quarantine.release(one.place, original, receipt)


def was_released(held: HeldPlace, one: Thing, original: Original, receipt: Receipt) -> Receipt | None:
    with opened(held) as quarantine:
        return quarantine.released(one.place, original, receipt)


def readable(held: HeldPlace, one: Thing) -> bool:
    """Whether any of the secrets can be read by people."""
    text = held.text(one.place) or ""
    return any(secret.reveal() in text for secret in one.secrets)


def tells(one: Thing, *said: object) -> bool:
    """Whether anything that was said holds a secret. `undo` and `content` are sealed, and may."""
    words = []
    for thing_said in said:
        if isinstance(thing_said, Receipt):
            words.append(repr((thing_said.note, thing_said.evidence, thing_said.outcome)))
        elif isinstance(thing_said, Original):
            words.append(repr((thing_said.note, thing_said.version)))
        else:
            words.append(f"{thing_said!r} {thing_said}")
    return any(secret.reveal() in text for text in words for secret in one.secrets)


def test_inspecting_touches_nothing(held: HeldPlace) -> None:
    one = thing(held)
    before = held.text(one.place)
    original = inspect(held, one)
    assert held.effects() == 0
    assert held.text(one.place) == before
    assert original.content and original.version and original.note
    assert not tells(one, original)
    assert inspect(held, one).version == original.version


def test_a_held_secret_cannot_be_read_and_a_release_brings_it_back(held: HeldPlace) -> None:
    one = thing(held)
    before = held.text(one.place)
    assert before is not None and one.text in before
    original = inspect(held, one)
    receipt = hold(held, one, original)
    assert receipt.outcome == "done" and receipt.note and receipt.evidence
    assert held.effects() > 0
    assert not readable(held, one)
    released = release(held, one, original, receipt)
    assert released.outcome == "done" and released.note
    after = held.text(one.place)
    assert after is not None and one.text in after
    if held.restores == "same":
        assert after == before
    assert not tells(one, original, receipt, released)


def test_it_can_be_held_again_after_a_release(held: HeldPlace) -> None:
    one = thing(held)
    if held.restores != "same":
        pytest.xfail("it is another thing now, which its source tells of")
    for _ in range(2):
        original = inspect(held, one)
        receipt = hold(held, one, original)
        assert not readable(held, one)
        release(held, one, original, receipt)
        assert one.text in (held.text(one.place) or "")


def test_a_second_secret_in_the_same_thing_is_held_with_it(held: HeldPlace) -> None:
    one = thing(held, count=2)
    original = inspect(held, one)
    receipt = hold(held, one, original)
    assert not readable(held, one)
    release(held, one, original, receipt)
    assert one.text in (held.text(one.place) or "")
    assert not tells(one, original, receipt)


def test_other_things_stay_as_they_are(held: HeldPlace) -> None:
    one, other = thing(held, 1), thing(held, 2)
    receipt = hold(held, one, original := inspect(held, one))
    assert other.text in (held.text(other.place) or "")
    release(held, one, original, receipt)
    assert other.text in (held.text(other.place) or "")


def test_what_was_edited_so_that_the_secret_is_gone_is_not_touched(held: HeldPlace) -> None:
    one = thing(held)
    held.edit(one.place, "use the vault instead")
    with pytest.raises(ChangedError) as caught:
        inspect(held, one)
    assert held.effects() == 0
    assert "use the vault instead" in (held.text(one.place) or "")
    assert not tells(one, caught.value)


@pytest.mark.parametrize("still_there", [True, False], ids=["secret still there", "secret gone"])
def test_what_was_edited_after_it_was_inspected_is_not_touched(held: HeldPlace, still_there: bool) -> None:
    one = thing(held)
    original = inspect(held, one)
    held.edit(one.place, f"edited: {one.text}" if still_there else "edited")
    now = held.text(one.place)
    with pytest.raises(ChangedError) as caught:
        hold(held, one, original)
    assert held.effects() == 0
    assert held.text(one.place) == now
    assert not tells(one, caught.value)


def test_what_was_deleted_is_gone(held: HeldPlace) -> None:
    one, other = thing(held, 1), thing(held, 2)
    held.delete(one.place)
    with pytest.raises(GoneError) as caught:
        inspect(held, one)
    original = inspect(held, other)
    held.delete(other.place)
    with pytest.raises(GoneError):
        hold(held, other, original)
    assert held.effects() == 0
    assert not tells(one, caught.value)


def test_whether_it_was_held_is_seen_on_the_platform(held: HeldPlace) -> None:
    one = thing(held)
    original = inspect(held, one)
    assert was_held(held, one, original) is None
    assert held.effects() == 0
    receipt = hold(held, one, original)
    effects = held.effects()
    found = was_held(held, one, original)
    assert found is not None and found.note and not tells(one, found)
    assert hold(held, one, original).outcome in ("done", "already"), "an interrupted hold may be made again"
    assert held.effects() == effects, "nothing is done twice"
    assert receipt.outcome == "done"
    released = release(held, one, original, found)
    assert released.outcome == "done", "the receipt that was found again does as well"
    assert one.text in (held.text(one.place) or "")


def test_whether_it_was_released_is_seen_on_the_platform(held: HeldPlace) -> None:
    one = thing(held)
    original = inspect(held, one)
    receipt = hold(held, one, original)
    effects = held.effects()
    assert was_released(held, one, original, receipt) is None
    assert held.effects() == effects
    release(held, one, original, receipt)
    effects = held.effects()
    found = was_released(held, one, original, receipt)
    assert found is not None and found.note and not tells(one, found)
    assert release(held, one, original, receipt).outcome in ("done", "already")
    assert held.effects() == effects, "nothing is done twice"
    assert one.text in (held.text(one.place) or "")


def _stopped(held: HeldPlace, number: int, before: bool, act: object) -> bool:
    """Whether an act was stopped at a call."""
    assert isinstance(held, Stoppable) and callable(act)
    with held.stop(number, before=before):
        try:
            act()
        except KeysentryError:
            return True
    return False


@pytest.mark.parametrize("before", [True, False], ids=["not sent", "answer lost"])
def test_a_hold_that_was_stopped_at_any_call_is_finished(held: HeldPlace, before: bool) -> None:
    """As the worker does it: ask `held`, and only if it tells nothing inspect and hold again."""
    if not isinstance(held, Stoppable):
        pytest.xfail("this place cannot stop a quarantine")
    whole = thing(held, 99)
    hold(held, whole, inspect(held, whole))
    needed = held.effects()
    for number in range(1, MOST_CALLS):
        one = thing(held, number)
        original = inspect(held, one)
        start = held.effects()
        stopped = _stopped(held, number, before, lambda one=one, original=original: hold(held, one, original))
        receipt = was_held(held, one, original)
        if receipt is None:
            again = inspect(held, one)
            receipt = hold(held, one, again)
            assert again.version == original.version
        assert not readable(held, one)
        assert held.effects() - start == needed, f"stopped at call {number}"
        release(held, one, original, receipt)
        assert one.text in (held.text(one.place) or "")
        if not stopped:
            break
    assert number > (1 if before else 0), "it was stopped at least once"


@pytest.mark.parametrize("before", [True, False], ids=["not sent", "answer lost"])
def test_a_release_that_was_stopped_at_any_call_is_finished(held: HeldPlace, before: bool) -> None:
    if not isinstance(held, Stoppable):
        pytest.xfail("this place cannot stop a quarantine")
    whole = thing(held, 99)
    original = inspect(held, whole)
    receipt = hold(held, whole, original)
    start = held.effects()
    release(held, whole, original, receipt)
    needed = held.effects() - start
    for number in range(1, MOST_CALLS):
        one = thing(held, number)
        original = inspect(held, one)
        receipt = hold(held, one, original)
        start = held.effects()
        stopped = _stopped(held, number, before, lambda: release(held, one, original, receipt))  # noqa: B023
        if was_released(held, one, original, receipt) is None:
            release(held, one, original, receipt)
        assert was_released(held, one, original, receipt) is not None
        assert one.text in (held.text(one.place) or "")
        assert held.effects() - start == needed, f"stopped at call {number}"
        if not stopped:
            break
    assert number > (1 if before else 0), "it was stopped at least once"
