"""Reading ahead, and the connections below: against our own server (`tests/servers/slack.py`) and iterators of the
tests' own. Nothing here is played by the SDK: it is the real one.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from keysentry.connectors.slack.ahead import read_ahead
from keysentry.connectors.slack.place import CursorWriter, Run, State, write_state
from keysentry.errors import ClosedError, SourceError
from keysentry.model.record import Unit
from tests.connectors.slack.backends import Ours, open_client, opened, texts
from tests.servers.slack import Fault

pytestmark = pytest.mark.xdist_group("slack")

Sent = Callable[[], None]


def until(true: Callable[[], bool]) -> bool:
    """Whether it comes true within two seconds."""
    deadline = time.monotonic() + 2
    while not true() and time.monotonic() < deadline:
        time.sleep(0.001)
    return true()


def ahead() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "keysentry-ahead"]


class TestOrder:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
    def test_items_come_as_without_a_thread(self, count: int) -> None:
        def numbers(sent: Sent) -> Iterator[int]:
            for number in range(count):
                sent()
                yield number

        assert list(read_ahead(numbers)) == list(range(count))
        assert until(lambda: not ahead())

    @pytest.mark.parametrize("good", [0, 1, 2, 3, 7])
    def test_an_error_comes_after_what_came_before_it(self, good: int) -> None:
        def numbers(_sent: Sent) -> Iterator[int]:
            yield from range(good)
            raise SourceError("that is all", place="here")

        given: list[int] = []
        with pytest.raises(SourceError, match="that is all"):
            given.extend(read_ahead(numbers))
        assert given == list(range(good))

    def test_a_few_items_need_no_thread(self) -> None:
        reading = read_ahead(lambda _sent: iter((1, 2)))
        assert [next(reading), next(reading)] == [1, 2]
        assert not ahead()
        assert list(reading) == []

    def test_no_more_than_one_item_is_ahead(self) -> None:
        made: list[int] = []

        def numbers(sent: Sent) -> Iterator[int]:
            for number in range(20):
                sent()
                made.append(number)
                yield number

        for number in read_ahead(numbers):
            time.sleep(0.002)
            assert made[-1] <= number + 1

    def test_an_item_is_handed_over_when_the_next_question_is_sent(self) -> None:
        asked: list[int] = []
        answer = threading.Semaphore(3)

        def numbers(sent: Sent) -> Iterator[int]:
            for number in range(5):
                asked.append(number)
                sent()
                assert answer.acquire(timeout=2)
                yield number

        reading = read_ahead(numbers)
        assert [next(reading) for _ in range(3)] == [0, 1, 2]
        assert asked == [0, 1, 2, 3]  # although nobody answers
        answer.release(2)
        assert list(reading) == [3, 4]

    def test_a_thread_ends_when_nobody_reads_on(self) -> None:
        def numbers(sent: Sent) -> Iterator[int]:
            number = 0
            while True:
                sent()
                yield (number := number + 1)

        reading = read_ahead(numbers)
        assert [next(reading) for _ in range(4)] == [1, 2, 3, 4]
        assert len(ahead()) == 1
        reading.close()  # type: ignore[attr-defined]
        assert until(lambda: not ahead())


def test_a_source_that_is_closed_says_so_while_it_reads_ahead(ours: Ours) -> None:
    channel = ours.channel()
    for number in range(30):
        ours.post(channel, f"message {number}")
    given = []
    with opened(ours) as source, pytest.raises(ClosedError):
        for delivery in source.records(Unit(channel, ""), None):
            given.append(delivery)
            if len(given) == 10:
                source.close()
    assert texts(given) == [f"message {number}" for number in range(29, 29 - len(given), -1)]
    assert 10 <= len(given) <= 18  # what was ahead is given


class TestConnections:
    @pytest.fixture
    def accepted(self, ours: Ours) -> list[socket.socket]:
        """The connections that the server has taken, its own ends."""
        found: list[socket.socket] = []
        http = ours.server._http
        process = http.process_request

        def noted(request: socket.socket, address: object) -> None:  # type: ignore[misc]
            found.append(request)
            process(request, address)

        http.process_request = noted  # type: ignore[method-assign, assignment]
        return found

    def test_one_serves_many_calls(self, ours: Ours, accepted: list[socket.socket]) -> None:
        client = open_client(ours)
        for _ in range(5):
            client.call("auth.test")
        client.close()
        assert len(accepted) == 1

    def test_one_that_was_closed_meanwhile_is_replaced(self, ours: Ours, accepted: list[socket.socket]) -> None:
        waits: list[float] = []
        client = open_client(ours, waits)
        client.call("auth.test")
        accepted[0].shutdown(socket.SHUT_RDWR)
        client.call("auth.test")
        client.close()
        assert len(accepted) == 2
        assert ours.server.count("auth.test") == 2
        assert not any(waits)

    def test_one_that_breaks_in_the_middle_of_an_answer_is_no_answer(self, ours: Ours) -> None:
        waits: list[float] = []
        client = open_client(ours, waits)
        client.call("auth.test")
        ours.server.fail("auth.test", Fault(reset=True))
        assert client.call("auth.test")["ok"] is True
        client.close()
        assert len([seconds for seconds in waits if seconds]) == 1  # it was asked again after a wait

    def test_the_sdk_reads_what_only_it_can(self, ours: Ours) -> None:
        client = open_client(ours)
        ours.server.fail("auth.test", Fault(body=rb'{"ok": true, "user": "\ud83d", "big": 1e999, "n": NaN}'))
        assert client.call("auth.test")["user"] == "\ud83d"
        client.close()


def test_a_cursor_says_the_same_whoever_writes_it() -> None:
    rng = random.Random(3)
    state = State(top=5, stamp=6, floor=1, canvases={'"low":7': 3, "low": 9})
    run = state.run = Run(top=9, stamp=9, floor=2, low=10)
    writer = CursorWriter()
    parts = (b"", b"", b"")
    for low in range(1_600_000_000_000_300, 1_600_000_000_000_000, -1):
        run.low, run.thread = low, rng.choice((0, 0, 0, low + 5))
        if rng.random() < 0.2:
            parts = (rng.randbytes(840), rng.choice((b"", rng.randbytes(8))), rng.randbytes(840))
        written = writer.write(state, run, parts)
        state.ids, run.seen, run.ids = parts
        assert written == write_state(state)
