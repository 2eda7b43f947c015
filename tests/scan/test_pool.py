"""Threads that give results in the order of the work."""

from __future__ import annotations

import random
import threading
import time
from functools import partial

import pytest

from keysentry.scan.pool import Pool


def slow(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


@pytest.fixture
def pool():
    made = Pool(4)
    yield made
    made.close()


def test_results_come_in_the_order_of_the_tasks(pool):
    rng = random.Random(1)
    tasks = (partial(slow, number, rng.random() / 200) for number in range(60))
    assert list(pool.ordered(tasks)) == list(range(60))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_tasks(pool, count):
    assert list(pool.ordered(partial(slow, number, 0) for number in range(count))) == list(range(count))


def test_tasks_are_taken_only_a_little_ahead(pool):
    taken = []

    def tasks():
        for number in range(200):
            taken.append(number)
            yield partial(slow, number, 0)

    for done, _result in enumerate(pool.ordered(tasks())):
        assert len(taken) <= done + 3 * 4 + 3


def test_an_error_comes_where_its_result_would(pool):
    def fail() -> int:
        raise ValueError("the third")

    results = pool.ordered(iter([partial(slow, 0, 0.01), partial(slow, 1, 0), fail, partial(slow, 3, 0)]))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_work_inside_work(pool):
    """While one stream of results is taken another may be worked off by the same threads."""
    found = []
    for number in pool.ordered(partial(slow, number, 0) for number in range(20)):
        found.append((number, list(pool.ordered(partial(slow, inner, 0) for inner in range(5)))))
    assert found == [(number, [0, 1, 2, 3, 4]) for number in range(20)]


def test_several_threads_work_at_once(pool):
    barrier = threading.Barrier(4, timeout=10)
    assert list(pool.ordered(iter([lambda: barrier.wait() >= 0] * 4))) == [True] * 4
