"""What one input may ask for."""

from __future__ import annotations

from threading import Thread

import pytest

from keysentry.errors import BudgetExceeded, InputError
from keysentry.extraction.budget import Account, Budget


def test_an_account_counts_up_to_its_limits() -> None:
    account = Account(Budget(entries=2, expanded=100, member=60), packed=10)
    account.entry("a.zip")
    account.entry("a.zip")
    account.expand("a.zip » b", 60, 60)
    account.expand("a.zip » c", 40, 40)
    assert (account.entries, account.expanded, account.refusal) == (2, 100, None)


def test_too_many_entries_leave_the_others_readable() -> None:
    account = Account(Budget(entries=1))
    account.entry("a.zip")
    with pytest.raises(BudgetExceeded, match=r"a\.zip: it has more than 1 members .*budget\.entries"):
        account.entry("a.zip")
    account.expand("a.zip » b", 1, 1)


def test_expanded_bytes_are_counted_over_all_members() -> None:
    account = Account(Budget(expanded=100))
    account.expand("x", 100, 100)
    with pytest.raises(BudgetExceeded, match=r"budget\.expanded"):
        account.expand("x", 1, 1)


def test_a_large_member_does_not_spend_the_account() -> None:
    account = Account(Budget(member=10))
    with pytest.raises(BudgetExceeded, match=r"a\.zip » big: it is larger than 10 bytes .*budget\.member"):
        account.expand("a.zip » big", 11, 11)
    assert account.refusal is None
    account.expand("a.zip » small", 5, 5)


def test_the_ratio_counts_only_beyond_a_size() -> None:
    account = Account(Budget(ratio=2, ratio_from=1000), packed=10)
    account.expand("x", 1000, 1000)
    with pytest.raises(BudgetExceeded, match=r"more than 2 times its size .*budget\.ratio"):
        account.expand("x", 1, 1001)


def test_without_a_known_size_there_is_no_ratio() -> None:
    account = Account(Budget(ratio=2, ratio_from=10))
    account.expand("x", 1000, 1000)
    account.feed(100)
    with pytest.raises(BudgetExceeded):
        account.expand("x", 1, 1)


def test_depth() -> None:
    account = Account(Budget(depth=3))
    inner = account.deeper("a » b").deeper("a » b » c")
    with pytest.raises(BudgetExceeded, match=r"more than 3 archives .*budget\.depth"):
        inner.deeper("a » b » c » d")
    inner.entry("a")
    assert account.entries == 1


def test_archives_held_in_memory() -> None:
    with pytest.raises(InputError, match=r"budget\.held"):
        Account(Budget(held=10)).check_held("a » b", 11)


def test_threads_lose_no_counts() -> None:
    account = Account()

    def work() -> None:
        for _ in range(2000):
            account.entry("a")
            account.expand("a", 3, 3)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (account.entries, account.expanded) == (8000, 24000)
